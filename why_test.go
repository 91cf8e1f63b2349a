package metaxy_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
	"github.com/metaxy-delta/metaxy-delta/why"
)

var partStates = map[metaxy.Part]why.State{metaxy.New: why.StateNew, metaxy.Stale: why.StateStale, metaxy.Orphaned: why.StateOrphaned}

// reasoned resolves the leaf with reasons and returns the samples of each part.
func (c *toucher) reasoned() (map[metaxy.Part][][]string, *metaxy.Increment) {
	c.Helper()
	inc, err := c.store.ResolveUpdate(c.Context(), mustKey(c.T, c.leaf), &metaxy.ResolveOptions{Reasons: true, NoRemember: true})
	if err != nil {
		c.Fatal(err)
	}
	join := strings.Fields(c.leafIDs[0])[0]
	out := map[metaxy.Part][][]string{}
	for pb, err := range inc.All(c.Context()) {
		if err != nil {
			c.Fatal(err)
		}
		at := pb.Batch.Schema().FieldIndices(join)[0]
		reason := pb.Batch.Column(int(pb.Batch.NumCols()) - 1)
		for i := range int(pb.Batch.NumRows()) {
			if reason.ValueStr(i) == "" {
				c.Fatalf("%v: a row of %v has no reason", pb.Batch.Column(at).ValueStr(i), partStates[pb.Part])
			}
			out[pb.Part] = append(out[pb.Part], []string{strings.Clone(pb.Batch.Column(at).ValueStr(i))})
		}
	}
	return out, inc
}

// TestWhy touches stores at random. Every sample that a resolve finds has a
// reason, in the same state; what is unknown was stored by others, or its
// upstream rows were removed; and when the causes of a stale sample are undone,
// it is not stale.
func TestWhy(t *testing.T) {
	for name, plan := range plans() {
		t.Run(name, func(t *testing.T) {
			c := plan(t, metaxy.Options{})
			c.r, c.domain = rand.New(rand.NewPCG(20, 26)), 12
			for _, root := range c.roots {
				var rows []string
				for i := range c.domain {
					rows = append(rows, root.row(i, "v0"))
				}
				c.put(root.key, root.columns, "["+strings.Join(rows, ",")+"]")
			}
			c.writeBack()
			explained, unknown, removed, undone := 0, 0, false, 0
			for round := range 40 {
				did := c.touch()
				removed = removed || strings.HasPrefix(did, "delete from ") && !strings.HasSuffix(did, c.leaf)
				parts, inc := c.reasoned()
				for part, samples := range parts {
					var total int64
					for _, n := range inc.Reasons()[part] {
						total += n
					}
					if total != int64(len(samples)) {
						t.Fatalf("round %d, after %s: %d %s rows, reasons %v", round, did, len(samples), partStates[part], inc.Reasons()[part])
					}
					samples = slices.CompactFunc(samples, slices.Equal)
					found, err := c.store.Why(t.Context(), mustKey(t, c.leaf), samples, nil)
					if err != nil {
						t.Fatal(err)
					}
					for i := range found {
						s := &found[i]
						switch {
						case s.State != partStates[part] || !reflect.DeepEqual(s.Key, samples[i]):
							t.Fatalf("round %d, after %s: %v is %s, resolve says %s", round, did, s.Key, s.State, partStates[part])
						case len(s.Causes) == 0 && s.Unknown == "":
							t.Fatalf("round %d, after %s: %v is %s for no reason", round, did, s.Key, s.State)
						case len(s.Causes) > 0:
							explained++
						case removed || c.foreign(s.Key[0]):
							unknown++
						default:
							t.Fatalf("round %d, after %s: %v is %s: %s", round, did, s.Key, s.State, s.Unknown)
						}
					}
					if part == metaxy.Stale {
						undone += c.undo(round, found)
					}
				}
			}
			t.Logf("%d samples explained, %d unknown, %d undone", explained, unknown, undone)
			if explained < 2*unknown || undone == 0 {
				t.Errorf("%d samples explained, %d unknown, %d undone", explained, unknown, undone)
			}
		})
	}
}

// foreign reports whether a stored row of a sample was not computed from its upstream rows.
func (c *toucher) foreign(id string) bool {
	rows, err := c.store.Read(c.Context(), mustKey(c.T, c.leaf), nil)
	if err != nil {
		c.Fatal(err)
	}
	_, texts, err := scenariotest.CollectRows(rows, nil)
	if err != nil {
		c.Fatal(err)
	}
	return slices.ContainsFunc(texts, func(row string) bool { return strings.Contains(row, id) && strings.Contains(row, "12345678") })
}

// undo takes back the causes of one stale sample in a copy of the store, after
// which it must not be stale; it returns how many it tried.
func (c *toucher) undo(round int, found []why.Sample) int {
	i := slices.IndexFunc(found, func(s why.Sample) bool { return len(s.Causes) > 0 && !c.foreign(s.Key[0]) })
	if i < 0 || round%2 == 1 {
		return 0
	}
	s := &found[i]
	copied := *c
	b := *c.bench
	copied.bench = &b
	copied.dir = c.TempDir()
	if err := os.CopyFS(copied.dir, os.DirFS(c.dir)); err != nil {
		c.Fatal(err)
	}
	copied.reopen()
	for _, cause := range s.Causes {
		root := c.roots[slices.IndexFunc(c.roots, func(r rootTable) bool { return r.key == cause.Parent })]
		n, err := strconv.Atoi(strings.TrimPrefix(s.Key[0], "id "))
		if err != nil {
			c.Fatal(err)
		}
		if chunk, ok := strings.CutPrefix(cause.Member, "chunk="); ok {
			m, err := strconv.Atoi(chunk)
			if err != nil {
				c.Fatal(err)
			}
			n = 3*n + m
		}
		switch cause.Change {
		case why.ChangeChanged, why.ChangeWent:
			copied.put(root.key, root.columns, "["+root.row(n, *cause.Old)+"]")
		case why.ChangeCame:
			filter := strings.Fields(root.columns[0])[0] + " = " + s.Key[0]
			if strings.HasSuffix(root.columns[0], "text") {
				filter = strings.Fields(root.columns[0])[0] + " = '" + s.Key[0] + "'"
			}
			if cause.Member != "" {
				filter += " AND " + strings.ReplaceAll(cause.Member, "=", " = ")
			}
			if _, err := copied.store.Delete(c.Context(), mustKey(c.T, root.key), &metaxy.DeleteOptions{Filters: where(c.T, filter)}); err != nil {
				c.Fatal(err)
			}
		default:
			c.Fatalf("%v: cause %+v", s.Key, cause)
		}
	}
	parts, _ := copied.reasoned()
	if slices.ContainsFunc(parts[metaxy.Stale], func(k []string) bool { return slices.Equal(k, s.Key) }) {
		c.Fatalf("round %d: %v is stale after its causes were undone: %s", round, s.Key, fmt.Sprintf("%+v", s.Causes))
	}
	return 1
}

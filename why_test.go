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
	"time"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
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

// TestWhyOfHardDeletes: what an earlier version of a table had is told of rows
// that were removed, until a vacuum takes its files.
func TestWhyOfHardDeletes(t *testing.T) {
	const (
		raw   = `{"key": "raw", "id_columns": ["n"], "fields": [{"key": "x", "code_version": "1"}]}`
		leaf  = `{"key": "leaf", "id_columns": ["n"], "deps": [{"feature": "raw"}], "fields": [{"key": "y", "code_version": "1"}]}`
		group = `{"key": "group", "id_columns": ["site"], "deps": [{"feature": "raw", "lineage": {"relationship": {"type": "N:1", "on": ["site"]}}}], "fields": [{"key": "y", "code_version": "1"}]}`
	)
	b := newBench(t, metaxy.Options{}, raw, leaf, group)
	versions := byField + "{x}"
	b.put("raw", []string{"n int", "site", versions}, `[{"n": 1, "site": "a", "metaxy_provenance_by_field": {"x": "1"}}, {"n": 2, "site": "a", "metaxy_provenance_by_field": {"x": "1"}}, {"n": 3, "site": "b", "metaxy_provenance_by_field": {"x": "1"}}]`)
	for _, feature := range []string{"leaf", "group"} {
		inc := must(b.store.ResolveUpdate(t.Context(), key(feature), nil))
		must(b.store.Write(t.Context(), key(feature), inc.New(t.Context()), nil))
		inc.Close()
	}
	hard := func(feature, filter string) int64 {
		t.Helper()
		return must(b.store.Delete(t.Context(), key(feature), &metaxy.DeleteOptions{Filters: only(filter), Hard: true})).TableVersion
	}
	told := func(feature string, sample string, state why.State, change why.Change, commit int64) why.Sample {
		t.Helper()
		found := must(b.store.Why(t.Context(), key(feature), [][]string{{sample}}, nil))
		s := found[0]
		if s.State != state || len(s.Causes) != 1 || s.Causes[0].Change != change || s.Causes[0].Commit != commit || s.Causes[0].Since.IsZero() {
			t.Errorf("%s %s: %+v", feature, sample, s)
		}
		return s
	}
	version := hard("raw", "n = 2")
	told("leaf", "2", why.StateOrphaned, why.ChangeWent, version)
	if s := told("group", "a", why.StateStale, why.ChangeWent, version); len(s.Causes) == 1 && s.Causes[0].Member != "n=2" {
		t.Errorf("the member that went: %+v", s.Causes[0])
	}
	told("leaf", "3", why.StateNew, why.ChangeDeleted, hard("leaf", "n = 3"))
	if found := must(b.store.Why(t.Context(), key("leaf"), [][]string{{"1"}}, nil)); found[0].State != why.StateInSync {
		t.Errorf("1: %+v", found[0])
	}
	// What comes back is judged by itself.
	b.put("raw", []string{"n int", "site", versions}, `[{"n": 2, "site": "a", "metaxy_provenance_by_field": {"x": "9"}}]`)
	if s := told("leaf", "2", why.StateStale, why.ChangeChanged, version); len(s.Causes) == 1 && (*s.Causes[0].Old != "1" || *s.Causes[0].New != "9") {
		t.Errorf("2: %+v", s.Causes[0])
	}
	hard("raw", "n = 2")
	gone, err := rewrite.Vacuum(t.Context(), b.store.Table(key("raw")), &rewrite.VacuumOptions{Now: time.Now().AddDate(0, 1, 0), Retention: 0, Shorter: true})
	if err != nil || len(gone.Deleted) != 2 {
		t.Fatal(gone, err)
	}
	if found := must(b.store.Why(t.Context(), key("group"), [][]string{{"a"}}, nil)); found[0].State != why.StateStale || found[0].Unknown == "" {
		t.Errorf("after a vacuum: %+v", found[0])
	}
}

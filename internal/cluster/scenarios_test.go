package cluster_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/cluster"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
)

var long = flag.Bool("long", false, "cut every scenario into 1, 7 and 64 partitions, and not each into one of these")

var partitionCounts = []int{1, 7, 64}

// TestScenarios resolves every recorded scenario in pieces, which come in any
// order: the rows, their columns and types, the counts and the warnings are those
// of one process, which are compared with Metaxy's own in the same run.
func TestScenarios(t *testing.T) {
	root := deltatest.ModuleRoot()
	listed := scenariotest.ReadListed(t, filepath.Join(root, "testdata", "gaps.txt"), filepath.Join(root, "testdata", "decisions.txt"))
	scenariotest.Run(t, &scenariotest.Options{Listed: listed, Ops: []string{"resolve_update"}, Resolved: func(t *testing.T, r *scenariotest.Resolve) string {
		h := fnv.New64a()
		h.Write([]byte(r.Name))
		for i, parts := range partitionCounts {
			if !*long && uint64(i) != h.Sum64()%uint64(len(partitionCounts)) {
				continue
			}
			if fault := inPieces(t, r, parts, h.Sum64()); fault != "" {
				return fmt.Sprintf("in %d partitions: %s", parts, fault)
			}
		}
		return ""
	}})
}

// inPieces resolves in pieces and in one process, and says how they differ.
func inPieces(t *testing.T, r *scenariotest.Resolve, parts int, seed uint64) string {
	options := func() *metaxy.ResolveOptions {
		o, err := r.Options()
		if err != nil {
			return &metaxy.ResolveOptions{}
		}
		return o
	}
	if _, err := r.Options(); err != nil { // a filter that cannot be read never comes to a plan
		return ""
	}
	samples := options().Samples
	e, err := newEngine(t, r.Store, r.Key, &cluster.Options{Resolve: *options(), Partitions: parts, TaskBytes: 3000}, seed)
	var got *answer
	if err == nil {
		got, err = e.resolve(e.newest(e.cut(samples)))
	}
	switch {
	case err == nil && r.Err != nil:
		return fmt.Sprintf("succeeds, one process says: %v", r.Err)
	case err != nil && r.Err == nil:
		return err.Error()
	case err != nil:
		return ""
	}
	inc, err := r.Store.ResolveUpdate(t.Context(), r.Key, options())
	if err != nil {
		return err.Error()
	}
	defer inc.Close()
	for part, rows := range []*metaxy.Rows{inc.New(t.Context()), inc.Stale(t.Context()), inc.Orphaned(t.Context())} {
		if !got.schemas[part].Equal(rows.Schema) {
			return fmt.Sprintf("part %d has the columns\n%s\nwant\n%s", part, got.schemas[part], rows.Schema)
		}
		_, want, err := scenariotest.CollectRows(rows, nil)
		if err != nil {
			return err.Error()
		}
		for _, b := range got.batches[part] {
			if !b.Schema().Equal(rows.Schema) {
				return fmt.Sprintf("part %d has the columns\n%s\nwant\n%s", part, b.Schema(), rows.Schema)
			}
		}
		_, have, err := scenariotest.CollectRows(&metaxy.Rows{Schema: rows.Schema, Batches: scenariotest.Each(got.batches[part])}, nil)
		if err != nil {
			return err.Error()
		}
		if fault := scenariotest.RowsFault(want, have); fault != "" && !r.Unstable {
			return fmt.Sprintf("part %d: %s", part, fault)
		}
	}
	st := inc.Stats()
	if a, b := fmt.Sprint(got.New, got.Stale, got.Orphaned, got.Expected), fmt.Sprint(st.New, st.Stale, st.Orphaned, st.Expected); a != b && !r.Unstable {
		return fmt.Sprintf("new, stale, orphaned, expected: %s, want %s", a, b)
	}
	return warningsFault(append(e.plan.Warnings, got.Warnings...), inc.Warnings())
}

// warningsFault compares codes, and where both count the counts.
func warningsFault(got []cluster.Warning, want []metaxy.Warning) string {
	var a, b []string
	for _, w := range got {
		a = append(a, fmt.Sprint(w.Code, " ", w.Count))
	}
	for _, w := range want {
		b = append(b, fmt.Sprint(w.Code, " ", w.Count))
	}
	slices.Sort(a)
	slices.Sort(b)
	if a, b = slices.Compact(a), slices.Compact(b); !slices.Equal(a, b) {
		return fmt.Sprintf("warnings %q, want %q", a, b)
	}
	return ""
}

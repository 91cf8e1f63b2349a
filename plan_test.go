package metaxy_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// counted is an increment with reasons, consumed.
func (b *bench) counted(name string) *metaxy.Increment {
	b.Helper()
	inc := must(b.store.ResolveUpdate(b.Context(), key(name), &metaxy.ResolveOptions{Reasons: true, NoRemember: true}))
	for _, err := range inc.All(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
	}
	return inc
}

// do stores what a feature has to do, and deletes its orphans.
func (b *bench) do(name string) {
	b.Helper()
	for _, part := range []metaxy.Part{metaxy.New, metaxy.Stale} {
		inc := must(b.store.ResolveUpdate(b.Context(), key(name), nil))
		rows := inc.New(b.Context())
		if part == metaxy.Stale {
			rows = inc.Stale(b.Context())
		}
		must(b.store.Write(b.Context(), key(name), rows, nil))
		inc.Close()
	}
	must(b.store.Delete(b.Context(), key(name), &metaxy.DeleteOptions{Orphaned: true}))
}

// TestPlanAgrees changes a root at random. A plan counts what a resolve of each
// feature counts, with the same reasons; once the first feature is done, the next
// one has to do just what the plan said would follow.
func TestPlanAgrees(t *testing.T) {
	const (
		raw  = `{"key": "raw", "id_columns": ["n"], "fields": [{"key": "x", "code_version": "1"}]}`
		mid  = `{"key": "mid", "id_columns": ["n"], "deps": [{"feature": "raw"}], "fields": [{"key": "y", "code_version": "1"}]}`
		leaf = `{"key": "leaf", "id_columns": ["n"], "deps": [{"feature": "mid"}], "fields": [{"key": "z", "code_version": "1"}]}`
	)
	b := newBench(t, metaxy.Options{}, leaf, mid, raw)
	r := rand.New(rand.NewPCG(7, 30))
	seen := map[string]int{}
	b.put("raw", []string{"n int", byField + "{x}"}, `[{"n": 0, "metaxy_provenance_by_field": {"x": "v0"}}]`)
	b.do("mid")
	b.do("leaf")
	for round := range 16 {
		var rows []string
		for n := range 12 {
			if r.IntN(4) == 0 {
				rows = append(rows, fmt.Sprintf(`{"n": %d, "metaxy_provenance_by_field": {"x": "v%d"}}`, n, r.IntN(3)))
			}
		}
		if len(rows) > 0 {
			b.put("raw", []string{"n int", byField + "{x}"}, "["+strings.Join(rows, ",")+"]")
		}
		if r.IntN(2) == 0 {
			must(b.store.Delete(t.Context(), key("raw"), &metaxy.DeleteOptions{Filters: only(fmt.Sprintf("n = %d", r.IntN(12)))}))
		}
		list := must(b.store.Plan(t.Context(), []feature.Key{key("leaf"), key("raw"), key("mid")}, nil))
		if got := fmt.Sprint(list[0].Feature, list[1].Feature, list[2].Feature); got != fmt.Sprint(key("raw"), key("mid"), key("leaf")) {
			t.Fatalf("order %s", got)
		}
		for i := range list[1:] {
			st := &list[i+1]
			inc := b.counted(st.Feature.String())
			if s := inc.Stats(); st.Err != nil || s.New != st.New || s.Stale != st.Stale || s.Orphaned != st.Orphaned {
				t.Fatalf("round %d, %s: planned %d, %d, %d (%v), resolved %d, %d, %d", round, st.Feature, st.New, st.Stale, st.Orphaned, st.Err, s.New, s.Stale, s.Orphaned)
			}
			for _, part := range []metaxy.Part{metaxy.New, metaxy.Stale, metaxy.Orphaned} {
				if !maps.Equal(st.Reasons[part], inc.Reasons()[part]) {
					t.Fatalf("round %d, %s: planned for %v, resolved for %v", round, st.Feature, st.Reasons[part], inc.Reasons()[part])
				}
			}
			inc.Close()
		}
		planned := list[2]
		b.do("mid")
		inc := b.counted("leaf")
		s := inc.Stats()
		inc.Close()
		if s.New != planned.LaterNew || s.Stale+s.Orphaned != planned.LaterStale {
			t.Fatalf("round %d: %d new and %d stale would follow; %d, %d and %d orphaned did", round, planned.LaterNew, planned.LaterStale, s.New, s.Stale, s.Orphaned)
		}
		for name, n := range map[string]int64{"new": s.New, "stale": s.Stale, "orphaned": s.Orphaned} {
			seen[name] += int(min(n, 1))
		}
		b.do("leaf")
	}
	if seen["new"] < 2 || seen["stale"] < 2 || seen["orphaned"] < 2 {
		t.Errorf("too little happened: %v", seen)
	}
}

package metaxy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
)

// TestDeleteOrphaned: whatever goes upstream, after a delete of orphans a resolve
// finds none, and the rows of all other samples are as they were.
func TestDeleteOrphaned(t *testing.T) {
	const (
		raw   = `{"key": "raw", "id_columns": ["site", "n"], "fields": [{"key": "x", "code_version": "1"}]}`
		crop  = `{"key": "crop", "id_columns": ["site", "n", "c"], "deps": [{"feature": "raw", "lineage": {"relationship": {"type": "1:N", "on": ["site", "n"]}}}], "fields": [{"key": "x", "code_version": "1"}]}`
		group = `{"key": "group", "id_columns": ["site"], "deps": [{"feature": "raw", "lineage": {"relationship": {"type": "N:1", "on": ["site"]}}}], "fields": [{"key": "x", "code_version": "1"}]}`
	)
	r := rand.New(rand.NewPCG(3, 30))
	for round := range 12 {
		b := newBench(t, metaxy.Options{}, raw, crop, group)
		versions := byField + "{x}"
		var raws, crops, groups []string
		gone := map[string]bool{}
		var where []string
		for site := range 4 {
			left := 0
			for n := range 5 {
				name := fmt.Sprintf(`"site": "s %d", "n": %d`, site, n)
				raws = append(raws, fmt.Sprintf(`{%s, "metaxy_provenance_by_field": {"x": "1"}}`, name))
				for c := range 1 + r.IntN(3) {
					crops = append(crops, fmt.Sprintf(`{%s, "c": %d, "metaxy_provenance_by_field": {"x": "1"}}`, name, c))
				}
				if r.IntN(3) == 0 || round%4 == 3 && site == 0 {
					gone[fmt.Sprintf("s %d %d", site, n)] = true
					where = append(where, fmt.Sprintf("site = 's %d' AND n = %d", site, n))
				} else {
					left++
				}
			}
			groups = append(groups, fmt.Sprintf(`{"site": "s %d", "metaxy_provenance_by_field": {"x": "1"}}`, site))
			gone[fmt.Sprintf("s %d", site)] = left == 0
		}
		b.put("raw", []string{"site", "n int", versions}, "["+strings.Join(raws, ",")+"]")
		b.put("crop", []string{"site", "n int", "c int", versions}, "["+strings.Join(crops, ",")+"]")
		b.put("group", []string{"site", versions}, "["+strings.Join(groups, ",")+"]")
		if len(where) > 0 {
			if _, err := b.store.Delete(t.Context(), key("raw"), &metaxy.DeleteOptions{Filters: only("(" + strings.Join(where, ") OR (") + ")")}); err != nil {
				t.Fatal(err)
			}
		}
		for _, feature := range []string{"crop", "group"} {
			b.deleteOrphaned(feature, round%2 == 1, gone)
		}
	}
}

// deleteOrphaned deletes, and looks that just the rows of what is gone went.
func (b *bench) deleteOrphaned(feature string, hard bool, gone map[string]bool) {
	b.Helper()
	ids := map[string][]string{"crop": {"site", "n", "c"}, "group": {"site"}}[feature]
	stored := func() (rows, samples []string) {
		r, err := b.store.Read(b.Context(), key(feature), &metaxy.ReadOptions{Columns: ids})
		if err != nil {
			b.Fatal(err)
		}
		for batch, err := range r.Batches {
			if err != nil {
				b.Fatal(err)
			}
			for i := range int(batch.NumRows()) {
				var values []string
				for _, id := range ids {
					values = append(values, batch.Column(batch.Schema().FieldIndices(id)[0]).ValueStr(i))
				}
				rows = append(rows, strings.Join(values, " "))
				samples = append(samples, strings.Join(values[:max(1, len(values)-1)], " "))
			}
		}
		return rows, samples
	}
	before, samples := stored()
	var want []string
	for i, row := range before {
		if !gone[samples[i]] {
			want = append(want, row)
		}
	}
	res, err := b.store.Delete(b.Context(), key(feature), &metaxy.DeleteOptions{Orphaned: true, Hard: hard})
	if err != nil {
		b.Fatal(err)
	}
	after, _ := stored()
	slices.Sort(after)
	slices.Sort(want)
	if !slices.Equal(after, want) {
		b.Fatalf("%s, hard %t, without %v: %v, want %v", feature, hard, gone, after, want)
	}
	if int(res.Rows) != len(before)-len(want) || (res.TableVersion < 0) != (res.Rows == 0) {
		b.Errorf("%s: %d rows of %d, as version %d", feature, res.Rows, len(before)-len(want), res.TableVersion)
	}
	inc, err := b.store.ResolveUpdate(b.Context(), key(feature), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer inc.Close()
	if err := inc.Count(b.Context()); err != nil || inc.Stats().Orphaned != 0 {
		b.Errorf("%s: %d orphans are left, %v", feature, inc.Stats().Orphaned, err)
	}
}

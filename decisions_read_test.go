package metaxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// groupSpec aggregates root by g; withIDs selects the ids that order a group.
func groupSpec(withIDs bool) string {
	columns := `["g"]`
	if withIDs {
		columns = `["g", "id"]`
	}
	return `{"key": "group", "id_columns": ["g"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "root", "select": ` + columns +
		`, "lineage": {"relationship": {"type": "N:1", "on": ["g"]}}}]}`
}

func TestD18OrderInGroups(t *testing.T) {
	rows := []string{`{"id": 1, "g": 1, "metaxy_provenance_by_field": {"x": "b"}}`, `{"id": 2, "g": 1, "metaxy_provenance_by_field": {"x": "a"}}`}
	provenance := func(rows []string) (string, []string) {
		b := newBench(t, metaxy.Options{}, rootSpec, groupSpec(false))
		for _, r := range rows {
			b.put("root", []string{"id int", "g int", byField + "{x}"}, "["+r+"]")
		}
		_, warnings := b.update("group", nil)
		b.advance("group")
		_, got, _, err := b.read("group", &metaxy.ReadOptions{Columns: []string{"metaxy_provenance"}})
		if err != nil {
			t.Fatal(err)
		}
		return got[0], warnings
	}
	first, warnings := provenance(rows)
	want(t, warnings, []string{"AGGREGATION_ORDER"})
	slices.Reverse(rows)
	second, _ := provenance(rows)
	want(t, second, first)
	b := newBench(t, metaxy.Options{}, rootSpec, groupSpec(true))
	b.put("root", []string{"id int", "g int", byField + "{x}"}, "["+strings.Join(rows, ",")+"]")
	_, warnings = b.update("group", nil)
	want(t, len(warnings), 0)
}

func TestD19MixedChildren(t *testing.T) {
	child := `{"key": "part", "id_columns": ["id", "n"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "root", "lineage": {"relationship": {"type": "1:N", "on": ["id"]}}}]}`
	b := newBench(t, metaxy.Options{}, rootSpec, child)
	b.samples("root", 1)
	columns := []string{"id int", "n int", byField + "{y}", "metaxy_provenance"}
	inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "part"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var right string
	for batch, err := range inc.New(t.Context()).Batches {
		if err != nil {
			t.Fatal(err)
		}
		right = batch.Column(batch.Schema().FieldIndices("metaxy_provenance")[0]).ValueStr(0)
	}
	row := func(n int, provenance string) string {
		return fmt.Sprintf(`{"id": 1, "n": %d, "metaxy_provenance_by_field": {"y": "v"}, "metaxy_provenance": %q}`, n, provenance)
	}
	b.put("part", columns, "["+row(1, right)+","+row(2, right)+"]")
	got, _ := b.update("part", nil)
	want(t, got, "0 new, 0 stale, 0 orphaned")
	b.put("part", columns, "["+row(2, "12345678")+"]")
	got, warnings := b.update("part", nil)
	want(t, got, "0 new, 1 stale, 0 orphaned")
	want(t, slices.Contains(warnings, "MIXED_PROVENANCE"), true)
}

func TestD20ReservedNames(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	b.put("root", []string{"id int", "__pf_root_x", "__metaxy_row", byField + "{x}"}, `[{"id": 1, "__pf_root_x": "u", "__metaxy_row": "v", "metaxy_provenance_by_field": {"x": "a"}}]`)
	inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	names, rows, err := collectRows(inc.New(t.Context()), nil)
	if err != nil || len(rows) != 1 || !slices.Contains(names, "__pf_root_x") || !strings.Contains(rows[0], `__metaxy_row="v"`) {
		t.Errorf("%v %v %v", names, rows, err)
	}
}

func TestD22ReadWithoutIDs(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 1, 2)
	b.samples("root", 2)
	names, rows, _, err := b.read("root", &metaxy.ReadOptions{Columns: []string{"metaxy_provenance_by_field"}})
	if err != nil || len(rows) != 2 || len(names) != 1 {
		t.Errorf("%v %v %v", names, rows, err)
	}
}

func TestD24TiesGoToTheNewestCommit(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.opts.Now = nil
	still := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := metaxy.Open(t.Context(), b.dir, &metaxy.Options{Graph: b.graph, Now: func() time.Time { return still }})
	if err != nil {
		t.Fatal(err)
	}
	b.store = s
	b.versions("root", "old", 1)
	b.versions("root", "new", 1)
	b.put("root", []string{"id int", byField + "{x}"}, `[{"id": 2, "metaxy_provenance_by_field": {"x": "first"}}, {"id": 2, "metaxy_provenance_by_field": {"x": "last"}}]`)
	_, rows, _, err := b.read("root", &metaxy.ReadOptions{Columns: []string{"metaxy_provenance_by_field"}})
	slices.Sort(rows)
	if err != nil || len(rows) != 2 || !strings.Contains(rows[0], "last") || !strings.Contains(rows[1], "new-1") {
		t.Error(rows, err)
	}
}

func TestD26StoredNullIDs(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	rows := `[{"id": null, "metaxy_provenance_by_field": {"x": "a"}}]`
	columns := []string{"id int", byField + "{x}"}
	_, err := b.store.Write(t.Context(), mustKey(t, "root"), frame(t, columns, rows), nil)
	fails(t, err, "id", "null")
	if has, err := b.store.HasFeature(t.Context(), mustKey(t, "root"), nil); has || err != nil {
		t.Errorf("after a refused write there is a table: %v %v", has, err)
	}
	_, err = b.store.Write(t.Context(), mustKey(t, "root"), frame(t, []string{byField + "{x}"}, `[{"metaxy_provenance_by_field": {"x": "a"}}]`), nil)
	fails(t, err, "id")
	if _, err := b.store.Write(t.Context(), mustKey(t, "root"), frame(t, columns, rows), &metaxy.WriteOptions{AllowNullIDs: true}); err != nil {
		t.Fatal(err)
	}
	_, warnings := b.update("leaf", nil)
	want(t, slices.Contains(warnings, "NULL_IDS"), true)
}

func TestD31UnusedFilters(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec, strings.Replace(rootSpec, `"root"`, `"other"`, 1))
	b.samples("root", 1)
	_, warnings := b.update("leaf", &metaxy.ResolveOptions{Filters: map[feature.Key][]filter.Expr{mustKey(t, "other"): where(t, "id = 1")}})
	want(t, warnings, []string{"UNUSED_FILTER"})
	_, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), &metaxy.ResolveOptions{Filters: map[feature.Key][]filter.Expr{mustKey(t, "rooot"): where(t, "id = 1")}})
	fails(t, err, "rooot")
}

func TestD32OptionalMissing(t *testing.T) {
	optional := strings.Replace(leafSpec, `{"feature": "root"}`, `{"feature": "root"}, {"feature": "extra", "optional": true}`, 1)
	b := newBench(t, metaxy.Options{}, rootSpec, strings.Replace(rootSpec, `"root"`, `"extra"`, 1), optional)
	b.samples("root", 1)
	got, warnings := b.update("leaf", nil)
	want(t, got, "1 new, 0 stale, 0 orphaned")
	want(t, warnings, []string{"OPTIONAL_MISSING"})
	b.opts.OptionalMissingIsError = true
	b.reopen()
	_, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	fails(t, err, "extra")
}

func TestD35RepeatedStaleRows(t *testing.T) {
	leaf := strings.Replace(leafSpec, `["id"]`, `["id", "n"]`, 1)
	b := newBench(t, metaxy.Options{}, rootSpec, leaf)
	b.samples("root", 1)
	b.put("leaf", []string{"id int", "n int", byField + "{y}", "metaxy_provenance"}, `[{"id": 1, "n": 1, "metaxy_provenance_by_field": {"y": "v"}, "metaxy_provenance": "1"}, {"id": 1, "n": 2, "metaxy_provenance_by_field": {"y": "v"}, "metaxy_provenance": "2"}]`)
	got, warnings := b.update("leaf", nil)
	want(t, got, "0 new, 2 stale, 0 orphaned")
	want(t, slices.Contains(warnings, "DUPLICATE_ROWS"), true)
}

func TestD36NoColumnOfPredicates(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	b.samples("root", 1, 2)
	b.advance("leaf")
	if _, err := b.store.Delete(t.Context(), mustKey(t, "root"), &metaxy.DeleteOptions{Filters: where(t, "id = 2")}); err != nil {
		t.Fatal(err)
	}
	inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), &metaxy.ResolveOptions{StaleIf: where(t, "id = 1")})
	if err != nil {
		t.Fatal(err)
	}
	names, rows, err := collectRows(inc.Orphaned(t.Context()), nil)
	if err != nil || len(rows) != 1 || slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, "stale") }) {
		t.Error(names, rows, err)
	}
}

func TestD37Engine(t *testing.T) {
	no := false
	for _, o := range []metaxy.Options{{Engine: metaxy.EngineAuto}, {Engine: metaxy.EngineInProcess}, {PreferNative: &no}} {
		b := newBench(t, o, rootSpec, leafSpec)
		b.samples("root", 1)
		got, _ := b.update("leaf", nil)
		want(t, got, "1 new, 0 stale, 0 orphaned")
		_, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), &metaxy.ResolveOptions{Engine: metaxy.EngineNative})
		fails(t, err, "native", "in-process")
	}
}

// withFallback is a store over a fallback that holds samples 1 to 3 of root.
func withFallback(t *testing.T) (*bench, *bench) {
	t.Helper()
	back := newBench(t, metaxy.Options{Name: "back"}, rootSpec, leafSpec)
	back.samples("root", 1, 2, 3)
	front := newBench(t, metaxy.Options{Name: "front", Fallbacks: []metaxy.Fallback{{Name: "back", Store: back.store}}}, rootSpec, leafSpec)
	return front, back
}

func TestD38FallbackUsed(t *testing.T) {
	front, _ := withFallback(t)
	_, rows, warnings, err := front.read("root", nil)
	if err != nil || len(rows) != 3 {
		t.Error(rows, err)
	}
	want(t, warnings, []string{"FALLBACK_USED"})
	got, warnings := front.update("leaf", nil)
	want(t, got, "3 new, 0 stale, 0 orphaned")
	want(t, warnings, []string{"FALLBACK_USED"})
	front.samples("root", 9)
	got, warnings = front.update("leaf", nil) // the primary has the feature now: the fallback is not read
	want(t, got, "1 new, 0 stale, 0 orphaned")
	want(t, len(warnings), 0)
}

func TestD40FallbackHidden(t *testing.T) {
	front, _ := withFallback(t)
	for _, dry := range []bool{true, false} {
		r, err := front.store.Delete(t.Context(), mustKey(t, "root"), &metaxy.DeleteOptions{Filters: where(t, "id = 1"), DryRun: dry})
		if err != nil || r.Rows != 1 {
			t.Fatal(r, err)
		}
		want(t, slices.Contains(codes(r.Warnings), "FALLBACK_HIDDEN"), true)
	}
	want(t, front.count("root", nil), 0)
}

func TestD43HasFeatureAsksFallbacks(t *testing.T) {
	front, _ := withFallback(t)
	for check, wanted := range map[bool]bool{false: false, true: true} {
		has, err := front.store.HasFeature(t.Context(), mustKey(t, "root"), &metaxy.HasOptions{CheckFallback: check})
		if err != nil || has != wanted {
			t.Errorf("check fallback %v: %v %v", check, has, err)
		}
	}
}

// The versions are those that Metaxy gives when the table has the field (testdata/differential.json, "the same aggregation over a table that has the field").
func TestD77FieldsThatNobodyUses(t *testing.T) {
	parent := `{"key": "parent", "id_columns": ["id", "grp"], "fields": [{"key": "audio", "code_version": "1"}, {"key": "frames", "code_version": "1"}]}`
	child := func(key, fields string) string {
		return `{"key": "` + key + `", "id_columns": ["grp"], "deps": [{"feature": "parent", "lineage": {"relationship": {"type": "N:1", "on": ["grp"]}}}],
			"fields": [{"key": "default", "code_version": "1", "deps": [{"feature": "parent", "fields": [` + fields + `]}]}]}`
	}
	b := newBench(t, metaxy.Options{}, parent, child("sum", `"audio"`), child("all", `"audio", "frames"`))
	b.put("parent", []string{"id int", "grp", byField + "{audio}", "metaxy_provenance"}, `[{"id": 1, "grp": "g", "metaxy_provenance_by_field": {"audio": "a"}, "metaxy_provenance": "1"},
		{"id": 2, "grp": "g", "metaxy_provenance_by_field": {"audio": "b"}, "metaxy_provenance": "2"}, {"id": 3, "grp": "h", "metaxy_provenance_by_field": {"audio": "c"}, "metaxy_provenance": "3"}]`)
	inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "sum"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := jsonRows(t, inc.New(t.Context()), func(c string) bool { return c == "id" || c == "metaxy_provenance" })
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, []string{`{"id":1,"metaxy_provenance":"11009623"}`, `{"id":2,"metaxy_provenance":"11009623"}`, `{"id":3,"metaxy_provenance":"27867735"}`})
	if _, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "all"), nil); err == nil || !strings.Contains(err.Error(), "frames") {
		t.Errorf("a field that is used and that the table lacks: %v", err)
	}
}

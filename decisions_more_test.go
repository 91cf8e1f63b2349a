package metaxy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

func TestD8DownstreamLeavesOutTheSources(t *testing.T) {
	g := graphOf(t, true, rootSpec, leafSpec, `{"key": "last", "id_columns": ["id"], "deps": [{"feature": "leaf"}, {"feature": "root"}]}`)
	want(t, fmt.Sprint(g.Downstream([]feature.Key{mustKey(t, "root"), mustKey(t, "leaf")})), "[last]")
	want(t, fmt.Sprint(g.Downstream([]feature.Key{mustKey(t, "root")})), "[leaf last]")
}

// TestD12WeakHash needs more than a million samples, in one write of a column that says little.
func TestD12WeakHash(t *testing.T) {
	if testing.Short() {
		t.Skip("writes two million rows, which the race detector has seen elsewhere")
	}
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	var rows strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&rows, `,{"id": %d, "metaxy_provenance_by_field": {"x": "a"}}`, i)
	}
	one := frame(t, []string{"id int", byField + "{x}"}, "["+rows.String()[1:]+"]")
	many := func(n int) *metaxy.Rows { return &metaxy.Rows{Schema: one.Schema, Batches: shifted(t, one, n)} }
	for n, warned := range map[int]bool{1000: false, 1001: true} {
		if _, err := b.store.Drop(t.Context(), mustKey(t, "root"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.Write(t.Context(), mustKey(t, "root"), many(n), nil); err != nil {
			t.Fatal(err)
		}
		got, warnings := b.update("leaf", nil)
		want(t, got, fmt.Sprintf("%d new, 0 stale, 0 orphaned", n*1000))
		want(t, slices.Contains(warnings, "WEAK_HASH"), warned)
	}
}

// shifted repeats a batch n times with ids that go on.
func shifted(t *testing.T, rows *metaxy.Rows, n int) func(func(arrow.RecordBatch, error) bool) {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range rows.Batches {
			if err != nil {
				t.Fatal(err)
			}
			for k := range n {
				ids := array.NewInt64Builder(memory.DefaultAllocator)
				for i := range int(b.NumRows()) {
					ids.Append(int64(k)*b.NumRows() + int64(i))
				}
				columns := slices.Clone(b.Columns())
				columns[0] = ids.NewArray()
				if !yield(array.NewRecordBatch(b.Schema(), columns, b.NumRows()), nil) {
					return
				}
			}
		}
	}
}

// oldTable writes a row of root as the first releases did: without the columns that came later.
func (b *bench) oldTable() {
	b.Helper()
	version, err := b.graph.FeatureVersion(mustKey(b.T, "root"))
	if err != nil {
		b.Fatal(err)
	}
	rows := frame(b.T, []string{"id int", byField + "{x}", "metaxy_provenance", "metaxy_data_version", "metaxy_data_version_by_field {x}", "metaxy_feature_version", "metaxy_snapshot_version", "metaxy_created_at"},
		fmt.Sprintf(`[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}, "metaxy_provenance": "12", "metaxy_data_version": "12", "metaxy_data_version_by_field": {"x": "a"}, "metaxy_feature_version": %q, "metaxy_created_at": "2025-11-01T00:00:00"}]`, version))
	if _, err := b.store.Table(mustKey(b.T, "root")).Append(b.Context(), &delta.Rows{Schema: rows.Schema, Batches: rows.Batches}, nil); err != nil {
		b.Fatal(err)
	}
}

func TestD16OverrideOfTheStructAlone(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.put("root", []string{"id int", byField + "{x}", "metaxy_data_version_by_field {x}", "metaxy_data_version"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}, "metaxy_data_version_by_field": {"x": "mine"}, "metaxy_data_version": null}]`)
	_, rows, _, err := b.read("root", &metaxy.ReadOptions{Columns: []string{"metaxy_data_version_by_field", "metaxy_data_version", "metaxy_provenance"}})
	if err != nil {
		t.Fatal(err)
	}
	_, plain, _ := strings.Cut(rows[0], "metaxy_provenance=")
	if !strings.Contains(rows[0], `{x:"mine"}`) {
		t.Error(rows[0])
	}
	if plain == "" || !strings.Contains(rows[0], "metaxy_data_version="+plain) {
		t.Error(rows[0])
	}
}

func TestD21SystemColumnsThatATableLacks(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.oldTable()
	_, rows, _, err := b.read("root", &metaxy.ReadOptions{Columns: []string{"id", "metaxy_updated_at", "metaxy_materialization_id"}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, rows, []string{"id=\"1\";metaxy_materialization_id=null;metaxy_updated_at=null;"})
}

func TestD23TablesOfTheFirstReleases(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	b.oldTable()
	want(t, b.count("root", nil), 1)
	got, _ := b.update("leaf", nil)
	want(t, got, "1 new, 0 stale, 0 orphaned")
}

func TestD33JoinOrder(t *testing.T) {
	two := `{"key": "two", "id_columns": ["a", "b"], "fields": [{"key": "x", "code_version": "1"}]}`
	child := `{"key": "child", "id_columns": ["b", "a"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "two"}, {"feature": "three"}]}`
	g := graphOf(t, true, two, strings.Replace(two, `"two"`, `"three"`, 1), child)
	plan, err := g.Plan(mustKey(t, "child"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, plan.JoinColumns(), []string{"b", "a"})
}

func TestD34ThreeDepsWithoutSelect(t *testing.T) {
	specs := []string{rootSpec}
	var deps []string
	for _, name := range []string{"root", "r2", "r3", "r4"} {
		if name != "root" {
			specs = append(specs, strings.Replace(rootSpec, `"root"`, `"`+name+`"`, 1))
		}
		deps = append(deps, `{"feature": "`+name+`"}`)
	}
	specs = append(specs, `{"key": "leaf", "id_columns": ["id"], "fields": [{"key": "y", "code_version": "1"}], "deps": [`+strings.Join(deps, ",")+`]}`)
	b := newBench(t, metaxy.Options{}, specs...)
	for _, name := range []string{"root", "r2", "r3", "r4"} {
		b.samples(name, 1, 2)
	}
	got, _ := b.update("leaf", nil)
	want(t, got, "2 new, 0 stale, 0 orphaned")
}

func TestD51FeaturesNeverLeaveTheSystemTable(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	for _, g := range []*feature.Graph{b.graph, graphOf(t, true, rootSpec)} {
		if _, err := b.store.Push(t.Context(), &metaxy.PushOptions{Graph: g, Project: "p"}); err != nil {
			t.Fatal(err)
		}
	}
	_, rows, _, err := b.read("metaxy-system/feature_versions", &metaxy.ReadOptions{Columns: []string{"feature_key", "deleted_at"}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(rows)
	want(t, rows, []string{`deleted_at=null;feature_key="leaf";`, `deleted_at=null;feature_key="root";`, `deleted_at=null;feature_key="root";`})
}

func TestD55SelectionOfNothing(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	_, keys, warnings, err := b.store.ExternalFeatures(t.Context(), &metaxy.SyncOptions{Extra: []config.Selection{{Projects: []string{"nosuch"}}}})
	if err != nil || len(keys)+len(warnings) > 0 {
		t.Error(keys, warnings, err)
	}
}

// TestDecisionsAreTested compares the numbers of the page for users with the names of tests and the comments of scripts.
func TestDecisionsAreTested(t *testing.T) {
	page, err := os.ReadFile("internal/docs/coming-from-metaxy.md")
	if err != nil {
		t.Fatal(err)
	}
	tested, told := map[string]bool{}, map[string]bool{}
	for _, n := range regexp.MustCompile(`\bD(\d+)\b`).FindAllStringSubmatch(string(page), -1) {
		told[n[1]] = true
	}
	for pattern, number := range map[string]*regexp.Regexp{
		"*_test.go": regexp.MustCompile(`(?m)^func TestD(\d+)[A-Z]`),
		"cmd/metaxy-delta/testdata/script/*.txtar": regexp.MustCompile(`(?m)^# .*D\d+.*$`),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range number.FindAllString(string(data), -1) {
				for _, n := range regexp.MustCompile(`D(\d+)(?:[,:]|[A-Z])`).FindAllStringSubmatch(found, -1) {
					tested[n[1]] = true
				}
			}
		}
	}
	for n := 1; n <= 76; n++ {
		if text := fmt.Sprint(n); !told[text] || !tested[text] {
			t.Errorf("D%d: on the page %v, tested %v", n, told[text], tested[text])
		}
	}
}

package metaxy_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

func TestD25ClockBehind(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 1)
	b.clock = b.clock.Add(-time.Hour)
	want(t, b.put("root", []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "b"}}]`), []string{"CLOCK_BEHIND"})
	b.clock = b.clock.Add(2 * time.Hour)
	want(t, len(b.put("root", []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "b"}}]`)), 0)
}

func TestD27LossyCasts(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.put("root", []string{"id int", "n int", byField + "{x}"}, `[{"id": 1, "n": 1, "metaxy_provenance_by_field": {"x": "a"}}]`)
	r, err := b.store.Write(t.Context(), mustKey(t, "root"), frame(t, []string{"id int", "n float", byField + "{x}"}, `[{"id": 2, "n": 1.5, "metaxy_provenance_by_field": {"x": "a"}}, {"id": 3, "n": 2, "metaxy_provenance_by_field": {"x": "a"}}]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, codes(r.Warnings), []string{"LOSSY_CAST"})
	if m := r.Warnings[0].Message; !strings.Contains(m, "column n") || !strings.Contains(m, "1 value") {
		t.Error(m)
	}
}

func TestD28TypesThatCannotBeStored(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	_, err := b.store.Write(t.Context(), mustKey(t, "root"), frame(t, []string{"id int", "at time", byField + "{x}"}, `[{"id": 1, "at": "10:00:00", "metaxy_provenance_by_field": {"x": "a"}}]`), nil)
	fails(t, err, "at", "time32")
	if has, err := b.store.HasFeature(t.Context(), mustKey(t, "root"), nil); has || err != nil {
		t.Error("a refused write made a table", err)
	}
}

func TestD29OneFeatureFails(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, strings.Replace(rootSpec, `"root"`, `"other"`, 1))
	good := frame(t, []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}]`)
	bad := frame(t, []string{"id int", byField + "{x}"}, `[{"id": null, "metaxy_provenance_by_field": {"x": "a"}}]`)
	results, err := b.store.WriteMulti(t.Context(), map[feature.Key]*metaxy.Rows{mustKey(t, "root"): bad, mustKey(t, "other"): good}, nil)
	var partial *metaxy.PartialError
	if !errors.As(err, &partial) || len(results) != 1 {
		t.Fatal(results, err)
	}
	want(t, partial.Done, []feature.Key{mustKey(t, "other")})
	fails(t, partial.Failed[mustKey(t, "root")], "null")
	want(t, b.count("other", nil), 1)
}

func TestD39HistoryTouched(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 1, 2)
	b.graph = graphOf(t, true, strings.Replace(rootSpec, `"code_version": "1"`, `"code_version": "2"`, 1))
	b.reopen()
	b.samples("root", 2)
	r, err := b.store.Delete(t.Context(), mustKey(t, "root"), &metaxy.DeleteOptions{FeatureHistory: true, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	want(t, codes(r.Warnings), []string{"HISTORY_TOUCHED"})
	want(t, r.Rows, 2)
	want(t, b.count("root", nil), 1)
}

func TestD41HardDeletesCompareExactly(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 10, 11)
	for text, rows := range map[string]int64{"id = 10.5": 0, "id = 10": 1} {
		r, err := b.store.Delete(t.Context(), mustKey(t, "root"), &metaxy.DeleteOptions{Filters: where(t, text), Hard: true})
		if err != nil || r.Rows != rows {
			t.Errorf("%s: %d rows, %v", text, r.Rows, err)
		}
	}
	want(t, b.count("root", nil), 1)
}

func TestD42DropKeepsTheTable(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 1)
	if _, err := b.store.Drop(t.Context(), mustKey(t, "root"), nil); err != nil {
		t.Fatal(err)
	}
	has, err := b.store.HasFeature(t.Context(), mustKey(t, "root"), nil)
	if err != nil || !has {
		t.Error(has, err)
	}
	want(t, b.count("root", &metaxy.ReadOptions{FeatureHistory: true, SampleHistory: true, SoftDeleted: true}), 0)
}

func TestD44CopyDropsHistory(t *testing.T) {
	from := newBench(t, metaxy.Options{}, rootSpec)
	from.samples("root", 1, 2)
	from.versions("root", "2", 1)
	to := newBench(t, metaxy.Options{}, rootSpec)
	r, err := to.store.Copy(t.Context(), from.store, nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, r.Rows, 2)
	want(t, codes(r.Warnings), []string{"HISTORY_DROPPED"})
	all := newBench(t, metaxy.Options{}, rootSpec)
	if r, err = all.store.Copy(t.Context(), from.store, &metaxy.CopyOptions{SampleHistory: true}); err != nil || r.Rows != 3 || len(r.Warnings) > 0 {
		t.Error(r, err)
	}
}

// rebased are the rows of a feature's history under the definitions in force.
func (b *bench) rebased(key string, o *metaxy.RebaseOptions) []string {
	b.Helper()
	in, err := b.store.Read(b.Context(), mustKey(b.T, key), &metaxy.ReadOptions{FeatureHistory: true})
	if err != nil {
		b.Fatal(err)
	}
	r, err := b.store.Rebase(b.Context(), mustKey(b.T, key), in, o)
	if err != nil {
		b.Fatal(err)
	}
	_, rows, err := collectRows(r.Rows, []string{"metaxy_created_at", "metaxy_updated_at"})
	if err != nil {
		b.Fatal(err)
	}
	return rows
}

func TestD45RebaseOfExpansionAndAggregation(t *testing.T) {
	part := `{"key": "part", "id_columns": ["id", "n"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "root", "lineage": {"relationship": {"type": "1:N", "on": ["id"]}}}]}`
	b := newBench(t, metaxy.Options{}, rootSpec, part, groupSpec(true))
	b.put("root", []string{"id int", "g int", byField + "{x}"}, `[{"id": 1, "g": 1, "metaxy_provenance_by_field": {"x": "a"}}, {"id": 2, "g": 1, "metaxy_provenance_by_field": {"x": "b"}}]`)
	b.put("part", []string{"id int", "n int", byField + "{y}", "metaxy_provenance"}, `[{"id": 1, "n": 1, "metaxy_provenance_by_field": {"y": "v"}, "metaxy_provenance": "1"},
		{"id": 1, "n": 2, "metaxy_provenance_by_field": {"y": "v"}, "metaxy_provenance": "2"}, {"id": 9, "n": 1, "metaxy_provenance_by_field": {"y": "v"}, "metaxy_provenance": "3"}]`)
	rows := b.rebased("part", nil)
	want(t, len(rows), 2) // upstream has no sample 9
	inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "part"), &metaxy.ResolveOptions{SkipComparison: true})
	if err != nil {
		t.Fatal(err)
	}
	_, expected, err := collectRows(inc.New(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	provenance := func(row string) string {
		_, rest, _ := strings.Cut(row, "metaxy_provenance=")
		p, _, _ := strings.Cut(rest, ";")
		return p
	}
	parent := provenance(expected[slices.IndexFunc(expected, func(r string) bool { return strings.Contains(r, `id="1";`) })])
	for _, r := range rows {
		want(t, provenance(r), parent)
	}
	b.put("group", []string{"g int", byField + "{y}", "metaxy_provenance"}, `[{"g": 1, "metaxy_provenance_by_field": {"y": "v"}, "metaxy_provenance": "1"}]`)
	want(t, len(b.rebased("group", nil)), 2)
	want(t, len(b.rebased("group", &metaxy.RebaseOptions{OnePerRow: true})), 1)
}

func TestD47WriterKeepsRowsOfAFailedFlush(t *testing.T) {
	graph := graphOf(t, true, rootSpec)
	driver := objstoretest.NewFaulty(objstore.NewMem(), 1)
	s, err := metaxy.Open(t.Context(), "shared://x", &metaxy.Options{Graph: graph, Openers: []objstore.Opener{sharedOpener{driver}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := s.NewWriter(t.Context(), &metaxy.WriterOptions{Interval: -1})
	for b := range frame(t, []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}]`).Batches {
		if err := w.Put(mustKey(t, "root"), b); err != nil {
			t.Fatal(err)
		}
	}
	driver.Add(objstoretest.Rule{Fault: objstoretest.FailBefore})
	fails(t, w.Flush(t.Context()))
	driver.Clear()
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	written, err := w.Close(t.Context())
	if err != nil || written[mustKey(t, "root")] != 1 {
		t.Error(written, err)
	}
}

func TestD49ConcurrentColumns(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 0)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i, column := range []string{"a", "b", "c", "d"} {
		rows := frame(t, []string{"id int", column + " int", byField + "{x}"}, `[{"id": 1, "`+column+`": 1, "metaxy_provenance_by_field": {"x": "a"}}]`)
		s, err := metaxy.Open(t.Context(), b.dir, &metaxy.Options{Graph: b.graph})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _, errs[i] = s.Write(t.Context(), mustKey(t, "root"), rows, nil) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	names, rows, _, err := b.read("root", &metaxy.ReadOptions{SampleHistory: true})
	if err != nil || len(rows) != 5 {
		t.Error(rows, err)
	}
	for _, c := range []string{"a", "b", "c", "d"} {
		want(t, slices.Contains(names, c), true)
	}
	text := frame(t, []string{"id int", "a", byField + "{x}"}, `[{"id": 1, "a": "text", "metaxy_provenance_by_field": {"x": "a"}}]`)
	_, err = b.store.Write(t.Context(), mustKey(t, "root"), text, nil)
	fails(t, err, "a")
}

func TestD65OtherProjects(t *testing.T) {
	b := newBench(t, metaxy.Options{Project: "mine"}, "mine "+rootSpec, "theirs "+strings.Replace(rootSpec, `"root"`, `"other"`, 1))
	rows := func() *metaxy.Rows {
		return frame(t, []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}]`)
	}
	key := mustKey(t, "other")
	_, errWrite := b.store.Write(t.Context(), key, rows(), nil)
	_, errDelete := b.store.Delete(t.Context(), key, nil)
	_, errDrop := b.store.Drop(t.Context(), key, nil)
	for _, err := range []error{errWrite, errDelete, errDrop} {
		if !errors.Is(err, metaxy.ErrProjectMismatch) {
			t.Errorf("not refused: %v", err)
		}
		fails(t, err, "mine", "theirs")
	}
	if _, err := b.store.AllowCrossProjectWrites().Write(t.Context(), key, rows(), nil); err != nil {
		t.Error(err)
	}
	if _, err := b.store.Write(t.Context(), key, rows(), nil); !errors.Is(err, metaxy.ErrProjectMismatch) {
		t.Errorf("the store itself must stay strict: %v", err)
	}
}

func TestD54History(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	second := graphOf(t, true, rootSpec, leafSpec)
	for _, g := range []*feature.Graph{b.graph, second, b.graph} {
		if _, err := b.store.Push(t.Context(), &metaxy.PushOptions{Graph: g}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := b.store.History(t.Context(), "p")
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	first, err := b.graph.ProjectVersion("p")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(e metaxy.HistoryEntry) bool { return e.ProjectVersion == first })
	if e := list[i]; !e.LastPushed.After(e.RecordedAt) || e.Distinct != 1 {
		t.Errorf("%+v", e)
	}
	b.graph = nil
	b.reopen()
	g, err := b.store.Graph(t.Context())
	if err != nil || len(g.Definitions()) != 1 {
		t.Error("the newest push counts", g, err)
	}
}

func TestD52OneKeyInTwoProjects(t *testing.T) {
	b := newBench(t, metaxy.Options{}, "first "+rootSpec)
	for _, p := range []string{"first", "second"} {
		if _, err := b.store.Push(t.Context(), &metaxy.PushOptions{Graph: graphOf(t, true, p+" "+rootSpec), Project: p}); err != nil {
			t.Fatal(err)
		}
	}
	b.graph = nil
	b.reopen()
	g, err := b.store.Graph(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, _ := g.Get(mustKey(t, "root"))
	want(t, d.Project, "second")
	warnings, err := b.store.GraphWarnings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want(t, codes(warnings), []string{"KEY_IN_TWO_PROJECTS"})
}

package scenariotest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// act runs a changing step.
func (c *run) act(st *step, root string) error {
	ctx := c.t.Context()
	store := c.open(st, root, st.Target)
	switch st.Op {
	case "external", "cli": // as part of the way to another step
		switch {
		case st.Args.Action == "create_checkpoint":
			t := store.Table(mustKey(c.t, st.Feature))
			snap, err := t.Snapshot(ctx)
			if err != nil {
				return err
			}
			return t.Checkpoint(ctx, snap.Version())
		case !slices.Equal(st.Args.Argv, []string{"push"}):
			return fmt.Errorf("this test does not know %s %q %q", st.Op, st.Args.Action, st.Args.Argv)
		}
		fallthrough
	case "push":
		g, err := c.definitions(st)
		if err != nil {
			return err
		}
		r, err := store.Push(ctx, &metaxy.PushOptions{Graph: g, Project: st.Args.Project, Tags: st.Args.Tags})
		if err != nil || st.Expect.ProjectVersion == "" {
			return err
		}
		if r.ProjectVersion != st.Expect.ProjectVersion || r.Recorded == *st.Expect.AlreadyPushed {
			return fmt.Errorf("project version %s (recorded %v), want %s (already there: %v)", r.ProjectVersion, r.Recorded, st.Expect.ProjectVersion, *st.Expect.AlreadyPushed)
		}
		if want := slices.Sorted(slices.Values(st.Expect.Updated)); !slices.Equal(slices.Sorted(slices.Values(r.Updated)), want) {
			return fmt.Errorf("updated %q, want %q", r.Updated, want)
		}
		return nil
	case "write":
		schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs["frame"].File))
		_, err := store.AllowCrossProjectWrites().Write(ctx, mustKey(c.t, st.Feature), &metaxy.Rows{Schema: schema, Batches: Each(batches)},
			&metaxy.WriteOptions{PreserveVersions: st.Args.Preserve, MaterializationID: st.Args.Materialization, AllowNullIDs: true})
		return err
	case "delete":
		filters, err := parseAll(st.Args.Filters.list)
		if err != nil {
			return err
		}
		_, err = store.AllowCrossProjectWrites().Delete(ctx, mustKey(c.t, st.Feature), &metaxy.DeleteOptions{Filters: filters, Hard: st.Args.Soft != nil && !*st.Args.Soft,
			FeatureHistory: st.Args.history(), SampleHistory: st.Args.SampleHistory})
		return err
	case "write_multi":
		frames := map[feature.Key]*metaxy.Rows{}
		for key, name := range st.Args.Frames {
			schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs[name].File))
			frames[mustKey(c.t, key)] = &metaxy.Rows{Schema: schema, Batches: Each(batches)}
		}
		_, err := store.AllowCrossProjectWrites().WriteMulti(ctx, frames, nil)
		return err
	case "drop":
		key := mustKey(c.t, st.Feature)
		_, err := store.AllowCrossProjectWrites().Drop(ctx, key, nil)
		if err != nil || st.Expect.HasAfter == nil {
			return err
		}
		if has, err := store.HasFeature(ctx, key, nil); err != nil || has != *st.Expect.HasAfter {
			return fmt.Errorf("after the drop the store has the feature: %v (%v)", has, err)
		}
		return nil
	case "copy":
		return c.copy(st, root, store)
	}
	return fmt.Errorf("this test knows no step %q", st.Op)
}

func (c *run) copy(st *step, root string, store *metaxy.DeltaStore) error {
	o := &metaxy.CopyOptions{SampleHistory: st.Args.SampleHistory, CurrentVersionOnly: st.Args.FeatureHistory != nil && !*st.Args.FeatureHistory, Filters: map[feature.Key][]filter.Expr{}}
	for _, f := range st.Args.Features {
		o.Features = append(o.Features, mustKey(c.t, f))
	}
	var err error
	if o.GlobalFilters, err = parseAll(st.Args.Global.list); err != nil {
		return err
	}
	for k, texts := range st.Args.Filters.byKey {
		if o.Filters[mustKey(c.t, k)], err = parseAll(texts); err != nil {
			return err
		}
	}
	r, err := store.AllowCrossProjectWrites().Copy(c.t.Context(), c.open(st, root, st.Args.From), o)
	if want := st.Expect.Stats; err == nil && want != nil && (r.Features != want.Features || r.Rows != want.Rows) {
		return fmt.Errorf("%d features and %d rows copied, want %d and %d", r.Features, r.Rows, want.Features, want.Rows)
	}
	return err
}

func (c *run) checkRebase(st *step, root string) string {
	schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs["frame"].File))
	var names, rows []string
	r, err := c.open(st, root, st.Target).Rebase(c.t.Context(), mustKey(c.t, st.Feature), &metaxy.Rows{Schema: schema, Batches: Each(batches)}, &metaxy.RebaseOptions{ToVersion: st.Args.ToVersion})
	if err == nil {
		names, rows, err = CollectRows(r.Rows, nil)
	}
	if fault := faultOf(st, err); fault != "" || err != nil {
		return fault
	}
	return c.compare(st.Expect.Rebased, names, rows)
}

func (c *run) definitions(st *step) (*feature.Graph, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, st.Args.Definitions))
	if err != nil {
		return nil, err
	}
	var list []struct {
		Project   string
		ClassPath *string         `json:"feature_class_path"`
		Spec      json.RawMessage `json:"feature_spec"`
		Schema    json.RawMessage `json:"feature_schema"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	g := feature.NewGraph(c.s.Config.Truncation)
	text := func(raw json.RawMessage) string {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
		return string(raw)
	}
	for _, d := range list {
		def, err := feature.Load(feature.Stored{Project: d.Project, FeatureSpec: text(d.Spec), FeatureSchema: text(d.Schema), ClassPath: d.ClassPath})
		if err != nil {
			return nil, err
		}
		if err := g.Add(def); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (c *run) checkRead(st *step, root string) string {
	filters, err := parseAll(st.Args.Filters.list)
	var names []string
	var rows []string
	if err == nil {
		o := &metaxy.ReadOptions{Filters: filters, Columns: st.Args.Columns, FeatureHistory: st.Args.history(), SampleHistory: st.Args.SampleHistory, SoftDeleted: st.Args.SoftDeleted,
			FeatureVersion: st.Args.FeatureVersion, NoFallback: st.Args.AllowFallback != nil && !*st.Args.AllowFallback}
		var r *metaxy.Rows
		if r, err = c.open(st, root, st.Target).Read(c.t.Context(), mustKey(c.t, st.Feature), o); err == nil {
			names, rows, err = CollectRows(r, nil)
		}
	}
	if fault := faultOf(st, err); fault != "" || err != nil || st.Unstable != nil && st.Expect.Candidates == nil {
		return fault
	}
	if st.Expect.Candidates != nil {
		_, allowed := c.expected(st.Expect.Candidates, nil)
		for _, r := range rows {
			if !slices.Contains(allowed, r) {
				return "row outside the candidates: " + r
			}
		}
		return ""
	}
	return c.compare(st.Expect.Rows, names, rows)
}

func (c *run) checkResolve(st *step, root string) string {
	o, err := c.resolveOptions(st)
	var inc *metaxy.Increment
	ctx := c.t.Context()
	if err == nil {
		if inc, err = c.open(st, root, st.Target).ResolveUpdate(ctx, mustKey(c.t, st.Feature), o); err == nil {
			err = inc.Count(ctx)
		}
	}
	if fault := faultOf(st, err); fault != "" || err != nil || st.Unstable != nil {
		return fault
	}
	for want, got := range map[*frameFile]*metaxy.Rows{st.Expect.New: inc.New(ctx), st.Expect.Stale: inc.Stale(ctx), st.Expect.Orphaned: inc.Orphaned(ctx)} {
		names, rows, err := CollectRows(got, nil)
		if err != nil {
			return err.Error()
		}
		if fault := c.compare(want, names, rows); fault != "" {
			return filepath.Base(want.File) + ": " + fault
		}
	}
	return countFault(st, inc.Stats())
}

// countFault compares what a resolve says of itself.
func countFault(st *step, got metaxy.Stats) string {
	for _, n := range []struct {
		name string
		want *int64
		got  int64
	}{{"new", st.Expect.Counts.New, got.New}, {"stale", st.Expect.Counts.Stale, got.Stale}, {"orphaned", st.Expect.Counts.Orphaned, got.Orphaned}} {
		if n.want != nil && *n.want != n.got {
			return fmt.Sprintf("%d %s counted, want %d", n.got, n.name, *n.want)
		}
	}
	want := st.Expect.Progress
	switch {
	case want == nil && got.Progress == nil:
		return ""
	case want == nil || got.Progress == nil:
		return fmt.Sprintf("input progress known: %v, want %v", got.Progress != nil, want != nil)
	case math.Abs(*want-*got.Progress) > 1e-9:
		return fmt.Sprintf("input progress %v, want %v", *got.Progress, *want)
	}
	return ""
}

func (c *run) resolveOptions(st *step) (*metaxy.ResolveOptions, error) {
	o := &metaxy.ResolveOptions{SkipComparison: st.Args.Skip, Progress: true, Filters: map[feature.Key][]filter.Expr{}}
	var err error
	for _, p := range []struct {
		to   *[]filter.Expr
		from []string
	}{{&o.GlobalFilters, st.Args.Global.list}, {&o.TargetFilters, st.Args.Target.list}, {&o.StaleIf, st.Args.StaleIf.list}} {
		if *p.to, err = parseAll(p.from); err != nil {
			return nil, err
		}
	}
	for k, texts := range st.Args.Filters.byKey {
		if o.Filters[mustKey(c.t, k)], err = parseAll(texts); err != nil {
			return nil, err
		}
	}
	if in, ok := st.Inputs["samples"]; ok {
		schema, batches := readParquet(c.t, filepath.Join(c.dir, in.File))
		o.Samples = &metaxy.Rows{Schema: schema, Batches: Each(batches)}
	}
	return o, nil
}

// leaked is a column of the reference that is not part of the answer (D36).
const leaked = "__stale_by_predicate"

func (c *run) expected(f *frameFile, leaveOut []string) ([]string, []string) {
	c.t.Helper()
	schema, batches := readParquet(c.t, filepath.Join(c.dir, f.File))
	names, rows, err := CollectRows(&metaxy.Rows{Schema: schema, Batches: Each(batches)}, append([]string{leaked}, leaveOut...))
	if err != nil {
		c.t.Fatal(err)
	}
	return names, rows
}

func (c *run) compare(want *frameFile, names, rows []string) string {
	c.t.Helper()
	wantNames, wantRows := c.expected(want, nil)
	if !slices.Equal(names, wantNames) {
		return fmt.Sprintf("columns %q, want %q", names, wantNames)
	}
	return RowsFault(wantRows, rows)
}

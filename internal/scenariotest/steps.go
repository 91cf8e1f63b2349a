package scenariotest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// act runs a changing step and gives its warnings.
func (c *run) act(st *step, root string) ([]metaxy.Warning, error) {
	ctx := c.t.Context()
	store := c.open(st, root, st.Target)
	switch st.Op {
	case "external", "cli": // as part of the way to another step
		switch {
		case st.Args.Action == "create_checkpoint":
			t := store.Table(MustKey(c.t, st.Feature))
			snap, err := t.Snapshot(ctx)
			if err != nil {
				return nil, err
			}
			return nil, t.Checkpoint(ctx, snap.Version())
		case !slices.Equal(st.Args.Argv, []string{"push"}):
			return nil, fmt.Errorf("this test does not know %s %q %q", st.Op, st.Args.Action, st.Args.Argv)
		}
		fallthrough
	case "push":
		return c.push(st, store)
	case "write":
		schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs["frame"].File))
		r, err := store.AllowCrossProjectWrites().Write(ctx, MustKey(c.t, st.Feature), &metaxy.Rows{Schema: schema, Batches: Each(batches)},
			&metaxy.WriteOptions{PreserveVersions: st.Args.Preserve, MaterializationID: st.Args.Materialization, AllowNullIDs: true})
		return r.Warnings, err
	case "delete":
		filters, err := parseAll(st.Args.Filters.list)
		if err != nil {
			return nil, err
		}
		r, err := store.AllowCrossProjectWrites().Delete(ctx, MustKey(c.t, st.Feature), &metaxy.DeleteOptions{Filters: filters, Hard: st.Args.Soft != nil && !*st.Args.Soft,
			FeatureHistory: st.Args.history(), SampleHistory: st.Args.SampleHistory})
		return r.Warnings, err
	case "write_multi":
		frames := map[feature.Key]*metaxy.Rows{}
		for key, name := range st.Args.Frames {
			schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs[name].File))
			frames[MustKey(c.t, key)] = &metaxy.Rows{Schema: schema, Batches: Each(batches)}
		}
		results, err := store.AllowCrossProjectWrites().WriteMulti(ctx, frames, nil)
		var warnings []metaxy.Warning
		for _, r := range results {
			warnings = append(warnings, r.Warnings...)
		}
		return warnings, err
	case "drop":
		key := MustKey(c.t, st.Feature)
		r, err := store.AllowCrossProjectWrites().Drop(ctx, key, nil)
		if err != nil || st.Expect.HasAfter == nil {
			return r.Warnings, err
		}
		if has, err := store.HasFeature(ctx, key, nil); err != nil || has != *st.Expect.HasAfter {
			return nil, fmt.Errorf("after the drop the store has the feature: %v (%v)", has, err)
		}
		return r.Warnings, nil
	case "copy":
		return c.copy(st, root, store)
	}
	return nil, fmt.Errorf("this test knows no step %q", st.Op)
}

func (c *run) copy(st *step, root string, store *metaxy.DeltaStore) ([]metaxy.Warning, error) {
	o := &metaxy.CopyOptions{SampleHistory: st.Args.SampleHistory, CurrentVersionOnly: st.Args.FeatureHistory != nil && !*st.Args.FeatureHistory, Filters: map[feature.Key][]filter.Expr{}}
	for _, f := range st.Args.Features {
		o.Features = append(o.Features, MustKey(c.t, f))
	}
	var err error
	if o.GlobalFilters, err = parseAll(st.Args.Global.list); err != nil {
		return nil, err
	}
	for k, texts := range st.Args.Filters.byKey {
		if o.Filters[MustKey(c.t, k)], err = parseAll(texts); err != nil {
			return nil, err
		}
	}
	r, err := store.AllowCrossProjectWrites().Copy(c.t.Context(), c.open(st, root, st.Args.From), o)
	if want := st.Expect.Stats; err == nil && want != nil && (r.Features != want.Features || r.Rows != want.Rows) {
		return nil, fmt.Errorf("%d features and %d rows copied, want %d and %d", r.Features, r.Rows, want.Features, want.Rows)
	}
	return r.Warnings, err
}

func (c *run) checkRebase(st *step, root string) string {
	schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs["frame"].File))
	var rows []string
	r, err := c.open(st, root, st.Target).Rebase(c.t.Context(), MustKey(c.t, st.Feature), &metaxy.Rows{Schema: schema, Batches: Each(batches)}, &metaxy.RebaseOptions{ToVersion: st.Args.ToVersion})
	if err == nil {
		_, rows, err = CollectRows(r.Rows, nil)
	}
	if fault := faultOf(st, err); fault != "" || err != nil {
		return fault
	}
	if want := st.Expect.Counts.Rebased; want != nil && len(rows) != *want {
		return fmt.Sprintf("%d rows rebased, want %d", len(rows), *want)
	}
	if fault := warningFault(st, r.Warnings); fault != "" {
		return fault
	}
	return c.compare(st.Expect.Rebased, r.Rows.Schema, rows)
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
	var r *metaxy.Rows
	var rows []string
	if err == nil {
		o := &metaxy.ReadOptions{Filters: filters, Columns: st.Args.Columns, FeatureHistory: st.Args.history(), SampleHistory: st.Args.SampleHistory, SoftDeleted: st.Args.SoftDeleted,
			FeatureVersion: st.Args.FeatureVersion, NoFallback: st.Args.AllowFallback != nil && !*st.Args.AllowFallback}
		if r, err = c.open(st, root, st.Target).Read(c.t.Context(), MustKey(c.t, st.Feature), o); err == nil {
			_, rows, err = CollectRows(r, nil)
		}
	}
	if fault := faultOf(st, err); fault != "" || err != nil {
		return fault
	}
	if fault := warningFault(st, r.Warnings); fault != "" {
		return fault
	}
	switch {
	case st.Expect.Candidates != nil:
		_, allowed := c.expected(st.Expect.Candidates, nil)
		for _, r := range rows {
			if !slices.Contains(allowed, r) {
				return "row outside the candidates: " + r
			}
		}
		if len(rows) != *st.Expect.Counts.Rows {
			return fmt.Sprintf("%d rows, want %d", len(rows), *st.Expect.Counts.Rows)
		}
		return c.compareColumns(st.Expect.Rows, r.Schema)
	case st.Unstable != nil:
		return c.compareColumns(st.Expect.Rows, r.Schema)
	case st.Expect.Rows == nil: // a decision answers where the reference fails
		return ""
	case len(rows) != *st.Expect.Counts.Rows:
		return fmt.Sprintf("%d rows, want %d", len(rows), *st.Expect.Counts.Rows)
	}
	return c.compare(st.Expect.Rows, r.Schema, rows)
}

func (c *run) checkResolve(st *step, root string) string {
	o, err := c.resolveOptions(st)
	var inc *metaxy.Increment
	ctx := c.t.Context()
	if err == nil {
		if inc, err = c.open(st, root, st.Target).ResolveUpdate(ctx, MustKey(c.t, st.Feature), o); err == nil {
			err = inc.Count(ctx)
		}
	}
	if fault := faultOf(st, err); fault != "" {
		return fault
	}
	if c.o.Resolved != nil {
		r := &Resolve{fmt.Sprintf("%s/%d", filepath.Base(c.dir), st.Step), c.open(st, root, st.Target), MustKey(c.t, st.Feature), func() (*metaxy.ResolveOptions, error) { return c.resolveOptions(st) }, err, st.Unstable != nil}
		if fault := c.o.Resolved(c.t, r); fault != "" {
			return fault
		}
	}
	if err != nil || st.Expect.New == nil {
		return ""
	}
	if fault := warningFault(st, inc.Warnings()); fault != "" {
		return fault
	}
	for want, got := range map[*frameFile]*metaxy.Rows{st.Expect.New: inc.New(ctx), st.Expect.Stale: inc.Stale(ctx), st.Expect.Orphaned: inc.Orphaned(ctx)} {
		_, rows, err := CollectRows(got, nil)
		if err != nil {
			return err.Error()
		}
		fault := ""
		if st.Unstable != nil {
			fault = c.compareColumns(want, got.Schema)
		} else {
			fault = c.compare(want, got.Schema, rows)
		}
		if fault != "" {
			return filepath.Base(want.File) + ": " + fault
		}
	}
	if st.Unstable != nil {
		return ""
	}
	if fault := c.changesFault(st, inc); fault != "" {
		return fault
	}
	if fault := c.reasonFault(st, root, inc.Stats()); fault != "" {
		return fault
	}
	if c.o.Remembered != nil && inc.Remembered() {
		c.o.Remembered.Add(1)
	}
	return countFault(st, inc.Stats())
}

// reasonFault holds the reasons of a resolve against its counts: every row has one.
func (c *run) reasonFault(st *step, root string, want metaxy.Stats) string {
	o, err := c.resolveOptions(st)
	if err != nil {
		return err.Error()
	}
	if !c.o.Reasons || o.Samples != nil || o.SkipComparison {
		return ""
	}
	o.Reasons = true
	ctx := c.t.Context()
	inc, err := c.open(st, root, st.Target).ResolveUpdate(ctx, MustKey(c.t, st.Feature), o)
	if err != nil {
		return "with reasons: " + err.Error()
	}
	defer inc.Close()
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return "with reasons: " + err.Error()
		}
		for i := range int(pb.Batch.NumRows()) {
			if pb.Batch.Column(int(pb.Batch.NumCols())-1).ValueStr(i) == "" {
				return fmt.Sprintf("a row of part %d has no reason", pb.Part)
			}
		}
	}
	var got [3]int64
	for part, counts := range inc.Reasons() {
		for reason, n := range counts {
			got[part] += n
			c.t.Logf("part %d: %d %s", part, n, reason)
		}
	}
	if got != [3]int64{metaxy.New: want.New, metaxy.Stale: want.Stale, metaxy.Orphaned: want.Orphaned} {
		return fmt.Sprintf("reasons of %v rows, want %d new, %d stale, %d orphaned", got, want.New, want.Stale, want.Orphaned)
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
		if o.Filters[MustKey(c.t, k)], err = parseAll(texts); err != nil {
			return nil, err
		}
	}
	if in, ok := st.Inputs["samples"]; ok {
		schema, batches := readParquet(c.t, filepath.Join(c.dir, in.File))
		o.Samples = &metaxy.Rows{Schema: schema, Batches: Each(batches)}
	}
	return o, nil
}

package cluster

import (
	"context"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Env is what a worker has beside its plan and its input.
type Env struct {
	// Open opens the objects at the URL of a table.
	Open func(ctx context.Context, url string) (*objstore.Store, error)
	// Out takes the output.
	Out io.Writer
	// TempDir is for output that waits for the end of the input.
	TempDir string
	// Table are the options of the table that is written to.
	Table delta.Options
}

// job is a plan as a worker works with it.
type job struct {
	*Worker
	plan  *feature.Plan
	codec *codec
	// request has tables that have columns and no rows.
	request *resolve.Request
	inc     *resolve.Increment
	results [3]*arrow.Schema
	// layouts are those of the keys, and by table of the ids.
	keys *hashjoin.Layout
	ids  []*hashjoin.Layout
}

// job checks that the plan can be worked with: whatever a resolve refuses is
// refused by each of its workers.
func (w *Worker) job(ctx context.Context) (*job, error) {
	j := &job{Worker: w}
	var err error
	if _, j.plan, err = w.featurePlan(); err != nil {
		return nil, err
	}
	if j.codec, err = w.codec(); err != nil {
		return nil, err
	}
	if err := j.layouts(); err != nil {
		return nil, err
	}
	if err := j.ask(); err != nil {
		return nil, err
	}
	if j.inc, err = resolve.Update(ctx, j.request); err != nil {
		return nil, err
	}
	for part := range j.results {
		j.results[part] = j.result(metaxy.Part(part))
	}
	return j, nil
}

// layouts makes those of keys, the same in all processes of the run.
func (j *job) layouts() error {
	var sides [][]arrow.DataType
	for _, t := range j.Tables {
		sides = append(sides, typesOf(t.cut, t.Keys))
		var own *hashjoin.Layout
		if t.NewestFirst {
			var err error
			if own, err = hashjoin.NewSeededLayout(j.codec.seed, typesOf(t.cut, t.IDs)); err != nil {
				return refused("table %s: %v", t.Feature, err)
			}
		}
		j.ids = append(j.ids, own)
	}
	if len(sides) == 0 {
		return nil
	}
	var err error
	if j.keys, err = hashjoin.NewSeededLayout(j.codec.seed, sides...); err != nil {
		return refused("the plan: %v", err)
	}
	return nil
}

func typesOf(s *arrow.Schema, names []string) []arrow.DataType {
	out := make([]arrow.DataType, len(names))
	for i, n := range names {
		out[i] = s.Field(s.FieldIndices(n)[0]).Type
	}
	return out
}

// cutter cuts the rows of a table for a stage.
func (j *job) cutter(table int, st stage) resolve.Cutter {
	t := j.Tables[table]
	if st == byIDs {
		return resolve.Cutter{Layout: j.ids[table], Keys: t.IDs, Parts: j.Partitions}
	}
	return resolve.Cutter{Layout: j.keys, Keys: t.Keys, Parts: j.Partitions}
}

// first is the stage that rows of a table are cut for when they are read.
func (t *Table) first() stage {
	if t.NewestFirst {
		return byIDs
	}
	return byKeys
}

// ask makes the request.
func (j *job) ask() error {
	w := j.Worker
	if len(w.Filters) != len(j.plan.Deps) {
		return refused("the plan has filters of %d deps, the feature has %d", len(w.Filters), len(j.plan.Deps))
	}
	req := &resolve.Request{Plan: j.plan, Algorithm: resolve.Algorithm{Name: w.Algorithm, Truncation: w.Truncation}, MapMode: w.Maps, SkipComparison: w.SkipComparison}
	var err error
	for i, d := range j.plan.Deps {
		src := resolve.Source{IDs: d.Definition.Spec.IDColumns}
		if src.Filters, err = expressions(w.Filters[i]); err != nil {
			return err
		}
		req.Deps = append(req.Deps, src)
	}
	req.Current = resolve.Source{IDs: j.plan.Feature.Spec.IDColumns}
	if req.Current.Filters, err = expressions(w.TargetFilters); err != nil {
		return err
	}
	if req.StaleIf, err = expressions(w.StaleIf); err != nil {
		return err
	}
	for _, t := range w.Tables {
		switch {
		case t.Dep == resolve.SamplesInput:
			req.Samples = &resolve.Rows{Schema: t.full, Batches: func(func(arrow.RecordBatch, error) bool) {}}
		case t.Dep == resolve.CurrentInput:
			req.Current.Table = bare{t.full}
		case t.Dep >= 0 && t.Dep < len(req.Deps):
			req.Deps[t.Dep].Table = bare{t.full}
		default:
			return refused("the plan has a table of dep %d of %d", t.Dep, len(req.Deps))
		}
	}
	j.request = req
	return nil
}

// result is the schema of the rows of a part that are given out.
func (j *job) result(part metaxy.Part) *arrow.Schema {
	whole := j.inc.Schema(part)
	if !j.IDsOnly {
		return whole
	}
	keep := slices.Concat(j.plan.Feature.Spec.IDColumns, j.plan.JoinColumns(), []string{syscol.ProvenanceByField, syscol.Provenance})
	if part != metaxy.Orphaned {
		keep = append(keep, syscol.DataVersionByField, syscol.DataVersion)
	}
	var fields []arrow.Field
	for _, f := range whole.Fields() {
		if slices.Contains(keep, f.Name) && (part != metaxy.Orphaned || j.cuts(f.Name)) {
			fields = append(fields, f)
		}
	}
	return arrow.NewSchema(fields, nil)
}

// cuts reports whether a column of the feature's own table is cut.
func (j *job) cuts(name string) bool {
	return slices.ContainsFunc(j.Tables, func(t *Table) bool { return t.Dep == resolve.CurrentInput && slices.Contains(t.Columns, name) })
}

// snapshot pins the version of a table with files.
func (j *job) snapshot(ctx context.Context, env *Env, table int, adds []*txlog.Add) (*delta.Snapshot, func(), error) {
	t := j.Tables[table]
	store, err := env.Open(ctx, t.URL)
	if err != nil {
		return nil, nil, err
	}
	snap, err := delta.New(store, nil).Pin(t.Pinned.with(adds))
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	return snap, func() { store.Close() }, nil
}

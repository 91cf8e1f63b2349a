package metaxy

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/internal/system"
)

// RebaseOptions of a rebase; nil = to the version of the definitions in force.
type RebaseOptions struct {
	// ToVersion is a feature version that was pushed to this store; "" is that of the definitions in force.
	ToVersion string
	// FromVersion is the feature version of the rows, which was pushed to this
	// store. Rows of samples that were not in sync under it, stale or without
	// their upstream rows, are left out, so that they stay to do. "" = every
	// row as it comes.
	FromVersion string
	// OnePerRow keeps one row per given row where several upstream rows meet it (aggregation); without it each of them gives a row, as in Metaxy.
	OnePerRow bool
}

// RebaseResult is rows with the versions of another feature version. Rows is to be written with WriteOptions.PreserveVersions.
type RebaseResult struct {
	Rows                           *Rows
	FeatureVersion, ProjectVersion string
	// StaleKept rows were left out as not in sync under FromVersion; it is
	// complete, and the warning STALE_KEPT there, after the last row.
	StaleKept int64
	Warnings  []Warning
}

// Rebase gives rows of a feature the provenance that they have under another version of its definition, without computing anything anew, and writes
// nothing. Rows that upstream no longer has vanish. Where the data version is the provenance both its columns become null, so that a write fills them
// from the new provenance; overridden data versions stay. Children of an expansion get the provenance of their parent.
// The versions of every upstream sample are held in memory, about 100 bytes each; the rows stream.
func (s *DeltaStore) Rebase(ctx context.Context, key feature.Key, rows *Rows, opts *RebaseOptions) (*RebaseResult, error) {
	o := RebaseOptions{}
	if opts != nil {
		o = *opts
	}
	res := &RebaseResult{}
	g, err := s.rebaseTarget(ctx, key, o.ToVersion, res)
	if err != nil {
		return nil, err
	}
	plan, err := g.Plan(key)
	if err != nil {
		return nil, err
	}
	if len(plan.Deps) == 0 {
		return nil, fmt.Errorf("%w: %s is a root feature: its provenance is the user's and cannot be rebased; write its samples again", ErrInvalid, key)
	}
	if rows, err = asDeclared(key, rows); err != nil {
		return nil, err
	}
	res.FeatureVersion = plan.FeatureVersion
	inc, err := s.resolveIn(ctx, g, key, &ResolveOptions{SkipComparison: true})
	if err != nil {
		return nil, err
	}
	defer inc.Close()
	on := plan.Feature.Spec.IDColumns
	if slices.ContainsFunc(on, func(c string) bool { return !inc.Schema(New).HasField(c) }) {
		on = plan.JoinColumns() // an expansion makes the other id columns
	}
	r := &rebase{on: on, kind: hashjoin.Inner, featureVersion: res.FeatureVersion, projectVersion: res.ProjectVersion}
	if o.OnePerRow {
		r.kind = hashjoin.Semi
	}
	if err := r.plan(key, rows.Schema, inc.Schema(New)); err != nil {
		return nil, err
	}
	if err := r.load(inc.New(ctx), rows.Schema, s.opts.MemoryLimit); err != nil {
		return nil, err
	}
	res.Warnings = append(res.Warnings, inc.Warnings()...)
	var stale *staleKeys
	if o.FromVersion != "" {
		if stale, err = s.staleUnder(ctx, key, o.FromVersion, rows.Schema); err != nil {
			return nil, err
		}
	}
	res.Rows = &Rows{Schema: r.schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range rows.Batches {
			var out arrow.RecordBatch
			if err == nil {
				out, err = r.fresh(ctx, b, stale, res)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			ok := frame.Give(yield, out, out)
			if !ok {
				return
			}
		}
		if res.StaleKept > 0 {
			res.Warnings = append(res.Warnings, Warning{Code: "STALE_KEPT", Feature: key.String(), Message: fmt.Sprintf("%s: %d rows of samples that were stale under version %s, or had no upstream rows, are left as they are, so that they stay to do", key, res.StaleKept, o.FromVersion)})
		}
	}}
	return res, nil
}

// fresh is batch of the rows that were not stale under the version that they are of.
func (r *rebase) fresh(ctx context.Context, b arrow.RecordBatch, stale *staleKeys, res *RebaseResult) (arrow.RecordBatch, error) {
	if stale == nil {
		return r.batch(ctx, b)
	}
	kept, err := stale.without(ctx, b)
	if err != nil {
		return nil, err
	}
	defer kept.Release()
	res.StaleKept += b.NumRows() - kept.NumRows()
	return r.batch(ctx, kept)
}

// rebaseTarget is the graph that holds the wanted version of a feature.
func (s *DeltaStore) rebaseTarget(ctx context.Context, key feature.Key, version string, res *RebaseResult) (*feature.Graph, error) {
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	_, defined := g.Get(key)
	if version == "" && !defined {
		return nil, s.undefined(ctx, g, key)
	}
	if defined {
		if current, err := g.FeatureVersion(key); err == nil && (version == "" || version == current) {
			res.ProjectVersion, err = s.projectVersion(g)
			return g, err
		}
	}
	return s.graphOf(ctx, key, version, res)
}

// graphOf is a pushed graph that has a version of a feature.
func (s *DeltaStore) graphOf(ctx context.Context, key feature.Key, version string, res *RebaseResult) (*feature.Graph, error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(records, func(r system.Record) bool { return r.FeatureKey == key.String() && r.FeatureVersion == version })
	if i < 0 {
		return nil, &NotFoundError{Feature: key.String(), Version: version}
	}
	project := records[i].Project
	res.ProjectVersion = records[i].ProjectVersion
	g, err := s.SnapshotGraph(ctx, res.ProjectVersion, project)
	if err != nil {
		return nil, err
	}
	def, ok := g.Get(key)
	if !ok {
		return nil, s.undefined(ctx, g, key)
	}
	for _, d := range def.Spec.Deps {
		if up, ok := g.Get(d.Feature); ok && up.Project != project {
			res.Warnings = append(res.Warnings, Warning{Code: "FOREIGN_DEFINITION", Message: fmt.Sprintf("%s: %s of project %s is taken as it is defined now", key, d.Feature, up.Project)})
		}
	}
	return g, nil
}

// rebase joins rows with the expected provenance of their ids.
type rebase struct {
	on                             []string
	kind                           hashjoin.Kind
	featureVersion, projectVersion string

	schema *arrow.Schema
	source []int // column of the rows; -1 and below are the added ones
	at     []int // columns of on in the rows
	byKey  *hashjoin.Join
	// provenance and byField are those of every expected sample.
	provenance, byField arrow.Array
}

// replaced are the columns that a rebase computes.
var replaced = []string{syscol.Provenance, syscol.ProvenanceByField, syscol.FeatureVersion, syscol.ProjectVersion}

// plan finds the columns: ids first, the others as they are, the new versions last.
func (r *rebase) plan(key feature.Key, rows, expected *arrow.Schema) error {
	var fields []arrow.Field
	put := func(f arrow.Field, source int) {
		f.Nullable = true
		fields, r.source = append(fields, f), append(r.source, source)
	}
	for _, c := range r.on {
		i := rows.FieldIndices(c)
		if len(i) == 0 {
			return fmt.Errorf("%w: rebase of %s: the rows lack the column %s", ErrInvalid, key, c)
		}
		r.at = append(r.at, i[0])
		put(rows.Field(i[0]), i[0])
	}
	if !rows.HasField(syscol.Provenance) {
		return fmt.Errorf("%w: rebase of %s: the rows lack the column %s", ErrInvalid, key, syscol.Provenance)
	}
	for i, f := range rows.Fields() {
		if !slices.Contains(r.at, i) && !slices.Contains(replaced, f.Name) {
			put(f, i)
		}
	}
	for n, c := range replaced {
		f := arrow.Field{Name: c, Type: arrow.BinaryTypes.String}
		if i := expected.FieldIndices(c); len(i) > 0 {
			f.Type = expected.Field(i[0]).Type
		}
		put(f, -1-n)
	}
	r.schema = arrow.NewSchema(fields, nil)
	return nil
}

// load keeps the provenance of the expected samples by key. given is the schema
// of the rows that are to match them.
func (r *rebase) load(rows *Rows, given *arrow.Schema, limit int64) error {
	sides := [][]arrow.DataType{typesOf(given, r.on)}
	if !slices.ContainsFunc(r.on, func(c string) bool { return !rows.Schema.HasField(c) }) {
		sides = append(sides, typesOf(rows.Schema, r.on)) // an optional table that is not there has no columns
	}
	l, err := hashjoin.NewLayout(sides...)
	if err != nil {
		return fmt.Errorf("%w: the ids of the rows: %w", ErrInvalid, err)
	}
	r.byKey = hashjoin.NewJoin(l, false, limit)
	var sample, byField []arrow.Array
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		if err := r.byKey.Add(columnsOf(b, r.on)); err != nil {
			return err
		}
		c := columnsOf(b, []string{syscol.Provenance, syscol.ProvenanceByField})
		c[0].Retain()
		c[1].Retain()
		sample, byField = append(sample, c[0]), append(byField, c[1])
	}
	if err := r.byKey.Seal(); err != nil || len(sample) == 0 {
		return err
	}
	if r.provenance, err = array.Concatenate(sample, memory.DefaultAllocator); err != nil {
		return err
	}
	r.byField, err = array.Concatenate(byField, memory.DefaultAllocator)
	return err
}

func typesOf(s *arrow.Schema, names []string) []arrow.DataType {
	out := make([]arrow.DataType, len(names))
	for i, name := range names {
		out[i] = s.Field(s.FieldIndices(name)[0]).Type
	}
	return out
}

func columnsOf(b arrow.RecordBatch, names []string) []arrow.Array {
	out := make([]arrow.Array, len(names))
	for i, name := range names {
		out[i] = b.Column(b.Schema().FieldIndices(name)[0])
	}
	return out
}

// batch gives the rows of a batch that have a match, with the new versions; the caller releases it.
func (r *rebase) batch(ctx context.Context, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	at := make([]arrow.Array, len(r.at))
	for i, c := range r.at {
		at[i] = b.Column(c)
	}
	var found hashjoin.Matches
	if err := r.byKey.Probe(r.kind, at, &found); err != nil {
		return nil, err
	}
	mine, theirs := wide(found.Probe), wide(found.Build)
	if r.provenance == nil || len(mine) == 0 {
		return array.NewRecordBatch(r.schema, emptyColumns(r.schema), 0), nil
	}
	return r.take(ctx, b, mine, theirs)
}

func wide(rows []int32) []int64 {
	out := make([]int64, len(rows))
	for i, r := range rows {
		out[i] = int64(r)
	}
	return out
}

func (r *rebase) take(ctx context.Context, b arrow.RecordBatch, mine, theirs []int64) (arrow.RecordBatch, error) {
	n := len(mine)
	own := overridden(b)
	kept := slices.Clone(mine)
	if own != nil {
		for i, row := range mine {
			if !own[row] {
				kept[i] = -1
			}
		}
	}
	cols := make([]arrow.Array, 0, len(r.source))
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for i, src := range r.source {
		var c arrow.Array
		var err error
		switch name := r.schema.Field(i).Name; {
		case name == syscol.Provenance:
			c, err = takeRows(ctx, r.provenance, theirs)
		case name == syscol.ProvenanceByField:
			c, err = takeRows(ctx, r.byField, theirs)
		case name == syscol.FeatureVersion:
			c = intake.Constant(arrow.BinaryTypes.String, r.featureVersion, n)
		case name == syscol.ProjectVersion:
			c = intake.Constant(arrow.BinaryTypes.String, r.projectVersion, n)
		case name == syscol.DataVersion || name == syscol.DataVersionByField:
			c, err = takeRows(ctx, b.Column(src), kept)
		default:
			c, err = takeRows(ctx, b.Column(src), mine)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", r.schema.Field(i).Name, err)
		}
		cols = append(cols, c)
	}
	return array.NewRecordBatch(r.schema, cols, int64(n)), nil
}

// overridden tells for each row whether its data version is not just the provenance; nil when there is no data version.
func overridden(b arrow.RecordBatch) []bool {
	i := b.Schema().FieldIndices(syscol.DataVersion)
	if len(i) == 0 {
		return nil
	}
	data, provenance := b.Column(i[0]), columnsOf(b, []string{syscol.Provenance})[0]
	out := make([]bool, data.Len())
	for row := range out {
		out[row] = data.IsNull(row) || provenance.IsNull(row) || data.ValueStr(row) != provenance.ValueStr(row)
	}
	return out
}

// takeRows gathers rows; a negative one is null. The caller releases the result.
func takeRows(ctx context.Context, a arrow.Array, rows []int64) (arrow.Array, error) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(rows))
	for _, r := range rows {
		if r < 0 {
			b.AppendNull()
			continue
		}
		b.UnsafeAppend(r)
	}
	indices := b.NewArray()
	defer indices.Release()
	return compute.TakeArray(ctx, a, indices)
}

func emptyColumns(schema *arrow.Schema) []arrow.Array {
	out := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		out[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 0)
	}
	return out
}

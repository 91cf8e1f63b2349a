package resolve

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// Read plans a read and returns its stream: the newest row per id, without
// tombstones, that passes every filter. Nothing is read before the stream is
// consumed; it holds at most a few words for each id, or for those of a
// partition, as Options say. An unknown column is a *filtereval.ColumnError or
// an *InputError.
func Read(ctx context.Context, req *ReadRequest) (*Rows, error) {
	schema := req.Source.Table.Schema()
	if err := checkFilters(req.Source.Filters, schema); err != nil {
		return nil, err
	}
	names, err := readColumns(req, schema)
	if err != nil {
		return nil, err
	}
	fields := make([]arrow.Field, len(names))
	for i, n := range names {
		fields[i] = arrow.Field{Name: n, Type: arrow.BinaryTypes.String, Nullable: true}
		if f, ok := schema.FieldsByName(n); ok {
			fields[i].Type = plainType(f[0].Type)
		} else if slices.Contains([]string{syscol.CreatedAt, syscol.UpdatedAt, syscol.DeletedAt}, n) {
			fields[i].Type = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
		}
	}
	out := &Rows{Schema: arrow.NewSchema(fields, nil)}
	out.Batches = func(yield func(arrow.RecordBatch, error) bool) { readRows(ctx, req, out.Schema, yield) }
	return out, nil
}

// readColumns orders the columns of a read. Missing system columns read as
// null; other unknown ones, and repeated ones, are errors.
func readColumns(req *ReadRequest, schema *arrow.Schema) ([]string, error) {
	if len(req.Columns) > 0 {
		for i, c := range req.Columns {
			if slices.Contains(req.Columns[:i], c) {
				return nil, &InputError{Feature: "read", Column: c, Msg: "is asked for twice"}
			}
			if !schema.HasField(c) && !slices.Contains(syscol.All[:], c) {
				return nil, &filtereval.ColumnError{Column: c, Nearest: nearNames(c, schema)}
			}
		}
		return req.Columns, nil
	}
	var names []string
	if !req.SampleHistory {
		for _, id := range req.Source.IDs {
			if !schema.HasField(id) {
				return nil, &InputError{Column: id, Msg: "the id column is missing in the table"}
			}
		}
		names = slices.Clone(req.Source.IDs)
	}
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	return unique(names), nil
}

func nearNames(name string, schema *arrow.Schema) []string {
	var names []string
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	return nearest.Names(name, names)
}

// readRows decides which rows are visible and streams their columns.
func readRows(ctx context.Context, req *ReadRequest, schema *arrow.Schema, yield func(arrow.RecordBatch, error) bool) {
	tables, spill, err := readParts(ctx, req)
	if err != nil {
		yield(nil, err)
		return
	}
	defer spill.Close()
	left := req.Limit
	for _, t := range tables {
		part := *req
		part.Source.Table, part.Limit = t, left
		n, ok := readPart(ctx, &part, schema, yield)
		if left -= n; !ok || req.Limit > 0 && left <= 0 {
			return
		}
	}
}

// readParts are the table, or partitions of it where it does not fit memory: by
// id, or by unit when every row is shown.
func readParts(ctx context.Context, req *ReadRequest) ([]frame.Table, *hashjoin.Spill, error) {
	t, o := req.Source.Table, &req.Options
	if o.MemoryLimit <= 0 {
		return []frame.Table{t}, nil, nil
	}
	cols, err := decidingRead(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	rows, err := tableRows(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	bytes := rows * int64(rowBytes+columnBytes*len(cols))
	if o.fits(bytes) {
		return []frame.Table{t}, nil, nil
	}
	if req.SampleHistory {
		units, err := t.Units(ctx)
		if err != nil {
			return nil, nil, err
		}
		var out []frame.Table
		for u := range units {
			out = append(out, &unitTable{t, u})
		}
		return out, nil, nil
	}
	if o.SpillDir == "" {
		return nil, nil, o.beyond(bytes)
	}
	parts := o.partitionsFor(bytes)
	l, err := hashjoin.NewLayout(typesOf(t.Schema(), req.Source.IDs))
	if err != nil {
		return nil, nil, err
	}
	s := &splitter{opts: o, parts: parts, need: bytes}
	st, err := s.scatter(ctx, t, cols, req.Source.IDs, l)
	if err != nil {
		return nil, nil, err
	}
	var out []frame.Table
	for p := range parts {
		out = append(out, st.part(p))
	}
	return out, st.spill, nil
}

// unitTable is a table of which one unit has rows.
type unitTable struct {
	frame.Table
	unit int
}

func (t *unitTable) Units(ctx context.Context) ([]frame.Unit, error) {
	units, err := t.Table.Units(ctx)
	out := slices.Clone(units)
	for i := range out {
		if i != t.unit {
			out[i].Rows = 0
		}
	}
	return out, err
}

func (t *unitTable) Read(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	if unit != t.unit {
		return func(func(frame.Block, error) bool) {}
	}
	return t.Table.Read(ctx, unit, rows, cols)
}

// errEnough ends a pass over rows whose consumer has enough.
var errEnough = errors.New("the consumer has enough")

// readPart streams the visible rows of one part in the order of the table; false
// when the consumer has enough or an error was given.
func readPart(ctx context.Context, req *ReadRequest, schema *arrow.Schema, yield func(arrow.RecordBatch, error) bool) (n int64, ok bool) {
	f, cols, err := visible(ctx, req)
	if err != nil {
		yield(nil, err)
		return 0, false
	}
	own := schemaOfTable(schema, req.Source.Table)
	give := func(refs []frame.Ref) error {
		if len(refs) == 0 {
			return nil
		}
		for b, err := range f.table.Take(ctx, refs, fieldNames(own)) {
			if err != nil {
				return err
			}
			n += b.NumRows()
			if !slicesOf(ctx, b, own, func(b arrow.RecordBatch, err error) bool {
				if err != nil {
					return yield(nil, err)
				}
				full := withMissing(b, schema)
				defer full.Release()
				return yield(full, nil)
			}) {
				return errEnough
			}
		}
		return nil
	}
	left := req.Limit
	var refs []frame.Ref
	for unit := range f.units {
		err := f.live(ctx, unit, cols[:1], func(p *picked) error {
			for j := range p.len() {
				if req.Limit > 0 && left == 0 {
					break
				}
				refs, left = append(refs, frame.RefOf(unit, p.Row(int(p.index(j))))), left-1
			}
			return nil
		})
		if err == nil {
			err = give(refs)
		}
		refs = refs[:0]
		switch {
		case errors.Is(err, errEnough):
			return n, false
		case err != nil:
			yield(nil, err)
			return n, false
		case req.Limit > 0 && left == 0:
			return n, true
		}
	}
	return n, true
}

// decidingRead are the columns that must be read of every row.
func decidingRead(ctx context.Context, req *ReadRequest) ([]string, error) {
	t := req.Source.Table
	stamps, err := stampColumns(ctx, t)
	if err != nil {
		return nil, err
	}
	cols := slices.Concat(stamps, filterColumns(req.Source.Filters))
	if !req.SampleHistory {
		cols = slices.Concat(req.Source.IDs, cols)
	}
	if len(cols) == 0 {
		cols = []string{t.Schema().Field(0).Name}
	}
	return unique(cols), nil
}

// visible finds the rows that a read shows, and which columns that took.
func visible(ctx context.Context, req *ReadRequest) (*feed, []string, error) {
	cols, err := decidingRead(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	f, err := newFeed(ctx, "read", req.Source.Table, req.Source.IDs)
	if err != nil {
		return nil, nil, err
	}
	f.filter(same, req.Source.Filters...)
	f.keepsDeleted = req.SoftDeleted
	if req.SampleHistory {
		return f, cols, f.killDeleted(ctx, req.Options.Parallel)
	}
	return f, cols, f.surveyApart(ctx, &matching{parallel: req.Options.Parallel})
}

// schemaOfTable leaves out what the table does not have.
func schemaOfTable(s *arrow.Schema, t frame.Table) *arrow.Schema {
	var fields []arrow.Field
	for _, f := range s.Fields() {
		if t.Schema().HasField(f.Name) {
			fields = append(fields, f)
		}
	}
	return arrow.NewSchema(fields, nil)
}

// withMissing adds null columns where the table has none; the caller releases it.
func withMissing(b arrow.RecordBatch, schema *arrow.Schema) arrow.RecordBatch {
	cols := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		if at := b.Schema().FieldIndices(f.Name); len(at) > 0 {
			cols[i] = b.Column(at[0])
			cols[i].Retain()
		} else {
			cols[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(b.NumRows()))
		}
		defer cols[i].Release()
	}
	return array.NewRecordBatch(schema, cols, b.NumRows())
}

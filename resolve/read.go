package resolve

import (
	"context"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
)

// Read plans a read and returns its stream: the newest row per id, without tombstones, that passes every filter. Nothing is read before the stream is consumed;
// it holds the deciding columns and about 120 bytes a row, or partitions of them, as Options say. An unknown column is a *filtereval.ColumnError or an *InputError.
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
		} else if slices.Contains([]string{colCreatedAt, colUpdatedAt, colDeletedAt}, n) {
			fields[i].Type = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
		}
	}
	out := &Rows{Schema: arrow.NewSchema(fields, nil)}
	out.Batches = func(yield func(arrow.RecordBatch, error) bool) { readRows(ctx, req, out.Schema, yield) }
	return out, nil
}

// readColumns orders the columns of a read. Missing system columns read as null; other unknown ones, and repeated ones, are errors.
func readColumns(req *ReadRequest, schema *arrow.Schema) ([]string, error) {
	if len(req.Columns) > 0 {
		for i, c := range req.Columns {
			if slices.Contains(req.Columns[:i], c) {
				return nil, &InputError{Feature: "read", Column: c, Msg: "is asked for twice"}
			}
			if !schema.HasField(c) && !slices.Contains(systemColumns, c) {
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

var systemColumns = []string{colProvenanceByField, colProvenance, colFeatureVersion, colProjectVersion, colDataVersionByField, colDataVersion, colCreatedAt, colUpdatedAt, colDeletedAt, colMaterializationID}

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

// readParts are the table, or partitions of it where it does not fit memory: by id, or by unit when every row is shown.
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
	if req.SampleHistory && bytes > o.MemoryLimit {
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
	parts, err := o.partitionsFor(bytes)
	if err != nil || parts == 1 {
		return []frame.Table{t}, nil, err
	}
	s := &splitter{enc: hashjoin.NewEncoder(), opts: o, parts: parts, need: bytes}
	st, err := s.scatter(ctx, t, cols, req.Source.IDs)
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

// readPart streams the visible rows of one part; false when the consumer has enough or an error was given.
func readPart(ctx context.Context, req *ReadRequest, schema *arrow.Schema, yield func(arrow.RecordBatch, error) bool) (n int64, ok bool) {
	set, live, err := visible(ctx, req)
	if err != nil {
		yield(nil, err)
		return 0, false
	}
	defer set.close()
	var rows []int32
	for i, l := range live {
		if l && (req.Limit <= 0 || int64(len(rows)) < req.Limit) {
			rows = append(rows, int32(i))
		}
	}
	for chunk := range slices.Chunk(rows, emitRows) {
		b, err := set.batch(ctx, chunk, schemaOfTable(schema, req.Source.Table))
		if err != nil {
			yield(nil, err)
			return n, false
		}
		full := withMissing(b, schema)
		b.Release()
		n += full.NumRows()
		ok := slices64(full, yield)
		full.Release()
		if !ok {
			return n, false
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

// visible marks the rows that a read shows.
func visible(ctx context.Context, req *ReadRequest) (*rowset, []bool, error) {
	cols, err := decidingRead(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	set, err := load(ctx, req.Source.Table, cols, req.Options.Parallel)
	if err != nil {
		return nil, nil, err
	}
	var live, dead []bool
	if req.SampleHistory {
		live = make([]bool, set.rows)
		for i := range live {
			live[i] = true
		}
		_, dead = set.stamps()
	} else if live, dead, err = set.latest(hashjoin.NewEncoder(), req.Source.IDs, 0); err != nil {
		set.close()
		return nil, nil, err
	}
	if !req.SoftDeleted {
		for i, gone := range dead {
			live[i] = live[i] && !gone
		}
	}
	if err := set.filter(req.Source.Filters, same, live); err != nil {
		set.close()
		return nil, nil, err
	}
	return set, live, nil
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

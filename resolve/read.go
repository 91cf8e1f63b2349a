package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// Read plans a read and returns its stream: the newest row per id, without tombstones, that passes every filter. Nothing is read before the stream is consumed;
// it holds references and id columns, 40 bytes a row and the ids. An unknown column is a *filtereval.ColumnError or an *InputError.
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
				return nil, &InputError{Column: c, Msg: "is asked for twice"}
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
	var out []string
	for _, f := range schema.Fields() {
		if len(f.Name) > 2 && len(name) > 2 && f.Name[:3] == name[:3] {
			out = append(out, f.Name)
		}
	}
	return out[:min(3, len(out))]
}

// readRows decides which rows are visible and streams their columns.
func readRows(ctx context.Context, req *ReadRequest, schema *arrow.Schema, yield func(arrow.RecordBatch, error) bool) {
	set, live, err := visible(ctx, req)
	if err != nil {
		yield(nil, err)
		return
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
			return
		}
		full := withMissing(b, schema)
		b.Release()
		ok := slices64(full, yield)
		full.Release()
		if !ok {
			return
		}
	}
}

// visible marks the rows that a read shows.
func visible(ctx context.Context, req *ReadRequest) (*rowset, []bool, error) {
	t := req.Source.Table
	stamps, err := stampColumns(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	cols := slices.Concat(stamps, filterColumns(req.Source.Filters))
	if !req.SampleHistory {
		cols = slices.Concat(req.Source.IDs, cols)
	}
	if len(cols) == 0 {
		cols = []string{t.Schema().Field(0).Name}
	}
	set, err := load(ctx, t, unique(cols), req.Options.Parallel)
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
	} else if live, dead, err = set.latest(hashjoin.NewEncoder(), req.Source.IDs, req.Options.MemoryLimit); err != nil {
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
func schemaOfTable(s *arrow.Schema, t Table) *arrow.Schema {
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

package delta

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// changeDir holds change data files.
const changeDir = "_change_data/"

// ChangeColumn is the column of change data files that tells what became of a row: insert, update_preimage, update_postimage or delete.
const ChangeColumn = "_change_type"

// WriteChanges writes rows of the table's logical columns as change data files of one kind, a value of ChangeColumn, uncommitted.
func (t *Table) WriteChanges(ctx context.Context, snap *Snapshot, rows *Rows, kind string) ([]*txlog.CDC, error) {
	if err := rows.Check(); err != nil {
		return nil, err
	}
	w := t.newChangeWriter(ctx, &target{schema: snap.schema, partitions: snap.partitions, mapping: snap.mapping}, kind)
	if _, err := w.all(rows, NewCaster(rows.Schema, snap.schema.Arrow(), t.opts.Allocator)); err != nil {
		return nil, err
	}
	return w.changes(), nil
}

// newChangeWriter writes the rows of a target with ChangeColumn behind its columns.
func (t *Table) newChangeWriter(ctx context.Context, rows *target, kind string) *writer {
	fields := append(slices.Clone(rows.schema.Fields), Field{Name: ChangeColumn, Physical: ChangeColumn, Type: Type{Name: "string"}})
	return t.newWriter(ctx, &target{schema: &Schema{fields}, partitions: rows.partitions, mapping: rows.mapping, change: kind})
}

// changes are the files written, as actions.
func (w *writer) changes() []*txlog.CDC {
	out := make([]*txlog.CDC, len(w.adds))
	for i, a := range w.adds {
		out[i] = &txlog.CDC{Path: a.Path, PartitionValues: a.PartitionValues, Size: a.Size}
	}
	return out
}

// withKind appends ChangeColumn with one value to a batch; the caller releases it.
func withKind(b arrow.RecordBatch, kind string) arrow.RecordBatch {
	text := array.NewStringBuilder(memory.DefaultAllocator)
	defer text.Release()
	text.Reserve(int(b.NumRows()))
	for range b.NumRows() {
		text.Append(kind)
	}
	kinds := text.NewArray()
	defer kinds.Release()
	schema := arrow.NewSchema(append(slices.Clone(b.Schema().Fields()), arrow.Field{Name: ChangeColumn, Type: arrow.BinaryTypes.String}), nil)
	return array.NewRecordBatch(schema, append(slices.Clone(b.Columns()), kinds), b.NumRows())
}

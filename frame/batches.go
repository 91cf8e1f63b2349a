package frame

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
)

// Gather returns chosen rows of a batch in the order of rows, which may repeat;
// the caller releases it. It copies what is chosen of every column. An error
// names the column.
func Gather(ctx context.Context, b arrow.RecordBatch, rows []int64) (arrow.RecordBatch, error) {
	list := array.NewInt64Builder(compute.GetAllocator(ctx))
	defer list.Release()
	list.AppendValues(rows, nil)
	at := list.NewArray()
	defer at.Release()
	cols := make([]arrow.Array, b.NumCols())
	for i, c := range b.Columns() {
		var err error
		if _, null := c.(*array.Null); null {
			cols[i] = array.NewNull(len(rows))
		} else if cols[i], err = compute.TakeArray(ctx, c, at); err != nil {
			return nil, fmt.Errorf("column %s: %w", b.ColumnName(i), err)
		}
		defer cols[i].Release()
	}
	return array.NewRecordBatch(b.Schema(), cols, int64(len(rows))), nil
}

// Concat returns the rows of one or more batches of one schema as one batch; the
// caller releases it. It copies all but a single batch. An error names the column.
func Concat(ctx context.Context, list []arrow.RecordBatch) (arrow.RecordBatch, error) {
	if len(list) == 1 {
		list[0].Retain()
		return list[0], nil
	}
	cols := make([]arrow.Array, list[0].NumCols())
	rows := int64(0)
	for _, b := range list {
		rows += b.NumRows()
	}
	parts := make([]arrow.Array, len(list))
	for c := range cols {
		for i, b := range list {
			parts[i] = b.Column(c)
		}
		a, err := array.Concatenate(parts, compute.GetAllocator(ctx))
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", list[0].ColumnName(c), err)
		}
		defer a.Release()
		cols[c] = a
	}
	return array.NewRecordBatch(list[0].Schema(), cols, rows), nil
}

// Size is about how many bytes of memory the columns of a batch take.
func Size(b arrow.RecordBatch) (n int64) {
	for _, c := range b.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}

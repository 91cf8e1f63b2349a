package resolve

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// emitRows is the number of result rows that are materialised at once: late
// columns are read per so many rows.
const emitRows = 1 << 20

// batchRows is the size of the batches that leave.
const batchRows = 1 << 16

// slices64 hands a batch out in pieces; false when the consumer has enough.
func slices64(b arrow.RecordBatch, yield func(arrow.RecordBatch, error) bool) bool {
	for at := int64(0); at < b.NumRows(); at += batchRows {
		cut := b.NewSlice(at, min(b.NumRows(), at+batchRows))
		ok := frame.Give(yield, cut, cut)
		if !ok {
			return false
		}
	}
	return true
}

// readTaken reads columns of rows into one array each.
func readTaken(ctx context.Context, t frame.Table, refs []frame.Ref, names []string) ([]arrow.Array, error) {
	parts := make([][]arrow.Array, len(names))
	defer func() {
		for _, list := range parts {
			for _, a := range list {
				a.Release()
			}
		}
	}()
	for b, err := range t.Take(ctx, refs, names) {
		if err != nil {
			return nil, err
		}
		for i, c := range b.Columns() {
			c.Retain()
			parts[i] = append(parts[i], c)
		}
	}
	out := make([]arrow.Array, len(names))
	for i, list := range parts {
		if len(list) == 0 {
			return nil, errNoRows
		}
		a, err := array.Concatenate(list, memory.DefaultAllocator)
		if err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

// castTo replaces an array by one of another type, if it has to.
func castTo(ctx context.Context, a *arrow.Array, t arrow.DataType) error {
	if arrow.TypeEqual((*a).DataType(), t) {
		return nil
	}
	cast, err := compute.CastArray(ctx, *a, compute.SafeCastOptions(t))
	if err != nil {
		return err
	}
	(*a).Release()
	*a = cast
	return nil
}

// byFieldArray makes the struct or map of members; a map holds every key, with
// null values where a version is null.
func byFieldArray(t arrow.DataType, names []string, columns []arrow.Array, n int) arrow.Array {
	if st, ok := t.(*arrow.StructType); ok {
		data := make([]arrow.ArrayData, len(columns))
		for i, c := range columns {
			data[i] = c.Data()
		}
		d := array.NewData(st, n, []*memory.Buffer{nil}, data, 0, 0)
		defer d.Release()
		return array.NewStructData(d)
	}
	b := array.NewBuilder(memory.DefaultAllocator, t).(*array.MapBuilder)
	defer b.Release()
	keys, items := b.KeyBuilder().(*array.StringBuilder), b.ItemBuilder().(*array.StringBuilder)
	for i := range n {
		b.Append(true)
		for c, name := range names {
			keys.Append(name)
			col := columns[c].(*array.String)
			if col.IsNull(i) {
				items.AppendNull()
			} else {
				items.Append(col.Value(i))
			}
		}
	}
	return b.NewArray()
}

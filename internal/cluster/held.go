package cluster

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// ordered are batches of a table as units in the order of their places. Where
// they overlap they become one. It takes the batches over; rows of one place are
// damage.
func ordered(ctx context.Context, table *Table, list []arrow.RecordBatch) ([]arrow.RecordBatch, error) {
	sorted := true
	for _, b := range list {
		sorted = sorted && ascending(b)
	}
	if sorted {
		slices.SortFunc(list, func(a, b arrow.RecordBatch) int { return placeAt(a, 0).compare(placeAt(b, 0)) })
		for i := 1; i < len(list) && sorted; i++ {
			before := list[i-1]
			sorted = placeAt(before, int(before.NumRows())-1).compare(placeAt(list[i], 0)) < 0
		}
	}
	if sorted {
		return list, nil
	}
	whole, err := frame.Concat(ctx, list)
	release(list)
	if err != nil {
		return nil, err
	}
	defer whole.Release()
	order := make([]int64, whole.NumRows())
	for i := range order {
		order[i] = int64(i)
	}
	slices.SortFunc(order, func(a, b int64) int { return placeAt(whole, int(a)).compare(placeAt(whole, int(b))) })
	for i := 1; i < len(order); i++ {
		if p := placeAt(whole, int(order[i])); p.compare(placeAt(whole, int(order[i-1]))) == 0 {
			return nil, damaged("two rows of one place of %s: file %d, block %d, row %d", table.Feature, p.file, p.block, p.row)
		}
	}
	out, err := frame.Gather(ctx, whole, order)
	if err != nil {
		return nil, err
	}
	return []arrow.RecordBatch{out}, nil
}

// place is where a row stood.
type place struct {
	file       int32
	block, row int64
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.file, o.file), cmp.Compare(p.block, o.block), cmp.Compare(p.row, o.row))
}

func placeAt(b arrow.RecordBatch, i int) place {
	return place{b.Column(0).(*array.Int32).Value(i), b.Column(1).(*array.Int64).Value(i), b.Column(2).(*array.Int64).Value(i)}
}

func ascending(b arrow.RecordBatch) bool {
	for i := 1; i < int(b.NumRows()); i++ {
		if placeAt(b, i-1).compare(placeAt(b, i)) >= 0 {
			return false
		}
	}
	return true
}

// heldTable is rows in memory with the schema of a table; a column that was not
// cut is null.
type heldTable struct {
	frame.Table
	schema *arrow.Schema
	cut    *arrow.Schema
}

func newHeld(t *Table, list []arrow.RecordBatch) *heldTable {
	return &heldTable{Table: resolve.MemTable(t.cut, list), schema: t.full, cut: t.cut}
}

func (t *heldTable) Schema() *arrow.Schema { return t.schema }

func (t *heldTable) Read(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	have, at := t.split(cols)
	if len(have) == len(cols) {
		return t.Table.Read(ctx, unit, rows, cols)
	}
	return func(yield func(frame.Block, error) bool) {
		for b, err := range t.Table.Read(ctx, unit, rows, have) {
			if err != nil {
				yield(b, err)
				return
			}
			b.Batch, err = t.filled(b.Batch, cols, at)
			if err != nil {
				yield(frame.Block{}, err)
				return
			}
			if !frame.Give(yield, b, b.Batch) {
				return
			}
		}
	}
}

func (t *heldTable) Take(ctx context.Context, refs []frame.Ref, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	have, at := t.split(cols)
	if len(have) == len(cols) {
		return t.Table.Take(ctx, refs, cols)
	}
	if len(have) == 0 { // the number of rows comes with a column
		have = []string{rowColumn}
	}
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range t.Table.Take(ctx, refs, have) {
			if err == nil {
				b, err = t.filled(b, cols, at)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !frame.Give(yield, b, b) {
				return
			}
		}
	}
}

// split finds the columns that are there, and for each wanted one where it is
// among them, -1 for null.
func (t *heldTable) split(cols []string) (have []string, at []int) {
	for _, c := range cols {
		if !t.cut.HasField(c) {
			if _, err := columnType(t.schema, c); err == nil {
				at = append(at, -1)
				continue
			}
		}
		at = append(at, len(have))
		have = append(have, c)
	}
	return have, at
}

// filled has nulls for the columns that are not there; the caller releases it.
func (t *heldTable) filled(b arrow.RecordBatch, cols []string, at []int) (arrow.RecordBatch, error) {
	fields, arrays := make([]arrow.Field, len(cols)), make([]arrow.Array, len(cols))
	for i, c := range cols {
		if at[i] >= 0 {
			fields[i], arrays[i] = b.Schema().Field(at[i]), b.Column(at[i])
			continue
		}
		typ, err := columnType(t.schema, c)
		if err != nil {
			return nil, err
		}
		a := array.MakeArrayOfNull(memory.DefaultAllocator, typ, int(b.NumRows()))
		defer a.Release()
		fields[i], arrays[i] = arrow.Field{Name: c, Type: typ, Nullable: true}, a
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, b.NumRows()), nil
}

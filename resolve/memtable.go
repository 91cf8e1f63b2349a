package resolve

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
)

// MemTable is a table over batches in memory, one unit each, for stores that
// are not Delta and for tests. It keeps the batches as they are; who made them
// releases them.
func MemTable(schema *arrow.Schema, batches []arrow.RecordBatch) frame.Table {
	return &memTable{schema, batches}
}

type memTable struct {
	schema  *arrow.Schema
	batches []arrow.RecordBatch
}

func (t *memTable) Schema() *arrow.Schema { return t.schema }

func (t *memTable) Units(context.Context) ([]frame.Unit, error) {
	out := make([]frame.Unit, len(t.batches))
	for i, b := range t.batches {
		out[i] = frame.Unit{Rows: b.NumRows(), Stats: func(string) (filter.Range, bool) { return filter.Range{}, false }}
	}
	return out, nil
}

func (t *memTable) Read(_ context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		b := t.batches[unit]
		out, err := project(b, cols)
		if err != nil {
			yield(frame.Block{}, err)
			return
		}
		defer out.Release()
		from := min(rows.From, b.NumRows())
		cut := out.NewSlice(from, min(rows.To, b.NumRows()))
		defer cut.Release()
		if cut.NumRows() > 0 {
			yield(frame.Block{Batch: cut, First: from}, nil)
		}
	}
}

func (t *memTable) Take(ctx context.Context, refs []frame.Ref, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for len(refs) > 0 {
			u := refs[0].Unit()
			n, _ := slices.BinarySearch(refs, frame.RefOf(u+1, 0))
			b, err := project(t.batches[u], cols)
			if err != nil {
				yield(nil, err)
				return
			}
			idx := make([]int64, n)
			for i, r := range refs[:n] {
				idx[i] = r.Row()
			}
			out, err := takeBatch(ctx, b, idx)
			b.Release()
			if err != nil {
				yield(nil, err)
				return
			}
			ok := frame.Give(yield, out, out)
			if !ok {
				return
			}
			refs = refs[n:]
		}
	}
}

// project gives columns by name, members as "a.b"; the caller releases it.
func project(b arrow.RecordBatch, cols []string) (arrow.RecordBatch, error) {
	arrays := make([]arrow.Array, len(cols))
	fields := make([]arrow.Field, len(cols))
	defer func() {
		for _, a := range arrays {
			if a != nil {
				a.Release()
			}
		}
	}()
	for i, name := range cols {
		a, err := columnOf(b, name)
		if err != nil {
			return nil, err
		}
		arrays[i] = a
		fields[i] = arrow.Field{Name: name, Type: a.DataType(), Nullable: true}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, b.NumRows()), nil
}

// columnOf finds a column, or a member of a struct or a key of a map behind a
// dot; the caller releases it.
func columnOf(b arrow.RecordBatch, name string) (arrow.Array, error) {
	if i := b.Schema().FieldIndices(name); len(i) > 0 {
		a := b.Column(i[0])
		a.Retain()
		return a, nil
	}
	top, rest, ok := strings.Cut(name, ".")
	i := b.Schema().FieldIndices(top)
	if !ok || len(i) == 0 {
		return nil, fmt.Errorf("no column %q", name)
	}
	return memberOf(b.Column(i[0]), rest)
}

// memberOf is a member of a struct, or the values of a key of a map of strings,
// null where the whole is; the caller releases it.
func memberOf(a arrow.Array, name string) (arrow.Array, error) {
	switch a := a.(type) {
	case *array.Struct:
		i, ok := a.DataType().(*arrow.StructType).FieldIdx(name)
		if !ok {
			return nil, fmt.Errorf("no member %q", name)
		}
		if a.NullN() == 0 {
			f := a.Field(i)
			f.Retain()
			return f, nil
		}
		return maskedText(a, a.Field(i))
	case *array.Map:
		return mapText(a, name), nil
	}
	return nil, fmt.Errorf("no member %q in %s", name, a.DataType())
}

// maskedText is a text member whose struct has nulls.
func maskedText(parent arrow.Array, a arrow.Array) (arrow.Array, error) {
	text, err := textOf(a)
	if err != nil {
		return nil, err
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if parent.IsNull(i) || text.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(text.Value(i))
	}
	return b.NewArray(), nil
}

func mapText(m *array.Map, key string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	keys, errK := textOf(m.Keys())
	items, errI := textOf(m.Items())
	for i := range m.Len() {
		found := -1
		if m.IsValid(i) && errK == nil && errI == nil {
			start, end := m.ValueOffsets(i)
			for j := int(start); j < int(end); j++ {
				if keys.Value(j) == key {
					found = j
				}
			}
		}
		if found < 0 || items.IsNull(found) {
			b.AppendNull()
			continue
		}
		b.Append(items.Value(found))
	}
	return b.NewArray()
}

// texts is an array read as text.
type texts interface {
	IsNull(i int) bool
	Value(i int) string
}

// textOf reads an array as text; values that are no strings give their text.
func textOf(a arrow.Array) (texts, error) {
	switch a := a.(type) {
	case *array.String:
		return a, nil
	case *array.LargeString:
		return a, nil
	case *array.StringView:
		return a, nil
	case *array.Null:
		return allNull{}, nil
	case *array.Dictionary:
		inner, err := textOf(a.Dictionary())
		return dictText{a, inner}, err
	}
	if _, nested := a.DataType().(arrow.NestedType); nested {
		return nil, fmt.Errorf("a text is wanted, not %s", a.DataType())
	}
	return otherText{a}, nil
}

type allNull struct{}

func (allNull) IsNull(int) bool  { return true }
func (allNull) Value(int) string { return "" }

type dictText struct {
	*array.Dictionary
	inner texts
}

func (d dictText) Value(i int) string { return d.inner.Value(d.GetValueIndex(i)) }

type otherText struct{ arrow.Array }

func (o otherText) Value(i int) string { return o.ValueStr(i) }

// takeArray gathers rows; a negative index gives null. The caller releases it.
func takeArray(ctx context.Context, a arrow.Array, idx []int64) (arrow.Array, error) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(len(idx))
	for _, i := range idx {
		if i < 0 {
			b.UnsafeAppendBoolToBitmap(false)
			continue
		}
		b.UnsafeAppend(i)
	}
	indices := b.NewArray()
	defer indices.Release()
	switch v := a.(type) {
	case *array.StringView, *array.LargeString:
		plain, err := plainText(v)
		if err != nil {
			return nil, err
		}
		defer plain.Release()
		a = plain
	case *array.Null:
		return array.NewNull(len(idx)), nil
	}
	return compute.TakeArray(ctx, a, indices)
}

func plainText(a arrow.Array) (arrow.Array, error) {
	t, err := textOf(a)
	if err != nil {
		return nil, err
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range a.Len() {
		if t.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(t.Value(i))
	}
	return b.NewArray(), nil
}

func takeBatch(ctx context.Context, b arrow.RecordBatch, idx []int64) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, b.NumCols())
	fields := b.Schema().Fields()
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, c := range b.Columns() {
		a, err := takeArray(ctx, c, idx)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", b.ColumnName(i), err)
		}
		cols[i], fields[i].Type = a, a.DataType() // texts of other layouts become plain
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(len(idx))), nil
}

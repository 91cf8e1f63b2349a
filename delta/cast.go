package delta

import (
	"context"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/internal/declared"
)

// Caster brings batches to the columns and types of another schema, as delta-rs does when it appends: whatever has a value of the wanted type is converted, lossy
// conversions of numbers are counted, missing columns and members are null, anything else is an error naming the column. It is not safe for concurrent use.
type Caster struct {
	from, to *arrow.Schema
	source   []int // column of the batch for each wanted one, -1 = all null
	mem      memory.Allocator
	rows     int64 // converted so far
	lossy    map[string]int64
}

// NewCaster prepares a conversion.
func NewCaster(from, to *arrow.Schema, mem memory.Allocator) *Caster {
	c := &Caster{from: from, to: to, mem: mem, lossy: map[string]int64{}}
	for _, f := range to.Fields() {
		c.source = append(c.source, columnIndex(from, f.Name))
	}
	return c
}

func columnIndex(s *arrow.Schema, name string) int {
	if i := s.FieldIndices(name); len(i) > 0 {
		return i[0]
	}
	return -1
}

// warnings tells what was lost.
func (c *Caster) warnings() []Warning {
	var out []Warning
	for _, col := range sortedKeys(c.lossy) {
		out = append(out, Warning{"LOSSY_CAST", fmt.Sprintf("column %s: %d values changed by the conversion to the table's type", col, c.lossy[col])})
	}
	return out
}

// Batch converts; the caller releases the result. A batch that is not of the schema to convert from is a *SchemaError.
func (c *Caster) Batch(ctx context.Context, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	if f := declared.Batch(c.from, b, c.rows); f != nil {
		return nil, undeclared(f)
	}
	c.rows += b.NumRows()
	cols := make([]arrow.Array, len(c.source))
	defer func() {
		for _, a := range cols {
			if a != nil {
				a.Release()
			}
		}
	}()
	for i, src := range c.source {
		f := c.to.Field(i)
		if src < 0 {
			cols[i] = array.MakeArrayOfNull(c.mem, f.Type, int(b.NumRows()))
			continue
		}
		a, err := c.array(ctx, b.Column(src), f.Type, f.Name)
		if err != nil {
			return nil, err
		}
		cols[i] = a
	}
	return array.NewRecordBatch(c.to, cols, b.NumRows()), nil
}

func (c *Caster) array(ctx context.Context, a arrow.Array, to arrow.DataType, path string) (arrow.Array, error) {
	if d, ok := a.(*array.Dictionary); ok {
		plain, err := compute.TakeArray(ctx, d.Dictionary(), d.Indices())
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", path, err)
		}
		defer plain.Release()
		return c.array(ctx, plain, to, path)
	}
	if arrow.TypeEqual(a.DataType(), to) {
		a.Retain()
		return a, nil
	}
	if a.DataType().ID() == arrow.NULL {
		return array.MakeArrayOfNull(c.mem, to, a.Len()), nil
	}
	switch to := to.(type) {
	case *arrow.StructType:
		if st, ok := a.(*array.Struct); ok {
			return c.structure(ctx, st, to, path)
		}
	case *arrow.MapType:
		if m, ok := a.(*array.Map); ok {
			return c.mapping(ctx, m, to, path)
		}
	case *arrow.ListType:
		if l, ok := a.(array.ListLike); ok && a.DataType().ID() != arrow.MAP {
			return c.list(ctx, l, to, path)
		}
	default:
		return c.primitive(ctx, a, to, path)
	}
	return nil, &SchemaError{Column: path, Want: to.String(), Got: a.DataType().String()}
}

func (c *Caster) structure(ctx context.Context, a *array.Struct, to *arrow.StructType, path string) (arrow.Array, error) {
	from := a.DataType().(*arrow.StructType)
	children := make([]arrow.ArrayData, 0, to.NumFields())
	for _, f := range to.Fields() {
		i, ok := from.FieldIdx(f.Name)
		var child arrow.Array
		if !ok {
			child = array.MakeArrayOfNull(c.mem, f.Type, a.Len())
		} else {
			var err error
			if child, err = c.array(ctx, a.Field(i), f.Type, path+"."+f.Name); err != nil {
				return nil, err
			}
		}
		defer child.Release()
		children = append(children, child.Data())
	}
	validity := rebased(c.mem, a)
	defer releaseBuffer(validity)
	data := array.NewData(to, a.Len(), []*memory.Buffer{validity}, children, a.NullN(), 0)
	defer data.Release()
	return array.NewStructData(data), nil
}

// rebased is the validity bitmap of an array from bit 0; nil when nothing is null.
func rebased(mem memory.Allocator, a arrow.Array) *memory.Buffer {
	if a.NullN() == 0 {
		return nil
	}
	buf := memory.NewResizableBuffer(mem)
	buf.Resize((a.Len() + 7) / 8)
	bits := buf.Bytes()
	clear(bits)
	for i := range a.Len() {
		if a.IsValid(i) {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return buf
}

func releaseBuffer(b *memory.Buffer) {
	if b != nil {
		b.Release()
	}
}

// list copies element ranges into a list of the wanted element type.
func (c *Caster) list(ctx context.Context, a array.ListLike, to *arrow.ListType, path string) (arrow.Array, error) {
	values := a.ListValues()
	first, last := int64(0), int64(0)
	offsets := make([]int32, a.Len()+1)
	for i := range a.Len() {
		start, end := a.ValueOffsets(i)
		if i == 0 {
			first, last = start, start
		}
		if !a.IsNull(i) && start != last {
			return c.gatherList(ctx, a, to, path)
		}
		if !a.IsNull(i) {
			last = end
		}
		offsets[i+1] = int32(last - first)
	}
	slice := array.NewSlice(values, first, last)
	defer slice.Release()
	elem, err := c.array(ctx, slice, to.Elem(), path+".element")
	if err != nil {
		return nil, err
	}
	defer elem.Release()
	validity := rebased(c.mem, a)
	defer releaseBuffer(validity)
	data := array.NewData(to, a.Len(), []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))}, []arrow.ArrayData{elem.Data()}, a.NullN(), 0)
	defer data.Release()
	return array.NewListData(data), nil
}

// gatherList handles lists whose elements do not lie one after another (views, null fixed-size lists).
func (c *Caster) gatherList(ctx context.Context, a array.ListLike, to *arrow.ListType, path string) (arrow.Array, error) {
	idx := array.NewInt64Builder(c.mem)
	defer idx.Release()
	offsets := make([]int32, a.Len()+1)
	n := int32(0)
	for i := range a.Len() {
		if !a.IsNull(i) {
			start, end := a.ValueOffsets(i)
			for ; start < end; start++ {
				idx.Append(start)
				n++
			}
		}
		offsets[i+1] = n
	}
	indices := idx.NewArray()
	defer indices.Release()
	taken, err := compute.TakeArray(ctx, a.ListValues(), indices)
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", path, err)
	}
	defer taken.Release()
	elem, err := c.array(ctx, taken, to.Elem(), path+".element")
	if err != nil {
		return nil, err
	}
	defer elem.Release()
	validity := rebased(c.mem, a)
	defer releaseBuffer(validity)
	data := array.NewData(to, a.Len(), []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))}, []arrow.ArrayData{elem.Data()}, a.NullN(), 0)
	defer data.Release()
	return array.NewListData(data), nil
}

func (c *Caster) mapping(ctx context.Context, a *array.Map, to *arrow.MapType, path string) (arrow.Array, error) {
	start, end := int64(0), int64(0)
	offsets := make([]int32, a.Len()+1)
	if a.Len() > 0 {
		start, _ = a.ValueOffsets(0)
		end = start
	}
	for i := range a.Len() {
		if _, e := a.ValueOffsets(i); !a.IsNull(i) {
			end = e
		}
		offsets[i+1] = int32(end - start)
	}
	keys, items := array.NewSlice(a.Keys(), start, end), array.NewSlice(a.Items(), start, end)
	defer keys.Release()
	defer items.Release()
	k, err := c.array(ctx, keys, to.KeyType(), path+".key")
	if err != nil {
		return nil, err
	}
	defer k.Release()
	v, err := c.array(ctx, items, to.ItemType(), path+".value")
	if err != nil {
		return nil, err
	}
	defer v.Release()
	entries := array.NewData(to.Elem(), k.Len(), []*memory.Buffer{nil}, []arrow.ArrayData{k.Data(), v.Data()}, 0, 0)
	defer entries.Release()
	validity := rebased(c.mem, a)
	defer releaseBuffer(validity)
	data := array.NewData(to, a.Len(), []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))}, []arrow.ArrayData{entries}, a.NullN(), 0)
	defer data.Release()
	return array.NewMapData(data), nil
}

// primitive converts flat arrays. Timestamps of any zone are the same instants; between naive and zoned the wall clock stays.
func (c *Caster) primitive(ctx context.Context, a arrow.Array, to arrow.DataType, path string) (arrow.Array, error) {
	if from, ok := a.DataType().(*arrow.TimestampType); ok {
		if target, ok := to.(*arrow.TimestampType); ok {
			if (from.TimeZone == "") != (target.TimeZone == "") {
				c.lossy[path] += int64(a.Len() - a.NullN())
			}
			a = relabel(a, &arrow.TimestampType{Unit: from.Unit, TimeZone: target.TimeZone})
			defer a.Release()
			if from.Unit == target.Unit {
				a.Retain()
				return a, nil
			}
		}
	}
	if view, ok := a.(*array.StringView); ok && to.ID() == arrow.STRING {
		return viewText(c.mem, view), nil
	}
	if a.DataType().ID() == arrow.BOOL && isFloat(to) || isFloat(a.DataType()) && to.ID() == arrow.BOOL {
		middle, err := c.primitive(ctx, a, arrow.PrimitiveTypes.Int64, path)
		if err != nil {
			return nil, err
		}
		defer middle.Release()
		return c.primitive(ctx, middle, to, path)
	}
	c.countLoss(a, to, path)
	opts := compute.SafeCastOptions(to)
	opts.AllowFloatTruncate, opts.AllowTimeTruncate = true, true
	out, err := compute.CastArray(ctx, a, opts)
	if err != nil {
		return nil, &SchemaError{Column: path, Want: to.String(), Got: a.DataType().String() + " (" + err.Error() + ")"}
	}
	return out, nil
}

func isFloat(t arrow.DataType) bool { return t.ID() == arrow.FLOAT32 || t.ID() == arrow.FLOAT64 }

func relabel(a arrow.Array, t arrow.DataType) arrow.Array {
	d := a.Data()
	data := array.NewData(t, d.Len(), d.Buffers(), d.Children(), d.NullN(), d.Offset())
	defer data.Release()
	return array.MakeFromData(data)
}

// viewText copies string views into plain strings, which is what Parquet is written from.
func viewText(mem memory.Allocator, a *array.StringView) arrow.Array {
	b := array.NewStringBuilder(mem)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(a.Value(i))
	}
	return b.NewArray()
}

// countLoss counts floats that lose their fraction or become infinite.
func (c *Caster) countLoss(a arrow.Array, to arrow.DataType, path string) {
	var value func(int) float64
	switch a := a.(type) {
	case *array.Float64:
		value = a.Value
	case *array.Float32:
		value = func(i int) float64 { return float64(a.Value(i)) }
	default:
		return
	}
	narrow := to.ID() == arrow.FLOAT32
	if !narrow && !arrow.IsInteger(to.ID()) {
		return
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			continue
		}
		v := value(i)
		if narrow && !math.IsInf(v, 0) && math.IsInf(float64(float32(v)), 0) || !narrow && v != math.Trunc(v) {
			c.lossy[path]++
		}
	}
}

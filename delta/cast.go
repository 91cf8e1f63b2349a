package delta

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/internal/declared"
)

// Caster brings batches to the columns and types of another schema, as an append does: columns and members are found by name, without case where no name is
// the very same; those that are missing are null; values are converted exactly, or with a loss that is counted, or refused by column, value and row. The
// table of conversions is internal/docs/casts.md. It is not safe for concurrent use.
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
		c.source = append(c.source, indexOf(from.Fields(), f.Name))
	}
	return c
}

// indexOf finds a field by its very name, else by one that differs in case alone if there is only one; -1 when there is none.
func indexOf(fields []arrow.Field, name string) int {
	found := -1
	for i := range fields {
		if fields[i].Name == name {
			return i
		}
		if strings.EqualFold(fields[i].Name, name) {
			if found >= 0 {
				found = len(fields)
			} else {
				found = i
			}
		}
	}
	if found == len(fields) {
		return -1
	}
	return found
}

// warnings tells what was lost.
func (c *Caster) warnings() []Warning {
	var out []Warning
	for _, col := range sortedKeys(c.lossy) {
		out = append(out, Warning{"LOSSY_CAST", fmt.Sprintf("column %s: %d values changed by the conversion to the table's type", col, c.lossy[col])})
	}
	return out
}

// place is where values stand: the path of their column, and the row of the stream for each of them.
type place struct {
	path string
	row  func(i int) int64
}

func (p place) member(name string) place { return place{p.path + "." + name, p.row} }

// inside is the place of what lists hold: offsets are the ends of the lists among their elements.
func (p place) inside(name string, offsets []int32) place {
	return place{p.path + "." + name, func(i int) int64 {
		list, _ := slices.BinarySearch(offsets[1:], int32(i)+1)
		return p.row(list)
	}}
}

// Batch converts; the caller releases the result. A batch that is not of the schema to convert from is a *SchemaError.
func (c *Caster) Batch(ctx context.Context, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	if f := declared.Batch(c.from, b, c.rows); f != nil {
		return nil, undeclared(f)
	}
	before := c.rows
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
		a, err := c.array(ctx, b.Column(src), f.Type, place{f.Name, func(i int) int64 { return before + int64(i) + 1 }})
		if err != nil {
			return nil, err
		}
		cols[i] = a
	}
	return array.NewRecordBatch(c.to, cols, b.NumRows()), nil
}

func (c *Caster) array(ctx context.Context, a arrow.Array, to arrow.DataType, at place) (arrow.Array, error) {
	if d, ok := a.(*array.Dictionary); ok {
		plain, err := compute.TakeArray(ctx, d.Dictionary(), d.Indices())
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", at.path, err)
		}
		defer plain.Release()
		return c.array(ctx, plain, to, at)
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
			return c.structure(ctx, st, to, at)
		}
	case *arrow.MapType:
		if m, ok := a.(*array.Map); ok {
			return c.mapping(ctx, m, to, at)
		}
	case *arrow.ListType:
		if l, ok := a.(array.ListLike); ok && a.DataType().ID() != arrow.MAP {
			return c.list(ctx, l, to, at)
		}
	default:
		return c.flat(a, to, at)
	}
	return nil, &SchemaError{Column: at.path, Want: nameOf(to), Got: nameOf(a.DataType())}
}

func (c *Caster) structure(ctx context.Context, a *array.Struct, to *arrow.StructType, at place) (arrow.Array, error) {
	from := a.DataType().(*arrow.StructType)
	children := make([]arrow.ArrayData, 0, to.NumFields())
	for _, f := range to.Fields() {
		var child arrow.Array
		if i := indexOf(from.Fields(), f.Name); i < 0 {
			child = array.MakeArrayOfNull(c.mem, f.Type, a.Len())
		} else {
			own := underNulls(c.mem, a, a.Field(i))
			var err error
			child, err = c.array(ctx, own, f.Type, at.member(f.Name))
			own.Release()
			if err != nil {
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

// underNulls is a member of a struct with the struct's nulls as its own: what stands under them is no value.
func underNulls(mem memory.Allocator, parent *array.Struct, child arrow.Array) arrow.Array {
	if parent.NullN() == 0 || child.DataType().ID() == arrow.NULL {
		child.Retain()
		return child
	}
	d := child.Data()
	buf := memory.NewResizableBuffer(mem)
	defer buf.Release()
	buf.Resize((d.Offset() + child.Len() + 7) / 8)
	bits := buf.Bytes()
	clear(bits)
	nulls := 0
	for i := range child.Len() {
		if parent.IsValid(i) && child.IsValid(i) {
			at := d.Offset() + i
			bits[at/8] |= 1 << (at % 8)
		} else {
			nulls++
		}
	}
	buffers := slices.Clone(d.Buffers())
	buffers[0] = buf
	data := array.NewData(d.DataType(), child.Len(), buffers, d.Children(), nulls, d.Offset())
	defer data.Release()
	if dict := d.Dictionary(); dict != nil {
		data.SetDictionary(dict)
	}
	return array.MakeFromData(data)
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

// elements are what the lists that are not null hold, one after another, with the end of each list among them; the caller releases them.
func (c *Caster) elements(ctx context.Context, a array.ListLike, at place) (arrow.Array, []int32, error) {
	first, last := int64(0), int64(0)
	offsets := make([]int32, a.Len()+1)
	for i := range a.Len() {
		if a.IsNull(i) {
			offsets[i+1] = offsets[i]
			continue
		}
		start, end := a.ValueOffsets(i)
		if first == last {
			first, last = start, start // nothing was before
		}
		if start != last && start != end {
			return c.gathered(ctx, a, at)
		}
		if start != end {
			last = end
		}
		offsets[i+1] = int32(last - first)
	}
	return array.NewSlice(a.ListValues(), first, last), offsets, nil
}

// gathered are elements that do not lie one after another: those of views, or of lists with something under a null.
func (c *Caster) gathered(ctx context.Context, a array.ListLike, at place) (arrow.Array, []int32, error) {
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
		return nil, nil, fmt.Errorf("column %s: %w", at.path, err)
	}
	return taken, offsets, nil
}

func (c *Caster) list(ctx context.Context, a array.ListLike, to *arrow.ListType, at place) (arrow.Array, error) {
	values, offsets, err := c.elements(ctx, a, at)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	elem, err := c.array(ctx, values, to.Elem(), at.inside("element", offsets))
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

func (c *Caster) mapping(ctx context.Context, a *array.Map, to *arrow.MapType, at place) (arrow.Array, error) {
	values, offsets, err := c.elements(ctx, a, at)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	pairs := values.(*array.Struct)
	k, err := c.array(ctx, pairs.Field(0), to.KeyType(), at.inside("key", offsets))
	if err != nil {
		return nil, err
	}
	defer k.Release()
	v, err := c.array(ctx, pairs.Field(1), to.ItemType(), at.inside("value", offsets))
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

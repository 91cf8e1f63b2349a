package rowio

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"
)

// mapOf is a map with the offsets and nulls of a list.
func mapOf(to *arrow.MapType, a, keys, items arrow.Array, k, v convert) (arrow.Array, error) {
	plainKeys, err := applied(keys, k)
	if err != nil {
		return nil, err
	}
	defer plainKeys.Release()
	plainItems, err := applied(items, v)
	if err != nil {
		return nil, err
	}
	defer plainItems.Release()
	entries := array.NewData(to.Elem(), plainKeys.Len(), []*memory.Buffer{nil}, []arrow.ArrayData{plainKeys.Data(), plainItems.Data()}, 0, 0)
	defer entries.Release()
	return built(to, a, offsetsOf(a), []arrow.ArrayData{entries}), nil
}

// offsetsOf is the buffer of where each list begins, from its first on.
func offsetsOf(a arrow.Array) *memory.Buffer {
	starts := make([]int32, a.Len()+1)
	l := a.(interface{ ValueOffsets(int) (int64, int64) })
	for i := range a.Len() {
		from, end := l.ValueOffsets(i)
		starts[i], starts[i+1] = int32(from), int32(end)
	}
	return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(starts))
}

// built is an array of other children with the nulls of a.
func built(to arrow.DataType, a arrow.Array, offsets *memory.Buffer, children []arrow.ArrayData) arrow.Array {
	buffers := []*memory.Buffer{validity(a)}
	if offsets != nil {
		buffers = append(buffers, offsets)
	}
	data := array.NewData(to, a.Len(), buffers, children, a.NullN(), 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// validity is the bitmap of what is not null, from bit 0; nil when all is.
func validity(a arrow.Array) *memory.Buffer {
	if a.NullN() == 0 {
		return nil
	}
	bits := make([]byte, (a.Len()+7)/8)
	for i := range a.Len() {
		if a.IsValid(i) {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return memory.NewBufferBytes(bits)
}

// gathered makes lists whose elements lie one after another out of lists of any
// kind.
func gathered(a array.ListLike, elem arrow.DataType, then convert) (arrow.Array, error) {
	values, err := applied(a.ListValues(), then)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	var parts []arrow.Array
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	starts := make([]int32, a.Len()+1)
	total, from, end := int64(0), int64(0), int64(0) // [from, end) is the part that grows
	for i := range a.Len() {
		if a.IsValid(i) {
			s, e := a.ValueOffsets(i)
			if s != end && end > from {
				parts = append(parts, array.NewSlice(values, from, end))
			}
			if s != end {
				from = s
			}
			end, total = e, total+e-s
		}
		if total > 1<<31-1 {
			return nil, errors.New("more than 2,147,483,647 elements in one batch: want smaller batches")
		}
		starts[i+1] = int32(total)
	}
	parts = append(parts, array.NewSlice(values, from, end))
	joined, err := array.Concatenate(parts, memory.DefaultAllocator)
	if err != nil {
		return nil, plainWords(err)
	}
	defer joined.Release()
	return built(arrow.ListOf(elem), a, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(starts)), []arrow.ArrayData{joined.Data()}), nil
}

func texts(a arrow.Array) (arrow.Array, error) {
	in := a.(array.StringLike)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(a.Len())
	size := 0
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		v := in.Value(i)
		if size += len(v); size > 1<<31-1 {
			return nil, errors.New("more than 2 GiB of texts in one batch: want smaller batches")
		}
		b.Append(v)
	}
	return b.NewArray(), nil
}

func blobs(a arrow.Array) (arrow.Array, error) {
	in := a.(interface{ Value(int) []byte })
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	defer b.Release()
	b.Reserve(a.Len())
	f, fixed := a.DataType().(*arrow.FixedSizeBinaryType)
	size := 0
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		var v []byte
		if !fixed || f.ByteWidth > 0 {
			v = in.Value(i)
		}
		if size += len(v); size > 1<<31-1 {
			return nil, errors.New("more than 2 GiB of bytes in one batch: want smaller batches")
		}
		b.Append(v)
	}
	return b.NewArray(), nil
}

// bytesAsText takes bytes for the text that they are.
func bytesAsText(a arrow.Array) (arrow.Array, error) {
	d := a.Data()
	data := array.NewData(arrow.BinaryTypes.String, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
	defer data.Release()
	return array.NewStringData(data), nil
}

func uuids(a arrow.Array) (arrow.Array, error) {
	if ext, ok := a.(array.ExtensionArray); ok {
		a = ext.Storage()
	}
	in, ok := a.(*array.FixedSizeBinary)
	if !ok {
		return nil, fmt.Errorf("want UUIDs as 16 bytes, got %s", a.DataType())
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
			continue
		}
		id, err := uuid.FromBytes(in.Value(i))
		if err != nil {
			return nil, fmt.Errorf("want UUIDs of 16 bytes, got %d", len(in.Value(i)))
		}
		b.Append(id.String())
	}
	return b.NewArray(), nil
}

func bytesAsBooleans(a arrow.Array) (arrow.Array, error) {
	if ext, ok := a.(array.ExtensionArray); ok {
		a = ext.Storage()
	}
	in, ok := a.(*array.Int8)
	if !ok {
		return nil, fmt.Errorf("want booleans as bytes, got %s", a.DataType())
	}
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(in.Value(i) != 0)
	}
	return b.NewArray(), nil
}

func halves(a arrow.Array) (arrow.Array, error) {
	in := a.(*array.Float16)
	b := array.NewFloat32Builder(memory.DefaultAllocator)
	defer b.Release()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(in.Value(i).Float32())
	}
	return b.NewArray(), nil
}

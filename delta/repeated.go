package delta

import (
	"bytes"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
)

// repeated writes a column of one value as a dictionary of one entry, which
// costs nothing a row; the library would look each row up. The zero value is
// ready.
type repeated struct {
	value arrow.Array // nil: none yet
	bytes string      // its
	mixed bool        // rows have come in another way
}

// dictionary is what an encoder of the library can do that has one.
type dictionary interface {
	PutDictionary(arrow.Array) error
	NumEntries() int
}

// write writes the rows of a batch when all are the one value; false: it did
// nothing. Once rows went into the dictionary in another way it takes no more.
func (r *repeated) write(to file.ColumnChunkWriter, a arrow.Array, levels []int16, whole bool) (bool, error) {
	if r.mixed || a.NullN() == a.Len() {
		return false, nil
	}
	d, ok := to.CurrentEncoder().(dictionary)
	if !ok || !whole || !r.takes(a) || d.NumEntries() > 1 {
		r.mixed = true
		return false, nil
	}
	if d.NumEntries() == 0 {
		if err := d.PutDictionary(r.value); err != nil {
			return false, err
		}
	}
	if st := to.PageStatistics(); st != nil {
		st.IncNumValues(int64(a.Len()))
		if err := st.UpdateFromArrow(r.value, false); err != nil {
			return false, err
		}
	}
	index := zeros(a.Len())
	defer index.Release()
	return true, to.WriteDictIndices(index, levels, nil)
}

// takes reports whether all rows are the value, which the first batch sets.
func (r *repeated) takes(a arrow.Array) bool {
	v, ok := oneValue(a)
	if !ok || r.value != nil && string(v) != r.bytes {
		return false
	}
	if r.value == nil {
		r.value, r.bytes = storedValue(a.DataType(), v), string(v)
	}
	return true
}

func zeros(n int) arrow.Array {
	d := array.NewData(arrow.PrimitiveTypes.Int32, n, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, n*arrow.Int32SizeBytes))}, nil, 0, 0)
	defer d.Release()
	return array.MakeFromData(d)
}

// oneValue returns the bytes of the value that all rows have. Nulls, no rows
// and types that are no integers, times or texts have none, nor have empty
// texts, which the library leaves out of the statistics of a dictionary.
func oneValue(a arrow.Array) ([]byte, bool) {
	if a.Len() == 0 || a.NullN() > 0 {
		return nil, false
	}
	data, width, ok := plainValues(a)
	if !ok || width == 0 {
		return nil, false
	}
	return data[:width], bytes.Equal(data[width:], data[:len(data)-width])
}

// plainValues returns the values of an array without nulls, all of which have
// one width; false when they have not.
func plainValues(a arrow.Array) (data []byte, width int, ok bool) {
	if s, text := a.(*array.String); text {
		offsets := s.ValueOffsets()
		width := offsets[1] - offsets[0]
		for i, o := range offsets[1:] {
			if o-offsets[i] != width {
				return nil, 0, false
			}
		}
		return s.ValueBytes(), int(width), true
	}
	width = storedWidth(a.DataType())
	if width == 0 {
		return nil, 0, false
	}
	from := a.Data().Offset() * width
	return a.Data().Buffers()[1].Bytes()[from : from+a.Len()*width], width, true
}

// storedWidth returns the bytes of a type whose values are stored as integers of
// the same width; 0 for others.
func storedWidth(t arrow.DataType) int {
	switch t.ID() {
	case arrow.INT64, arrow.TIMESTAMP:
		return arrow.Int64SizeBytes
	case arrow.INT32, arrow.DATE32:
		return arrow.Int32SizeBytes
	}
	return 0
}

// storedValue is an array of one value, as the file stores it.
func storedValue(t arrow.DataType, value []byte) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(slices.Clone(value))}
	switch storedWidth(t) {
	case arrow.Int64SizeBytes:
		t = arrow.PrimitiveTypes.Int64
	case arrow.Int32SizeBytes:
		t = arrow.PrimitiveTypes.Int32
	default:
		offsets := arrow.Int32Traits.CastToBytes([]int32{0, int32(len(value))})
		buffers = []*memory.Buffer{nil, memory.NewBufferBytes(offsets), buffers[1]}
	}
	one := array.NewData(t, 1, buffers, nil, 0, 0)
	defer one.Release()
	return array.MakeFromData(one)
}

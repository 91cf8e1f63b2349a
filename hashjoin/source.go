package hashjoin

import (
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// source reads one key column of a batch in blocks: as words where values have a
// fixed width, as strings otherwise.
type source struct {
	column *keyColumn
	array  arrow.Array
	factor int64 // from the array's unit to the layout's

	// unsigned says that a word with the highest bit stands for a large number
	// and not for a negative one.
	unsigned bool

	// A dictionary's values in either form, and which of them are null.
	dictionary *array.Dictionary
	values     []uint64
	texts      []string
	null       []uint64
}

// inWords reports whether values have a fixed width.
func (c *keyColumn) inWords() bool {
	return c.class != classBytes && c.class != classDecimal && c.class != classNested
}

// open points the source at an array.
func (s *source) open(a arrow.Array, column *keyColumn) error {
	if e, ok := a.(array.ExtensionArray); ok {
		return s.open(e.Storage(), column)
	}
	c, err := keyColumnOf(a.DataType())
	if err != nil {
		return err
	}
	if c.class != classNull && (c.class != column.class || c.scale != column.scale || c.shape != column.shape || c.signed && !column.signed || c.large && !column.large || c.tick < column.tick) {
		return fmt.Errorf("a column of type %s, the layout was made for %s", a.DataType(), column.typ)
	}
	*s = source{column: column, array: a, factor: 1, unsigned: c.large}
	if column.tick > 0 && c.class != classNull {
		s.factor = c.tick / column.tick
	}
	d, ok := a.(*array.Dictionary)
	if !ok {
		return nil
	}
	inner := source{}
	if err := inner.open(d.Dictionary(), column); err != nil {
		return err
	}
	n := d.Dictionary().Len()
	s.dictionary, s.null = d, make([]uint64, (n+63)/64)
	if !inner.nulls(0, n, s.null) {
		s.null = nil
	}
	if column.inWords() {
		s.values = make([]uint64, n)
		return inner.words(0, s.values)
	}
	s.texts = make([]string, n)
	inner.strings(0, s.texts)
	return nil
}

// nulls sets the bit of each null among rows from to from+n and reports whether
// there is one.
func (s *source) nulls(from, n int, set []uint64) bool {
	if _, all := s.array.(*array.Null); all {
		for i := range n {
			set[i>>6] |= 1 << (i & 63)
		}
		return n > 0
	}
	found := false
	if valid := s.array.NullBitmapBytes(); s.array.NullN() > 0 && len(valid) > 0 {
		at := s.array.Data().Offset() + from
		for i := range n {
			if valid[(at+i)>>3]>>((at+i)&7)&1 == 0 {
				set[i>>6] |= 1 << (i & 63)
				found = true
			}
		}
	}
	if s.null != nil {
		for i := range n {
			if s.array.IsNull(from + i) {
				continue
			}
			if v := s.dictionary.GetValueIndex(from + i); s.null[v>>6]>>(v&63)&1 != 0 {
				set[i>>6] |= 1 << (i & 63)
				found = true
			}
		}
	}
	return found
}

// words fills dst with the values from row from on; what stands for a null means
// nothing.
func (s *source) words(from int, dst []uint64) error {
	to := from + len(dst)
	switch a := s.array.(type) {
	case *array.Null:
		clear(dst)
	case *array.Int64:
		widen(dst, a.Int64Values()[from:to])
	case *array.Int32:
		widen(dst, a.Int32Values()[from:to])
	case *array.Int16:
		widen(dst, a.Int16Values()[from:to])
	case *array.Int8:
		widen(dst, a.Int8Values()[from:to])
	case *array.Uint64:
		widen(dst, a.Uint64Values()[from:to])
	case *array.Uint32:
		widen(dst, a.Uint32Values()[from:to])
	case *array.Uint16:
		widen(dst, a.Uint16Values()[from:to])
	case *array.Uint8:
		widen(dst, a.Uint8Values()[from:to])
	case *array.Boolean:
		for i := range dst {
			dst[i] = 0
			if a.Value(from + i) {
				dst[i] = 1
			}
		}
	case *array.Float64:
		for i, f := range a.Float64Values()[from:to] {
			dst[i] = floatWord(f)
		}
	case *array.Float32:
		for i, f := range a.Float32Values()[from:to] {
			dst[i] = floatWord(float64(f))
		}
	case *array.Float16:
		for i, f := range a.Values()[from:to] {
			dst[i] = floatWord(float64(f.Float32()))
		}
	case *array.Date32:
		widen(dst, a.Date32Values()[from:to])
	case *array.Date64:
		widen(dst, a.Date64Values()[from:to])
	case *array.Timestamp:
		widen(dst, a.TimestampValues()[from:to])
	case *array.Time32:
		widen(dst, a.Time32Values()[from:to])
	case *array.Time64:
		widen(dst, a.Time64Values()[from:to])
	case *array.Duration:
		widen(dst, a.DurationValues()[from:to])
	case *array.Dictionary:
		for i := range dst {
			if dst[i] = 0; !a.IsNull(from + i) {
				dst[i] = s.values[a.GetValueIndex(from+i)]
			}
		}
		return nil
	}
	return s.convert(from, dst)
}

// convert brings times to the layout's unit.
func (s *source) convert(from int, dst []uint64) error {
	if s.factor == 1 {
		return nil
	}
	for i, w := range dst {
		v := int64(w)
		high, low := bits.Mul64(uint64(max(v, -v)), uint64(s.factor))
		if (high != 0 || low > math.MaxInt64 || v == math.MinInt64) && !s.array.IsNull(from+i) {
			return fmt.Errorf("row %d: %s as a key of type %s is out of range", from+i, s.array.ValueStr(from+i), s.column.typ)
		}
		dst[i] = uint64(v * s.factor)
	}
	return nil
}

func widen[T interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}](dst []uint64, from []T) {
	for i, v := range from[:len(dst)] {
		dst[i] = uint64(v)
	}
}

func floatWord(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return 0x7ff8000000000001
	}
	return math.Float64bits(f)
}

// strings fills dst with the values from row from on, "" for a null. They point
// into the column.
func (s *source) strings(from int, dst []string) {
	switch a := s.array.(type) {
	case *array.Null:
		clear(dst)
		return
	case *array.String:
		for i := range dst {
			dst[i] = a.Value(from + i)
		}
	case *array.LargeString:
		for i := range dst {
			dst[i] = a.Value(from + i)
		}
	case *array.StringView:
		for i := range dst {
			if dst[i] = ""; a.IsValid(from + i) {
				dst[i] = a.Value(from + i)
			}
		}
	case *array.Binary:
		for i := range dst {
			dst[i] = stringOf(a.Value(from + i))
		}
	case *array.LargeBinary:
		for i := range dst {
			dst[i] = stringOf(a.Value(from + i))
		}
	case *array.BinaryView:
		for i := range dst {
			if dst[i] = ""; a.IsValid(from + i) {
				dst[i] = stringOf(a.Value(from + i))
			}
		}
	case *array.FixedSizeBinary:
		for i := range dst {
			dst[i] = stringOf(a.Value(from + i))
		}
	case *array.Dictionary:
		for i := range dst {
			if dst[i] = ""; a.IsValid(from + i) {
				dst[i] = s.texts[a.GetValueIndex(from+i)]
			}
		}
	case *array.Struct, array.ListLike:
		put := nestedBytes(s.array)
		for i := range dst {
			if dst[i] = ""; s.array.IsValid(from + i) {
				dst[i] = stringOf(put(nil, from+i))
			}
		}
	default: // decimals
		for i := range dst {
			dst[i] = s.array.ValueStr(from + i)
		}
	}
	if s.array.NullN() == 0 {
		return
	}
	for i := range dst {
		if s.array.IsNull(from + i) {
			dst[i] = ""
		}
	}
}

func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

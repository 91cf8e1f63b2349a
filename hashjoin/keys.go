// Package hashjoin is keys of Arrow rows and what is known by key: joins and the
// latest row per key. It knows neither tables nor features.
//
// A Layout turns key columns into Keys, a block of rows at a time. A key of one
// column of fixed width is its value; any other is a seeded 128-bit hash of its
// canonical bytes, so that keys are compared without going back to the columns.
// The seed dies with the process: nothing made here can be stored. An Index
// gives keys slots, and what is known of a key lies in arrays beside it. Null
// keys never match in a join and form groups in Latest.
//
// Work that does not fit memory is cut into partitions that a Spill keeps on
// disk; without room there it fails with *LimitError. Key, Encoder, Table, Multi
// and Latest are the same for single rows.
package hashjoin

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/zeebo/xxh3"
)

// Key identifies a row by its key columns.
type Key [2]uint64

// Encoder turns rows into keys. One encoder must serve all sides of a join.
type Encoder struct{ seed uint64 }

// NewEncoder returns an encoder with a fresh seed.
func NewEncoder() *Encoder {
	return &Encoder{seed: maphash.Comparable(maphash.MakeSeed(), uint64(1))}
}

// Encode appends the keys of a batch's rows to keys, and to nulls whether one of the columns is null in the row. Integers of every width are equal
// by value, strings of every layout by bytes; NaN equals NaN, -0.0 equals 0.0. Columns of another kind than these are an error naming the type.
func (e *Encoder) Encode(cols []arrow.Array, keys []Key, nulls []bool) ([]Key, []bool, error) {
	n := 0
	if len(cols) > 0 {
		n = cols[0].Len()
	}
	if len(cols) == 1 {
		if get := integers(cols[0]); get != nil {
			for i := range n {
				null := cols[0].IsNull(i)
				k := Key{}
				if !null {
					k = Key{uint64(get(i)), 1}
				}
				keys, nulls = append(keys, k), append(nulls, null)
			}
			return keys, nulls, nil
		}
	}
	puts := make([]func([]byte, int) []byte, len(cols))
	for c, col := range cols {
		if puts[c] = canonical(col); puts[c] == nil {
			return keys, nulls, fmt.Errorf("columns of type %s cannot be keys", col.DataType())
		}
	}
	var buf []byte
	for i := range n {
		buf = buf[:0]
		null := false
		for c, col := range cols {
			if col.IsNull(i) {
				null = true
				buf = append(buf, 0)
				continue
			}
			buf = puts[c](append(buf, 1), i)
		}
		h := xxh3.Hash128Seed(buf, e.seed)
		keys, nulls = append(keys, Key{h.Lo, h.Hi}), append(nulls, null)
	}
	return keys, nulls, nil
}

// integers reads a column of whole numbers; nil for others.
func integers(a arrow.Array) func(int) int64 {
	switch a := a.(type) {
	case *array.Int64:
		return a.Value
	case *array.Int32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int8:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint8:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint64:
		return func(i int) int64 { return int64(a.Value(i)) }
	}
	return nil
}

// canonical writes a value of a column so that equal values have equal bytes and no two rows of several columns run into each other.
func canonical(a arrow.Array) func([]byte, int) []byte {
	if get := integers(a); get != nil {
		return func(b []byte, i int) []byte { return binary.LittleEndian.AppendUint64(b, uint64(get(i))) }
	}
	bytes := func(b []byte, v string) []byte {
		return append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	switch a := a.(type) {
	case *array.String:
		return func(b []byte, i int) []byte { return bytes(b, a.Value(i)) }
	case *array.LargeString:
		return func(b []byte, i int) []byte { return bytes(b, a.Value(i)) }
	case *array.StringView:
		return func(b []byte, i int) []byte { return bytes(b, a.Value(i)) }
	case *array.Binary:
		return func(b []byte, i int) []byte { return bytes(b, string(a.Value(i))) }
	case *array.Boolean:
		return func(b []byte, i int) []byte {
			if a.Value(i) {
				return append(b, 1)
			}
			return append(b, 0)
		}
	case *array.Float64:
		return func(b []byte, i int) []byte { return appendFloat(b, a.Value(i)) }
	case *array.Float32:
		return func(b []byte, i int) []byte { return appendFloat(b, float64(a.Value(i))) }
	case *array.Date32:
		return func(b []byte, i int) []byte { return binary.LittleEndian.AppendUint64(b, uint64(a.Value(i))) }
	case *array.Timestamp:
		return func(b []byte, i int) []byte { return binary.LittleEndian.AppendUint64(b, uint64(a.Value(i))) }
	case *array.Null:
		return func(b []byte, _ int) []byte { return b }
	case *array.Dictionary:
		inner := canonical(a.Dictionary())
		if inner == nil {
			return nil
		}
		return func(b []byte, i int) []byte { return inner(b, a.GetValueIndex(i)) }
	}
	if _, nested := a.DataType().(arrow.NestedType); nested {
		return nestedBytes(a)
	}
	return func(b []byte, i int) []byte { return bytes(b, a.ValueStr(i)) }
}

func appendFloat(b []byte, f float64) []byte {
	switch {
	case f == 0:
		f = 0
	case math.IsNaN(f):
		f = math.NaN()
	}
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

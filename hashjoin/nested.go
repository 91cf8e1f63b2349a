package hashjoin

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// shapeOf names what the values of a nested type must have in common with those
// of another to be equal: the names of members, in order, and the class and
// unit of what is in them. Maps are no keys, since their pairs have no order.
func shapeOf(t arrow.DataType) (string, error) {
	switch t := t.(type) {
	case *arrow.StructType:
		if t.NumFields() == 0 {
			break
		}
		var parts []string
		for _, f := range t.Fields() {
			inner, err := shapeOf(f.Type)
			if err != nil {
				return "", err
			}
			parts = append(parts, fmt.Sprintf("%q:%s", f.Name, inner))
		}
		return "{" + strings.Join(parts, ",") + "}", nil
	case *arrow.MapType:
	case arrow.ListLikeType:
		inner, err := shapeOf(t.Elem())
		return "[" + inner + "]", err
	default:
		c, err := keyColumnOf(t)
		return fmt.Sprint(c.class, " ", c.tick, " ", c.scale), err
	}
	return "", fmt.Errorf("columns of type %s cannot be keys", t)
}

// nestedColumn is the key column of a struct or of lists.
func nestedColumn(t arrow.DataType) (keyColumn, error) {
	shape, err := shapeOf(t)
	if err != nil {
		return keyColumn{typ: t}, fmt.Errorf("columns of type %s cannot be keys", t)
	}
	return keyColumn{class: classNested, shape: shape, typ: t}, nil
}

// nestedBytes writes a value of a struct or a list, of which nulls within are
// equal to each other; nil for other types.
func nestedBytes(a arrow.Array) func([]byte, int) []byte {
	switch a := a.(type) {
	case *array.Struct:
		members := make([]func([]byte, int) []byte, a.NumField())
		for m := range members {
			if members[m] = nullable(a.Field(m)); members[m] == nil {
				return nil
			}
		}
		return func(b []byte, i int) []byte {
			for _, put := range members {
				b = put(b, i)
			}
			return b
		}
	case *array.Map:
		return nil
	case array.ListLike:
		elem := nullable(a.ListValues())
		if elem == nil {
			return nil
		}
		return func(b []byte, i int) []byte {
			from, end := a.ValueOffsets(i)
			b = binary.LittleEndian.AppendUint64(b, uint64(end-from))
			for ; from < end; from++ {
				b = elem(b, int(from))
			}
			return b
		}
	}
	return nil
}

// nullable writes a byte that says whether there is a value before the value.
func nullable(a arrow.Array) func([]byte, int) []byte {
	if _, nested := a.DataType().(arrow.NestedType); !nested {
		return leaf(a)
	}
	put := nestedBytes(a)
	if put == nil {
		return nil
	}
	return func(b []byte, i int) []byte {
		if a.IsNull(i) {
			return append(b, tagNull)
		}
		return put(append(b, tagValue), i)
	}
}

// leaf is nullable for values that are not nested, all of which it reads first.
func leaf(a arrow.Array) func([]byte, int) []byte {
	column, err := keyColumnOf(a.DataType())
	if err != nil {
		return nil
	}
	var s source
	if err := s.open(a, &column); err != nil {
		return nil
	}
	null := make([]uint64, (a.Len()+63)/64)
	s.nulls(0, a.Len(), null)
	isNull := func(i int) bool { return null[i>>6]>>(i&63)&1 != 0 }
	if !column.inWords() {
		texts := make([]string, a.Len())
		s.strings(0, texts)
		return func(b []byte, i int) []byte {
			if isNull(i) {
				return append(b, tagNull)
			}
			b = binary.LittleEndian.AppendUint64(append(b, tagValue), uint64(len(texts[i])))
			return append(b, texts[i]...)
		}
	}
	words := make([]uint64, a.Len())
	if err := s.words(0, words); err != nil {
		return nil
	}
	return func(b []byte, i int) []byte {
		switch {
		case isNull(i):
			return append(b, tagNull)
		case s.unsigned && int64(words[i]) < 0:
			b = append(b, tagLarge)
		default:
			b = append(b, tagValue)
		}
		return binary.LittleEndian.AppendUint64(b, words[i])
	}
}

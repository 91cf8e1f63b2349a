package scan

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// unwrapped puts right what the Arrow reader makes of the lists in lists of old
// writers, `repeated group array (LIST)`: a list of structs that hold one list
// each. The table's type says that lists are meant. The caller releases the
// array.
func unwrapped(a arrow.Array, t *delta.Type) arrow.Array {
	l, ok := a.(*array.List)
	if !ok || !isList(t) || !isList(t.Elem) {
		a.Retain()
		return a
	}
	values := l.ListValues()
	if s, ok := values.(*array.Struct); ok && s.NumField() == 1 && s.Field(0).DataType().ID() == arrow.LIST {
		values = s.Field(0)
	}
	inner := unwrapped(values, t.Elem)
	defer inner.Release()
	nulls := l.NullN()
	if l.Data().Buffers()[0] == nil {
		nulls = 0
	}
	data := array.NewData(arrow.ListOf(inner.DataType()), l.Len(), l.Data().Buffers(), []arrow.ArrayData{inner.Data()}, nulls, l.Data().Offset())
	defer data.Release()
	return array.NewListData(data)
}

func isList(t *delta.Type) bool { return t.Elem != nil && t.Key == nil }

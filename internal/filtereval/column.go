package filtereval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
)

// kind is the family of a column's type: values of one family compare with each other.
type kind uint8

const (
	kindOther kind = iota
	kindBool
	kindInt
	kindFloat
	kindDecimal
	kindString
	kindBinary
	kindDate
	kindTime // timestamps with and without zone
	kindNull
)

// column is a path into a batch with what its type means.
type column struct {
	path     []string
	name     string
	typeName string
	kind     kind
	unit     arrow.TimeUnit
	zoned    bool
	scale    int32
}

// resolve finds a column: one path element is a whole name, which may hold dots; several go into structs. Names match exactly, or where the column folds, without case if only one does.
func resolve(c filter.Column, schema *arrow.Schema) (*column, error) {
	fields := schema.Fields()
	out := &column{name: strings.Join(c.Path, ".")}
	var t arrow.DataType
	for depth, part := range c.Path {
		i := indexOf(fields, part, c.Fold)
		if i < 0 {
			return nil, &ColumnError{Column: out.name, Nearest: nearNames(part, fields)}
		}
		out.path = append(out.path, fields[i].Name)
		t = fields[i].Type
		if depth+1 == len(c.Path) {
			break
		}
		st, ok := t.(*arrow.StructType)
		if !ok {
			return nil, &TypeError{Column: out.name, Type: t.String(), Msg: fmt.Sprintf("%s has no members", part)}
		}
		fields = st.Fields()
	}
	if d, ok := t.(*arrow.DictionaryType); ok {
		t = d.ValueType
	}
	out.typeName = t.String()
	out.classify(t)
	return out, nil
}

func (c *column) classify(t arrow.DataType) {
	switch t := t.(type) {
	case *arrow.TimestampType:
		c.kind, c.unit, c.zoned = kindTime, t.Unit, t.TimeZone != ""
		return
	case arrow.DecimalType:
		c.kind, c.scale = kindDecimal, t.GetScale()
		return
	}
	switch t.ID() {
	case arrow.BOOL:
		c.kind = kindBool
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64:
		c.kind = kindInt
	case arrow.FLOAT16, arrow.FLOAT32, arrow.FLOAT64:
		c.kind = kindFloat
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW:
		c.kind = kindString
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW, arrow.FIXED_SIZE_BINARY:
		c.kind = kindBinary
	case arrow.DATE32, arrow.DATE64:
		c.kind = kindDate
	case arrow.NULL:
		c.kind = kindNull
	}
}

func indexOf(fields []arrow.Field, name string, fold bool) int {
	if i := slices.IndexFunc(fields, func(f arrow.Field) bool { return f.Name == name }); i >= 0 {
		return i
	}
	if !fold {
		return -1
	}
	found := -1
	for i, f := range fields {
		if strings.EqualFold(f.Name, name) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// nearNames are up to three names that look like name.
func nearNames(name string, fields []arrow.Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return nearest.Names(name, names)
}

// vector is a column of one batch; parents are the structs it lies in, whose nulls are its nulls.
type vector struct {
	arr     arrow.Array
	parents []arrow.Array
}

func (v vector) isNull(i int) bool {
	for _, p := range v.parents {
		if p.IsNull(i) {
			return true
		}
	}
	return v.arr.IsNull(i) || v.arr.DataType().ID() == arrow.NULL
}

func (c *column) find(b arrow.RecordBatch) (vector, error) {
	i := slices.IndexFunc(b.Schema().Fields(), func(f arrow.Field) bool { return f.Name == c.path[0] })
	if i < 0 {
		return vector{}, &ColumnError{Column: c.name, Nearest: nearNames(c.path[0], b.Schema().Fields())}
	}
	v := vector{arr: b.Column(i)}
	for _, part := range c.path[1:] {
		st, ok := v.arr.(*array.Struct)
		if !ok {
			return v, &TypeError{Column: c.name, Type: v.arr.DataType().String(), Msg: "has no members"}
		}
		m, ok := st.DataType().(*arrow.StructType).FieldIdx(part)
		if !ok {
			return v, &ColumnError{Column: c.name}
		}
		v.parents = append(v.parents, st)
		v.arr = st.Field(m)
	}
	return v, nil
}

// value gives a row as a filter literal value; it must not be null.
func (c *column) value(a arrow.Array, i int) any {
	switch a := a.(type) {
	case *array.Boolean:
		return a.Value(i)
	case *array.Int8:
		return int64(a.Value(i))
	case *array.Int16:
		return int64(a.Value(i))
	case *array.Int32:
		return int64(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Uint8:
		return int64(a.Value(i))
	case *array.Uint16:
		return int64(a.Value(i))
	case *array.Uint32:
		return int64(a.Value(i))
	case *array.Uint64:
		return unsigned(a.Value(i))
	case *array.Float32:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.String:
		return a.Value(i)
	case *array.LargeString:
		return a.Value(i)
	case *array.StringView:
		return a.Value(i)
	case *array.Binary:
		return a.Value(i)
	case *array.LargeBinary:
		return a.Value(i)
	case *array.BinaryView:
		return a.Value(i)
	case *array.FixedSizeBinary:
		return a.Value(i)
	case *array.Date32:
		return filter.Date(a.Value(i))
	case *array.Date64:
		return filter.Date(int64(a.Value(i)) / 86_400_000)
	case *array.Timestamp:
		return c.stamp(int64(a.Value(i)))
	case *array.Decimal32:
		return filter.Decimal(a.Value(i).ToString(c.scale))
	case *array.Decimal64:
		return filter.Decimal(a.Value(i).ToString(c.scale))
	case *array.Decimal128:
		return filter.Decimal(a.Value(i).ToString(c.scale))
	case *array.Decimal256:
		return filter.Decimal(a.Value(i).ToString(c.scale))
	case *array.Dictionary:
		return c.value(a.Dictionary(), a.GetValueIndex(i))
	}
	return nil
}

func (c *column) stamp(v int64) any {
	switch c.unit {
	case arrow.Second:
		v *= 1_000_000
	case arrow.Millisecond:
		v *= 1_000
	case arrow.Nanosecond:
		v = floorDiv(v, 1_000)
	}
	if c.zoned {
		return filter.Timestamp(v)
	}
	return filter.TimestampNTZ(v)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

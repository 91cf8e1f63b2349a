package delta

import (
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// columns are some of the target's columns.
func (to *target) columns(which []int) *Schema {
	out := make([]Field, len(which))
	for i, c := range which {
		out[i] = to.schema.Fields[c]
	}
	return &Schema{out}
}

// withoutVoid is a field without members of type void, which data files do not hold.
func withoutVoid(f *Field) Field {
	out := *f
	out.Type = typeWithoutVoid(&f.Type)
	return out
}

func typeWithoutVoid(t *Type) Type {
	out := *t
	if t.Elem != nil {
		elem := typeWithoutVoid(t.Elem)
		out.Elem = &elem
	}
	if t.Key != nil {
		key := typeWithoutVoid(t.Key)
		out.Key = &key
	}
	if kindOf(t) == structKind {
		out.Fields = nil
		for i := range t.Fields {
			if t.Fields[i].Type.Name != "void" {
				out.Fields = append(out.Fields, withoutVoid(&t.Fields[i]))
			}
		}
	}
	return out
}

// physicalField is a column as data files have it.
func physicalField(f *Field, mapping MappingMode) arrow.Field {
	out := arrow.Field{Name: f.Physical, Type: physicalType(&f.Type, mapping), Nullable: true}
	if mapping != MappingNone && f.ID > 0 {
		out.Metadata = arrow.NewMetadata([]string{"PARQUET:field_id"}, []string{strconv.Itoa(f.ID)})
	}
	return out
}

func physicalType(t *Type, mapping MappingMode) arrow.DataType {
	switch {
	case t.Key != nil:
		m := arrow.MapOf(physicalType(t.Key, mapping), physicalType(t.Elem, mapping))
		m.SetItemNullable(true)
		return m
	case t.Elem != nil:
		return arrow.ListOfField(arrow.Field{Name: "element", Type: physicalType(t.Elem, mapping), Nullable: true})
	case t.Name == "":
		fields := make([]arrow.Field, len(t.Fields))
		for i := range t.Fields {
			fields[i] = physicalField(&t.Fields[i], mapping)
		}
		return arrow.StructOf(fields...)
	}
	return t.Arrow()
}

// physical is a batch as the file has it.
func (w *writer) physical(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, len(w.data))
	for i, c := range w.data {
		cols[i] = b.Column(c)
	}
	if w.slim != nil {
		whole := array.NewRecordBatch(w.slim.from, cols, b.NumRows())
		defer whole.Release()
		thin, err := w.slim.Batch(w.ctx, whole)
		if err != nil {
			return nil, err
		}
		defer thin.Release()
		cols = thin.Columns()
	}
	out := make([]arrow.Array, len(cols))
	for i, c := range cols {
		typed := Retyped(c, w.file.Field(i).Type)
		out[i] = WithTexts(typed)
		typed.Release()
		defer out[i].Release()
	}
	return array.NewRecordBatch(w.file, out, b.NumRows()), nil
}

// Retyped gives an array another type of the same layout, such as other names of its members; the caller releases it.
func Retyped(a arrow.Array, t arrow.DataType) arrow.Array {
	if arrow.TypeEqual(a.DataType(), t) {
		a.Retain()
		return a
	}
	d := retypedData(a.Data(), t)
	defer d.Release()
	return array.MakeFromData(d)
}

func retypedData(d arrow.ArrayData, t arrow.DataType) arrow.ArrayData {
	var children []arrow.ArrayData
	nested, ok := t.(arrow.NestedType)
	for i, c := range d.Children() {
		ct := c.DataType()
		if ok && i < nested.NumFields() {
			ct = nested.Fields()[i].Type
		}
		child := retypedData(c, ct)
		defer child.Release()
		children = append(children, child)
	}
	return array.NewData(t, d.Len(), d.Buffers(), children, d.NullN(), d.Offset())
}

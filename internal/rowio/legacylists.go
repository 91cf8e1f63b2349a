package rowio

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// reshape changes a column of the Arrow reader into what the file says.
type reshape func(arrow.ArrayData) arrow.ArrayData

// legacy returns a field as the file means it, and how to get there. Old
// writers nest lists in two levels, `repeated group array (LIST)`, of which the
// Arrow reader makes a struct of one member.
func legacy(f arrow.Field, n schema.Node) (arrow.Field, reshape) {
	g, ok := n.(*schema.GroupNode)
	if !ok {
		return f, retyped(f.Type)
	}
	switch t := f.Type.(type) {
	case *arrow.StructType:
		if g.NumFields() != t.NumFields() {
			return f, retyped(f.Type)
		}
		members, parts := make([]arrow.Field, t.NumFields()), make([]reshape, t.NumFields())
		for i := range members {
			members[i], parts[i] = legacy(t.Field(i), g.Field(i))
		}
		f.Type = arrow.StructOf(members...)
		return f, rebuilt(f.Type, parts)
	case *arrow.ListType:
		if g.ConvertedType() != schema.ConvertedTypes.List || g.NumFields() != 1 {
			return f, retyped(f.Type)
		}
		r, ok := g.Field(0).(*schema.GroupNode)
		wrapped, isStruct := t.Elem().(*arrow.StructType)
		if !ok || !isStruct || wrapped.NumFields() != 1 || r.ConvertedType() != schema.ConvertedTypes.List || r.NumFields() != 1 {
			return f, retyped(f.Type)
		}
		elem, inner := legacy(arrow.Field{Name: "element", Type: wrapped.Field(0).Type}, r)
		f.Type = arrow.ListOfField(elem)
		return f, rebuilt(f.Type, []reshape{func(d arrow.ArrayData) arrow.ArrayData {
			list := d.Children()[0]
			cut := array.NewSliceData(list, int64(d.Offset()), int64(d.Offset()+d.Len()))
			defer cut.Release()
			return inner(cut)
		}})
	}
	return f, retyped(f.Type)
}

// retyped gives data the names of a type of the same form, and counts of nulls,
// which the reader leaves open where nothing can be null.
func retyped(t arrow.DataType) reshape {
	nested, ok := t.(arrow.NestedType)
	return func(d arrow.ArrayData) arrow.ArrayData {
		if d.DataType().ID() != t.ID() || t.ID() == arrow.DICTIONARY || len(d.Buffers()) == 0 || ok && nested.NumFields() != len(d.Children()) {
			d.Retain()
			return d
		}
		var parts []reshape
		for i := range d.Children() {
			parts = append(parts, retyped(nested.Fields()[i].Type))
		}
		return rebuilt(t, parts)(d)
	}
}

// rebuilt gives data another type and reshaped children.
func rebuilt(t arrow.DataType, parts []reshape) reshape {
	return func(d arrow.ArrayData) arrow.ArrayData {
		children := make([]arrow.ArrayData, len(parts))
		for i, part := range parts {
			children[i] = part(d.Children()[i])
			defer children[i].Release()
		}
		nulls := d.NullN()
		if d.Buffers()[0] == nil {
			nulls = 0
		}
		return array.NewData(t, d.Len(), d.Buffers(), children, nulls, d.Offset())
	}
}

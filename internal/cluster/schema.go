package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// The columns that tell the place of a row: ordinal of the file, start of the
// block that was read, order in it. They come first.
const (
	fileColumn  = "__f"
	blockColumn = "__b"
	rowColumn   = "__r"
)

var placeFields = []arrow.Field{
	{Name: fileColumn, Type: arrow.PrimitiveTypes.Int32}, {Name: blockColumn, Type: arrow.PrimitiveTypes.Int64}, {Name: rowColumn, Type: arrow.PrimitiveTypes.Int64},
}

// places is the number of columns that tell the place.
const places = 3

// cutSchema is that of the rows that are cut: their place, and columns of a
// table, members of structs and keys of maps as "a.b".
func cutSchema(full *arrow.Schema, columns []string) (*arrow.Schema, error) {
	fields := slices.Clone(placeFields)
	for _, c := range columns {
		t, err := columnType(full, c)
		if err != nil {
			return nil, err
		}
		fields = append(fields, arrow.Field{Name: c, Type: t, Nullable: true})
	}
	return arrow.NewSchema(fields, nil), nil
}

func columnType(full *arrow.Schema, name string) (arrow.DataType, error) {
	if f, ok := full.FieldsByName(name); ok {
		return plainType(f[0].Type), nil
	}
	top, rest, _ := strings.Cut(name, ".")
	if f, ok := full.FieldsByName(top); ok {
		switch t := f[0].Type.(type) {
		case *arrow.StructType:
			if i, ok := t.FieldIdx(rest); ok {
				return plainType(t.Field(i).Type), nil
			}
		case *arrow.MapType:
			return plainType(t.ItemType()), nil
		}
	}
	return nil, fmt.Errorf("the table has no column %s", name)
}

// plainType has plain texts and bytes for those of other layouts.
func plainType(t arrow.DataType) arrow.DataType {
	switch t.ID() {
	case arrow.STRING_VIEW, arrow.LARGE_STRING:
		return arrow.BinaryTypes.String
	case arrow.BINARY_VIEW, arrow.LARGE_BINARY:
		return arrow.BinaryTypes.Binary
	case arrow.DICTIONARY:
		return plainType(t.(*arrow.DictionaryType).ValueType)
	}
	return t
}

// exact reports whether values of a type are values of a wanted one, so that
// converting loses nothing. Names of list elements and whether members may be
// null do not matter.
func exact(got, want arrow.DataType) bool {
	got = plainType(got)
	if arrow.TypeEqual(got, want) || got.ID() == arrow.NULL {
		return true
	}
	switch want := want.(type) {
	case *arrow.StructType:
		g, ok := got.(*arrow.StructType)
		if !ok || g.NumFields() != want.NumFields() {
			return false
		}
		for _, f := range want.Fields() {
			i, ok := g.FieldIdx(f.Name)
			if !ok || !exact(g.Field(i).Type, f.Type) {
				return false
			}
		}
		return true
	case *arrow.MapType:
		g, ok := got.(*arrow.MapType)
		return ok && exact(g.KeyType(), want.KeyType()) && exact(g.ItemType(), want.ItemType())
	case *arrow.ListType:
		g, ok := got.(arrow.ListLikeType)
		return ok && got.ID() != arrow.MAP && exact(g.Elem(), want.Elem())
	case *arrow.TimestampType:
		g, ok := got.(*arrow.TimestampType)
		return ok && (g.TimeZone == "") == (want.TimeZone == "") && g.Unit <= want.Unit
	case arrow.FixedWidthDataType:
		g, ok := got.(arrow.FixedWidthDataType)
		switch {
		case !ok:
		case arrow.IsSignedInteger(got.ID()) && arrow.IsSignedInteger(want.ID()), got.ID() == arrow.FLOAT32 && want.ID() == arrow.FLOAT64:
			return g.BitWidth() <= want.BitWidth()
		}
	}
	return false
}

// caster converts batches of a schema to the columns of another; it refuses what
// could lose values, and columns that are missing.
func caster(what string, from, to *arrow.Schema, mem memory.Allocator) (*delta.Caster, error) {
	for _, f := range to.Fields() {
		at := from.FieldIndices(f.Name)
		switch {
		case len(at) == 0:
			return nil, refused("%s: column %s is missing", what, f.Name)
		case len(at) > 1:
			return nil, refused("%s: column %s is there twice", what, f.Name)
		case !exact(from.Field(at[0]).Type, f.Type):
			return nil, refused("%s: column %s: want %s, got %s", what, f.Name, f.Type, from.Field(at[0]).Type)
		}
	}
	return delta.NewCaster(from, to, mem), nil
}

func release(list []arrow.RecordBatch) {
	for _, b := range list {
		b.Release()
	}
}

// constant32 is a column of one value.
func constant32(v int32, n int) arrow.Array {
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(n)
	for range n {
		b.UnsafeAppend(v)
	}
	return b.NewArray()
}

// numbers is a column of the numbers that at gives.
func numbers(n int, at func(i int) int64) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(n)
	for i := range n {
		b.UnsafeAppend(at(i))
	}
	return b.NewArray()
}

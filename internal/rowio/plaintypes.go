package rowio

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// plainer finds the plain form of types.
type plainer struct{ ctx context.Context }

// The names of extension types, and where the fields of those that the library
// does not know have them. polars-map keeps maps as lists of structs of key and
// value.
const (
	extensionName = "ARROW:extension:name"
	jsonExtension = "arrow.json"
	uuidExtension = "arrow.uuid"
	mapExtension  = "polars_map.map"
)

func (p *plainer) field(f arrow.Field, path string) (arrow.DataType, convert, error) {
	t := f.Type
	name, _ := f.Metadata.GetValue(extensionName)
	if ext, ok := t.(arrow.ExtensionType); ok {
		name = ext.ExtensionName()
	}
	switch name {
	case mapExtension:
		return p.mapOfPairs(t, path)
	case uuidExtension:
		return arrow.BinaryTypes.String, uuids, nil
	case jsonExtension:
		if arrow.TypeEqual(t, arrow.BinaryTypes.Binary) {
			return arrow.BinaryTypes.String, bytesAsText, nil
		}
	}
	return p.plain(t, path)
}

func (p *plainer) plain(t arrow.DataType, path string) (arrow.DataType, convert, error) {
	switch t := t.(type) {
	case arrow.ExtensionType:
		return p.extension(t, path)
	case *arrow.DictionaryType:
		return p.dictionary(t, path)
	case *arrow.RunEndEncodedType:
		to, then, err := p.plain(t.Encoded(), path)
		return to, func(a arrow.Array) (arrow.Array, error) { return p.runs(a.(*array.RunEndEncoded), then) }, err
	case *arrow.StructType:
		return p.structure(t, path)
	case *arrow.MapType:
		return p.mapping(t, path)
	case *arrow.ListType:
		return p.list(t, path)
	case arrow.ListLikeType:
		elem, then, err := p.field(t.ElemField(), path+".element")
		return arrow.ListOf(elem), func(a arrow.Array) (arrow.Array, error) {
			return gathered(a.(array.ListLike), elem, then)
		}, err
	case *arrow.LargeStringType, *arrow.StringViewType:
		return arrow.BinaryTypes.String, texts, nil
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth == 0 {
			return nil, nil, fmt.Errorf("column %s: bytes of size 0 within lists, maps and structs are not supported", path)
		}
		return arrow.BinaryTypes.Binary, blobs, nil
	case *arrow.LargeBinaryType, *arrow.BinaryViewType:
		return arrow.BinaryTypes.Binary, blobs, nil
	case *arrow.Float16Type:
		return arrow.PrimitiveTypes.Float32, halves, nil
	case *arrow.MonthIntervalType, *arrow.DayTimeIntervalType, *arrow.MonthDayNanoIntervalType:
		return nil, nil, fmt.Errorf("column %s: an interval has no type in a table: want a number of a unit, or text", path)
	}
	return t, nil, nil
}

func (p *plainer) extension(t arrow.ExtensionType, path string) (arrow.DataType, convert, error) {
	switch t.ExtensionName() {
	case uuidExtension:
		return arrow.BinaryTypes.String, uuids, nil
	case "arrow.bool8":
		return arrow.FixedWidthTypes.Boolean, bytesAsBooleans, nil
	case "arrow.parquet.variant", "parquet.variant":
		return nil, nil, fmt.Errorf("column %s: a variant has no type in a table: want JSON as text, or columns of their own", path)
	}
	to, then, err := p.plain(t.StorageType(), path)
	return to, func(a arrow.Array) (arrow.Array, error) {
		return applied(a.(array.ExtensionArray).Storage(), then)
	}, err
}

// applied converts an array, or retains it where there is nothing to convert.
func applied(a arrow.Array, then convert) (arrow.Array, error) {
	if then == nil {
		a.Retain()
		return a, nil
	}
	return then(a)
}

func (p *plainer) dictionary(t *arrow.DictionaryType, path string) (arrow.DataType, convert, error) {
	to, then, err := p.plain(t.ValueType, path)
	return to, func(a arrow.Array) (arrow.Array, error) {
		d := a.(*array.Dictionary)
		for i := range d.Len() {
			if d.IsValid(i) && (d.GetValueIndex(i) < 0 || d.GetValueIndex(i) >= d.Dictionary().Len()) {
				return nil, fmt.Errorf("damaged: value %d of the dictionary does not exist", d.GetValueIndex(i))
			}
		}
		values, err := applied(d.Dictionary(), then)
		if err != nil {
			return nil, err
		}
		defer values.Release()
		return compute.TakeArray(p.ctx, values, d.Indices())
	}, err
}

// runs repeats each value as often as its run says.
func (p *plainer) runs(r *array.RunEndEncoded, then convert) (arrow.Array, error) {
	values, err := applied(r.Values(), then)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	idx := array.NewInt64Builder(memory.DefaultAllocator)
	defer idx.Release()
	for i := range r.Len() {
		idx.Append(int64(r.GetPhysicalIndex(i)))
	}
	rows := idx.NewArray()
	defer rows.Release()
	return compute.TakeArray(p.ctx, values, rows)
}

func (p *plainer) structure(t *arrow.StructType, path string) (arrow.DataType, convert, error) {
	fields := make([]arrow.Field, t.NumFields())
	converts := make([]convert, len(fields))
	changes := false
	for i, f := range t.Fields() {
		to, c, err := p.field(f, path+"."+f.Name)
		if err != nil {
			return nil, nil, err
		}
		fields[i], converts[i] = arrow.Field{Name: f.Name, Type: to, Nullable: f.Nullable}, c
		changes = changes || c != nil
	}
	if !changes {
		return t, nil, nil
	}
	to := arrow.StructOf(fields...)
	return to, func(a arrow.Array) (arrow.Array, error) {
		st := a.(*array.Struct)
		children := make([]arrow.ArrayData, len(converts))
		for i, c := range converts {
			child, err := applied(st.Field(i), c)
			if err != nil {
				return nil, fmt.Errorf("member %s: %w", fields[i].Name, err)
			}
			defer child.Release()
			children[i] = child.Data()
		}
		return built(to, st, nil, children), nil
	}, nil
}

func (p *plainer) list(t *arrow.ListType, path string) (arrow.DataType, convert, error) {
	elem, then, err := p.field(t.ElemField(), path+".element")
	if err != nil || then == nil {
		return t, nil, err
	}
	to := arrow.ListOfField(arrow.Field{Name: "element", Type: elem, Nullable: t.ElemField().Nullable})
	return to, func(a arrow.Array) (arrow.Array, error) {
		values, err := then(a.(*array.List).ListValues())
		if err != nil {
			return nil, err
		}
		defer values.Release()
		return built(to, a, offsetsOf(a), []arrow.ArrayData{values.Data()}), nil
	}, nil
}

func (p *plainer) mapping(t *arrow.MapType, path string) (arrow.DataType, convert, error) {
	key, keys, err := p.field(t.KeyField(), path+".key")
	if err != nil {
		return nil, nil, err
	}
	item, items, err := p.field(t.ItemField(), path+".value")
	if err != nil || keys == nil && items == nil {
		return t, nil, err
	}
	to := arrow.MapOf(key, item)
	return to, func(a arrow.Array) (arrow.Array, error) {
		m := a.(*array.Map)
		return mapOf(to, a, m.Keys(), m.Items(), keys, items)
	}, nil
}

// mapOfPairs is the map that lists of structs of key and value stand for.
func (p *plainer) mapOfPairs(t arrow.DataType, path string) (arrow.DataType, convert, error) {
	if ext, ok := t.(arrow.ExtensionType); ok {
		t = ext.StorageType()
	}
	l, ok := t.(arrow.ListLikeType)
	if !ok {
		return nil, nil, fmt.Errorf("column %s: a map by %s wants lists of key and value, got %s", path, mapExtension, t)
	}
	pair, ok := l.Elem().(*arrow.StructType)
	if !ok || pair.NumFields() != 2 {
		return nil, nil, fmt.Errorf("column %s: a map by %s wants lists of key and value, got %s", path, mapExtension, t)
	}
	list, outer, err := p.plain(t, path)
	if err != nil {
		return nil, nil, err
	}
	pair = list.(*arrow.ListType).Elem().(*arrow.StructType)
	to := arrow.MapOf(pair.Field(0).Type, pair.Field(1).Type)
	return to, func(a arrow.Array) (arrow.Array, error) {
		if ext, ok := a.(array.ExtensionArray); ok {
			a = ext.Storage()
		}
		lists, err := applied(a, outer)
		if err != nil {
			return nil, err
		}
		defer lists.Release()
		pairs := lists.(*array.List).ListValues().(*array.Struct)
		for i := range lists.Len() {
			from, end := lists.(*array.List).ValueOffsets(i)
			for j := from; j < end && lists.IsValid(i); j++ {
				if pairs.IsNull(int(j)) || pairs.Field(0).IsNull(int(j)) {
					return nil, errors.New("a map with a null key")
				}
			}
		}
		return mapOf(to, lists, pairs.Field(0), pairs.Field(1), nil, nil)
	}, nil
}

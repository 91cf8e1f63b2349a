package delta

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

var (
	timestampUTC = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	timestampNTZ = &arrow.TimestampType{Unit: arrow.Microsecond}
)

// Arrow is the in-memory form: utf8 strings, microsecond timestamps (UTC for timestamp, no zone for timestamp_ntz), decimal128, void as int32.
func (s *Schema) Arrow() *arrow.Schema { return arrow.NewSchema(arrowFields(s.Fields), nil) }

func arrowFields(fields []Field) []arrow.Field {
	out := make([]arrow.Field, len(fields))
	for i := range fields {
		out[i] = arrow.Field{Name: fields[i].Name, Type: fields[i].Type.Arrow(), Nullable: fields[i].Nullable}
	}
	return out
}

var primitives = map[string]arrow.DataType{
	"string": arrow.BinaryTypes.String, "long": arrow.PrimitiveTypes.Int64, "integer": arrow.PrimitiveTypes.Int32, "short": arrow.PrimitiveTypes.Int16,
	"byte": arrow.PrimitiveTypes.Int8, "float": arrow.PrimitiveTypes.Float32, "double": arrow.PrimitiveTypes.Float64, "boolean": arrow.FixedWidthTypes.Boolean,
	"binary": arrow.BinaryTypes.Binary, "date": arrow.FixedWidthTypes.Date32, "timestamp": timestampUTC, "timestamp_ntz": timestampNTZ, "void": arrow.PrimitiveTypes.Int32,
}

// Arrow is the in-memory form of a type.
func (t *Type) Arrow() arrow.DataType {
	switch {
	case t.Key != nil:
		m := arrow.MapOf(t.Key.Arrow(), t.Elem.Arrow())
		m.SetItemNullable(t.Nulls)
		return m
	case t.Elem != nil:
		return arrow.ListOfField(arrow.Field{Name: "element", Type: t.Elem.Arrow(), Nullable: t.Nulls})
	case t.Name == "":
		return arrow.StructOf(arrowFields(t.Fields)...)
	}
	if p, s, ok := decimalOf(t.Name); ok {
		return &arrow.Decimal128Type{Precision: p, Scale: s}
	}
	return primitives[t.Name]
}

// SchemaOf is the Delta schema of an Arrow schema (dictionary values, large strings and views as their plain types; unsigned as signed of the same
// width; any timestamp in microseconds). All columns are nullable, as delta-rs makes them. A type Delta lacks is a *SchemaError.
func SchemaOf(a *arrow.Schema) (*Schema, error) {
	fields, err := fieldsOf(a.Fields(), "")
	if err != nil {
		return nil, err
	}
	return &Schema{fields}, nil
}

func fieldsOf(list []arrow.Field, path string) ([]Field, error) {
	out := make([]Field, len(list))
	for i, f := range list {
		p := f.Name
		if path != "" {
			p = path + "." + f.Name
		}
		t, err := typeOf(f.Type, p)
		if err != nil {
			return nil, err
		}
		out[i] = Field{Name: f.Name, Type: t, Nullable: true, Physical: f.Name, Metadata: map[string]string{}}
	}
	return out, nil
}

func typeOf(t arrow.DataType, path string) (Type, error) {
	switch t := t.(type) {
	case *arrow.DictionaryType:
		return typeOf(t.ValueType, path)
	case *arrow.TimestampType:
		if t.TimeZone == "" {
			return Type{Name: "timestamp_ntz"}, nil
		}
		return Type{Name: "timestamp"}, nil
	case arrow.DecimalType:
		if t.GetPrecision() > 38 || t.GetScale() < 0 {
			return Type{}, &SchemaError{Column: path, Want: "a decimal of at most 38 digits", Got: t.String()}
		}
		return Type{Name: fmt.Sprintf("decimal(%d,%d)", t.GetPrecision(), t.GetScale())}, nil
	case *arrow.StructType:
		fields, err := fieldsOf(t.Fields(), path)
		return Type{Fields: fields}, err
	case *arrow.MapType:
		key, err := typeOf(t.KeyType(), path+".key")
		if err != nil {
			return Type{}, err
		}
		value, err := typeOf(t.ItemType(), path+".value")
		return Type{Key: &key, Elem: &value, Nulls: true}, err
	case arrow.ListLikeType:
		elem, err := typeOf(t.Elem(), path+".element")
		return Type{Elem: &elem, Nulls: true}, err
	}
	names := map[arrow.Type]string{arrow.STRING: "string", arrow.LARGE_STRING: "string", arrow.STRING_VIEW: "string", arrow.BINARY: "binary", arrow.LARGE_BINARY: "binary",
		arrow.BINARY_VIEW: "binary", arrow.FIXED_SIZE_BINARY: "binary", arrow.BOOL: "boolean", arrow.INT8: "byte", arrow.UINT8: "byte", arrow.INT16: "short", arrow.UINT16: "short",
		arrow.INT32: "integer", arrow.UINT32: "integer", arrow.INT64: "long", arrow.UINT64: "long", arrow.FLOAT32: "float", arrow.FLOAT64: "double", arrow.DATE32: "date", arrow.DATE64: "date"}
	if n, ok := names[t.ID()]; ok {
		return Type{Name: n}, nil
	}
	return Type{}, &SchemaError{Column: path, Want: "a type that Delta has", Got: t.String()}
}

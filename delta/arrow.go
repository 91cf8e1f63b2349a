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

// SchemaOf is the Delta schema of an Arrow schema (dictionary values, large strings and views as their plain types; extension types as their storage, but a
// UUID as text; unsigned as signed of the same width; any timestamp in microseconds). All columns are nullable, as delta-rs makes them. A type Delta lacks is a *SchemaError.
func SchemaOf(a *arrow.Schema) (*Schema, error) {
	s, err := givenSchema(a)
	if err != nil {
		return nil, err
	}
	if path := voidIn(s.Fields, ""); path != "" {
		return nil, &SchemaError{Column: path, Want: "a type that Delta has", Got: "null: no value tells which type the column shall have"}
	}
	return s, nil
}

// givenSchema is SchemaOf for rows, whose columns may also be of Arrow's null type: they are void, and fill columns of any type with nulls.
func givenSchema(a *arrow.Schema) (*Schema, error) {
	fields, err := fieldsOf(a.Fields(), "")
	if err != nil {
		return nil, err
	}
	return &Schema{fields}, nil
}

// voidIn is the path of a void column or member, "" when there is none.
func voidIn(fields []Field, path string) string {
	for i := range fields {
		if p := voidInType(&fields[i].Type, path+fields[i].Name); p != "" {
			return p
		}
	}
	return ""
}

func voidInType(t *Type, path string) string {
	switch kindOf(t) {
	case structKind:
		return voidIn(t.Fields, path+".")
	case listKind:
		return voidInType(t.Elem, path+".element")
	case mapKind:
		if p := voidInType(t.Key, path+".key"); p != "" {
			return p
		}
		return voidInType(t.Elem, path+".value")
	}
	if t.Name == "void" {
		return path
	}
	return ""
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
	case arrow.ExtensionType:
		if t.ExtensionName() == "arrow.uuid" {
			return Type{Name: "string"}, nil // in its usual spelling
		}
		return typeOf(t.StorageType(), path)
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
		arrow.BINARY_VIEW: "binary", arrow.FIXED_SIZE_BINARY: "binary", arrow.NULL: "void", arrow.BOOL: "boolean", arrow.INT8: "byte", arrow.UINT8: "byte", arrow.INT16: "short", arrow.UINT16: "short",
		arrow.INT32: "integer", arrow.UINT32: "integer", arrow.INT64: "long", arrow.UINT64: "long", arrow.FLOAT16: "float", arrow.FLOAT32: "float", arrow.FLOAT64: "double", arrow.DATE32: "date", arrow.DATE64: "date"}
	if n, ok := names[t.ID()]; ok {
		return Type{Name: n}, nil
	}
	return Type{}, &SchemaError{Column: path, Want: "a type that Delta has", Got: t.String()}
}

package rowio_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// TestThereAndBack writes random tables in each format and reads them back,
// told their types: the same rows come. CSV may refuse what it cannot tell
// apart, by the column's name. go test -run ThereAndBack -rapid.checks=10000
func TestThereAndBack(t *testing.T) {
	for _, format := range []string{"csv", "jsonl", "json", "arrow"} {
		t.Run(format, rapid.MakeCheck(func(t *rapid.T) {
			schema := schemas.Draw(t, "schema")
			b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			defer b.Release()
			rows := rapid.IntRange(0, 6).Draw(t, "rows")
			for i, f := range schema.Fields() {
				for range rows {
					drawInto(t, b.Field(i), f.Type, f.Nullable)
				}
			}
			in := b.NewRecordBatch()
			defer in.Release()
			text, err := printed(format, in)
			if err != nil {
				if format == "csv" && (strings.Contains(err.Error(), "is not told from null in CSV") || strings.Contains(err.Error(), "two columns would have this name")) {
					t.Skip(err)
				}
				t.Fatal(err)
			}
			if format == "jsonl" && rows == 0 {
				return // no line says that there are columns
			}
			if format == "json" && rows == 0 {
				return
			}
			got, err := read(t.Context(), format, text, typesOf(schema))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if want := rowsOf(in); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("got  %v\nwant %v\nby\n%s", got, want, text)
			}
		}))
	}
}

func printed(format string, b arrow.RecordBatch) ([]byte, error) {
	var text bytes.Buffer
	w, err := rowio.NewWriter(format, "", &text, b.Schema())
	if err != nil {
		return nil, err
	}
	if err := w.Write(b); err != nil {
		return nil, err
	}
	err = w.Close()
	return text.Bytes(), err
}

func typesOf(s *arrow.Schema) rowio.Types {
	types := rowio.Types{}
	for _, f := range s.Fields() {
		types[f.Name] = f.Type
	}
	return types
}

// read gives the rows of a text, each value in a form that says what it is.
func read(ctx context.Context, format string, text []byte, known rowio.Types) ([]string, error) {
	f, err := rowio.Open(ctx, "-", &rowio.Options{Format: format, Stdin: bytes.NewReader(text), Types: func() (rowio.Types, error) { return known, nil }})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := []string{}
	for b, err := range f.Batches {
		if err != nil {
			return nil, err
		}
		out = append(out, rowsOf(b)...)
	}
	return out, nil
}

func rowsOf(b arrow.RecordBatch) []string {
	out := []string{}
	for i := range int(b.NumRows()) {
		var row []string
		for c, a := range b.Columns() {
			row = append(row, fmt.Sprintf("%q: %s", b.ColumnName(c), valueOf(a, i)))
		}
		out = append(out, strings.Join(row, ", ")+"\n")
	}
	return out
}

// valueOf is a value with its kind; integers of every width and decimals of
// every scale are numbers, floats are their bits.
func valueOf(a arrow.Array, i int) string {
	if a.IsNull(i) || a.DataType().ID() == arrow.NULL {
		return "null"
	}
	list := func(values arrow.Array, from, end int64) string {
		parts := []string{}
		for ; from < end; from++ {
			parts = append(parts, valueOf(values, int(from)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	switch a := a.(type) {
	case *array.Float32:
		return floatText(float64(a.Value(i)))
	case *array.Float64:
		return floatText(a.Value(i))
	case *array.Decimal128:
		return rat(a.Value(i).BigInt(), a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Decimal256:
		return rat(a.Value(i).BigInt(), a.DataType().(*arrow.Decimal256Type).Scale)
	case *array.String:
		return fmt.Sprintf("%q", a.Value(i))
	case *array.Binary:
		return fmt.Sprintf("bytes %x", a.Value(i))
	case *array.Date32:
		return fmt.Sprint("day ", int32(a.Value(i)))
	case *array.Timestamp:
		return fmt.Sprint(a.DataType(), " ", int64(a.Value(i)))
	case *array.Map:
		from, end := a.ValueOffsets(i)
		return "map" + list(a.Keys(), from, end) + list(a.Items(), from, end)
	case *array.List:
		from, end := a.ValueOffsets(i)
		return list(a.ListValues(), from, end)
	case *array.Struct:
		parts := []string{}
		for m, f := range a.DataType().(*arrow.StructType).Fields() {
			parts = append(parts, fmt.Sprintf("%q: %s", f.Name, valueOf(a.Field(m), i)))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return a.ValueStr(i)
}

func floatText(f float64) string {
	if math.IsNaN(f) {
		return "NaN"
	}
	return fmt.Sprintf("float %x", math.Float64bits(f))
}

func rat(unscaled *big.Int, scale int32) string {
	return new(big.Rat).SetFrac(unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).String()
}

// names are what columns may be called: no two of a level are the same without
// case.
var names = rapid.SampledFrom([]string{"a", "b", "a.b", ".hidden", "c.", "with space", "x,y", `say "so"`, "line\nend", "ключ", "key", "value", "a.b.c", " lead", "\ufeffmark", "d"})

var schemas = rapid.Custom(func(t *rapid.T) *arrow.Schema {
	return arrow.NewSchema(drawFields(t, 2), nil)
})

func drawFields(t *rapid.T, deep int) []arrow.Field {
	var out []arrow.Field
	for _, name := range rapid.SliceOfNDistinct(names, 1, 4, rapid.ID).Draw(t, "names") {
		out = append(out, arrow.Field{Name: name, Type: drawType(t, deep), Nullable: true})
	}
	return out
}

var flatTypes = []arrow.DataType{
	arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64,
	arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64, &arrow.Decimal128Type{Precision: 38, Scale: 10}, &arrow.Decimal128Type{Precision: 5, Scale: 5},
	&arrow.Decimal128Type{Precision: 20}, arrow.BinaryTypes.String, arrow.BinaryTypes.Binary, arrow.FixedWidthTypes.Date32,
	&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, &arrow.TimestampType{Unit: arrow.Microsecond},
}

func drawType(t *rapid.T, deep int) arrow.DataType {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if deep == 0 || kind > 2 {
		return rapid.SampledFrom(flatTypes).Draw(t, "type")
	}
	switch kind {
	case 0:
		return arrow.StructOf(drawFields(t, deep-1)...)
	case 1:
		return arrow.ListOf(drawType(t, deep-1))
	}
	return arrow.MapOf(rapid.SampledFrom(flatTypes).Draw(t, "key"), drawType(t, deep-1))
}

var (
	integers = rapid.OneOf(rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1<<53 + 1, 253402300800000000, -62135596800000001, -1}), rapid.Int64())
	floats   = rapid.OneOf(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1e21, 1e-7, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 62, 9007199254740993}), rapid.Float64())
	strs     = rapid.OneOf(rapid.SampledFrom([]string{"", " ", "null", "NaN", "a,b", "\"", "\"\"", "\r\n", "a\r\nb", "\n", "true", "007", "1e400", "\u2028", "\x00", "\ufeff", "😀", "{}", "[1]", "-"}), rapid.String())
)

// drawInto appends a value, or null.
func drawInto(t *rapid.T, b array.Builder, typ arrow.DataType, nullable bool) {
	if nullable && rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(rapid.Bool().Draw(t, "bool"))
	case *array.Int8Builder:
		b.Append(int8(integers.Draw(t, "int8")))
	case *array.Int16Builder:
		b.Append(int16(integers.Draw(t, "int16")))
	case *array.Int32Builder:
		b.Append(int32(integers.Draw(t, "int32")))
	case *array.Int64Builder:
		b.Append(integers.Draw(t, "int64"))
	case *array.Float32Builder:
		b.Append(float32(floats.Draw(t, "float")))
	case *array.Float64Builder:
		b.Append(floats.Draw(t, "double"))
	case *array.Decimal128Builder:
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(typ.(*arrow.Decimal128Type).Precision)), nil)
		n := new(big.Int).Mul(big.NewInt(integers.Draw(t, "high")), big.NewInt(rapid.Int64().Draw(t, "low")))
		b.Append(decimal128.FromBigInt(n.Rem(n, limit)))
	case *array.StringBuilder:
		b.Append(strings.ToValidUTF8(strs.Draw(t, "text"), "?"))
	case *array.BinaryBuilder:
		b.Append(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "bytes"))
	case *array.Date32Builder:
		b.Append(arrow.Date32(integers.Draw(t, "day")))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(integers.Draw(t, "stamp")))
	default:
		drawNested(t, b, typ)
	}
}

func drawNested(t *rapid.T, b array.Builder, typ arrow.DataType) {
	switch b := b.(type) {
	case *array.StructBuilder:
		b.Append(true)
		for i, f := range typ.(*arrow.StructType).Fields() {
			drawInto(t, b.FieldBuilder(i), f.Type, true)
		}
	case *array.ListBuilder:
		b.Append(true)
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			drawInto(t, b.ValueBuilder(), typ.(*arrow.ListType).Elem(), true)
		}
	case *array.MapBuilder:
		b.Append(true)
		for range rapid.IntRange(0, 3).Draw(t, "pairs") {
			drawInto(t, b.KeyBuilder(), typ.(*arrow.MapType).KeyType(), false)
			drawInto(t, b.ItemBuilder(), typ.(*arrow.MapType).ItemType(), true)
		}
	}
}

// TestThereAndBackInParts reads rows of more than one batch.
func TestThereAndBackInParts(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	const rows = 1<<17 + 3
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
	}
	in := b.NewRecordBatch()
	defer in.Release()
	for _, format := range []string{"csv", "jsonl", "json"} {
		text, err := printed(format, in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := read(t.Context(), format, text, nil)
		if err != nil || len(got) != rows || got[rows-1] != fmt.Sprintf("\"n\": %d\n", rows-1) {
			t.Errorf("%s: %d rows, %v", format, len(got), err)
		}
	}
}

package delta_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// castSources are one array for each type that rows may have, with values at the edges.
func castSources(t *testing.T) map[string]arrow.Array {
	mem := memory.DefaultAllocator
	text := func(typ arrow.DataType, values ...string) arrow.Array {
		b := array.NewBuilder(mem, typ)
		defer b.Release()
		for _, v := range values {
			if err := b.AppendValueFromString(v); err != nil {
				t.Fatalf("%s %s: %v", typ, v, err)
			}
		}
		return b.NewArray()
	}
	out := map[string]arrow.Array{}
	add := func(name string, typ arrow.DataType, values ...string) { out[name] = text(typ, values...) }
	add("boolean", arrow.FixedWidthTypes.Boolean, "true", "false")
	add("int8", arrow.PrimitiveTypes.Int8, "0", "1", "127", "-128")
	add("int16", arrow.PrimitiveTypes.Int16, "1", "127", "128", "32767", "-32768")
	add("int32", arrow.PrimitiveTypes.Int32, "1", "32768", "16777217", "2147483647", "-2147483648")
	add("int64", arrow.PrimitiveTypes.Int64, "1", "2147483648", "9007199254740993", "9223372036854775807", "-9223372036854775808")
	add("uint8", arrow.PrimitiveTypes.Uint8, "1", "127", "128", "255")
	add("uint16", arrow.PrimitiveTypes.Uint16, "1", "32768", "65535")
	add("uint32", arrow.PrimitiveTypes.Uint32, "1", "2147483648", "4294967295")
	add("uint64", arrow.PrimitiveTypes.Uint64, "1", "9223372036854775808", "18446744073709551615")
	half := array.NewFloat16Builder(mem)
	half.AppendValues([]float16.Num{float16.New(1.5), float16.New(2), float16.NaN()}, nil)
	out["float16"] = half.NewArray()
	single := array.NewFloat32Builder(mem)
	single.AppendValues([]float32{1, 0.1, 1.5, 300, 3e38, float32(math.NaN()), float32(math.Inf(-1))}, nil)
	out["float32"] = single.NewArray()
	double := array.NewFloat64Builder(mem)
	double.AppendValues([]float64{1, 0.1, 1.5, -2.5, 1.005, 128, 1e300, 9223372036854774784, 9223372036854775808, -9223372036854775808, math.NaN(), math.Inf(1)}, nil)
	out["float64"] = double.NewArray()
	add("decimal(5,2)", &arrow.Decimal128Type{Precision: 5, Scale: 2}, "1.00", "1.25", "-1.25", "999.99")
	add("decimal(38,10)", &arrow.Decimal128Type{Precision: 38, Scale: 10}, "1", "0.0000000001", "9223372036854775808", "9999999999999999999999999999.9999999999", "-0.005")
	wide := array.NewDecimal256Builder(mem, &arrow.Decimal256Type{Precision: 38, Scale: 0})
	wide.Append(decimal256.FromI64(127))
	wide.Append(decimal256.FromI64(-1))
	out["decimal256(38,0)"] = wide.NewArray()
	texts := []string{"1", "-7", "1.5", "0.1", "true", "2024-02-29", "2024-02-30", "2024-01-02T03:04:05.678901Z", "2024-01-02 03:04:05", "2024-01-02T03:04:05.1234567+02:00", "+10000-01-01", "-0044-03-15",
		"NaN", "Infinity", "1e400", "1e3", "9007199254740993", "12345678901234567890123456789012345678", "0x10", "", "ä"}
	add("string", arrow.BinaryTypes.String, texts...)
	add("large_string", arrow.BinaryTypes.LargeString, "1", "x")
	add("string_view", arrow.BinaryTypes.StringView, "1", "a text that is longer than a view's own bytes")
	bin := array.NewBinaryBuilder(mem, arrow.BinaryTypes.Binary)
	bin.AppendValues([][]byte{[]byte("1"), {0xe9}}, nil)
	out["binary"] = bin.NewArray()
	fixed := array.NewFixedSizeBinaryBuilder(mem, &arrow.FixedSizeBinaryType{ByteWidth: 2})
	fixed.AppendValues([][]byte{[]byte("ab"), {0xff, 0xfe}}, nil)
	out["fixed_size_binary[2]"] = fixed.NewArray()
	add("uuid", extensions.NewUUIDType(), "00112233-4455-6677-8899-aabbccddeeff")
	days := array.NewDate32Builder(mem)
	days.AppendValues([]arrow.Date32{0, -719893, 2932897, math.MaxInt32}, nil)
	out["date32"] = days.NewArray()
	millis := array.NewDate64Builder(mem)
	millis.AppendValues([]arrow.Date64{0, 86_400_000, 86_400_001, -1}, nil)
	out["date64"] = millis.NewArray()
	for name, typ := range map[string]*arrow.TimestampType{"timestamp[s]": {Unit: arrow.Second}, "timestamp[ms,UTC]": {Unit: arrow.Millisecond, TimeZone: "UTC"}, "timestamp[us]": {Unit: arrow.Microsecond},
		"timestamp[us,UTC]": {Unit: arrow.Microsecond, TimeZone: "UTC"}, "timestamp[us,Berlin]": {Unit: arrow.Microsecond, TimeZone: "Europe/Berlin"}, "timestamp[ns,UTC]": {Unit: arrow.Nanosecond, TimeZone: "UTC"}} {
		b := array.NewTimestampBuilder(mem, typ)
		b.AppendValues([]arrow.Timestamp{0, 86_400_000_000_000, 1_704_164_645_678_901, -1, math.MaxInt64}, nil)
		out[name] = b.NewArray()
	}
	add("time64[us]", arrow.FixedWidthTypes.Time64us, "03:04:05")
	add("duration[us]", arrow.FixedWidthTypes.Duration_us, "1us")
	return out
}

// castTargets are the types that Delta has.
var castTargets = []string{"boolean", "byte", "short", "integer", "long", "float", "double", "decimal(10,2)", "decimal(38,0)", "string", "binary", "date", "timestamp", "timestamp_ntz"}

func castSchema(t *testing.T, typ string) *arrow.Schema {
	s, err := delta.ParseSchema(fmt.Sprintf(`{"type":"struct","fields":[{"name":"x","type":%s,"nullable":true,"metadata":{}}]}`, typ))
	if err != nil {
		t.Fatal(err)
	}
	return s.Arrow()
}

// castOne converts one value as a column of its own: what is stored, with a star where it was lossy, or what the refusal says.
func castOne(t *testing.T, a arrow.Array, to *arrow.Schema) string {
	from := arrow.NewSchema([]arrow.Field{{Name: "x", Type: a.DataType(), Nullable: true}}, nil)
	c := delta.NewCaster(from, to, memory.DefaultAllocator)
	b := array.NewRecordBatch(from, []arrow.Array{a}, int64(a.Len()))
	defer b.Release()
	out, err := c.Batch(t.Context(), b)
	if err != nil {
		var schema *delta.SchemaError
		if !errors.As(err, &schema) || !strings.HasPrefix(schema.Column, "x") {
			t.Errorf("%s: want a *SchemaError that names the column, got %v", a.DataType(), err)
		}
		if strings.Contains(schema.Got, "row") {
			return "refused"
		}
		return "no way"
	}
	defer out.Release()
	star := ""
	if n := c.Lossy(); n > 0 {
		star = "*"
	}
	return strings.TrimSpace(out.Column(0).ValueStr(0)) + star
}

// TestCastMatrix converts values at the edges of every type to every type that Delta has, and compares with a list that was written by hand from
// what Spark 4, Arrow and the rules say. The list is testdata/casts.txt; the page internal/docs/casts.md says the same in words.
func TestCastMatrix(t *testing.T) {
	var got []string
	sources := castSources(t)
	for _, name := range sortedNames(sources) {
		a := sources[name]
		for _, target := range castTargets {
			to := castSchema(t, `"`+target+`"`)
			var cells []string
			for i := range a.Len() {
				one := array.NewSlice(a, int64(i), int64(i)+1)
				cells = append(cells, fmt.Sprintf("%s -> %s", one.ValueStr(0), castOne(t, one, to)))
			}
			if !slices.ContainsFunc(cells, func(c string) bool { return !strings.HasSuffix(c, "no way") }) {
				cells = []string{"no way"}
			}
			got = append(got, fmt.Sprintf("%s to %s: %s", name, target, strings.Join(cells, " | ")))
		}
	}
	text := strings.Join(got, "\n") + "\n"
	file := filepath.Join(deltatest.ModuleRoot(), "delta", "testdata", "casts.txt")
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		old := strings.Split(string(want), "\n")
		for i, line := range strings.Split(text, "\n") {
			if i >= len(old) || old[i] != line {
				t.Errorf("line %d of %s:\n got  %s\n want %s", i+1, file, line, at(old, i))
			}
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func sortedNames[V any](m map[string]V) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

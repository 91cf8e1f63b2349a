package hashjoin_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/float16"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// arrayOf builds an array from JSON.
func arrayOf(t testing.TB, typ arrow.DataType, json string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(json))
	if err != nil {
		t.Fatalf("%s of %s: %v", json, typ, err)
	}
	return a
}

func dictionary(typ arrow.DataType) arrow.DataType {
	return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int16, ValueType: typ}
}

// equalKeys are columns whose values are equal row by row.
func equalKeys(t *testing.T) map[string][]arrow.Array {
	p := arrow.PrimitiveTypes
	list := func(json string, types ...arrow.DataType) (out []arrow.Array) {
		for _, typ := range types {
			out = append(out, arrayOf(t, typ, json))
		}
		return out
	}
	halves := array.NewFloat16Builder(memory.DefaultAllocator)
	for _, f := range []float32{0, 1.5, -2} {
		halves.Append(float16.New(f))
	}
	text := list(`["", "a", "text of more than twelve bytes", null]`, arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.StringView, dictionary(arrow.BinaryTypes.String))
	text = append(text, list(`["", "YQ==", "dGV4dCBvZiBtb3JlIHRoYW4gdHdlbHZlIGJ5dGVz", null]`, arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary)...)
	ids := extensions.NewUUIDBuilder(memory.DefaultAllocator)
	ids.Append(uuid.MustParse("00010203-0405-0607-0809-0a0b0c0d0e0f"))
	ids.AppendNull()
	return map[string][]arrow.Array{
		"signed": list(`[0, -1, 127, null, -128]`, p.Int8, p.Int16, p.Int32, p.Int64, dictionary(p.Int64)),
		"all":    list(`[0, 1, 127, null]`, p.Int8, p.Int16, p.Int32, p.Int64, p.Uint8, p.Uint16, p.Uint32, p.Uint64),
		"large":  list(`[0, 18446744073709551615]`, p.Uint64, p.Uint64),
		"floats": append(list(`[0, 1.5, -2]`, p.Float32, p.Float64), halves.NewArray()),
		"dates":  {arrayOf(t, p.Date32, `["1970-01-02", "2026-11-29", null]`), arrayOf(t, p.Date64, `["1970-01-02", "2026-11-29", null]`)},
		"stamps": append(list(`["2026-11-29 05:51:26", "1900-01-01 00:00:00", null]`,
			&arrow.TimestampType{Unit: arrow.Second}, &arrow.TimestampType{Unit: arrow.Millisecond}, &arrow.TimestampType{Unit: arrow.Nanosecond}),
			arrayOf(t, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, `["2026-11-29 05:51:26Z", "1900-01-01 00:00:00Z", null]`)),
		"times":    list(`["01:02:03", null]`, arrow.FixedWidthTypes.Time32s, arrow.FixedWidthTypes.Time32ms, arrow.FixedWidthTypes.Time64us, arrow.FixedWidthTypes.Time64ns),
		"booleans": list(`[true, false, null]`, arrow.FixedWidthTypes.Boolean, arrow.FixedWidthTypes.Boolean),
		"decimals": list(`["1.50", "-0.01", null]`, &arrow.Decimal128Type{Precision: 10, Scale: 2}, &arrow.Decimal128Type{Precision: 30, Scale: 2}, &arrow.Decimal256Type{Precision: 50, Scale: 2}),
		"text":     text,
		"binary":   append(list(`["AAECAwQFBgcICQoLDA0ODw==", null]`, arrow.BinaryTypes.Binary, &arrow.FixedSizeBinaryType{ByteWidth: 16}), ids.NewArray()),
		"nulls":    list(`[null, null]`, arrow.Null, p.Int64, arrow.BinaryTypes.String, dictionary(p.Int32))[:2],
	}
}

func TestEqualValuesHaveEqualKeys(t *testing.T) {
	for name, sides := range equalKeys(t) {
		var types [][]arrow.DataType
		for _, a := range sides {
			types = append(types, []arrow.DataType{a.DataType()})
		}
		// Alone, and beside a column of text.
		for _, wide := range []bool{false, true} {
			list := types
			if wide {
				list = nil
				for _, side := range types {
					list = append(list, []arrow.DataType{side[0], arrow.BinaryTypes.String})
				}
			}
			l, err := hashjoin.NewLayout(list...)
			if err != nil {
				t.Fatal(err)
			}
			var want, got hashjoin.Keys
			for i, a := range sides {
				cols := []arrow.Array{a}
				if wide {
					cols = append(cols, arrayOf(t, arrow.BinaryTypes.String, "["+strings.Repeat(`"x", `, a.Len()-1)+`"x"]`))
				}
				encode(t, l, &got, cols...)
				if i == 0 {
					encode(t, l, &want, cols...)
				}
				for row := range want.Len() {
					same := got.Lo[row] == want.Lo[row] && got.IsNull(row) == want.IsNull(row) && got.IsNull(row) == (cellNull(a, row))
					if l.Words() == 2 {
						same = same && got.Hi[row] == want.Hi[row]
					}
					if !same {
						t.Errorf("%s: row %d of %s (wide %v) is not equal to that of %s", name, row, a.DataType(), wide, sides[0].DataType())
					}
				}
				if len(want.Lo) > 1 && want.Lo[0] == want.Lo[1] && name != "nulls" {
					t.Errorf("%s: rows 0 and 1 are equal", name)
				}
			}
		}
	}
}

func cellNull(a arrow.Array, i int) bool { return a.IsNull(i) || a.DataType().ID() == arrow.NULL }

// A negative number is not the unsigned one with the same bits.
func TestLargeIntegers(t *testing.T) {
	signed, unsigned := arrayOf(t, arrow.PrimitiveTypes.Int64, `[-1, 1]`), arrayOf(t, arrow.PrimitiveTypes.Uint64, `[18446744073709551615, 1]`)
	l, err := hashjoin.NewLayout([]arrow.DataType{signed.DataType()}, []arrow.DataType{unsigned.DataType()})
	if err != nil {
		t.Fatal(err)
	}
	var a, b hashjoin.Keys
	encode(t, l, &a, signed)
	encode(t, l, &b, unsigned)
	if a.Lo[0] == b.Lo[0] || a.Lo[1] != b.Lo[1] {
		t.Errorf("%x, %x", a.Lo, b.Lo)
	}
}

func TestFloatKeys(t *testing.T) {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	b.AppendValues([]float64{math.Copysign(0, -1), 0, math.NaN(), math.Float64frombits(0xfff8000000000123), math.Inf(1)}, nil)
	a := b.NewArray()
	var k hashjoin.Keys
	encode(t, layoutOf(t, a), &k, a)
	if k.Lo[0] != k.Lo[1] || k.Lo[2] != k.Lo[3] || k.Lo[3] == k.Lo[4] || k.Lo[0] == k.Lo[2] {
		t.Errorf("%x", k.Lo)
	}
}

func TestDictionaryOfNulls(t *testing.T) {
	values := arrayOf(t, arrow.BinaryTypes.String, `["a", null]`)
	indices := arrayOf(t, arrow.PrimitiveTypes.Int16, `[0, 1, null, 0]`)
	a := array.NewDictionaryArray(dictionary(arrow.BinaryTypes.String), indices, values)
	var k hashjoin.Keys
	encode(t, layoutOf(t, a), &k, a)
	if k.IsNull(0) || !k.IsNull(1) || !k.IsNull(2) || k.IsNull(3) || k.Lo[1] != k.Lo[2] || k.Lo[0] != k.Lo[3] || k.Lo[0] == k.Lo[1] {
		t.Errorf("%x, nulls %b", k.Lo, k.Null)
	}
}

func TestRefusedKeys(t *testing.T) {
	p := arrow.PrimitiveTypes
	for _, c := range []struct {
		sides [][]arrow.DataType
		want  string
	}{
		{nil, "no columns"},
		{[][]arrow.DataType{{}}, "no columns"},
		{[][]arrow.DataType{{p.Int64}, {p.Int64, p.Int64}}, "1 columns on one side and 2"},
		{[][]arrow.DataType{{p.Int64}, {arrow.BinaryTypes.String}}, "int64 cannot equal a key of type utf8"},
		{[][]arrow.DataType{{p.Int64}, {p.Float64}}, "int64 cannot equal a key of type float64"},
		{[][]arrow.DataType{{&arrow.Decimal128Type{Precision: 9, Scale: 1}}, {&arrow.Decimal128Type{Precision: 9, Scale: 2}}}, "decimal(9, 1) cannot equal"},
		{[][]arrow.DataType{{arrow.MapOf(p.Int64, p.Int64)}}, "map<int64, int64, items_nullable> cannot be keys"},
		{[][]arrow.DataType{{arrow.ListOf(arrow.StructOf())}}, "list<item: struct<>, nullable> cannot be keys"},
		{[][]arrow.DataType{{arrow.ListOf(p.Int64)}, {arrow.ListOf(p.Float64)}}, "cannot equal a key of type"},
		{[][]arrow.DataType{{arrow.StructOf(arrow.Field{Name: "a", Type: p.Int64})}, {arrow.StructOf(arrow.Field{Name: "b", Type: p.Int64})}}, "cannot equal a key of type"},
		{[][]arrow.DataType{{arrow.StructOf()}}, "struct<> cannot be keys"},
		{[][]arrow.DataType{{arrow.FixedWidthTypes.MonthInterval}}, "month_interval cannot be keys"},
		{[][]arrow.DataType{{dictionary(arrow.MapOf(p.Int64, p.Int64))}}, "cannot be keys"},
	} {
		if _, err := hashjoin.NewLayout(c.sides...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.sides, err)
		}
	}
	l, err := hashjoin.NewLayout([]arrow.DataType{p.Int64})
	if err != nil {
		t.Fatal(err)
	}
	var k hashjoin.Keys
	for _, cols := range [][]arrow.Array{
		nil,
		{arrayOf(t, arrow.BinaryTypes.String, `["a"]`)},
		{arrayOf(t, p.Uint64, `[1]`)},
		{arrayOf(t, p.Int64, `[1]`), arrayOf(t, p.Int64, `[1]`)},
	} {
		if err := l.Encode(cols, &k); err == nil {
			t.Errorf("%v was taken", cols)
		}
	}
	far := arrayOf(t, &arrow.TimestampType{Unit: arrow.Second}, `["2500-01-01 00:00:00"]`)
	l, err = hashjoin.NewLayout([]arrow.DataType{&arrow.TimestampType{Unit: arrow.Nanosecond}}, []arrow.DataType{far.DataType()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Encode([]arrow.Array{far}, &k); err == nil || !strings.Contains(err.Error(), "2500") {
		t.Errorf("%v", err)
	}
}

// Rows of several columns have equal keys exactly when they are equal.
func TestKeysOfSeveralColumns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 40, 1100}).Draw(t, "rows")
		text, number := textKeys, numberKeys
		var cols []arrow.Array
		rows := make([]string, n)
		for range rapid.IntRange(2, 4).Draw(t, "columns") {
			isText := rapid.Bool().Draw(t, "text")
			draw := number
			if isText {
				draw = text
			}
			some := append(draw(t, 20), key{})
			list := make([]key, n)
			for i := range list {
				list[i] = some[(i*7+i/len(some))%len(some)]
				rows[i] += fmt.Sprintf("%q %v %v,", list[i].text, list[i].n, list[i].null)
			}
			cols = append(cols, columnOf(list, isText))
		}
		var types []arrow.DataType
		for _, a := range cols {
			types = append(types, a.DataType())
		}
		l, err := hashjoin.NewLayout(types)
		if err != nil {
			t.Fatal(err)
		}
		var k hashjoin.Keys
		encode(t, l, &k, cols...)
		rowOf, keyOf := map[string][2]uint64{}, map[[2]uint64]string{}
		for i, row := range rows {
			w := [2]uint64{k.Lo[i], k.Hi[i]}
			if was, ok := rowOf[row]; ok && was != w {
				t.Fatalf("%s has two keys", row)
			}
			if was, ok := keyOf[w]; ok && was != row {
				t.Fatalf("%s and %s have one key", was, row)
			}
			rowOf[row], keyOf[w] = w, row
			if k.IsNull(i) != strings.Contains(row, "true,") {
				t.Fatalf("%s: null %v", row, k.IsNull(i))
			}
		}
	})
}

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		json      string
		min, max  int64
		ascending bool
	}{
		{`[]`, math.MaxInt64, math.MinInt64, true},
		{`[null]`, math.MaxInt64, math.MinInt64, false},
		{`[-9223372036854775808, 0, 9223372036854775807]`, math.MinInt64, math.MaxInt64, true},
		{`[1, 1]`, 1, 1, false},
		{`[2, 1]`, 1, 2, false},
		{`[1, null, 5]`, 1, 5, false},
	} {
		a := arrayOf(t, arrow.PrimitiveTypes.Int64, c.json)
		var k hashjoin.Keys
		encode(t, layoutOf(t, a), &k, a)
		if k.Min != c.min || k.Max != c.max || k.Ascending != c.ascending {
			t.Errorf("%s: %d to %d, ascending %v", c.json, k.Min, k.Max, k.Ascending)
		}
	}
}

// Used memory is used again.
func TestEncodeAllocatesNothing(t *testing.T) {
	n := arrayOf(t, arrow.PrimitiveTypes.Int64, `[1, 2, null]`)
	s := arrayOf(t, arrow.BinaryTypes.String, `["a", null, "b"]`)
	for _, cols := range [][]arrow.Array{{n}, {s}, {n, s}} {
		l := layoutOf(t, cols...)
		var k hashjoin.Keys
		if got := testing.AllocsPerRun(10, func() { encode(t, l, &k, cols...) }); got > 0 {
			t.Errorf("%d columns: %v allocations", len(cols), got)
		}
	}
}

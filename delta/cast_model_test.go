package delta_test

import (
	"errors"
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

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// modelNumber is a number of a drawn type: its exact value, nil for NaN and infinities.
type modelNumber struct {
	array arrow.Array
	value *big.Rat
}

func drawNumber(t *rapid.T) modelNumber {
	mem := memory.DefaultAllocator
	edge := rapid.SampledFrom([]int64{0, 1, -1, 127, 128, -128, -129, 32767, 32768, 2147483647, 2147483648, -2147483649, 1 << 53, 1<<53 + 1, math.MaxInt64, math.MinInt64})
	whole := rapid.OneOf(edge, rapid.Int64(), rapid.Int64Range(-1000, 1000))
	switch rapid.SampledFrom([]string{"int8", "int32", "int64", "uint64", "float32", "float64", "decimal"}).Draw(t, "from") {
	case "int8":
		b := array.NewInt8Builder(mem)
		v := rapid.Int8().Draw(t, "v")
		b.Append(v)
		return modelNumber{b.NewArray(), new(big.Rat).SetInt64(int64(v))}
	case "int32":
		b := array.NewInt32Builder(mem)
		v := rapid.Int32().Draw(t, "v")
		b.Append(v)
		return modelNumber{b.NewArray(), new(big.Rat).SetInt64(int64(v))}
	case "int64":
		b := array.NewInt64Builder(mem)
		v := whole.Draw(t, "v")
		b.Append(v)
		return modelNumber{b.NewArray(), new(big.Rat).SetInt64(v)}
	case "uint64":
		b := array.NewUint64Builder(mem)
		v := rapid.Uint64().Draw(t, "v")
		b.Append(v)
		return modelNumber{b.NewArray(), new(big.Rat).SetUint64(v)}
	case "float32":
		b := array.NewFloat32Builder(mem)
		v := rapid.OneOf(rapid.Float32(), rapid.Float32Range(-300, 300), rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(1)), 1 << 24, math.MaxFloat32})).Draw(t, "v")
		b.Append(v)
		return modelNumber{b.NewArray(), new(big.Rat).SetFloat64(float64(v))}
	case "float64":
		b := array.NewFloat64Builder(mem)
		v := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-300, 300), rapid.Map(whole, func(i int64) float64 { return float64(i) }), rapid.SampledFrom([]float64{math.NaN(), math.Inf(-1), 1e300, 1 << 63})).Draw(t, "v")
		b.Append(v)
		return modelNumber{b.NewArray(), new(big.Rat).SetFloat64(v)}
	}
	scale := rapid.Int32Range(0, 38).Draw(t, "scale")
	b := array.NewDecimal128Builder(mem, &arrow.Decimal128Type{Precision: 38, Scale: scale})
	n := new(big.Int).Mul(big.NewInt(whole.Draw(t, "hi")), big.NewInt(rapid.SampledFrom([]int64{1, 10, 1e9, 1e18}).Draw(t, "factor")))
	b.Append(decimal128.FromBigInt(n))
	return modelNumber{b.NewArray(), new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))}
}

// modelCast is what the rules say of a number that is to be stored as another type: the value stored, and whether it is refused. Stored values are exact, or
// the nearest one, which for integers is towards zero.
func modelCast(v *big.Rat, to arrow.DataType) (stored *big.Rat, refused bool) {
	cut := func(least, greatest int64) (*big.Rat, bool) {
		if v == nil {
			return nil, true
		}
		q := new(big.Int).Quo(v.Num(), v.Denom())
		if !q.IsInt64() || q.Int64() < least || q.Int64() > greatest {
			return nil, true
		}
		return new(big.Rat).SetInt(q), false
	}
	switch to := to.(type) {
	case *arrow.Int8Type:
		return cut(math.MinInt8, math.MaxInt8)
	case *arrow.Int16Type:
		return cut(math.MinInt16, math.MaxInt16)
	case *arrow.Int32Type:
		return cut(math.MinInt32, math.MaxInt32)
	case *arrow.Int64Type:
		return cut(math.MinInt64, math.MaxInt64)
	case *arrow.Float64Type:
		if v == nil {
			return nil, false
		}
		f, _ := v.Float64()
		return new(big.Rat).SetFloat64(f), false
	case *arrow.Float32Type:
		if v == nil {
			return nil, false
		}
		f, _ := v.Float32()
		return new(big.Rat).SetFloat64(float64(f)), false
	case *arrow.Decimal128Type:
		if v == nil {
			return nil, true
		}
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(to.Scale)), nil)
		n := new(big.Int).Mul(v.Num(), unit)
		q, rest := new(big.Int).QuoRem(n, v.Denom(), new(big.Int))
		if rest.Abs(rest).Lsh(rest, 1).Cmp(v.Denom()) >= 0 {
			q.Add(q, big.NewInt(int64(v.Sign())))
		}
		if q.CmpAbs(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(to.Precision)), nil)) >= 0 {
			return nil, true
		}
		return new(big.Rat).SetFrac(q, unit), false
	}
	return nil, true
}

func storedNumber(a arrow.Array) *big.Rat {
	switch a := a.(type) {
	case *array.Int8:
		return new(big.Rat).SetInt64(int64(a.Value(0)))
	case *array.Int16:
		return new(big.Rat).SetInt64(int64(a.Value(0)))
	case *array.Int32:
		return new(big.Rat).SetInt64(int64(a.Value(0)))
	case *array.Int64:
		return new(big.Rat).SetInt64(a.Value(0))
	case *array.Float32:
		return new(big.Rat).SetFloat64(float64(a.Value(0)))
	case *array.Float64:
		return new(big.Rat).SetFloat64(a.Value(0))
	case *array.Decimal128:
		s := a.DataType().(*arrow.Decimal128Type).Scale
		return new(big.Rat).SetFrac(a.Value(0).BigInt(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s)), nil))
	}
	return nil
}

// TestCastModel compares casts of numbers with exact fractions. What floats with a fraction become as decimals is only held to be within one unit of the
// last place and the distance to the next float, since the shortest digits of a float count there.
func TestCastModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNumber(t)
		precision := rapid.Int32Range(1, 38).Draw(t, "precision")
		to := rapid.SampledFrom([]arrow.DataType{arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float32,
			arrow.PrimitiveTypes.Float64, &arrow.Decimal128Type{Precision: precision, Scale: rapid.Int32Range(0, precision).Draw(t, "to scale")}}).Draw(t, "to")
		from := arrow.NewSchema([]arrow.Field{{Name: "x", Type: n.array.DataType(), Nullable: true}}, nil)
		c := delta.NewCaster(from, arrow.NewSchema([]arrow.Field{{Name: "x", Type: to, Nullable: true}}, nil), memory.DefaultAllocator)
		out, err := c.Batch(t.Context(), array.NewRecordBatch(from, []arrow.Array{n.array}, 1))
		want, refused := modelCast(n.value, to)
		_, decimal := to.(*arrow.Decimal128Type)
		shortest := decimal && strings.HasPrefix(n.array.DataType().Name(), "float") && n.value != nil && !n.value.IsInt()
		if shortest && (err != nil || refused) {
			return
		}
		if (err != nil) != refused {
			t.Fatalf("%s %s to %s: %v, want refused %t", n.array.DataType(), n.array.ValueStr(0), to, err, refused)
		}
		if refused {
			var schema *delta.SchemaError
			if !errors.As(err, &schema) || schema.Column != "x" || !strings.Contains(schema.Got, "in row 1") {
				t.Fatalf("refused as %v", err)
			}
			return
		}
		got := storedNumber(out.Column(0))
		if want == nil || got == nil {
			if want != got {
				t.Fatalf("%s to %s: %v, want %v", n.array.ValueStr(0), to, got, want)
			}
			return
		}
		if shortest {
			diff := new(big.Rat).Sub(got, n.value)
			unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(to.(*arrow.Decimal128Type).Scale)), nil))
			near := new(big.Rat).Mul(new(big.Rat).Abs(n.value), new(big.Rat).SetFrac64(1, 1<<23)) // the distance of neighbours
			if diff.Abs(diff).Cmp(unit.Add(unit, near)) > 0 {
				t.Fatalf("%s to %s: %s", n.array.ValueStr(0), to, got.FloatString(40))
			}
			return
		}
		if got.Cmp(want) != 0 {
			t.Fatalf("%s %s to %s: %s, want %s", n.array.DataType(), n.array.ValueStr(0), to, got.FloatString(20), want.FloatString(20))
		}
		// A decimal in a float is counted only where its digits cannot be had back; everything else that is not the same value is.
		float := to.ID() == arrow.FLOAT32 || to.ID() == arrow.FLOAT64
		if n.array.DataType().ID() == arrow.DECIMAL128 && float {
			return
		}
		if (c.Lossy() > 0) != (got.Cmp(n.value) != 0) {
			t.Fatalf("%s %s to %s gives %s: %d counted as lossy", n.array.DataType(), n.array.ValueStr(0), to, got.FloatString(20), c.Lossy())
		}
	})
}

// nest wraps the values of an array one by one: as members, elements, and values of a map, with a null and something refusable under it in front.
func nest(t *testing.T, kind string, a arrow.Array) arrow.Array {
	mem := memory.DefaultAllocator
	var typ arrow.DataType
	switch kind {
	case "struct":
		typ = arrow.StructOf(arrow.Field{Name: "M", Type: a.DataType(), Nullable: true})
	case "list":
		typ = arrow.ListOf(a.DataType())
	case "large list":
		typ = arrow.LargeListOf(a.DataType())
	default:
		typ = arrow.MapOf(arrow.BinaryTypes.String, a.DataType())
	}
	n := a.Len()
	validity := memory.NewBufferBytes([]byte{0b11111110, 0xff, 0xff, 0xff}) // the first one is null, and its value stands there all the same
	offsets := make([]int32, n+1)
	wide := make([]int64, n+1)
	for i := range offsets {
		offsets[i], wide[i] = int32(i), int64(i)
	}
	var d arrow.ArrayData
	switch kind {
	case "struct":
		d = array.NewData(typ, n, []*memory.Buffer{validity}, []arrow.ArrayData{a.Data()}, 1, 0)
	case "list":
		d = array.NewData(typ, n, []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))}, []arrow.ArrayData{a.Data()}, 1, 0)
	case "large list":
		d = array.NewData(typ, n, []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(wide))}, []arrow.ArrayData{a.Data()}, 1, 0)
	default:
		b := array.NewStringBuilder(mem)
		for i := range n {
			b.Append(fmt.Sprint(i))
		}
		entries := array.NewData(typ.(*arrow.MapType).Elem(), n, []*memory.Buffer{nil}, []arrow.ArrayData{b.NewArray().Data(), a.Data()}, 0, 0)
		d = array.NewData(typ, n, []*memory.Buffer{validity, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))}, []arrow.ArrayData{entries}, 1, 0)
	}
	return array.MakeFromData(d)
}

// TestCastNested converts every pair of types within structs, lists and maps, each value on its own behind a null that holds the same value: the verdict
// must be that of the value alone, and a refusal must name the path and the row.
func TestCastNested(t *testing.T) {
	targets := map[string]string{"struct": `{"type":"struct","fields":[{"name":"m","type":"%s","nullable":true,"metadata":{}}]}`, "list": `{"type":"array","elementType":"%s","containsNull":true}`,
		"large list": `{"type":"array","elementType":"%s","containsNull":true}`, "map": `{"type":"map","keyType":"string","valueType":"%s","valueContainsNull":true}`}
	paths := map[string]string{"struct": "x.m", "list": "x.element", "large list": "x.element", "map": "x.value"}
	for name, source := range castSources(t) {
		for _, target := range castTargets {
			for i := range source.Len() {
				one := array.NewSlice(source, int64(i), int64(i)+1)
				flat := castOne(t, one, castSchema(t, `"`+target+`"`))
				twice, err := array.Concatenate([]arrow.Array{one, one}, memory.DefaultAllocator)
				if err != nil {
					t.Skip(err)
				}
				for kind, form := range targets {
					a := nest(t, kind, twice)
					from := arrow.NewSchema([]arrow.Field{{Name: "x", Type: a.DataType(), Nullable: true}}, nil)
					c := delta.NewCaster(from, castSchema(t, fmt.Sprintf(form, target)), memory.DefaultAllocator)
					out, err := c.Batch(t.Context(), array.NewRecordBatch(from, []arrow.Array{a}, 2))
					var schema *delta.SchemaError
					switch {
					case flat == "refused" || flat == "no way":
						if !errors.As(err, &schema) || schema.Column != paths[kind] || flat == "refused" && !strings.Contains(schema.Got, "in row 2") {
							t.Errorf("%s of %s %s to %s: %v, want a refusal that names %s and row 2", kind, name, one.ValueStr(0), target, err, paths[kind])
						}
					case err != nil:
						t.Errorf("%s of %s %s to %s: %v, alone %s", kind, name, one.ValueStr(0), target, err, flat)
					case (c.Lossy() == 1) != strings.HasSuffix(flat, "*") || c.Lossy() > 1:
						t.Errorf("%s of %s %s to %s: %d counted as lossy, alone %s", kind, name, one.ValueStr(0), target, c.Lossy(), flat)
					case out.Column(0).IsValid(0) || out.Column(0).IsNull(1):
						t.Errorf("%s of %s to %s: nulls moved: %s", kind, name, target, out.Column(0))
					}
				}
			}
		}
	}
}

package delta

import (
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// verdict says what a conversion does to a value.
type verdict uint8

const (
	exact   verdict = iota
	lossy           // the value cannot be had back
	refused         // there is no such value
)

// way converts the values of a column one by one to T; nil where no value can be converted.
type way[T any] func(i int) (T, verdict)

// ways are the conversions of a column to what Delta has.
type ways struct {
	whole   way[int64] // to integers of every width
	float   func(bits int) way[float64]
	decimal func(precision, scale int32) way[decimal128.Num]
	text    way[string]
	boolean way[bool]
	binary  way[[]byte]
	date    way[int32]
	time    func(zoned bool) way[int64] // microseconds
}

// waysOf are the conversions of an array that is no struct, list or map, none for types that Delta lacks.
func waysOf(a arrow.Array) ways {
	switch a := a.(type) {
	case *array.Boolean:
		return boolWays(a)
	case *array.Int8, *array.Int16, *array.Int32, *array.Int64, *array.Uint8, *array.Uint16, *array.Uint32:
		return wholeWays(wholeValues(a))
	case *array.Uint64:
		return uint64Ways(a)
	case *array.Float16:
		return floatWays(func(i int) float64 { return float64(a.Value(i).Float32()) }, 32)
	case *array.Float32:
		return floatWays(func(i int) float64 { return float64(a.Value(i)) }, 32)
	case *array.Float64:
		return floatWays(a.Value, 64)
	case *array.Decimal32, *array.Decimal64, *array.Decimal128, *array.Decimal256:
		return decimalWays(a)
	case *array.String:
		return textWays(a.Value)
	case *array.LargeString:
		return textWays(a.Value)
	case *array.StringView:
		return textWays(a.Value)
	case *array.Binary:
		return binaryWays(a.Value)
	case *array.LargeBinary:
		return binaryWays(a.Value)
	case *array.BinaryView:
		return binaryWays(a.Value)
	case *array.FixedSizeBinary:
		return binaryWays(a.Value)
	case *array.Date32:
		return dateWays(func(i int) (int64, verdict) { return int64(a.Value(i)), exact })
	case *array.Date64:
		return dateWays(func(i int) (int64, verdict) {
			ms := int64(a.Value(i))
			return floorDays(ms / 1000), lossyIf(ms%86_400_000 != 0)
		})
	case *array.Timestamp:
		return timeWays(a)
	case array.ExtensionArray:
		return extensionWays(a)
	}
	return ways{}
}

func lossyIf(lost bool) verdict {
	if lost {
		return lossy
	}
	return exact
}

// flat converts an array that is no struct, list or map.
func (c *Caster) flat(a arrow.Array, to arrow.DataType, at place) (arrow.Array, error) {
	w := waysOf(a)
	switch to := to.(type) {
	case *arrow.Decimal128Type:
		if w.decimal == nil {
			break
		}
		b := array.NewDecimal128Builder(c.mem, to)
		return fill(c, a, to, at, w.decimal(to.Precision, to.Scale), b, b.UnsafeAppend)
	case *arrow.TimestampType:
		if w.time == nil {
			break
		}
		b := array.NewTimestampBuilder(c.mem, to)
		return fill(c, a, to, at, w.time(to.TimeZone != ""), b, func(v int64) { b.UnsafeAppend(arrow.Timestamp(v)) })
	}
	switch to.ID() {
	case arrow.INT8:
		b := array.NewInt8Builder(c.mem)
		return fill(c, a, to, at, within(w.whole, math.MinInt8, math.MaxInt8), b, func(v int64) { b.UnsafeAppend(int8(v)) })
	case arrow.INT16:
		b := array.NewInt16Builder(c.mem)
		return fill(c, a, to, at, within(w.whole, math.MinInt16, math.MaxInt16), b, func(v int64) { b.UnsafeAppend(int16(v)) })
	case arrow.INT32:
		b := array.NewInt32Builder(c.mem)
		return fill(c, a, to, at, within(w.whole, math.MinInt32, math.MaxInt32), b, func(v int64) { b.UnsafeAppend(int32(v)) })
	case arrow.INT64:
		b := array.NewInt64Builder(c.mem)
		return fill(c, a, to, at, w.whole, b, b.UnsafeAppend)
	case arrow.FLOAT32:
		b := array.NewFloat32Builder(c.mem)
		return fill(c, a, to, at, floatOf(w, 32), b, func(v float64) { b.UnsafeAppend(float32(v)) })
	case arrow.FLOAT64:
		b := array.NewFloat64Builder(c.mem)
		return fill(c, a, to, at, floatOf(w, 64), b, b.UnsafeAppend)
	case arrow.BOOL:
		b := array.NewBooleanBuilder(c.mem)
		return fill(c, a, to, at, w.boolean, b, b.UnsafeAppend)
	case arrow.DATE32:
		b := array.NewDate32Builder(c.mem)
		return fill(c, a, to, at, w.date, b, func(v int32) { b.UnsafeAppend(arrow.Date32(v)) })
	case arrow.STRING:
		b := array.NewStringBuilder(c.mem)
		return fill(c, a, to, at, w.text, b, b.Append)
	case arrow.BINARY:
		b := array.NewBinaryBuilder(c.mem, arrow.BinaryTypes.Binary)
		return fill(c, a, to, at, w.binary, b, b.Append)
	}
	return nil, &SchemaError{Column: at.path, Want: nameOf(to), Got: nameOf(a.DataType())}
}

func floatOf(w ways, bits int) way[float64] {
	if w.float == nil {
		return nil
	}
	return w.float(bits)
}

// within refuses whole numbers that a narrower integer lacks.
func within(w way[int64], least, greatest int64) way[int64] {
	if w == nil {
		return nil
	}
	return func(i int) (int64, verdict) {
		v, how := w(i)
		if v < least || v > greatest {
			return 0, refused
		}
		return v, how
	}
}

// fill builds a column from what a way gives for each value that is not null, and counts what was lost.
func fill[T any](c *Caster, a arrow.Array, to arrow.DataType, at place, w way[T], b array.Builder, add func(T)) (arrow.Array, error) {
	defer b.Release()
	if w == nil {
		return nil, &SchemaError{Column: at.path, Want: nameOf(to), Got: nameOf(a.DataType())}
	}
	b.Reserve(a.Len())
	lost := int64(0)
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		v, how := w(i)
		switch how {
		case refused:
			return nil, &SchemaError{Column: at.path, Want: nameOf(to), Got: fmt.Sprintf("%s (%s) in row %d", shown(a, i), nameOf(a.DataType()), at.row(i))}
		case lossy:
			lost++
		}
		add(v)
	}
	if lost > 0 {
		c.lossy[at.path] += lost
	}
	return b.NewArray(), nil
}

// shown is a value for a message, cut and printable.
func shown(a arrow.Array, i int) string {
	text := a.ValueStr(i)
	if !utf8.ValidString(text) || len(text) > 60 {
		text = fmt.Sprintf("%.60q", text)
	}
	return text
}

// nameOf is the name of a type as Delta has it, or as Arrow has it where Delta lacks it.
func nameOf(t arrow.DataType) string {
	own, err := typeOf(t, "")
	if err != nil || own.Name == "" {
		return t.String()
	}
	return own.Name
}

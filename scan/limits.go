package scan

import (
	"cmp"
	"encoding/binary"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// limits are a minimum and a maximum of a column. outside gives the first row of an array that is beyond them and not to be skipped, -1 for none; an array of
// another type than the bounds has none.
type limits interface {
	outside(a arrow.Array, skip func(i int) bool) int
}

// limitsOf are the limits of statistics, either of which may be missing; nil where there is nothing to compare.
func limitsOf(lo, hi any) limits {
	some := lo
	if some == nil {
		some = hi
	}
	switch some.(type) {
	case int64, filter.Date, filter.Timestamp, filter.TimestampNTZ:
		return integerLimits{integer(lo, math.MinInt64), integer(hi, math.MaxInt64)}
	case float32, float64:
		return floatLimits{float(lo, math.Inf(-1)), float(hi, math.Inf(1)), hi != nil}
	case string:
		l := textLimits{}
		l.lo, _ = lo.(string)
		l.hi, l.below = hi.(string)
		return l
	case filter.Decimal:
		l := decimalLimits{}
		l.lo, _ = lo.(filter.Decimal)
		l.hi, _ = hi.(filter.Decimal)
		return l
	}
	return nil
}

func integer(v any, missing int64) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case filter.Date:
		return int64(v)
	case filter.Timestamp:
		return int64(v)
	case filter.TimestampNTZ:
		return int64(v)
	}
	return missing
}

func float(v any, missing float64) float64 {
	switch v := v.(type) {
	case float32:
		return float64(v)
	case float64:
		return v
	}
	return missing
}

// beyond is the first value outside [lo, hi] that is not skipped, -1 for none.
func beyond[T cmp.Ordered](values []T, lo, hi T, skip func(int) bool) int {
	for i, v := range values {
		if (v < lo || v > hi) && !skip(i) {
			return i
		}
	}
	return -1
}

type integerLimits struct{ lo, hi int64 }

func (l integerLimits) outside(a arrow.Array, skip func(int) bool) int {
	switch a := a.(type) {
	case *array.Int64:
		return beyond(a.Int64Values(), l.lo, l.hi, skip)
	case *array.Timestamp:
		return beyond(a.TimestampValues(), arrow.Timestamp(l.lo), arrow.Timestamp(l.hi), skip)
	case *array.Int32:
		return narrow(a.Int32Values(), l, math.MinInt32, math.MaxInt32, skip)
	case *array.Date32:
		return narrow(a.Date32Values(), l, math.MinInt32, math.MaxInt32, skip)
	case *array.Int16:
		return narrow(a.Int16Values(), l, math.MinInt16, math.MaxInt16, skip)
	case *array.Int8:
		return narrow(a.Int8Values(), l, math.MinInt8, math.MaxInt8, skip)
	}
	return -1
}

// narrow compares integers of a smaller type, whose range is [least, greatest]. Limits beyond it are drawn in: none of its values is outside those.
func narrow[T ~int8 | ~int16 | ~int32](values []T, l integerLimits, least, greatest int64, skip func(int) bool) int {
	if l.lo > greatest || l.hi < least { // not even one value can be inside
		for i := range values {
			if !skip(i) {
				return i
			}
		}
		return -1
	}
	return beyond(values, T(max(l.lo, least)), T(min(l.hi, greatest)), skip)
}

// floatLimits with a maximum have no NaN among them: those who are asked to vouch order NaN above all.
type floatLimits struct {
	lo, hi float64
	ended  bool
}

func (l floatLimits) outside(a arrow.Array, skip func(int) bool) int {
	out := func(v float64) bool { return v < l.lo || v > l.hi || l.ended && v != v }
	switch a := a.(type) {
	case *array.Float64:
		for i, v := range a.Float64Values() {
			if out(v) && !skip(i) {
				return i
			}
		}
	case *array.Float32:
		for i, v := range a.Float32Values() {
			if out(float64(v)) && !skip(i) {
				return i
			}
		}
	}
	return -1
}

// textLimits hold strings; below says that there is a maximum.
type textLimits struct {
	lo, hi string
	below  bool
}

func (l textLimits) outside(a arrow.Array, skip func(int) bool) int {
	texts, ok := a.(*array.String)
	if !ok || texts.Len() == 0 || texts.Data().Buffers()[2] == nil {
		return -1
	}
	raw := texts.Data().Buffers()[2].Bytes()
	ends := arrow.Int32Traits.CastFromBytes(texts.Data().Buffers()[1].Bytes())[texts.Data().Offset():]
	lo, hi := prefixOf([]byte(l.lo), 0, len(l.lo)), uint64(math.MaxUint64)
	if l.below {
		hi = prefixOf([]byte(l.hi), 0, len(l.hi))
	}
	for i := range texts.Len() {
		if p := prefixOf(raw, int(ends[i]), int(ends[i+1])); p > lo && p < hi {
			continue // the first bytes decide
		}
		if v := texts.Value(i); (v < l.lo || l.below && v > l.hi) && !skip(i) {
			return i
		}
	}
	return -1
}

// prefixOf is a number that orders texts as their first eight bytes do.
func prefixOf(raw []byte, from, to int) uint64 {
	if from+8 <= len(raw) {
		p := binary.BigEndian.Uint64(raw[from:])
		if n := to - from; n < 8 {
			p &= ^(math.MaxUint64 >> (8 * n))
		}
		return p
	}
	var b [8]byte
	copy(b[:], raw[from:to])
	return binary.BigEndian.Uint64(b[:])
}

// decimalLimits are texts, "" for none.
type decimalLimits struct{ lo, hi filter.Decimal }

func (l decimalLimits) outside(a arrow.Array, skip func(int) bool) int {
	numbers, ok := a.(*array.Decimal128)
	if !ok {
		return -1
	}
	scale := numbers.DataType().(*arrow.Decimal128Type).Scale
	lo, low := scaled(l.lo, scale)
	hi, high := scaled(l.hi, scale)
	for i, v := range numbers.Values() {
		if (low && v.Less(lo) || high && hi.Less(v)) && !skip(i) {
			return i
		}
	}
	return -1
}

// scaled is a decimal in units of a column's scale; false for none, and for digits that the column does not have.
func scaled(text filter.Decimal, scale int32) (decimal128.Num, bool) {
	if text == "" {
		return decimal128.Num{}, false
	}
	n, err := decimal128.FromString(string(text), 38, scale)
	if err != nil {
		return decimal128.Num{}, false
	}
	order, ok := filter.CompareValues(text, filter.Decimal(n.ToString(scale)))
	return n, ok && order == 0
}

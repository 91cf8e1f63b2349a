package filter

import (
	"bytes"
	"cmp"
	"math"
	"math/big"
	"strings"
)

// CompareValues orders two Literal values, numbers of any type by value, NaN greatest; ok is false when the types have no common order.
// Text against a time is compared as ISO 8601.
func CompareValues(a, b any) (order int, ok bool) {
	if x, y, ok := sameKind(a, b); ok {
		return compareSame(x, y)
	}
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b), true
	}
	return 0, false
}

// sameKind brings times and texts to one kind where that is possible.
func sameKind(a, b any) (any, any, bool) {
	switch x := a.(type) {
	case string:
		if t, ok := timeOf(b, x); ok {
			return t, b, true
		}
	case Date:
		if y, ok := b.(string); ok {
			t, ok := timeOf(a, y)
			return dateMicros(a), dateMicros(t), ok
		}
		if y, ok := b.(int64); ok {
			return int64(x), y, true
		}
		if isTime(b) {
			return dateMicros(a), dateMicros(b), true
		}
	case Timestamp, TimestampNTZ:
		if y, ok := b.(string); ok {
			t, ok := timeOf(a, y)
			return dateMicros(a), dateMicros(t), ok
		}
		if isTime(b) {
			return dateMicros(a), dateMicros(b), true
		}
	case int64:
		if y, ok := b.(Date); ok {
			return x, int64(y), true
		}
	}
	return a, b, true
}

func isTime(v any) bool {
	switch v.(type) {
	case Date, Timestamp, TimestampNTZ:
		return true
	}
	return false
}

// timeOf reads text as a time when like is one.
func timeOf(like any, text string) (any, bool) {
	if !isTime(like) {
		return nil, false
	}
	at, _, ok := ParseTime(text)
	return Timestamp(at), ok
}

// dateMicros is a time as microseconds.
func dateMicros(v any) any {
	switch v := v.(type) {
	case Date:
		return int64(v) * 86_400_000_000
	case Timestamp:
		return int64(v)
	case TimestampNTZ:
		return int64(v)
	}
	return v
}

func compareSame(a, b any) (int, bool) {
	switch x := dateMicrosIfTimes(a, b).(type) {
	case bool:
		y, ok := b.(bool)
		if !ok {
			return numberAgainstBool(a, b)
		}
		return cmp.Compare(boolInt(x), boolInt(y)), true
	case string:
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	case []byte:
		y, ok := b.([]byte)
		return bytes.Compare(x, y), ok
	case int64:
		if y, ok := dateMicros(b).(int64); ok {
			return cmp.Compare(x, y), true
		}
	}
	if y, ok := b.(bool); ok && isNumber(a) {
		return compareNumbers(a, boolInt(y)), true
	}
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b), true
	}
	return 0, false
}

func dateMicrosIfTimes(a, b any) any {
	if isTime(a) && (isTime(b) || isInt64(b)) {
		return dateMicros(a)
	}
	return a
}

func isInt64(v any) bool { _, ok := v.(int64); return ok }

func numberAgainstBool(a, b any) (int, bool) {
	if !isNumber(b) {
		return 0, false
	}
	return compareNumbers(boolInt(a.(bool)), b), true
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func isNumber(v any) bool {
	switch v.(type) {
	case int64, *big.Int, float64, float32, Decimal:
		return true
	}
	return false
}

func isNaN(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsNaN(v)
	case float32:
		return math.IsNaN(float64(v))
	}
	return false
}

// compareNumbers orders numbers by value; against a float everything is compared as a float, as both dialects do.
func compareNumbers(a, b any) int {
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	_, floatA := asFloat(a)
	_, floatB := asFloat(b)
	if floatA || floatB {
		return compareFloats(toFloat(a), toFloat(b))
	}
	return rational(a).Cmp(rational(b))
}

// toFloat rounds a number to a float.
func toFloat(v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f
	case Decimal:
		f, err := floatOf(string(v))
		if err != nil {
			return math.NaN()
		}
		return f
	}
	f, _ := asFloat(v)
	return f
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	}
	return 0, false
}

// compareFloats has NaN greatest and equal to itself, -0.0 equal to 0.0.
func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	}
	return -1
}

func rational(v any) *big.Rat {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v)
	case *big.Int:
		return new(big.Rat).SetInt(v)
	case Decimal:
		if r, ok := new(big.Rat).SetString(string(v)); ok {
			return r
		}
	}
	return new(big.Rat)
}

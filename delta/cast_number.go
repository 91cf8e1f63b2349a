package delta

import (
	"math"
	"math/big"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

func wholeValues(a arrow.Array) func(i int) int64 {
	switch a := a.(type) {
	case *array.Int8:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint8:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint32:
		return func(i int) int64 { return int64(a.Value(i)) }
	}
	return a.(*array.Int64).Value
}

// wholeWays are those of integers.
func wholeWays(value func(i int) int64) ways {
	return ways{
		whole: func(i int) (int64, verdict) { return value(i), exact },
		float: func(bits int) way[float64] {
			return func(i int) (float64, verdict) { return wholeFloat(value(i), bits) }
		},
		decimal: func(precision, scale int32) way[decimal128.Num] {
			return func(i int) (decimal128.Num, verdict) {
				return rescaled(decimal128.FromI64(value(i)), 0, precision, scale)
			}
		},
		text:    func(i int) (string, verdict) { return strconv.FormatInt(value(i), 10), exact },
		boolean: func(i int) (bool, verdict) { v := value(i); return v != 0, lossyIf(v != 0 && v != 1) },
	}
}

// wholeFloat is the float nearest to a whole number.
func wholeFloat(v int64, bits int) (float64, verdict) {
	f := float64(v)
	if bits == 32 {
		f = float64(float32(v))
	}
	return f, lossyIf(f >= 1<<63 || int64(f) != v)
}

// uint64Ways are those of unsigned integers of 64 bits, which have values that no integer of Delta has.
func uint64Ways(a *array.Uint64) ways {
	w := wholeWays(func(i int) int64 { return int64(a.Value(i)) })
	w.whole = func(i int) (int64, verdict) {
		v := a.Value(i)
		if v > math.MaxInt64 {
			return 0, refused
		}
		return int64(v), exact
	}
	w.float = func(bits int) way[float64] {
		return func(i int) (float64, verdict) {
			v := a.Value(i)
			f := float64(v)
			if bits == 32 {
				f = float64(float32(v))
			}
			return f, lossyIf(f >= 1<<64 || uint64(f) != v)
		}
	}
	w.decimal = func(precision, scale int32) way[decimal128.Num] {
		return func(i int) (decimal128.Num, verdict) {
			return rescaled(decimal128.FromU64(a.Value(i)), 0, precision, scale)
		}
	}
	w.text = func(i int) (string, verdict) { return strconv.FormatUint(a.Value(i), 10), exact }
	return w
}

// boolWays are those of truth values: 0 and 1 as numbers.
func boolWays(a *array.Boolean) ways {
	w := wholeWays(func(i int) int64 {
		if a.Value(i) {
			return 1
		}
		return 0
	})
	w.text = func(i int) (string, verdict) { return strconv.FormatBool(a.Value(i)), exact }
	return w
}

// floatWays are those of floats of so many bits. Fractions are cut off for integers; decimals take whole numbers as they are, and of others the shortest
// digits that tell the float from its neighbours, as Spark does, rounded half up.
func floatWays(value func(i int) float64, bits int) ways {
	return ways{
		whole: func(i int) (int64, verdict) {
			v := value(i)
			t := math.Trunc(v)
			if !(t >= -1<<63 && t < 1<<63) { // NaN too
				return 0, refused
			}
			return int64(t), lossyIf(t != v)
		},
		float: func(to int) way[float64] {
			return func(i int) (float64, verdict) {
				v := value(i)
				if to == 64 || v != v {
					return v, exact
				}
				return float64(float32(v)), lossyIf(float64(float32(v)) != v)
			}
		},
		decimal: func(precision, scale int32) way[decimal128.Num] {
			return func(i int) (decimal128.Num, verdict) {
				v := value(i)
				if v != v || math.IsInf(v, 0) {
					return decimal128.Num{}, refused
				}
				digits := -1
				if v == math.Trunc(v) {
					digits = 0 // a whole number is what it is
				}
				return decimalOfText(strconv.FormatFloat(v, 'f', digits, bits), precision, scale)
			}
		},
		text: func(i int) (string, verdict) { return formatFloat(value(i), bits), exact },
		boolean: func(i int) (bool, verdict) {
			v := value(i)
			if v != v {
				return false, refused
			}
			return v != 0, lossyIf(v != 0 && v != 1)
		},
	}
}

// decimalWays are those of decimals of every width.
func decimalWays(a arrow.Array) ways {
	from := a.DataType().(arrow.DecimalType)
	value := decimalValues(a)
	text := func(i int) string {
		n, ok := value(i)
		if ok {
			return n.ToString(from.GetScale())
		}
		return a.ValueStr(i)
	}
	return ways{
		whole: func(i int) (int64, verdict) {
			n, ok := value(i)
			if !ok {
				return 0, refused
			}
			q, rest := n, decimal128.Num{}
			if from.GetScale() > 0 {
				q, rest = n.Div(decimal128.GetScaleMultiplier(int(from.GetScale())))
			} else if from.GetScale() < 0 {
				if q, ok = shifted(n, -from.GetScale(), 38); !ok {
					return 0, refused
				}
			}
			if b := q.BigInt(); !b.IsInt64() {
				return 0, refused
			}
			return int64(q.LowBits()), lossyIf(rest.Sign() != 0)
		},
		float: func(bits int) way[float64] {
			return func(i int) (float64, verdict) { return textFloat(text(i), bits) }
		},
		decimal: func(precision, scale int32) way[decimal128.Num] {
			return func(i int) (decimal128.Num, verdict) {
				n, ok := value(i)
				if !ok {
					return decimalOfText(a.ValueStr(i), precision, scale)
				}
				return rescaled(n, from.GetScale(), precision, scale)
			}
		},
		text: func(i int) (string, verdict) { return text(i), exact },
		boolean: func(i int) (bool, verdict) {
			n, ok := value(i)
			one := decimal128.GetScaleMultiplier(int(max(from.GetScale(), 0)))
			return !ok || n.Sign() != 0, lossyIf(!ok || n.Sign() != 0 && n != one)
		},
	}
}

// decimalValues gives numbers without their scale; false for those beyond 38 digits.
func decimalValues(a arrow.Array) func(i int) (decimal128.Num, bool) {
	switch a := a.(type) {
	case *array.Decimal32:
		return func(i int) (decimal128.Num, bool) { return decimal128.FromI64(int64(a.Value(i))), true }
	case *array.Decimal64:
		return func(i int) (decimal128.Num, bool) { return decimal128.FromI64(int64(a.Value(i))), true }
	case *array.Decimal256:
		return func(i int) (decimal128.Num, bool) {
			b := a.Value(i).BigInt()
			if b.CmpAbs(greatestDecimal) > 0 {
				return decimal128.Num{}, false
			}
			return decimal128.FromBigInt(b), true
		}
	}
	return func(i int) (decimal128.Num, bool) { return a.(*array.Decimal128).Value(i), true }
}

// greatestDecimal has 38 digits.
var greatestDecimal = new(big.Int).Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil), big.NewInt(1))

// shifted multiplies by a power of ten, unless the result has more digits than allowed.
func shifted(n decimal128.Num, by, precision int32) (decimal128.Num, bool) {
	if n.Sign() == 0 {
		return n, true
	}
	if room := precision - by; room <= 0 || !n.FitsInPrecision(room) {
		return n, false
	}
	return n.Mul(decimal128.GetScaleMultiplier(int(by))), true
}

// rescaled brings a decimal to another precision and scale, rounding half up.
func rescaled(n decimal128.Num, from, precision, scale int32) (decimal128.Num, verdict) {
	switch {
	case scale >= from:
		n, ok := shifted(n, scale-from, precision)
		if !ok {
			return n, refused
		}
		return n, exact
	case from-scale > 38:
		return decimal128.Num{}, lossyIf(n.Sign() != 0)
	}
	by := decimal128.GetScaleMultiplier(int(from - scale))
	q, rest := n.Div(by)
	if r := rest.Abs(); !r.Less(by.Sub(r)) { // half or more; twice the rest may be beyond 128 bits
		one := decimal128.FromI64(1)
		if n.Sign() < 0 {
			one = one.Negate()
		}
		q = q.Add(one)
	}
	if q.Sign() != 0 && !q.FitsInPrecision(precision) {
		return q, refused
	}
	return q, lossyIf(rest.Sign() != 0)
}

package rowio

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
)

// digits is a number as it is written: 0.text times ten to the power of point.
// The text has no zero at either end and is "" for zero.
type digits struct {
	text    string
	point   int
	neg     bool
	integer bool // it has neither point nor exponent
}

// maxPoint bounds exponents: what lies beyond is out of every type's range.
const maxPoint = 1 << 30

// parseDigits reads a number: a sign, digits, a point, an exponent.
func parseDigits(s string) (d digits, ok bool) {
	rest := s
	switch {
	case strings.HasPrefix(rest, "-"):
		d.neg, rest = true, rest[1:]
	case strings.HasPrefix(rest, "+"):
		rest = rest[1:]
	}
	mantissa, exponent, scientific := rest, "", false
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa, exponent, scientific = rest[:i], rest[i+1:], true
	}
	whole, fraction, pointed := strings.Cut(mantissa, ".")
	if !onlyDigits(whole) || !onlyDigits(fraction) || whole == "" && fraction == "" {
		return d, false
	}
	power := 0
	if scientific {
		if power, ok = parseExponent(exponent); !ok {
			return d, false
		}
	}
	d.integer = !pointed && !scientific
	all := whole + fraction
	point := len(whole) + power
	trimmed := strings.TrimLeft(all, "0")
	d.point = min(max(point-(len(all)-len(trimmed)), -maxPoint), maxPoint)
	if d.text = strings.TrimRight(trimmed, "0"); d.text == "" {
		d.point = 0
	}
	return d, true
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func parseExponent(s string) (int, bool) {
	unsigned := strings.TrimPrefix(s, "-")
	if unsigned == s {
		unsigned = strings.TrimPrefix(s, "+")
	}
	if unsigned == "" || !onlyDigits(unsigned) {
		return 0, false
	}
	n, err := strconv.Atoi(unsigned)
	if err != nil || n > maxPoint {
		n = maxPoint
	}
	if s[0] == '-' {
		n = -n
	}
	return n, true
}

// whole and scale are how many digits the number has before and behind the
// point.
func (d *digits) whole() int { return max(d.point, 0) }
func (d *digits) scale() int { return max(len(d.text)-d.point, 0) }

// unscaled is the number times ten to the power of scale. Where digits behind
// that are left out the last one is made odd out of zero, so that the number
// lies on the same side of every shorter one.
func (d *digits) unscaled(scale int) *big.Int {
	n := new(big.Int)
	kept := d.point + scale // of the text's digits
	switch {
	case d.text == "":
	case kept >= len(d.text):
		n.SetString(d.text, 10)
		n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(kept-len(d.text))), nil))
	case kept <= 0:
		n.SetInt64(1)
	default:
		n.SetString(d.text[:kept], 10)
		if d.text[kept-1] == '0' {
			n.Add(n, big.NewInt(1))
		}
	}
	if d.neg {
		n.Neg(n)
	}
	return n
}

// isWord reports whether a text is a number that has no digits.
func isWord(s string) bool {
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case "nan":
		return len(s) == 3
	case "inf", "infinity":
		return len(s) == len(strings.TrimLeft(s, "+-")) || s[1] != '+' && s[1] != '-'
	}
	return false
}

// numbers learns from the numbers of a column which type holds them exactly.
type numbers struct {
	whole, scale int
	notInt64     bool
	fraction     bool   // some number has a point or an exponent, or no digits
	word         bool   // some number has no digits
	lost         string // an integer that a float of the column's width does not give back
}

// see takes a number in; bits are the width of the float that the column is or
// could be.
func (n *numbers) see(text string, d *digits, bits int) {
	n.whole, n.scale = max(n.whole, d.whole()), max(n.scale, d.scale())
	if !d.integer {
		n.notInt64, n.fraction = true, true
		return
	}
	if !n.notInt64 {
		_, err := strconv.ParseInt(text, 10, 64)
		n.notInt64 = err != nil || d.neg && d.text == ""
	}
	if exact := 15; n.lost == "" && (d.point > exact || bits == 32 && d.point > 7) && !givenBack(text, bits) {
		n.lost = text
	}
}

// givenBack reports whether the nearest float is written as the integer is.
func givenBack(text string, bits int) bool {
	f, err := strconv.ParseFloat(text, bits)
	return err == nil && strings.TrimPrefix(text, "+") == strconv.FormatFloat(f, 'f', -1, bits)
}

// float is the type of a column of floats: integers that a float would change
// stay integers, for the writer to count what is lost.
func (n *numbers) float(want arrow.DataType) arrow.DataType {
	switch {
	case n.lost == "" || n.fraction:
		return want
	case !n.notInt64:
		return arrow.PrimitiveTypes.Int64
	}
	if t := n.decimal(0); t != nil {
		return t
	}
	return want
}

// decimal is a decimal type that holds every number with at most scale digits
// behind the point; nil when there is none.
func (n *numbers) decimal(scale int) arrow.DataType {
	precision := max(n.whole+scale, 1)
	switch {
	case precision <= 38:
		return &arrow.Decimal128Type{Precision: int32(precision), Scale: int32(scale)}
	case precision <= 76:
		return &arrow.Decimal256Type{Precision: int32(precision), Scale: int32(scale)}
	}
	return nil
}

// natural is the type of a column of which nothing is known.
func (n *numbers) natural() arrow.DataType {
	switch {
	case !n.notInt64:
		return arrow.PrimitiveTypes.Int64
	case n.lost == "":
		return arrow.PrimitiveTypes.Float64
	case !n.word && n.whole+n.scale <= 38:
		return n.decimal(n.scale)
	}
	return nil
}

func decimal128Of(d *digits, scale int32) decimal128.Num {
	return decimal128.FromBigInt(d.unscaled(int(scale)))
}

func decimal256Of(d *digits, scale int32) decimal256.Num {
	return decimal256.FromBigInt(d.unscaled(int(scale)))
}

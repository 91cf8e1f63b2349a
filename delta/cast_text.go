package delta

import (
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// textWays are those of texts: they are read as what the column wants.
func textWays(value func(i int) string) ways {
	return ways{
		whole: func(i int) (int64, verdict) {
			n, err := strconv.ParseInt(value(i), 10, 64)
			if err != nil {
				return 0, refused
			}
			return n, exact
		},
		float: func(bits int) way[float64] {
			return func(i int) (float64, verdict) { return textFloat(value(i), bits) }
		},
		decimal: func(precision, scale int32) way[decimal128.Num] {
			return func(i int) (decimal128.Num, verdict) { return decimalOfText(value(i), precision, scale) }
		},
		text: func(i int) (string, verdict) { return value(i), exact },
		boolean: func(i int) (bool, verdict) {
			b, err := strconv.ParseBool(strings.ToLower(value(i)))
			if err != nil {
				return false, refused
			}
			return b, exact
		},
		binary: func(i int) ([]byte, verdict) { return []byte(value(i)), exact },
		date: func(i int) (int32, verdict) {
			d, ok := filter.ParseDate(value(i))
			if !ok {
				return 0, refused
			}
			return int32(d), exact
		},
		time: func(zoned bool) way[int64] {
			return func(i int) (int64, verdict) {
				text := value(i)
				at, withZone, ok := filter.ParseTime(text)
				if !ok || withZone && !zoned {
					return 0, refused
				}
				return at, lossyIf(finer(text))
			}
		},
	}
}

// finer reports whether a time has a fraction that microseconds do not hold.
func finer(text string) bool {
	_, fraction, _ := strings.Cut(text, ".")
	for i := 0; i < len(fraction) && fraction[i] >= '0' && fraction[i] <= '9'; i++ {
		if i >= 6 && fraction[i] != '0' {
			return true
		}
	}
	return false
}

// textFloat is the float nearest to a number's digits. It is exact when the shortest digits of the float are that number: 0.1 can be had back.
func textFloat(text string, bits int) (float64, verdict) {
	if strings.ContainsAny(text, "xX_pP") {
		return 0, refused // Go's own spellings
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return 0, refused
	}
	if math.IsInf(f, 0) || f != f {
		return f, exact
	}
	whole, fraction, exponent, ok := digitsOf(text)
	if !ok {
		return f, exact
	}
	if digits := strings.Trim(whole+fraction, "0"); len(digits) <= 15 && bits == 64 && f != 0 || len(digits) <= 6 && f != 0 || digits == "" {
		return f, exact
	}
	w, fr, e, _ := digitsOf(strconv.FormatFloat(f, 'e', -1, bits))
	return f, lossyIf(significant(whole, fraction, exponent) != significant(w, fr, e))
}

// digitsOf takes a number apart: its digits before and behind the point, and its exponent.
func digitsOf(text string) (whole, fraction string, exponent int, ok bool) {
	text = strings.TrimPrefix(text, "+")
	text = strings.TrimPrefix(text, "-")
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.Atoi(text[i+1:])
		if err != nil || n > 1<<20 || n < -1<<20 {
			return "", "", 0, false
		}
		text, exponent = text[:i], n
	}
	whole, fraction, _ = strings.Cut(text, ".")
	if whole == "" && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return "", "", 0, false
	}
	return whole, fraction, exponent, true
}

// significant is a number in the one form that it shares with none: digits without zeros around them, and the place of their end.
func significant(whole, fraction string, exponent int) string {
	digits := strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	return short + "e" + strconv.Itoa(exponent-len(fraction)+len(digits)-len(short))
}

// decimalOfText reads a number's digits as a decimal, rounded half up.
func decimalOfText(text string, precision, scale int32) (decimal128.Num, verdict) {
	whole, fraction, exponent, ok := digitsOf(text)
	if !ok || len(text) > 1 && (text[1] == '+' || text[1] == '-') {
		return decimal128.Num{}, refused
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return decimal128.Num{}, exact
	}
	// Digits that stay: those before the point, moved by the exponent, and as many behind it as the scale has.
	keep := len(digits) - len(fraction) + exponent + int(scale)
	if keep > int(precision) {
		return decimal128.Num{}, refused
	}
	how, up := exact, false
	switch {
	case keep < 0:
		return decimal128.Num{}, lossy
	case keep < len(digits):
		how, up = lossyIf(strings.Trim(digits[keep:], "0") != ""), digits[keep] >= '5'
		digits = digits[:keep]
	default:
		digits += strings.Repeat("0", keep-len(digits))
	}
	n, _ := new(big.Int).SetString("0"+digits, 10)
	if up {
		n.Add(n, big.NewInt(1))
	}
	if len(n.String()) > int(precision) && n.Sign() != 0 {
		return decimal128.Num{}, refused
	}
	if text[0] == '-' {
		n.Neg(n)
	}
	return decimal128.FromBigInt(n), how
}

// binaryWays are those of bytes, which are a text when they are UTF-8.
func binaryWays(value func(i int) []byte) ways {
	return ways{
		binary: func(i int) ([]byte, verdict) { return value(i), exact },
		text: func(i int) (string, verdict) {
			v := value(i)
			if !utf8.Valid(v) {
				return "", refused
			}
			return string(v), exact
		},
	}
}

// extensionWays are those of the storage of an extension type; a UUID is a text in its usual spelling.
func extensionWays(a array.ExtensionArray) ways {
	w := waysOf(a.Storage())
	if a.ExtensionType().ExtensionName() == "arrow.uuid" && w.binary != nil {
		bytes := w.binary
		w.text = func(i int) (string, verdict) {
			v, how := bytes(i)
			if len(v) != 16 {
				return "", refused
			}
			h := hex.EncodeToString(v)
			return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], how
		}
	}
	return w
}

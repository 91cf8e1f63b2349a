package rowio

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// appendText adds a value to an array of the type that the column settled for,
// which has seen the value before.
func (c *column) appendText(b array.Builder, text string) error {
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(text)
	case *array.BooleanBuilder:
		v, _ := parseBool(text)
		b.Append(v)
	case *array.Date32Builder:
		days, _ := parseDate(text)
		b.Append(arrow.Date32(days))
	case *array.TimestampBuilder:
		return c.appendStamp(b, text)
	case *array.BinaryBuilder:
		v, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return c.unfit(text)
		}
		b.Append(v)
	default:
		return c.appendNumber(b, text)
	}
	return nil
}

func (c *column) appendNumber(b array.Builder, text string) error {
	d, ok := parseDigits(text)
	switch b := b.(type) {
	case *array.Int64Builder:
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return c.refuse(text, "is no 64-bit integer")
		}
		b.Append(v)
		return nil
	case *array.Float64Builder:
		v, err := parseFloat(text, 64)
		if err != nil {
			return c.refuse(text, "is no number that a float holds")
		}
		b.Append(v)
		return nil
	case *array.Float32Builder:
		v, err := parseFloat(text, 32)
		if err != nil {
			return c.refuse(text, "is no number that a float holds")
		}
		b.Append(float32(v))
		return nil
	case *array.Decimal128Builder:
		if ok {
			b.Append(decimal128Of(&d, b.Type().(*arrow.Decimal128Type).Scale))
			return nil
		}
	case *array.Decimal256Builder:
		if ok {
			b.Append(decimal256Of(&d, b.Type().(*arrow.Decimal256Type).Scale))
			return nil
		}
	}
	return c.refuse(text, "is not a value of type "+typeName(b.Type()))
}

// parseFloat takes the words for numbers without digits in any case.
func parseFloat(s string, bits int) (float64, error) {
	if isWord(s) {
		switch {
		case len(s) == 3 && strings.EqualFold(s, "nan"):
			return math.NaN(), nil
		case s[0] == '-':
			return math.Inf(-1), nil
		}
		return math.Inf(1), nil
	}
	return strconv.ParseFloat(s, bits)
}

func (c *column) appendStamp(b *array.TimestampBuilder, text string) error {
	t := b.Type().(*arrow.TimestampType)
	at, ok := parseStamp(text, t.TimeZone != "")
	if !ok {
		return c.refuse(text, "is not a value of type "+typeName(t))
	}
	if t.Unit == arrow.Nanosecond {
		if at.Before(time.Unix(0, math.MinInt64)) || at.After(time.Unix(0, math.MaxInt64)) {
			return c.refuse(text, "stands in a column with times finer than a microsecond, which hold the years 1678 to 2262 only")
		}
		b.Append(arrow.Timestamp(at.UnixNano()))
		return nil
	}
	b.Append(arrow.Timestamp(at.UnixMicro()))
	return nil
}

// rowError is a fault at a line of a text.
type rowError struct {
	line int64
	err  error
}

func (e *rowError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *rowError) Unwrap() error { return e.err }

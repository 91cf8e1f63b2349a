package rowio

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// jsonWriter writes an object a row, in column order; array puts brackets and
// commas round them.
type jsonWriter struct {
	w     io.WriteCloser
	array bool
	rows  int64
	buf   []byte
}

func (j *jsonWriter) Write(b arrow.RecordBatch) error {
	j.buf = j.buf[:0]
	names, values := make([][]byte, b.NumCols()), make([]encode, b.NumCols())
	for c := range names {
		name, err := appendQuoted(nil, b.ColumnName(c))
		if err != nil {
			return fmt.Errorf("column %d: its name: %w", c+1, err)
		}
		names[c], values[c] = append(name, ": "...), encoder(b.Column(c))
	}
	for i := range int(b.NumRows()) {
		switch {
		case j.array && j.rows == 0:
			j.buf = append(j.buf, "[\n"...)
		case j.array:
			j.buf = append(j.buf, ",\n"...)
		}
		j.rows++
		j.buf = append(j.buf, '{')
		for c, value := range values {
			if c > 0 {
				j.buf = append(j.buf, ", "...)
			}
			var err error
			if j.buf, err = value(append(j.buf, names[c]...), i); err != nil {
				return fmt.Errorf("row %d, column %s: %w", j.rows, b.ColumnName(c), err)
			}
		}
		j.buf = append(j.buf, '}')
		if !j.array {
			j.buf = append(j.buf, '\n')
		}
	}
	_, err := j.w.Write(j.buf)
	return err
}

func (j *jsonWriter) Close() error {
	if j.array {
		end := "\n]\n"
		if j.rows == 0 {
			end = "[]\n"
		}
		if _, err := io.WriteString(j.w, end); err != nil {
			return err
		}
	}
	return j.w.Close()
}

// encode appends the JSON of a value of an array.
type encode func(dst []byte, row int) ([]byte, error)

// encoder encodes the values of an array: numbers with all their digits, those
// without digits as "NaN", "+Inf" and "-Inf", decimals and times as texts, bytes
// in base64, maps as lists of key and value.
func encoder(a arrow.Array) encode {
	value := valid(a)
	return func(dst []byte, row int) ([]byte, error) {
		if a.IsNull(row) {
			return append(dst, "null"...), nil
		}
		return value(dst, row)
	}
}

func plain(f func(dst []byte, row int) []byte) encode {
	return func(dst []byte, row int) ([]byte, error) { return f(dst, row), nil }
}

func signed[T int8 | int16 | int32 | int64](value func(int) T) encode {
	return plain(func(dst []byte, row int) []byte { return strconv.AppendInt(dst, int64(value(row)), 10) })
}

func unsigned[T uint8 | uint16 | uint32 | uint64](value func(int) T) encode {
	return plain(func(dst []byte, row int) []byte { return strconv.AppendUint(dst, uint64(value(row)), 10) })
}

// quoted puts what f appends in quotes; it has nothing that JSON escapes.
func quoted(f func(dst []byte, row int) []byte) encode {
	return plain(func(dst []byte, row int) []byte { return append(f(append(dst, '"'), row), '"') })
}

// valid encodes values that are not null.
func valid(a arrow.Array) encode {
	switch a := a.(type) {
	case *array.Boolean:
		return plain(func(dst []byte, row int) []byte { return strconv.AppendBool(dst, a.Value(row)) })
	case *array.Int8:
		return signed(a.Value)
	case *array.Int16:
		return signed(a.Value)
	case *array.Int32:
		return signed(a.Value)
	case *array.Int64:
		return signed(a.Value)
	case *array.Uint8:
		return unsigned(a.Value)
	case *array.Uint16:
		return unsigned(a.Value)
	case *array.Uint32:
		return unsigned(a.Value)
	case *array.Uint64:
		return unsigned(a.Value)
	case *array.Float32:
		return plain(func(dst []byte, row int) []byte { return appendFloat(dst, float64(a.Value(row)), 32) })
	case *array.Float64:
		return plain(func(dst []byte, row int) []byte { return appendFloat(dst, a.Value(row), 64) })
	case *array.Decimal128:
		scale := int(a.DataType().(*arrow.Decimal128Type).Scale)
		return quoted(func(dst []byte, row int) []byte { return appendDecimal(dst, a.Value(row).BigInt(), scale) })
	case *array.Decimal256:
		scale := int(a.DataType().(*arrow.Decimal256Type).Scale)
		return quoted(func(dst []byte, row int) []byte { return appendDecimal(dst, a.Value(row).BigInt(), scale) })
	case array.StringLike:
		return func(dst []byte, row int) ([]byte, error) { return appendQuoted(dst, a.Value(row)) }
	case interface{ Value(int) []byte }:
		return quoted(func(dst []byte, row int) []byte { return base64.StdEncoding.AppendEncode(dst, a.Value(row)) })
	case *array.Date32:
		return quoted(func(dst []byte, row int) []byte { return appendDay(dst, int64(a.Value(row))) })
	case *array.Timestamp:
		return timestamps(a)
	}
	return nestedValue(a)
}

func nestedValue(a arrow.Array) encode {
	switch a := a.(type) {
	case *array.Map:
		return mapValue(a)
	case *array.Struct:
		return structValue(a)
	case array.ListLike:
		elem := encoder(a.ListValues())
		return func(dst []byte, row int) ([]byte, error) {
			from, end := a.ValueOffsets(row)
			dst = append(dst, '[')
			for i := from; i < end; i++ {
				if i > from {
					dst = append(dst, ',')
				}
				var err error
				if dst, err = elem(dst, int(i)); err != nil {
					return dst, err
				}
			}
			return append(dst, ']'), nil
		}
	case *array.Dictionary:
		value := encoder(a.Dictionary())
		return func(dst []byte, row int) ([]byte, error) { return value(dst, a.GetValueIndex(row)) }
	}
	return func(dst []byte, row int) ([]byte, error) {
		text, err := json.Marshal(a.GetOneForMarshal(row))
		return append(dst, text...), err
	}
}

func timestamps(a *array.Timestamp) encode {
	t := a.DataType().(*arrow.TimestampType)
	zoned := t.TimeZone != ""
	return quoted(func(dst []byte, row int) []byte {
		v := int64(a.Value(row))
		switch t.Unit {
		case arrow.Second:
			return appendStamp(dst, time.Unix(v, 0), zoned)
		case arrow.Millisecond:
			return appendStamp(dst, time.UnixMilli(v), zoned)
		case arrow.Microsecond:
			return appendStamp(dst, time.UnixMicro(v), zoned)
		}
		return appendStamp(dst, time.Unix(0, v), zoned)
	})
}

func mapValue(a *array.Map) encode {
	keys, items := encoder(a.Keys()), encoder(a.Items())
	return func(dst []byte, row int) ([]byte, error) {
		from, end := a.ValueOffsets(row)
		dst = append(dst, '[')
		for i := from; i < end; i++ {
			if i > from {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = keys(append(dst, `{"key":`...), int(i)); err != nil {
				return dst, err
			}
			if dst, err = items(append(dst, `,"value":`...), int(i)); err != nil {
				return dst, err
			}
			dst = append(dst, '}')
		}
		return append(dst, ']'), nil
	}
}

func structValue(a *array.Struct) encode {
	fields := a.DataType().(*arrow.StructType).Fields()
	names, values := make([][]byte, len(fields)), make([]encode, len(fields))
	var bad error
	for i, f := range fields {
		name, err := appendQuoted(nil, f.Name)
		if err != nil {
			bad = fmt.Errorf("a member's name: %w", err)
		}
		names[i], values[i] = append(name, ':'), encoder(a.Field(i))
	}
	return func(dst []byte, row int) ([]byte, error) {
		if bad != nil {
			return dst, bad
		}
		dst = append(dst, '{')
		for i, value := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = value(append(dst, names[i]...), row); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
}

// appendFloat writes the shortest digits that give the number back.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"+Inf"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Inf"`...)
	}
	format, size := byte('f'), math.Abs(f)
	if size != 0 && (bits == 64 && (size < 1e-6 || size >= 1e21) || bits == 32 && (float32(size) < 1e-6 || float32(size) >= 1e21)) {
		format = 'e'
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && n-from >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' {
		dst = append(dst[:n-2], dst[n-1]) // 1e-07 is 1e-7 in JSON of other programs
	}
	return dst
}

// appendDecimal writes a decimal without the zeros that its fraction ends in.
func appendDecimal(dst []byte, unscaled *big.Int, scale int) []byte {
	text := unscaled.String()
	text, neg := strings.CutPrefix(text, "-")
	if neg {
		dst = append(dst, '-')
	}
	if scale <= 0 {
		dst = append(dst, text...)
		for range -scale {
			dst = append(dst, '0')
		}
		return dst
	}
	if pad := scale + 1 - len(text); pad > 0 {
		text = strings.Repeat("0", pad) + text
	}
	dst = append(dst, text[:len(text)-scale]...)
	if fraction := strings.TrimRight(text[len(text)-scale:], "0"); fraction != "" {
		dst = append(append(dst, '.'), fraction...)
	}
	return dst
}

var errNotUTF8 = errors.New("the text is no UTF-8, which JSON and CSV are")

// appendQuoted writes a text as JSON; <, > and & stay as they are.
func appendQuoted(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return dst, errNotUTF8
	}
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != 0xe2 {
			continue
		}
		if c == 0xe2 && !strings.HasPrefix(s[i:], "\u2028") && !strings.HasPrefix(s[i:], "\u2029") {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case 0xe2:
			dst = append(dst, `\u202`...)
			dst = append(dst, hex[s[i+2]&0xf])
			i += 2
			from = i + 1
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&0xf])
		}
	}
	return append(append(dst, s[from:]...), '"'), nil
}

package delta

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// hiveDefault is the directory name of a null partition. As a value in the log it is a text like any other.
const hiveDefault = "__HIVE_DEFAULT_PARTITION__"

// parsePartition reads a partition value of a primitive type. The empty text is null, and Hive's word where it can be no value.
func parsePartition(text, typ string) (any, error) {
	if text == "" || text == hiveDefault && typ != "string" && typ != "binary" {
		return nil, nil
	}
	bad := func() error { return fmt.Errorf("%q is no %s", text, typ) }
	switch typ {
	case "string":
		return text, nil
	case "binary":
		return []byte(text), nil
	case "boolean":
		switch strings.ToLower(text) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, bad()
	case "date":
		d, ok := filter.ParseDate(text)
		if !ok {
			return nil, bad()
		}
		return d, nil
	case "timestamp", "timestamp_ntz":
		at, _, ok := filter.ParseTime(text)
		if !ok {
			return nil, bad()
		}
		if typ == "timestamp" {
			return filter.Timestamp(at), nil
		}
		return filter.TimestampNTZ(at), nil
	}
	if bits, ok := map[string]int{"byte": 8, "short": 16, "integer": 32, "long": 64}[typ]; ok {
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return nil, bad()
		}
		return n, nil
	}
	if typ == "float" || typ == "double" {
		return parseFloat(text, typ)
	}
	if _, scale, ok := decimalOf(typ); ok {
		d, ok := normalDecimal(text, int(scale))
		if !ok {
			return nil, bad()
		}
		return filter.Decimal(d), nil
	}
	return nil, bad()
}

func floorDays(seconds int64) int64 {
	d := seconds / 86400
	if seconds%86400 < 0 {
		d--
	}
	return d
}

func parseFloat(text, typ string) (any, error) {
	bits := 64
	if typ == "float" {
		bits = 32
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil && !math.IsInf(f, 0) {
		return nil, fmt.Errorf("%q is no %s", text, typ)
	}
	if typ == "float" {
		return float32(f), nil
	}
	return f, nil
}

// normalDecimal reads a decimal text, also delta-rs's `-1.-50`, and gives it with exactly scale fraction digits; ok is false when it has more.
func normalDecimal(text string, scale int) (string, bool) {
	sign := ""
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		sign, text = "-", rest
	}
	text = strings.TrimPrefix(text, "+")
	whole, frac, _ := strings.Cut(text, ".")
	frac = strings.TrimPrefix(frac, "-")
	if whole == "" {
		whole = "0"
	}
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if !digits(whole) || !digits(frac) {
		return "", false
	}
	for len(frac) > scale && strings.HasSuffix(frac, "0") {
		frac = frac[:len(frac)-1]
	}
	if len(frac) > scale {
		return "", false
	}
	frac += strings.Repeat("0", scale-len(frac))
	if frac != "" {
		frac = "." + frac
	}
	return sign + whole + frac, true
}

// formatPartition writes a partition value; nil is a null.
func formatPartition(v any) *string {
	var s string
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		s = v
	case []byte:
		s = string(v)
	case bool:
		s = strconv.FormatBool(v)
	case int64:
		s = strconv.FormatInt(v, 10)
	case float32:
		s = formatFloat(float64(v), 32)
	case float64:
		s = formatFloat(v, 64)
	case filter.Decimal:
		s = string(v)
	case filter.Date:
		s = v.ISO()
	case filter.Timestamp:
		s = v.ISO()
	case filter.TimestampNTZ:
		s = strings.Replace(v.ISO(), "T", " ", 1)
	}
	if s == "" {
		return nil // an empty text reads as null, so it is written as what it means
	}
	return &s
}

// formatFloat writes a number as Java does, whose texts stand in the tables of Spark.
func formatFloat(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-3 || a >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, bits), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		sign := ""
		if exponent[0] == '-' {
			sign = "-"
		}
		return mantissa + "E" + sign + strings.TrimLeft(exponent[1:], "0")
	}
	s := strconv.FormatFloat(f, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// partitionDir is the Hive directory of partition values, escaped once; the log escapes it again in add.path.
func partitionDir(columns []string, values map[string]*string) string {
	var parts []string
	for _, c := range columns {
		v := hiveDefault
		if p := values[c]; p != nil {
			v = hiveEscape(*p)
		}
		parts = append(parts, hiveEscape(c)+"="+v)
	}
	return strings.Join(parts, "/")
}

// hiveEscape replaces what Hive does not take in a directory name by %XX.
func hiveEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c == 0x7f || strings.IndexByte(`"#%'*/:=?\{[]^`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

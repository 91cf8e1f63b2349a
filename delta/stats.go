package delta

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// shortString is the length below which a string in the statistics cannot have been cut by any known writer.
const shortString = 32

// stampSlack is what a writer may have cut off a timestamp's maximum: some keep milliseconds.
const stampSlack = 999

// Range is what the log proves of a leaf column (logical path), widened where writers cut values short: timestamps are
// given 999 microseconds more, strings may end early. Partition columns give their value. Unknown: the zero Range.
func (f *File) Range(path []string) filter.Range {
	if len(path) == 1 {
		if r, ok := f.partitionRange(path[0]); ok {
			return r
		}
	}
	phys, leaf, ok := f.snap.schema.physicalPath(path)
	if !ok || leaf.Type.Name == "" {
		return filter.Range{}
	}
	st := f.parsed()
	r := filter.Range{Known: true, Nulls: -1, Rows: st.records, MayNaN: leaf.Type.Name == "float" || leaf.Type.Name == "double"}
	if raw, ok := lookup(st.nulls, phys); ok {
		r.Nulls = nullCount(raw, st)
	}
	if raw, ok := lookup(st.min, phys); ok {
		r.Min = statValue(raw, leaf.Type.Name)
	}
	if raw, ok := lookup(st.max, phys); ok {
		r.Max = widenMax(statValue(raw, leaf.Type.Name))
		if isFloating(r.Max) {
			r.MayNaN = false // a writer that met NaN says so in the maximum, or leaves it out
		}
	}
	return r
}

// nullCount reads a count; with wide bounds only "none" and "all" keep their meaning, and "all" may have become fewer rows of nulls only.
func nullCount(raw json.RawMessage, st *fileStats) int64 {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 || st.records >= 0 && n > st.records {
		return -1
	}
	if st.loose && n != 0 && n != st.records {
		return -1
	}
	return n
}

func (f *File) partitionRange(column string) (filter.Range, bool) {
	for _, c := range f.snap.partitions {
		field, ok := f.snap.schema.Find([]string{column})
		if !ok || field.Name != c {
			continue
		}
		v, err := f.Partition(c)
		if err != nil {
			return filter.Range{}, true // reading the column fails; skipping must not hide that
		}
		rows := max(f.parsed().records, 1)
		if v == nil {
			return filter.Range{Known: true, Nulls: rows, Rows: rows}, true
		}
		return filter.Range{Known: true, Min: v, Max: v, Rows: rows, MayNaN: isNaN(v)}, true
	}
	return filter.Range{}, false
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

// statValue reads a minimum or maximum; nil when it is not what the type's statistics look like.
func statValue(raw json.RawMessage, typ string) any {
	text := string(raw)
	if text[0] == '"' {
		if json.Unmarshal(raw, &text) != nil {
			return nil
		}
	}
	switch typ {
	case "string":
		if raw[0] != '"' || !utf8.ValidString(text) {
			return nil
		}
		return text
	case "byte", "short", "integer", "long":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case "float", "double":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) {
			return nil
		}
		if typ == "float" {
			return float32(f) // its shortest text is another number as a double
		}
		return f
	case "date":
		if d, err := time.ParseInLocation("2006-01-02", text, time.UTC); err == nil {
			return filter.Date(floorDays(d.Unix()))
		}
	case "timestamp", "timestamp_ntz":
		at, _, ok := filter.ParseTime(text)
		if !ok {
			return nil
		}
		if typ == "timestamp" {
			return filter.Timestamp(at)
		}
		return filter.TimestampNTZ(at)
	default:
		if _, _, ok := decimalOf(typ); ok {
			return decimalStat(text)
		}
	}
	return nil
}

// decimalStat reads a JSON number exactly; an exponent is beyond what a decimal text can say.
func decimalStat(text string) any {
	if d, ok := normalDecimal(text, 60); ok {
		return filter.Decimal(d)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return f
}

// widenMax gives back what a writer may have cut off.
func widenMax(v any) any {
	switch v := v.(type) {
	case filter.Timestamp:
		return v + stampSlack
	case filter.TimestampNTZ:
		return v + stampSlack
	case string:
		if len(v) >= shortString && !strings.HasSuffix(v, "\x7f") && !strings.HasSuffix(v, "\U0010FFFF") {
			// A cut maximum has a tie-breaker appended by some writers and none by others: only what sorts after every continuation is safe.
			return v + "\U0010FFFF"
		}
	}
	return v
}

// Constant returns the one value that every row of the column has, if the log proves it (equal tight bounds, no nulls, not a
// timestamp or a float, a string shorter than 32 characters), and whether it does. All-null columns give nil, true.
func (f *File) Constant(path []string) (any, bool) {
	st := f.parsed()
	if len(path) == 1 {
		if r, ok := f.partitionRange(path[0]); ok && r.Known {
			return r.Min, true
		}
	}
	phys, leaf, ok := f.snap.schema.physicalPath(path)
	if !ok || leaf.Type.Name == "" || st.loose || st.records < 0 {
		return nil, false
	}
	raw, ok := lookup(st.nulls, phys)
	if !ok {
		return nil, false
	}
	nulls := nullCount(raw, st)
	if nulls == st.records {
		return nil, true
	}
	lo, okMin := lookup(st.min, phys)
	hi, okMax := lookup(st.max, phys)
	if nulls != 0 || !okMin || !okMax {
		return nil, false
	}
	switch leaf.Type.Name {
	case "timestamp", "timestamp_ntz", "float", "double":
		return nil, false
	}
	a, b := statValue(lo, leaf.Type.Name), statValue(hi, leaf.Type.Name)
	if a == nil || b == nil {
		return nil, false
	}
	if s, ok := a.(string); ok && len(s) >= shortString {
		return nil, false
	}
	order, ok := filter.CompareValues(a, b)
	return a, ok && order == 0
}

func isFloating(v any) bool {
	switch v.(type) {
	case float64, float32:
		return true
	}
	return false
}

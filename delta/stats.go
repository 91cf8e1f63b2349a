package delta

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
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

// exactDigits is the greatest precision of a decimal that survives a writer's detour over a double.
const exactDigits = 15

// fileStats are the statistics of a file: totals, and where in the text the values of columns are.
type fileStats struct {
	records         int64
	loose           bool // bounds are wide: nulls and values may be fewer than told
	min, max, nulls []byte
}

// parsed reads the outline of the statistics once. Text that is not JSON counts as none.
func (f *File) parsed() *fileStats {
	if f.stats != nil {
		return f.stats
	}
	st := &fileStats{records: -1}
	err := members([]byte(f.Stats), func(name string, raw []byte) bool {
		switch name {
		case "numRecords":
			if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && n >= 0 {
				st.records = n
			}
		case "tightBounds":
			st.loose = string(raw) == "false"
		case "minValues":
			st.min = raw
		case "maxValues":
			st.max = raw
		case "nullCount":
			st.nulls = raw
		}
		return true
	})
	if err != nil {
		st = &fileStats{records: -1}
	}
	f.stats = st
	return st
}

// lookup finds the value at a physical path; ok is false when there is none, or null.
func lookup(object []byte, path []string) (value []byte, ok bool) {
	value = object
	for _, name := range path {
		if len(value) == 0 || value[0] != '{' {
			return nil, false
		}
		var found []byte
		if members(value, func(n string, raw []byte) bool {
			if n == name {
				found = raw
			}
			return found == nil
		}) != nil || found == nil {
			return nil, false
		}
		value = found
	}
	return value, len(path) > 0 && string(value) != "null"
}

// spark tells whether the statistics come from Spark or this engine, which write NaN as a maximum or leave the maximum out, and decimals in full.
// delta-rs and others compute bounds without regard to NaN, and decimals through doubles. Statistics that an engine took over from another
// file state, such as those of a restore or below a deletion vector, may be anybody's.
func (f *File) spark() bool {
	o, ok := f.snap.state.Origins[f.Version]
	if f.DeletionVector != nil {
		return false
	}
	if !ok {
		return f.orderly()
	}
	return isSpark(o.Engine) && !takesOver(o.Operation)
}

// Vouched reports whether rows that contradict the statistics prove damage: this engine or Spark wrote the data file, as createdBy and spark tell from its
// footer, and the log does not say that its statistics came in another way. Of other writers false statistics are known, and readers live with them.
func (f *File) Vouched(createdBy string, spark bool) bool {
	o, known := f.snap.state.Origins[f.Version]
	switch {
	case strings.HasPrefix(createdBy, ownEngine):
		return !known || isSpark(o.Engine)
	case !spark:
		return false
	case !known:
		return f.snap.unmixed()
	}
	return isSpark(o.Engine) && !takesOver(o.Operation)
}

// unmixed reports whether every commit whose writer is known is by Spark or this engine.
func (s *Snapshot) unmixed() bool {
	for _, o := range s.state.Origins {
		if !isSpark(o.Engine) {
			return false
		}
	}
	return true
}

// takesOver reports whether an operation puts statistics into the log that others made.
func takesOver(operation string) bool {
	return slices.Contains([]string{"RESTORE", "CLONE", "CONVERT", "COMPUTE STATS", "ROW TRACKING BACKFILL"}, operation)
}

func isSpark(engine string) bool {
	for _, p := range []string{ownEngine, "Apache-Spark/", "Databricks-Runtime/"} {
		if strings.HasPrefix(engine, p) {
			return true
		}
	}
	return false
}

// orderly tells whether the columns of the statistics stand in the order of the schema, where the commit that wrote them is not known. Spark keeps
// that order; delta-rs shuffles each of the three objects, so with enough columns it gives itself away. Few columns prove nothing.
func (f *File) orderly() bool {
	if !f.snap.unmixed() {
		return false
	}
	st := f.parsed()
	chance := 1.0
	for _, object := range [][]byte{st.min, st.max, st.nulls} {
		place, n, ok := -1, 0.0, true
		if members(object, func(name string, _ []byte) bool {
			i := slices.IndexFunc(f.snap.schema.Fields, func(x Field) bool { return x.Physical == name })
			ok = ok && i > place
			place = i
			n++
			chance /= n
			return ok
		}) != nil || !ok {
			return false
		}
	}
	return chance < 1e-6
}

// Range is what the log proves of a leaf column (logical path), widened where writers cut values short: timestamps are
// given 999 microseconds more, minima of strings may end early. Partition columns give their value. Unknown: the zero Range.
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
	if leaf.Type.Name == "void" {
		rows := max(st.records, 1)
		return filter.Range{Known: true, Nulls: rows, Rows: rows}
	}
	r := filter.Range{Known: true, Nulls: -1, Rows: st.records}
	if raw, ok := lookup(st.nulls, phys); ok {
		r.Nulls = nullCount(raw, st)
	}
	if raw, ok := lookup(st.min, phys); ok {
		r.Min = statValue(raw, leaf.Type.Name, false)
	}
	if raw, ok := lookup(st.max, phys); ok {
		r.Max = statValue(raw, leaf.Type.Name, true)
	}
	f.widen(&r, leaf.Type.Name)
	if _, changed := leaf.Metadata["delta.typeChanges"]; changed {
		r.Min, r.Max = singles(r.Min, -1), singles(r.Max, 1)
	}
	if r.Min != nil && r.Max != nil {
		if c, ok := filter.CompareValues(r.Min, r.Max); !ok || c > 0 {
			r.Min, r.Max = nil, nil // they cannot both be true
		}
	}
	return r
}

// widen gives back what a writer may have cut off or left out.
func (f *File) widen(r *filter.Range, typ string) {
	switch hi := r.Max.(type) {
	case filter.Timestamp:
		r.Max = hi + stampSlack
	case filter.TimestampNTZ:
		r.Max = hi + stampSlack
	}
	switch {
	case typ == "float" || typ == "double":
		r.MayNaN = r.Max == nil || isNaN(r.Max) || !f.spark()
		if isNaN(r.Max) {
			r.Max = nil
		}
	case strings.HasPrefix(typ, "decimal") && (r.Min != nil || r.Max != nil):
		if p, _, _ := decimalOf(typ); p > exactDigits && !f.spark() {
			r.Min, r.Max = around(r.Min, -1), around(r.Max, 1)
		}
	}
}

// singles moves a bound out to the next float of 32 bits: statistics of a column that was widened to double may be the short texts of such floats, which
// read as doubles that differ from the values.
func singles(v any, sign float32) any {
	d, ok := v.(float64)
	if !ok {
		return v
	}
	return float64(math.Nextafter32(float32(d), sign*float32(math.Inf(1))))
}

// around moves a decimal bound out by what two roundings to a double can change.
func around(v any, sign int) any {
	d, ok := v.(filter.Decimal)
	if !ok {
		return v
	}
	f, err := strconv.ParseFloat(string(d), 64)
	if err != nil {
		return nil
	}
	for range 2 {
		f = math.Nextafter(f, math.Inf(sign))
	}
	return f
}

// nullCount reads a count; with wide bounds only "none" and "all" keep their meaning, and "all" may have become fewer rows of nulls only.
func nullCount(raw []byte, st *fileStats) int64 {
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

// statValue reads a minimum or maximum; nil when it is not what the type's statistics look like. NaN is told only by the text "NaN".
func statValue(raw []byte, typ string, maximum bool) any {
	text := string(raw)
	quoted := text[0] == '"'
	if quoted && json.Unmarshal(raw, &text) != nil {
		return nil
	}
	switch typ {
	case "string":
		if !quoted {
			return nil
		}
		return statText(raw, text, maximum)
	case "boolean":
		if text == "true" || text == "false" {
			return text == "true"
		}
	case "byte", "short", "integer", "long":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case "float", "double":
		return statFloat(text, typ)
	case "date":
		if d, err := time.ParseInLocation("2006-01-02", text, time.UTC); err == nil {
			return filter.Date(floorDays(d.Unix()))
		}
	case "timestamp", "timestamp_ntz":
		at, _, ok := filter.ParseTime(text)
		if !ok || text[0] == '+' || text[0] == '-' {
			return nil // years with a sign: writers differ in what they say of them
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

// statText is a string bound. Where a writer cut a character in two, the text is good up to there as a minimum and not at all as a maximum.
func statText(raw []byte, text string, maximum bool) any {
	if !utf8.Valid(raw) {
		return nil
	}
	i := strings.IndexRune(text, utf8.RuneError)
	switch {
	case i < 0 || bytes.Contains(raw, []byte("\uFFFD")):
		return text
	case maximum:
		return nil
	}
	return text[:i]
}

func statFloat(text, typ string) any {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) && text != "NaN" {
		return nil
	}
	if typ == "float" {
		return float32(f) // its shortest text is another number as a double
	}
	return f
}

// decimalStat reads a JSON number exactly; an exponent is beyond what a decimal text can say, so it is widened as a double.
func decimalStat(text string) any {
	if d, ok := normalDecimal(text, 60); ok {
		return filter.Decimal(d)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) {
		return nil
	}
	return filter.Decimal(strconv.FormatFloat(f, 'f', -1, 64))
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
	if leaf.Type.Name == "void" {
		return nil, true
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
	if p, _, ok := decimalOf(leaf.Type.Name); ok && p > exactDigits {
		return nil, false
	}
	a, b := statValue(lo, leaf.Type.Name, false), statValue(hi, leaf.Type.Name, true)
	if a == nil || b == nil {
		return nil, false
	}
	if s, ok := a.(string); ok && len(s) >= shortString {
		return nil, false
	}
	order, ok := filter.CompareValues(a, b)
	return a, ok && order == 0
}

package delta

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// statsPrefix is the number of characters that string bounds keep.
const statsPrefix = 32

// clusteringDomain names the columns that a table is clustered by, which always have statistics.
const clusteringDomain = "delta.clustering"

// statsChoice says which leaves have statistics: the named ones, else the first of them; and some always.
type statsChoice struct {
	first  int        // -1 = all
	named  [][]string // logical paths; nil = not by name
	always [][]string // physical paths
}

func newStatsChoice(configuration map[string]string, clustering *txlog.DomainMetadata) *statsChoice {
	c := &statsChoice{first: indexedColumns(configuration), named: statsColumns(configuration)}
	if clustering != nil {
		var w struct {
			Columns [][]string `json:"clusteringColumns"`
		}
		if json.Unmarshal([]byte(clustering.Configuration), &w) == nil {
			c.always = w.Columns
		}
	}
	return c
}

// takes reports whether a leaf has statistics, the n-th of the schema.
func (c *statsChoice) takes(n int, logical, physical []string) bool {
	if slices.ContainsFunc(c.always, func(p []string) bool { return slices.Equal(p, physical) }) {
		return true
	}
	if c.named == nil {
		return c.first < 0 || n < c.first
	}
	return slices.ContainsFunc(c.named, func(p []string) bool {
		return len(p) <= len(logical) && slices.EqualFunc(p, logical[:len(p)], strings.EqualFold)
	})
}

// collector gathers the statistics of one data file while it is written.
type collector struct {
	records int64
	columns []*leafStats
}

// leafStats are those of a leaf, or only counts of nulls for a list or map.
type leafStats struct {
	path   []string // physical
	source []int    // column, then members
	kind   string   // Delta primitive, "" for what is only counted
	nulls  int64
	seen   bool
	bad    bool // NaN came by: no bounds
	lo, hi int64
	flo    float64
	fhi    float64
	slo    string
	shi    string
	dlo    string
	dhi    string
}

// newCollector prepares the chosen leaves of the columns of a file.
func newCollector(fields []Field, choice *statsChoice) *collector {
	c := &collector{}
	n := 0
	var visit func(fields []Field, logical, physical []string, source []int)
	visit = func(fields []Field, logical, physical []string, source []int) {
		for i := range fields {
			f := &fields[i]
			l, p, s := append(slices.Clone(logical), f.Name), append(slices.Clone(physical), f.Physical), append(slices.Clone(source), i)
			if kindOf(&f.Type) == structKind {
				visit(f.Type.Fields, l, p, s)
				continue
			}
			if f.Type.Name != "void" && choice.takes(n, l, p) {
				c.columns = append(c.columns, &leafStats{path: p, source: s, kind: f.Type.Name})
			}
			n++
		}
	}
	visit(fields, nil, nil, nil)
	return c
}

func (c *collector) add(b arrow.RecordBatch) {
	c.records += b.NumRows()
	texts := sharedTexts{}
	for _, l := range c.columns {
		a := b.Column(l.source[0])
		var parents []arrow.Array
		for _, m := range l.source[1:] {
			if a.NullN() > 0 {
				parents = append(parents, a)
			}
			a = a.(*array.Struct).Field(m)
		}
		l.add(a, parents, texts)
	}
}

// sharedTexts are the bounds of the texts of a batch by their memory: data
// versions are often the provenances themselves.
type sharedTexts map[textMemory][2]string

type textMemory struct {
	offsets, values *memory.Buffer
	from, rows      int
}

// bounds returns the least and the greatest text of an array without nulls.
func (s sharedTexts) bounds(a *array.String) (lo, hi string) {
	key := textMemory{a.Data().Buffers()[1], a.Data().Buffers()[2], a.Data().Offset(), a.Len()}
	known, ok := s[key]
	if !ok {
		lo, hi := textBounds(a)
		known = [2]string{lo, hi}
		s[key] = known
	}
	return known[0], known[1]
}

func (l *leafStats) add(a arrow.Array, parents []arrow.Array, texts sharedTexts) {
	if len(parents) == 0 && a.NullN() == a.Len() {
		l.nulls += int64(a.Len())
		return
	}
	if len(parents) == 0 && a.NullN() == 0 && l.dense(a, texts) {
		return
	}
	null := func(i int) bool {
		for _, p := range parents {
			if p.IsNull(i) {
				return true
			}
		}
		return a.IsNull(i)
	}
	each := l.observer(a)
	for i := range a.Len() {
		switch {
		case null(i):
			l.nulls++
		case each != nil:
			each(i)
			l.seen = true
		}
	}
}

// dense takes an array without nulls at once, for the types that are common; false: it did nothing.
func (l *leafStats) dense(a arrow.Array, texts sharedTexts) bool {
	switch a := a.(type) {
	case *array.Int64:
		v := a.Int64Values()
		l.integers(slices.Min(v), slices.Max(v))
	case *array.Int32:
		v := a.Int32Values()
		l.integers(int64(slices.Min(v)), int64(slices.Max(v)))
	case *array.Timestamp:
		v := a.TimestampValues()
		l.integers(int64(slices.Min(v)), int64(slices.Max(v)))
	case *array.String:
		lo, hi := texts.bounds(a)
		l.text(lo)
		l.seen = true
		l.text(hi)
	default:
		return false
	}
	return true
}

// textBounds returns the least and the greatest text of an array without nulls.
// Most texts are told apart by their first bytes.
func textBounds(a *array.String) (lo, hi string) {
	offsets, data := a.ValueOffsets(), a.ValueBytes()
	lo = a.Value(0)
	hi = lo
	base := offsets[0]
	first, last := wordOf([]byte(lo)), wordOf([]byte(lo))
	for i := 1; i < a.Len(); i++ {
		v := data[offsets[i]-base : offsets[i+1]-base]
		word := wordOf(v)
		if word < first || word == first && string(v) < lo {
			first, lo = word, a.Value(i)
		}
		if word > last || word == last && string(v) > hi {
			last, hi = word, a.Value(i)
		}
	}
	return lo, hi
}

// wordOf is the first bytes of a text as a number that orders as they do.
func wordOf(v []byte) uint64 {
	if len(v) >= 8 {
		return binary.BigEndian.Uint64(v)
	}
	var w uint64
	for i, c := range v {
		w |= uint64(c) << (56 - 8*i)
	}
	return w
}

func (l *leafStats) integers(lo, hi int64) {
	l.integer(lo)
	l.seen = true
	l.integer(hi)
}

// observer takes the value of a row into the bounds; nil when the type has none.
func (l *leafStats) observer(a arrow.Array) func(int) {
	switch a := a.(type) {
	case *array.Int64:
		return func(i int) { l.integer(a.Value(i)) }
	case *array.Int32:
		return func(i int) { l.integer(int64(a.Value(i))) }
	case *array.Int16:
		return func(i int) { l.integer(int64(a.Value(i))) }
	case *array.Int8:
		return func(i int) { l.integer(int64(a.Value(i))) }
	case *array.Date32:
		return func(i int) { l.integer(int64(a.Value(i))) }
	case *array.Timestamp:
		return func(i int) { l.integer(int64(a.Value(i))) }
	case *array.Float64:
		return func(i int) { l.float(a.Value(i)) }
	case *array.Float32:
		return func(i int) { l.float(float64(a.Value(i))) }
	case *array.String:
		return func(i int) { l.text(a.Value(i)) }
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		return func(i int) {
			text := a.Value(i).ToString(scale)
			if l.decimalBelow(text, l.dlo) {
				l.dlo = text
			}
			if l.decimalBelow(l.dhi, text) {
				l.dhi = text
			}
		}
	}
	return nil
}

// decimalBelow compares decimal texts of one scale by value; an empty one is absent and gives way.
func (l *leafStats) decimalBelow(a, b string) bool {
	if a == "" || b == "" {
		return true
	}
	na, nb := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-")
	if na != nb {
		return na
	}
	ta, tb := strings.TrimPrefix(a, "-"), strings.TrimPrefix(b, "-")
	less := len(ta) < len(tb) || len(ta) == len(tb) && ta < tb
	return less != na && ta != tb
}

func (l *leafStats) integer(v int64) {
	if !l.seen || v < l.lo {
		l.lo = v
	}
	if !l.seen || v > l.hi {
		l.hi = v
	}
}

func (l *leafStats) float(v float64) {
	if math.IsNaN(v) {
		l.bad = true
		return
	}
	if !l.seen || v < l.flo {
		l.flo = v
	}
	if !l.seen || v > l.fhi {
		l.fhi = v
	}
}

func (l *leafStats) text(v string) {
	if !l.seen || v < l.slo {
		l.slo = strings.Clone(v)
	}
	if !l.seen || v > l.shi {
		l.shi = strings.Clone(v)
	}
}

// json is the text of add.stats.
func (c *collector) json() string {
	lo, hi, nulls := newObject(), newObject(), newObject()
	for _, l := range c.columns {
		nulls.set(l.path, strconv.FormatInt(l.nulls, 10))
		if !l.seen || l.bad {
			continue
		}
		a, b := l.bounds()
		if a != "" {
			lo.set(l.path, a)
		}
		if b != "" {
			hi.set(l.path, b)
		}
	}
	var b bytes.Buffer
	b.WriteString(`{"numRecords":` + strconv.FormatInt(c.records, 10) + `,"minValues":`)
	lo.write(&b)
	b.WriteString(`,"maxValues":`)
	hi.write(&b)
	b.WriteString(`,"nullCount":`)
	nulls.write(&b)
	b.WriteByte('}')
	return b.String()
}

// bounds are JSON texts; "" where there is none. Timestamps are cut down to milliseconds, as the protocol asks of writers.
func (l *leafStats) bounds() (lo, hi string) {
	switch l.kind {
	case "byte", "short", "integer", "long":
		return strconv.FormatInt(l.lo, 10), strconv.FormatInt(l.hi, 10)
	case "date":
		day := func(v int64) string { return quoteJSON(time.Unix(v*86400, 0).UTC().Format("2006-01-02")) }
		return day(l.lo), day(l.hi)
	case "timestamp":
		return stampText(l.lo, "2006-01-02T15:04:05.000Z"), stampText(l.hi, "2006-01-02T15:04:05.000Z")
	case "timestamp_ntz":
		return stampText(l.lo, "2006-01-02T15:04:05.000"), stampText(l.hi, "2006-01-02T15:04:05.000")
	case "float", "double":
		return floatStat(l.flo, l.kind), floatStat(l.fhi, l.kind)
	case "string":
		if utf8.ValidString(l.slo) {
			lo = quoteJSON(cutMin(l.slo, statsPrefix))
		}
		if utf8.ValidString(l.shi) {
			hi = cutMax(l.shi, statsPrefix)
		}
		return lo, hi
	}
	return l.dlo, l.dhi
}

func stampText(micros int64, layout string) string {
	return quoteJSON(time.UnixMilli(floorDiv(micros, 1000)).UTC().Format(layout))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floatStat(f float64, kind string) string {
	if math.IsInf(f, 0) {
		return ""
	}
	bits := 64
	if kind == "float" {
		bits = 32
	}
	text := strconv.FormatFloat(f, 'g', -1, bits)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// cutMin is the first characters, which sort before or at the whole.
func cutMin(s string, prefix int) string {
	n := 0
	for i := range s {
		if n == prefix {
			return s[:i]
		}
		n++
	}
	return s
}

// cutMax is a cut text with a tie-breaker, so that it sorts after the whole; "" when no short text does.
func cutMax(s string, prefix int) string {
	cut := cutMin(s, prefix)
	if cut == s {
		return quoteJSON(s)
	}
	for end := len(cut); end < len(s) && utf8.RuneCountInString(s[:end]) < 2*prefix; {
		r, n := utf8.DecodeRuneInString(s[end:])
		switch {
		case r < 0x7f:
			return quoteJSON(s[:end] + "\x7f")
		case r < utf8.MaxRune:
			return quoteJSON(s[:end] + string(utf8.MaxRune))
		}
		end += n
	}
	return ""
}

// object is a nested JSON object in order of insertion.
type object struct {
	names  []string
	values map[string]any // string (JSON text) or *object
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(path []string, text string) {
	name := path[0]
	if _, ok := o.values[name]; !ok {
		o.names = append(o.names, name)
	}
	if len(path) == 1 {
		o.values[name] = text
		return
	}
	child, ok := o.values[name].(*object)
	if !ok {
		child = newObject()
		o.values[name] = child
	}
	child.set(path[1:], text)
}

func (o *object) write(b *bytes.Buffer) {
	b.WriteByte('{')
	for i, n := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quoteJSON(n))
		b.WriteByte(':')
		switch v := o.values[n].(type) {
		case string:
			b.WriteString(v)
		case *object:
			v.write(b)
		}
	}
	b.WriteByte('}')
}

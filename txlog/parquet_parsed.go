package txlog

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// typeNode is the Parquet type of a Delta primitive; nil for anything that has no minimum and maximum.
func typeNode(typ string) parquet.Node {
	switch typ {
	case "string":
		return parquet.String()
	case "long":
		return parquet.Leaf(parquet.Int64Type)
	case "integer":
		return parquet.Leaf(parquet.Int32Type)
	case "short":
		return parquet.Int(16)
	case "byte":
		return parquet.Int(8)
	case "float":
		return parquet.Leaf(parquet.FloatType)
	case "double":
		return parquet.Leaf(parquet.DoubleType)
	case "date":
		return parquet.Date()
	case "timestamp":
		return parquet.Timestamp(parquet.Microsecond)
	case "timestamp_ntz":
		return parquet.TimestampAdjusted(parquet.Microsecond, false)
	}
	if precision, scale, ok := decimalOf(typ); ok {
		switch {
		case precision <= 9:
			return parquet.Decimal(scale, precision, parquet.Int32Type)
		case precision <= 18:
			return parquet.Decimal(scale, precision, parquet.Int64Type)
		}
		return parquet.Decimal(scale, precision, parquet.FixedLenByteArrayType(decimalBytes(precision)))
	}
	return nil
}

// decimalOf reads "decimal(p,s)".
func decimalOf(typ string) (precision, scale int, ok bool) {
	body, ok := strings.CutPrefix(typ, "decimal(")
	if !ok {
		return 0, 0, false
	}
	p, s, ok := strings.Cut(strings.TrimSuffix(body, ")"), ",")
	if !ok {
		return 0, 0, false
	}
	precision, err1 := strconv.Atoi(strings.TrimSpace(p))
	scale, err2 := strconv.Atoi(strings.TrimSpace(s))
	return precision, scale, err1 == nil && err2 == nil && precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision
}

// decimalBytes is the least number of bytes for a precision.
func decimalBytes(precision int) int {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	return (limit.BitLen() + 1 + 7) / 8
}

// valuesNode is the struct of minima, maxima or partition values; nil when no column has any.
func valuesNode(columns []StatsColumn) parquet.Node {
	g := parquet.Group{}
	for _, c := range columns {
		n := typeNode(c.Type)
		if c.Type == "" {
			n = valuesNode(c.Fields)
		} else if n == nil && c.Type == "boolean" {
			n = parquet.Leaf(parquet.BooleanType)
		} else if n == nil && c.Type == "binary" {
			n = parquet.Leaf(parquet.ByteArrayType)
		}
		if n == nil {
			continue
		}
		if !n.Optional() {
			n = parquet.Optional(n)
		}
		g[c.Name] = n
	}
	if len(g) == 0 {
		return nil
	}
	return parquet.Optional(g)
}

func countsNode(columns []StatsColumn) parquet.Node {
	g := parquet.Group{}
	for _, c := range columns {
		if c.Type != "" {
			g[c.Name] = optLong()
		} else if n := countsNode(c.Fields); n != nil {
			g[c.Name] = n
		}
	}
	if len(g) == 0 {
		return nil
	}
	return parquet.Optional(g)
}

// ranged leaves out the columns that have no minimum and maximum.
func ranged(columns []StatsColumn) []StatsColumn {
	var out []StatsColumn
	for _, c := range columns {
		if c.Type == "" {
			c.Fields = ranged(c.Fields)
			if len(c.Fields) > 0 {
				out = append(out, c)
			}
		} else if typeNode(c.Type) != nil {
			out = append(out, c)
		}
	}
	return out
}

func statsNode(columns []StatsColumn) parquet.Node {
	g := parquet.Group{"numRecords": optLong(), "tightBounds": optBool()}
	if n := valuesNode(ranged(columns)); n != nil {
		g["minValues"], g["maxValues"] = n, n
	}
	if n := countsNode(columns); n != nil {
		g["nullCount"] = n
	}
	return parquet.Optional(g)
}

// parsedWriter turns the JSON statistics and the partition values of adds into their struct forms. What does not fit its type is null.
type parsedWriter struct {
	types      map[string]string // column below add, by path -> Delta type
	partitions []StatsColumn
	stats      bool
}

func newParsedWriter(opts *CheckpointOptions) *parsedWriter {
	if len(opts.StructStats) == 0 && len(opts.Partitions) == 0 {
		return nil
	}
	p := &parsedWriter{types: map[string]string{}, partitions: opts.Partitions, stats: len(opts.StructStats) > 0}
	root := "add" + sep + "stats_parsed"
	p.types[root+sep+"numRecords"] = "long"
	p.types[root+sep+"tightBounds"] = "boolean"
	p.note(root+sep+"minValues", opts.StructStats, "")
	p.note(root+sep+"maxValues", opts.StructStats, "")
	p.note(root+sep+"nullCount", opts.StructStats, "long")
	return p
}

func (p *parsedWriter) note(path string, columns []StatsColumn, as string) {
	for _, c := range columns {
		switch {
		case c.Type == "":
			p.note(path+sep+c.Name, c.Fields, as)
		case as != "":
			p.types[path+sep+c.Name] = as
		default:
			p.types[path+sep+c.Name] = c.Type
		}
	}
}

func (p *parsedWriter) add(b *rowBuilder, a *Add) {
	if len(p.partitions) > 0 {
		path := "add" + sep + "partitionValues_parsed"
		b.present(path)
		for _, c := range p.partitions {
			if s := a.PartitionValues[c.Name]; s != nil && *s != "" {
				if v, ok := parseValue(c.Type, *s); ok {
					b.put(path+sep+c.Name, v)
				}
			}
		}
	}
	if !p.stats || a.Stats == "" || (&jsonReader{data: []byte(a.Stats)}).skip() != nil {
		return
	}
	p.object(b, &jsonReader{data: []byte(a.Stats)}, "add"+sep+"stats_parsed")
}

// object writes the members of a JSON object that are columns. The text was found to be well formed.
func (p *parsedWriter) object(b *rowBuilder, r *jsonReader, path string) {
	if r.peek() != '{' || !b.present(path) {
		_ = r.skip() // cannot fail: see above
		return
	}
	_ = r.object(func(name []byte) error {
		at := path + sep + string(name)
		if _, ok := b.groups[at]; ok {
			p.object(b, r, at)
			return nil
		}
		typ, ok := p.types[at]
		c, col := b.leaves[at]
		if !ok || !col || len(b.vals[c]) > 0 || r.peek() == '{' || r.peek() == '[' {
			return r.skip()
		}
		s, err := r.scalar()
		if err == nil && s != nil {
			if v, ok := parseValue(typ, *s); ok {
				b.put(at, v)
			}
		}
		return err
	})
}

// parseValue reads the text of a statistic or partition value.
func parseValue(typ, s string) (parquet.Value, bool) {
	switch typ {
	case "string", "binary":
		return parquet.ByteArrayValue([]byte(s)), true
	case "boolean":
		v, err := strconv.ParseBool(s)
		return parquet.BooleanValue(v), err == nil
	case "long":
		n, err := strconv.ParseInt(s, 10, 64)
		return parquet.Int64Value(n), err == nil
	case "integer", "short", "byte":
		bits := map[string]int{"integer": 32, "short": 16, "byte": 8}[typ]
		n, err := strconv.ParseInt(s, 10, bits)
		return parquet.Int32Value(int32(n)), err == nil
	case "float":
		x, err := strconv.ParseFloat(s, 32)
		return parquet.FloatValue(float32(x)), err == nil
	case "double":
		x, err := strconv.ParseFloat(s, 64)
		return parquet.DoubleValue(x), err == nil
	case "date":
		t, err := time.Parse("2006-01-02", s)
		return parquet.Int32Value(int32(floorDiv(t.Unix(), 86400))), err == nil
	case "timestamp", "timestamp_ntz":
		t, ok := parseStamp(s)
		return parquet.Int64Value(t.UnixMicro()), ok
	}
	precision, scale, ok := decimalOf(typ)
	if !ok {
		return parquet.Value{}, false
	}
	return parseDecimal(s, precision, scale)
}

func floorDiv(n, d int64) int64 {
	q := n / d
	if n%d < 0 {
		q--
	}
	return q
}

// parseStamp reads the forms in which writers put timestamps into the log; one without a zone is taken as UTC.
func parseStamp(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func parseDecimal(s string, precision, scale int) (parquet.Value, bool) {
	if len(s) > 128 {
		return parquet.Value{}, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if e, err := strconv.Atoi(s[i+1:]); err != nil || e > 128 || e < -128 {
			return parquet.Value{}, false
		}
	}
	x, ok := new(big.Rat).SetString(s)
	if !ok || strings.Contains(s, "/") {
		return parquet.Value{}, false
	}
	x.Mul(x, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	if !x.IsInt() {
		return parquet.Value{}, false
	}
	n := x.Num()
	if new(big.Int).Abs(n).Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)) >= 0 {
		return parquet.Value{}, false
	}
	switch {
	case precision <= 9 && n.Int64() <= math.MaxInt32:
		return parquet.Int32Value(int32(n.Int64())), true
	case precision <= 18:
		return parquet.Int64Value(n.Int64()), true
	}
	size := decimalBytes(precision)
	buf := make([]byte, size)
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	n.FillBytes(buf)
	return parquet.FixedLenByteArrayValue(buf), true
}

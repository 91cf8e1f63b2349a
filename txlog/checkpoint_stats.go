package txlog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// renderParsed gives adds that have no JSON statistics those of stats_parsed as text, and adds without partitionValues those of
// partitionValues_parsed. The struct columns are read only where some add needs them.
func (f *parquetFile) renderParsed(group int, adds *selected[Add]) error {
	root := find(f.file.Root(), "add")
	if root == nil || len(adds.items) == 0 {
		return nil
	}
	need := false
	for i := range adds.items {
		need = need || adds.items[i].Stats == ""
	}
	if col := root.Column("stats_parsed"); need && col != nil && !col.Leaf() {
		if err := f.renderStats(group, adds, col); err != nil {
			return err
		}
	}
	if col := root.Column("partitionValues_parsed"); root.Column("partitionValues") == nil && col != nil && !col.Leaf() {
		return f.renderPartitions(group, adds, col)
	}
	return nil
}

// node is a column of a struct to render, with the readers of its leaves.
type node struct {
	name     string
	defined  int // definition level at which it is not null
	leaf     *leafReader
	value    *parquet.Value // of the current row
	format   func(b []byte, v *parquet.Value) []byte
	children []*node
}

// openNode opens all leaves below a column. Repeated ones, which statistics do not have, are left out.
func (f *parquetFile) openNode(group int, col *parquet.Column) (*node, error) {
	n := &node{name: col.Name(), defined: col.MaxDefinitionLevel()}
	if col.Leaf() {
		n.format = formatOf(col)
		var err error
		n.leaf, err = f.open(group, col)
		return n, err
	}
	for _, c := range col.Columns() {
		if c.Repeated() || c.Leaf() && c.MaxRepetitionLevel() > 0 {
			continue
		}
		child, err := f.openNode(group, c)
		if err != nil {
			n.close()
			return nil, err
		}
		n.children = append(n.children, child)
	}
	return n, nil
}

func (n *node) close() {
	if n.leaf != nil {
		n.leaf.close()
	}
	for _, c := range n.children {
		c.close()
	}
}

// advance moves all leaves to the next row; false at the end.
func (n *node) advance() (bool, error) {
	if n.leaf != nil {
		var err error
		n.value, err = n.leaf.next()
		return n.value != nil, err
	}
	for _, c := range n.children {
		if ok, err := c.advance(); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// level is the deepest definition level of any leaf below.
func (n *node) level() int {
	if n.leaf != nil {
		return n.value.DefinitionLevel()
	}
	deepest := 0
	for _, c := range n.children {
		deepest = max(deepest, c.level())
	}
	return deepest
}

// append writes the current value as JSON. A null member is left out; a struct is null if no leaf below is defined that far.
func (n *node) append(b []byte) []byte {
	if n.leaf != nil {
		return n.format(b, n.value)
	}
	b = append(b, '{')
	some := false
	for _, c := range n.children {
		if c.leaf != nil && c.value.IsNull() || c.leaf == nil && c.level() < c.defined {
			continue
		}
		if some {
			b = append(b, ',')
		}
		some = true
		b = appendJSONString(b, c.name)
		b = append(b, ':')
		b = c.append(b)
	}
	return append(b, '}')
}

func (f *parquetFile) renderStats(group int, adds *selected[Add], col *parquet.Column) error {
	n, err := f.openNode(group, col)
	if err != nil {
		return err
	}
	defer n.close()
	if len(n.children) == 0 {
		return nil
	}
	var buf []byte
	return n.rows(adds, func(a *Add) {
		if a.Stats == "" && n.level() >= n.defined {
			buf = n.append(buf[:0])
			a.Stats = string(buf)
		}
	})
}

// rows calls use for each selected add, with the leaves at its row.
func (n *node) rows(adds *selected[Add], use func(a *Add)) error {
	for row, next := int32(0), 0; next < len(adds.rows); row++ {
		ok, err := n.advance()
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("column %s ends at row %d", n.name, row)
		}
		if row == adds.rows[next] {
			use(&adds.items[next])
			next++
		}
	}
	return nil
}

func (f *parquetFile) renderPartitions(group int, adds *selected[Add], col *parquet.Column) error {
	n, err := f.openNode(group, col)
	if err != nil {
		return err
	}
	defer n.close()
	if len(n.children) == 0 {
		return nil
	}
	return n.rows(adds, func(a *Add) {
		a.PartitionValues = make(map[string]*string, len(n.children))
		for _, c := range n.children {
			if c.leaf == nil {
				continue
			}
			if a.PartitionValues[c.name] = nil; !c.value.IsNull() {
				s := string(c.format(nil, c.value))
				if strings.HasPrefix(s, `"`) {
					if c.value.Kind() == parquet.ByteArray {
						s = string(c.value.ByteArray())
					} else {
						s = strings.Trim(s, `"`)
					}
				}
				a.PartitionValues[c.name] = &s
			}
		}
	})
}

// appendJSONString writes a JSON string as Go would, without escaping for HTML.
func appendJSONString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			var buf strings.Builder
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false)
			if enc.Encode(s) != nil {
				return append(b, `""`...)
			}
			return append(b, strings.TrimSuffix(buf.String(), "\n")...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// formatOf chooses how values of a leaf are written: as in the JSON statistics of Delta.
func formatOf(col *parquet.Column) func(b []byte, v *parquet.Value) []byte {
	lt := logical(col)
	dec, isDecimal := lt.(*format.DecimalType)
	switch col.Type().Kind() {
	case parquet.Boolean:
		return func(b []byte, v *parquet.Value) []byte { return strconv.AppendBool(b, v.Boolean()) }
	case parquet.Int32:
		if _, ok := lt.(*format.DateType); ok {
			return func(b []byte, v *parquet.Value) []byte {
				return appendTime(b, time.Unix(int64(v.Int32())*86400, 0), "2006-01-02")
			}
		}
		if isDecimal {
			return func(b []byte, v *parquet.Value) []byte {
				return appendDecimal(b, big.NewInt(int64(v.Int32())), int(dec.Scale))
			}
		}
		return func(b []byte, v *parquet.Value) []byte { return strconv.AppendInt(b, int64(v.Int32()), 10) }
	case parquet.Int64:
		return formatInt64(col)
	case parquet.Int96:
		return func(b []byte, v *parquet.Value) []byte {
			x := v.Int96()
			nanos := int64(uint64(x[0]) | uint64(x[1])<<32)
			return appendTime(b, time.Unix((int64(x[2])-2440588)*86400, nanos), isoUTC)
		}
	case parquet.Float:
		return func(b []byte, v *parquet.Value) []byte { return appendFloat(b, float64(v.Float()), 32) }
	case parquet.Double:
		return func(b []byte, v *parquet.Value) []byte { return appendFloat(b, v.Double(), 64) }
	}
	if isDecimal {
		return func(b []byte, v *parquet.Value) []byte {
			return appendDecimal(b, twosComplement(v.ByteArray()), int(dec.Scale))
		}
	}
	return func(b []byte, v *parquet.Value) []byte { return appendJSONString(b, string(v.ByteArray())) }
}

const (
	isoUTC   = "2006-01-02T15:04:05.999999Z"
	isoLocal = "2006-01-02T15:04:05.999999"
)

func formatInt64(col *parquet.Column) func(b []byte, v *parquet.Value) []byte {
	switch lt := logical(col).(type) {
	case *format.TimestampType:
		layout := isoUTC
		if !lt.IsAdjustedToUTC {
			layout = isoLocal
		}
		switch lt.Unit.Value.(type) {
		case *format.MilliSeconds:
			return func(b []byte, v *parquet.Value) []byte { return appendTime(b, time.UnixMilli(v.Int64()), layout) }
		case *format.NanoSeconds:
			return func(b []byte, v *parquet.Value) []byte { return appendTime(b, time.Unix(0, v.Int64()), layout) }
		}
		return func(b []byte, v *parquet.Value) []byte { return appendTime(b, time.UnixMicro(v.Int64()), layout) }
	case *format.DecimalType:
		return func(b []byte, v *parquet.Value) []byte {
			return appendDecimal(b, big.NewInt(v.Int64()), int(lt.Scale))
		}
	}
	return func(b []byte, v *parquet.Value) []byte { return strconv.AppendInt(b, v.Int64(), 10) }
}

// logical is the logical type of a leaf, nil without one.
func logical(col *parquet.Column) format.LogicalTypeValue {
	if lt := col.Type().LogicalType(); lt != nil {
		return lt.Value
	}
	return nil
}

func appendTime(b []byte, t time.Time, layout string) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, layout)
	return append(b, '"')
}

// appendFloat writes what JSON cannot hold as the strings that Spark uses.
func appendFloat(b []byte, x float64, bits int) []byte {
	switch {
	case math.IsNaN(x):
		return append(b, `"NaN"`...)
	case math.IsInf(x, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(x, -1):
		return append(b, `"-Infinity"`...)
	}
	b = strconv.AppendFloat(b, x, 'g', -1, bits)
	return b
}

// appendDecimal writes n / 10^scale in full.
func appendDecimal(b []byte, n *big.Int, scale int) []byte {
	s := new(big.Int).Abs(n).String()
	if n.Sign() < 0 {
		b = append(b, '-')
	}
	if scale <= 0 || scale > 76 {
		return append(b, s...)
	}
	if len(s) <= scale {
		s = strings.Repeat("0", scale+1-len(s)) + s
	}
	b = append(b, s[:len(s)-scale]...)
	b = append(b, '.')
	return append(b, s[len(s)-scale:]...)
}

// twosComplement reads a big-endian signed integer.
func twosComplement(b []byte) *big.Int {
	if len(b) <= 8 && len(b) > 0 {
		var buf [8]byte
		if b[0]&0x80 != 0 {
			for i := range buf {
				buf[i] = 0xff
			}
		}
		copy(buf[8-len(b):], b)
		return big.NewInt(int64(binary.BigEndian.Uint64(buf[:])))
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

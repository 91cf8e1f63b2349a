package rowio

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// kinds are the kinds of values that a column has.
type kinds uint8

const (
	isBool kinds = 1 << iota
	isNumber
	isText
	isList
	isObject
)

func (k kinds) String() string {
	var names []string
	for i, name := range []string{"a boolean", "a number", "a text", "a list", "an object"} {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// column learns from a column's values, read once, which Arrow type holds them;
// the second time they are appended to an array of it.
type column struct {
	path string         // as messages have it: a.b
	want arrow.DataType // plain; nil = whatever holds the values
	kinds
	nums  numbers
	nanos bool // some time needs more than microseconds
	// parts are the members of an object as they came, the one of a list, or
	// key and value of a map.
	parts []*column
	index map[string]int // of members
	deep  int
}

// maxDepth bounds how deep lists and objects lie in each other.
const maxDepth = 100

func newColumn(path string, want arrow.DataType, deep int) *column {
	c := &column{path: path, want: plainWant(want), deep: deep}
	switch t := c.want.(type) {
	case *arrow.ListType:
		c.parts = []*column{newColumn(path+".element", t.Elem(), deep+1)}
	case *arrow.MapType:
		c.parts = []*column{newColumn(path+".key", t.KeyType(), deep+1), newColumn(path+".value", t.ItemType(), deep+1)}
	}
	return c
}

// plainWant is the known type as a table has it; nil for one that none has.
func plainWant(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType:
		return arrow.BinaryTypes.String
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType:
		return arrow.BinaryTypes.Binary
	case *arrow.DictionaryType:
		return plainWant(t.ValueType)
	case *arrow.BooleanType, *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Float32Type, *arrow.Float64Type,
		*arrow.Decimal128Type, *arrow.Date32Type, *arrow.TimestampType, *arrow.StructType, *arrow.MapType, *arrow.ListType:
		return t
	case arrow.ListLikeType:
		return arrow.ListOf(t.Elem())
	}
	return nil
}

// member is the column of a member of an object, made when it comes up first.
func (c *column) member(name string) *column {
	if i, ok := c.index[name]; ok {
		return c.parts[i]
	}
	var want arrow.DataType
	if st, ok := c.want.(*arrow.StructType); ok {
		want = memberType(st, name)
	}
	path := name
	if c.path != "" {
		path = c.path + "." + name
	}
	if c.index == nil {
		c.index = map[string]int{}
	}
	m := newColumn(path, want, c.deep+1)
	c.index[name] = len(c.parts)
	c.parts = append(c.parts, m)
	return m
}

// memberType is the type of a member by its name, without case where no name is
// the very one; nil when there is none.
func memberType(st *arrow.StructType, name string) arrow.DataType {
	if f, ok := st.FieldByName(name); ok {
		return f.Type
	}
	for _, f := range st.Fields() {
		if strings.EqualFold(f.Name, name) {
			return f.Type
		}
	}
	return nil
}

// of is the known type of a column, without case where no name is the very one.
func (t Types) of(name string) arrow.DataType {
	if known, ok := t[name]; ok {
		return known
	}
	var found arrow.DataType
	best := ""
	for n, known := range t {
		if strings.EqualFold(n, name) && (best == "" || n < best) {
			found, best = known, n
		}
	}
	return found
}

// valueError is a value that its column cannot have.
type valueError struct{ column, value, msg string }

func (e *valueError) Error() string {
	text := e.value
	if len(text) > 80 {
		text = text[:77] + "..."
	}
	if e.column == "" {
		return e.msg
	}
	return fmt.Sprintf("column %s: %s %s", e.column, strconv.Quote(text), e.msg)
}

func (c *column) refuse(value, msg string) error {
	return &valueError{c.path, value, msg}
}

// unfit refuses a value by the name of the column's type.
func (c *column) unfit(value string) error {
	return c.refuse(value, "is not a value of type "+typeName(c.want))
}

// typeName is the name of a type as `table info` has it.
func typeName(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.StringType:
		return "string"
	case *arrow.TimestampType:
		if t.TimeZone == "" {
			return "timestamp without zone"
		}
		return "timestamp"
	case *arrow.BooleanType:
		return "boolean"
	case *arrow.Date32Type:
		return "date"
	case *arrow.StructType:
		return "struct"
	case *arrow.MapType:
		return "map"
	case *arrow.ListType:
		return "list"
	case *arrow.BinaryType:
		return "binary (text in base64)"
	case *arrow.Decimal128Type:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	}
	return t.String()
}

// saw takes in that a value of a kind came. Where nothing is known of the
// column all values must be of one kind.
func (c *column) saw(k kinds, value string) error {
	if c.want == nil && c.kinds != 0 && c.kinds != k {
		return c.refuse(value, fmt.Sprintf("is %s, and a row before has %s", k, c.kinds))
	}
	c.kinds |= k
	return nil
}

func (c *column) learnBool(value string) error {
	switch c.want.(type) {
	case nil, *arrow.StringType, *arrow.BooleanType:
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type, *arrow.Float32Type, *arrow.Float64Type:
		if c.kinds&^isBool != 0 {
			return c.unfit(value)
		}
	default:
		return c.unfit(value)
	}
	return c.saw(isBool, value)
}

func (c *column) learnNumber(text string) error {
	if _, ok := c.want.(*arrow.StringType); ok {
		return c.saw(isNumber, text)
	}
	d, ok := parseDigits(text)
	if !ok {
		return c.unfit(text)
	}
	if err := c.fits(&d, text); err != nil {
		return err
	}
	return c.saw(isNumber, text)
}

// fits judges a number by what the column's type can hold, and takes it in.
func (c *column) fits(d *digits, text string) error {
	bits := 64
	switch t := c.want.(type) {
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type:
		if d.whole() > 19 || c.kinds&isBool != 0 {
			return c.unfit(text)
		}
	case *arrow.Decimal128Type:
		if d.whole() > int(t.Precision-t.Scale) {
			return c.unfit(text)
		}
	case *arrow.Float32Type:
		bits = 32
	case nil, *arrow.Float64Type:
	case *arrow.BooleanType:
		if c.kinds&^isNumber != 0 {
			return c.unfit(text)
		}
	default:
		return c.unfit(text)
	}
	if !d.integer && (c.want == nil || isFloat(c.want)) {
		if _, err := strconv.ParseFloat(text, bits); err != nil {
			return c.refuse(text, "is beyond what a float holds")
		}
	}
	c.nums.see(text, d, bits)
	return nil
}

func isFloat(t arrow.DataType) bool {
	return t != nil && (t.ID() == arrow.FLOAT32 || t.ID() == arrow.FLOAT64)
}

// learnText takes in a text, which may spell a value of the column's type.
func (c *column) learnText(text string) error {
	switch t := c.want.(type) {
	case nil, *arrow.StringType:
		return c.saw(isText, text)
	case *arrow.BooleanType:
		if _, ok := parseBool(text); !ok || c.kinds&isNumber != 0 {
			return c.unfit(text)
		}
		return c.saw(isBool, text)
	case *arrow.Date32Type:
		if _, ok := parseDate(text); !ok {
			return c.unfit(text)
		}
	case *arrow.TimestampType:
		at, ok := parseStamp(text, t.TimeZone != "")
		if !ok || at.Before(time.UnixMicro(math.MinInt64)) || at.After(time.UnixMicro(math.MaxInt64)) {
			return c.unfit(text)
		}
		c.nanos = c.nanos || at.Nanosecond()%1000 != 0
	case *arrow.BinaryType:
		if _, err := base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return c.unfit(text)
		}
	case *arrow.Float32Type, *arrow.Float64Type:
		if isWord(text) {
			c.nums.notInt64, c.nums.fraction, c.nums.word = true, true, true
			return c.saw(isNumber, text)
		}
		return c.learnNumber(text)
	default:
		return c.learnNumber(text)
	}
	return c.saw(isText, text)
}

// parseBool takes the words that CSV has always been read with.
func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true") || s == "1" || strings.EqualFold(s, "t"):
		return true, true
	case strings.EqualFold(s, "false") || s == "0" || strings.EqualFold(s, "f"):
		return false, true
	}
	return false, false
}

// settle is the type of the arrays that the values go into, when all were
// learned.
func (c *column) settle() (arrow.DataType, error) {
	switch t := c.want.(type) {
	case nil:
		return c.natural()
	case *arrow.ListType:
		elem, err := c.parts[0].settle()
		return arrow.ListOf(elem), err
	case *arrow.MapType:
		key, err := c.parts[0].settle()
		if err != nil {
			return nil, err
		}
		value, err := c.parts[1].settle()
		return arrow.MapOf(key, value), err
	case *arrow.StructType:
		if len(c.parts) == 0 {
			for _, f := range t.Fields() {
				c.member(f.Name)
			}
		}
		return c.object()
	}
	if c.kinds == 0 {
		return c.want, nil
	}
	return c.leaf(), nil
}

// leaf is the form of values whose column has a known flat type.
func (c *column) leaf() arrow.DataType {
	switch t := c.want.(type) {
	case *arrow.BooleanType:
		if c.kinds == isNumber {
			return c.nums.natural()
		}
	case *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type:
		switch {
		case c.kinds == isBool:
			return arrow.FixedWidthTypes.Boolean
		case !c.nums.notInt64:
			return arrow.PrimitiveTypes.Int64
		}
		return c.nums.decimal(min(c.nums.scale, 2))
	case *arrow.Float32Type, *arrow.Float64Type:
		if c.kinds == isBool {
			return arrow.FixedWidthTypes.Boolean
		}
		return c.nums.float(t)
	case *arrow.Decimal128Type:
		if c.nums.scale <= int(t.Scale) {
			return t
		}
		return c.nums.decimal(min(c.nums.scale, int(t.Scale)+2))
	case *arrow.TimestampType:
		unit := arrow.Microsecond
		if c.nanos {
			unit = arrow.Nanosecond
		}
		return &arrow.TimestampType{Unit: unit, TimeZone: t.TimeZone}
	}
	return c.want
}

// natural is the form of values of which nothing is known. A column without
// values is text.
func (c *column) natural() (arrow.DataType, error) {
	switch c.kinds {
	case isBool:
		return arrow.FixedWidthTypes.Boolean, nil
	case isNumber:
		t := c.nums.natural()
		if t == nil {
			return nil, c.refuse(c.nums.lost, "and the other numbers of the column are held by no type exactly: write it as text")
		}
		return t, nil
	case isList:
		elem, err := c.parts[0].settle()
		return arrow.ListOf(elem), err
	case isObject:
		return c.object()
	}
	return arrow.BinaryTypes.String, nil
}

func (c *column) object() (arrow.DataType, error) {
	if len(c.parts) == 0 {
		return nil, fmt.Errorf("column %s: objects without a member make no column", c.path)
	}
	fields := make([]arrow.Field, len(c.parts))
	for name, i := range c.index {
		t, err := c.parts[i].settle()
		if err != nil {
			return nil, err
		}
		fields[i] = arrow.Field{Name: name, Type: t, Nullable: true}
	}
	return arrow.StructOf(fields...), nil
}

package filtereval

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

func unsigned(v uint64) any {
	if v <= 1<<63-1 {
		return int64(v)
	}
	return new(big.Int).SetUint64(v)
}

// fits reports whether a literal can be compared with a column of kind k, and says why not.
func fits(c *column, v any) error {
	ok := false
	switch v := v.(type) {
	case nil:
		ok = true
	case bool:
		ok = c.kind == kindBool
	case int64:
		ok = c.kind == kindInt || c.kind == kindFloat || c.kind == kindDecimal || c.kind == kindBool || c.kind == kindDate
	case *big.Int, float64, float32, filter.Decimal:
		ok = c.kind == kindInt || c.kind == kindFloat || c.kind == kindDecimal
	case string:
		switch c.kind {
		case kindString:
			ok = true
		case kindDate, kindTime:
			if _, _, ok = filter.ParseTime(v); !ok {
				return &TypeError{Column: c.name, Type: c.typeName, Msg: fmt.Sprintf("%q is no ISO 8601 time", v)}
			}
		}
	case []byte:
		ok = c.kind == kindBinary
	case filter.Date, filter.Timestamp, filter.TimestampNTZ:
		ok = c.kind == kindDate || c.kind == kindTime
	}
	if !ok && c.kind != kindNull {
		return &TypeError{Column: c.name, Type: c.typeName, Msg: fmt.Sprintf("cannot be compared with %s", filter.Literal{Value: v})}
	}
	return nil
}

func bindCompare(e filter.Compare, schema *arrow.Schema) (node, error) {
	left, right, op := e.Left, e.Right, e.Op
	if _, ok := left.(filter.Literal); ok {
		left, right, op = right, left, flip(op)
	}
	switch l := left.(type) {
	case filter.Literal:
		return compareLiterals(op, l.Value, right.(filter.Literal).Value)
	case filter.Column:
		col, err := resolve(l, schema)
		if err != nil {
			return nil, err
		}
		switch r := right.(type) {
		case filter.Literal:
			if err := fits(col, r.Value); err != nil {
				return nil, err
			}
			return &compareValue{col: col, op: op, value: col.adapt(r.Value)}, nil
		case filter.Column:
			other, err := resolve(r, schema)
			if err != nil {
				return nil, err
			}
			if !comparable(col.kind, other.kind) {
				return nil, &TypeError{Column: col.name, Type: col.typeName, Msg: fmt.Sprintf("cannot be compared with column %q (%s)", other.name, other.typeName)}
			}
			return compareColumns{col, other, op}, nil
		}
	}
	return nil, fmt.Errorf("filter: %s cannot be evaluated", e)
}

// adapt brings a time text to the column's own kind once, so that rows need no parsing.
func (c *column) adapt(v any) any {
	text, ok := v.(string)
	if !ok || c.kind != kindDate && c.kind != kindTime {
		return v
	}
	at, _, _ := filter.ParseTime(text)
	if c.zoned {
		return filter.Timestamp(at)
	}
	return filter.TimestampNTZ(at)
}

func comparable(a, b kind) bool {
	number := func(k kind) bool { return k == kindInt || k == kindFloat || k == kindDecimal || k == kindBool }
	time := func(k kind) bool { return k == kindDate || k == kindTime }
	return a == b || number(a) && number(b) || time(a) && time(b) || a == kindNull || b == kindNull
}

func flip(op filter.Op) filter.Op {
	switch op {
	case filter.Lt:
		return filter.Gt
	case filter.Le:
		return filter.Ge
	case filter.Gt:
		return filter.Lt
	case filter.Ge:
		return filter.Le
	}
	return op
}

func compareLiterals(op filter.Op, a, b any) (node, error) {
	if a == nil || b == nil {
		if op == filter.NullSafeEq {
			return constant(truthOf(a == nil && b == nil)), nil
		}
		return constant(isNull), nil
	}
	order, ok := filter.CompareValues(a, b)
	if !ok {
		return nil, &TypeError{Column: filter.Literal{Value: a}.String(), Type: "literal", Msg: "cannot be compared with " + filter.Literal{Value: b}.String()}
	}
	return constant(truthOf(decide(op, order))), nil
}

func truthOf(b bool) uint8 {
	if b {
		return isTrue
	}
	return isFalse
}

func decide(op filter.Op, order int) bool {
	switch op {
	case filter.Ne:
		return order != 0
	case filter.Lt:
		return order < 0
	case filter.Le:
		return order <= 0
	case filter.Gt:
		return order > 0
	case filter.Ge:
		return order >= 0
	}
	return order == 0
}

// compareValue is a column against a literal.
type compareValue struct {
	col   *column
	op    filter.Op
	value any
}

func (c *compareValue) clone() node { return c }

func (c *compareValue) eval(b arrow.RecordBatch, out []uint8) error {
	v, err := c.col.find(b)
	if err != nil {
		return err
	}
	if c.value == nil {
		for i := range out {
			out[i] = isNull
			if c.op == filter.NullSafeEq {
				out[i] = truthOf(v.isNull(i))
			}
		}
		return nil
	}
	if !c.fast(v.arr, out) {
		if err := c.slow(v, out); err != nil {
			return err
		}
	}
	missing := isNull
	if c.op == filter.NullSafeEq {
		missing = isFalse
	}
	if v.arr.NullN() > 0 || len(v.parents) > 0 || v.arr.DataType().ID() == arrow.NULL {
		for i := range out {
			if v.isNull(i) {
				out[i] = missing
			}
		}
	}
	return nil
}

// fast handles the usual pairs of type and literal without boxing; nulls are put right by the caller.
func (c *compareValue) fast(arr arrow.Array, out []uint8) bool {
	switch want := c.value.(type) {
	case int64:
		switch a := arr.(type) {
		case *array.Int64:
			compareAll(a.Int64Values(), want, c.op, out)
			return true
		case *array.Int32:
			if int64(int32(want)) == want {
				compareAll(a.Int32Values(), int32(want), c.op, out)
				return true
			}
		}
	case string:
		switch a := arr.(type) {
		case *array.String:
			for i := range out {
				out[i] = truthOf(decide(c.op, strings.Compare(a.Value(i), want)))
			}
			return true
		case *array.StringView:
			for i := range out {
				out[i] = truthOf(decide(c.op, strings.Compare(a.Value(i), want)))
			}
			return true
		}
	case bool:
		if a, ok := arr.(*array.Boolean); ok && (c.op == filter.Eq || c.op == filter.Ne) {
			for i := range out {
				out[i] = truthOf((a.Value(i) == want) == (c.op == filter.Eq))
			}
			return true
		}
	}
	return false
}

func compareAll[T int32 | int64](values []T, want T, op filter.Op, out []uint8) {
	for i, v := range values {
		order := 0
		if v < want {
			order = -1
		} else if v > want {
			order = 1
		}
		out[i] = truthOf(decide(op, order))
	}
}

func (c *compareValue) slow(v vector, out []uint8) error {
	for i := range out {
		if v.isNull(i) {
			continue
		}
		order, ok := filter.CompareValues(c.col.value(v.arr, i), c.value)
		if !ok {
			return &TypeError{Column: c.col.name, Type: c.col.typeName, Msg: "cannot be compared with " + filter.Literal{Value: c.value}.String()}
		}
		out[i] = truthOf(decide(c.op, order))
	}
	return nil
}

// compareColumns is a column against another.
type compareColumns struct {
	left, right *column
	op          filter.Op
}

func (c compareColumns) clone() node { return c }

func (c compareColumns) eval(b arrow.RecordBatch, out []uint8) error {
	l, err := c.left.find(b)
	if err != nil {
		return err
	}
	r, err := c.right.find(b)
	if err != nil {
		return err
	}
	for i := range out {
		ln, rn := l.isNull(i), r.isNull(i)
		switch {
		case (ln || rn) && c.op == filter.NullSafeEq:
			out[i] = truthOf(ln && rn)
		case ln || rn:
			out[i] = isNull
		default:
			order, ok := filter.CompareValues(c.left.value(l.arr, i), c.right.value(r.arr, i))
			if !ok {
				return &TypeError{Column: c.left.name, Type: c.left.typeName, Msg: "cannot be compared with " + c.right.name}
			}
			out[i] = truthOf(decide(c.op, order))
		}
	}
	return nil
}

// bindIn makes a list of equalities; of a long one of texts or whole numbers a
// set, which the usual columns are looked up in.
func bindIn(e filter.In, schema *arrow.Schema) (node, error) {
	c, ok := e.X.(filter.Column)
	if !ok {
		return nil, fmt.Errorf("filter: %s cannot be evaluated", e)
	}
	col, err := resolve(c, schema)
	if err != nil {
		return nil, err
	}
	l := &list{}
	for _, item := range e.List {
		n, err := bindCompare(filter.Compare{Op: filter.Eq, Left: c, Right: item}, schema)
		if err != nil {
			return nil, err
		}
		l.args = append(l.args, n)
	}
	return inList{col, l, setOf[string](e.List), setOf[int64](e.List)}, nil
}

// longList is how many members a list has that is worth a set.
const longList = 8

// setOf are the members of a long list where all are of a type; else nil.
func setOf[T comparableLiteral](list []filter.Literal) map[T]bool {
	if len(list) < longList {
		return nil
	}
	out := make(map[T]bool, len(list))
	for _, item := range list {
		v, ok := item.Value.(T)
		if !ok {
			return nil
		}
		out[v] = true
	}
	return out
}

type comparableLiteral interface{ string | int64 }

// inList is null where the column is.
type inList struct {
	col     *column
	list    node
	texts   map[string]bool
	numbers map[int64]bool
}

func (n inList) clone() node { return inList{n.col, n.list.clone(), n.texts, n.numbers} }

func (n inList) eval(b arrow.RecordBatch, out []uint8) error {
	v, err := n.col.find(b)
	if err != nil {
		return err
	}
	if !n.fast(v.arr, out) {
		if err := n.list.eval(b, out); err != nil {
			return err
		}
	}
	for i := range out {
		if v.isNull(i) {
			out[i] = isNull
		}
	}
	return nil
}

// fast looks the usual columns up in a set; nulls are put right by the caller.
func (n inList) fast(arr arrow.Array, out []uint8) bool {
	texts, isText := arr.(*array.String)
	numbers, isNumber := arr.(*array.Int64)
	switch {
	case isText && n.texts != nil:
		for i := range out {
			out[i] = truthOf(n.texts[texts.Value(i)])
		}
	case isNumber && n.numbers != nil:
		for i := range out {
			out[i] = truthOf(n.numbers[numbers.Value(i)])
		}
	default:
		return false
	}
	return true
}

// like matches a pattern compiled to a regular expression once.
type like struct {
	col     *column
	pattern *regexp.Regexp
}

func bindLike(e filter.Like, schema *arrow.Schema) (node, error) {
	c, ok := e.X.(filter.Column)
	if !ok {
		return nil, fmt.Errorf("filter: %s cannot be evaluated", e)
	}
	col, err := resolve(c, schema)
	if err != nil {
		return nil, err
	}
	if col.kind != kindString && col.kind != kindNull {
		return nil, &TypeError{Column: col.name, Type: col.typeName, Msg: "LIKE wants text"}
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(e.Pattern); i++ {
		switch ch := e.Pattern[i]; {
		case ch == '%':
			b.WriteString(".*")
		case ch == '_':
			b.WriteString(".")
		case ch == '\\' && i+1 < len(e.Pattern):
			i++
			b.WriteString(regexp.QuoteMeta(e.Pattern[i : i+1]))
		default:
			b.WriteString(quoteByte(ch))
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("filter: pattern %q: %w", e.Pattern, err)
	}
	return like{col, re}, nil
}

// quoteByte keeps the bytes of multi-byte characters as they are.
func quoteByte(c byte) string {
	if c >= 0x80 {
		return string([]byte{c})
	}
	return regexp.QuoteMeta(string(rune(c)))
}

func (l like) clone() node { return l }

func (l like) eval(b arrow.RecordBatch, out []uint8) error {
	v, err := l.col.find(b)
	if err != nil {
		return err
	}
	for i := range out {
		if v.isNull(i) {
			out[i] = isNull
			continue
		}
		s, _ := l.col.value(v.arr, i).(string)
		out[i] = truthOf(l.pattern.MatchString(s))
	}
	return nil
}

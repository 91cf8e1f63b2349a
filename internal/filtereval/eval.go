// Package filtereval evaluates a filter.Expr over Arrow batches.
//
// Bind checks the expression against a schema once (unknown column, text against number: an error naming the column and
// the nearest names); Eval then gives one bool a row, true where the predicate is true (null and false drop the row).
// All memory is reused between batches; cost is one pass over each column for each node that names it.
package filtereval

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// ColumnError is a column that is asked for or filtered by and that the table lacks. Nearest are existing names that look alike.
type ColumnError struct {
	Column  string
	Nearest []string
}

// Is reports whether target is fs.ErrInvalid.
func (e *ColumnError) Is(target error) bool { return target == fs.ErrInvalid }

func (e *ColumnError) Error() string {
	if len(e.Nearest) == 0 {
		return fmt.Sprintf("unknown column %q", e.Column)
	}
	return fmt.Sprintf("unknown column %q; did you mean %s?", e.Column, strings.Join(e.Nearest, ", "))
}

// TypeError is a comparison of types that have no common order, or a column that cannot stand as a predicate.
type TypeError struct {
	Column, Type, Msg string
}

// Is reports whether target is fs.ErrInvalid.
func (e *TypeError) Is(target error) bool { return target == fs.ErrInvalid }

func (e *TypeError) Error() string {
	return fmt.Sprintf("filter: column %q (%s): %s", e.Column, e.Type, e.Msg)
}

// The truth values of a row.
const (
	isFalse uint8 = iota
	isTrue
	isNull
)

// node computes the truth value of every row of a batch into out.
type node interface {
	eval(b arrow.RecordBatch, out []uint8) error
	clone() node
}

// Program is an expression bound to a schema. It is not safe for concurrent use; Clone makes one for another goroutine.
type Program struct {
	root  node
	truth []uint8
	keep  []bool
}

// Bind resolves the columns and types of e. It fails with *ColumnError or *TypeError.
func Bind(e filter.Expr, schema *arrow.Schema) (*Program, error) {
	root, err := bind(e, schema)
	if err != nil {
		return nil, err
	}
	return &Program{root: root}, nil
}

// Clone returns a program with buffers of its own.
func (p *Program) Clone() *Program { return &Program{root: p.root.clone()} }

// Eval returns keep[i] = row i satisfies the predicate. The slice is reused by the next call. b must have the bound
// schema's columns by name; string columns may be String, LargeString, StringView or dictionaries of them.
func (p *Program) Eval(b arrow.RecordBatch) (keep []bool, err error) {
	n := int(b.NumRows())
	p.truth = grow(p.truth, n)
	if err := p.root.eval(b, p.truth); err != nil {
		return nil, err
	}
	if cap(p.keep) < n {
		p.keep = make([]bool, n)
	}
	p.keep = p.keep[:n]
	for i, t := range p.truth {
		p.keep[i] = t == isTrue
	}
	return p.keep, nil
}

func grow(b []uint8, n int) []uint8 {
	if cap(b) < n {
		return make([]uint8, n)
	}
	return b[:n]
}

func bind(e filter.Expr, schema *arrow.Schema) (node, error) {
	switch e := e.(type) {
	case filter.And:
		return bindList(e.Args, schema, true)
	case filter.Or:
		return bindList(e.Args, schema, false)
	case filter.Not:
		return bindNot(e, schema)
	case filter.Column:
		return bindTruth(e, schema)
	case filter.Literal:
		return bindLiteral(e)
	case filter.IsNull:
		return bindIsNull(e, schema)
	case filter.Compare:
		return bindCompare(e, schema)
	case filter.In:
		return bindIn(e, schema)
	case filter.Like:
		return bindLike(e, schema)
	}
	return nil, fmt.Errorf("filter: node %T cannot be evaluated", e)
}

// constant is the same truth value for every row.
type constant uint8

func (c constant) eval(_ arrow.RecordBatch, out []uint8) error {
	for i := range out {
		out[i] = uint8(c)
	}
	return nil
}

func (c constant) clone() node { return c }

func bindLiteral(l filter.Literal) (node, error) {
	switch v := l.Value.(type) {
	case nil:
		return constant(isNull), nil
	case bool:
		if v {
			return constant(isTrue), nil
		}
		return constant(isFalse), nil
	}
	return nil, &TypeError{Column: l.String(), Type: "literal", Msg: "a truth value is wanted"}
}

// list is AND or OR by Kleene's rules.
type list struct {
	args []node
	and  bool
	buf  []uint8
}

func bindList(args []filter.Expr, schema *arrow.Schema, and bool) (node, error) {
	l := &list{and: and}
	for _, a := range args {
		if c, ok := a.(filter.Column); ok {
			if err := wantBool(c, schema); err != nil {
				return nil, err
			}
		}
		n, err := bind(a, schema)
		if err != nil {
			return nil, err
		}
		l.args = append(l.args, n)
	}
	return l, nil
}

func wantBool(c filter.Column, schema *arrow.Schema) error {
	col, err := resolve(c, schema)
	if err != nil {
		return err
	}
	if col.kind != kindBool {
		return &TypeError{Column: col.name, Type: col.typeName, Msg: "only a boolean can be combined with AND or OR"}
	}
	return nil
}

func (l *list) eval(b arrow.RecordBatch, out []uint8) error {
	start := isTrue
	if !l.and {
		start = isFalse
	}
	for i := range out {
		out[i] = start
	}
	l.buf = grow(l.buf, len(out))
	for _, a := range l.args {
		if err := a.eval(b, l.buf); err != nil {
			return err
		}
		if l.and {
			for i, t := range l.buf {
				out[i] = andTruth[out[i]][t]
			}
			continue
		}
		for i, t := range l.buf {
			out[i] = orTruth[out[i]][t]
		}
	}
	return nil
}

var andTruth = [3][3]uint8{
	isFalse: {isFalse, isFalse, isFalse},
	isTrue:  {isFalse, isTrue, isNull},
	isNull:  {isFalse, isNull, isNull},
}

var orTruth = [3][3]uint8{
	isFalse: {isFalse, isTrue, isNull},
	isTrue:  {isTrue, isTrue, isTrue},
	isNull:  {isNull, isTrue, isNull},
}

func (l *list) clone() node {
	c := &list{and: l.and}
	for _, a := range l.args {
		c.args = append(c.args, a.clone())
	}
	return c
}

// not negates; null stays null.
type not struct{ x node }

func bindNot(e filter.Not, schema *arrow.Schema) (node, error) {
	if c, ok := e.X.(filter.Column); ok {
		col, err := resolve(c, schema)
		if err != nil {
			return nil, err
		}
		switch col.kind {
		case kindBool:
		case kindInt:
			// ~n is zero only for -1.
			return bindCompare(filter.Compare{Op: filter.Ne, Left: c, Right: filter.Literal{Value: int64(-1)}}, schema)
		default:
			return nil, &TypeError{Column: col.name, Type: col.typeName, Msg: "NOT wants a boolean or an integer"}
		}
	}
	x, err := bind(e.X, schema)
	if err != nil {
		return nil, err
	}
	return not{x}, nil
}

func (n not) eval(b arrow.RecordBatch, out []uint8) error {
	if err := n.x.eval(b, out); err != nil {
		return err
	}
	for i, t := range out {
		if t != isNull {
			out[i] = t ^ 1
		}
	}
	return nil
}

func (n not) clone() node { return not{n.x.clone()} }

// bindTruth makes a predicate of a bare column: a boolean as it is, a number when it is not zero.
func bindTruth(c filter.Column, schema *arrow.Schema) (node, error) {
	col, err := resolve(c, schema)
	if err != nil {
		return nil, err
	}
	switch col.kind {
	case kindBool:
		return bindCompare(filter.Compare{Op: filter.Eq, Left: c, Right: filter.Literal{Value: true}}, schema)
	case kindInt, kindFloat:
		return bindCompare(filter.Compare{Op: filter.Ne, Left: c, Right: filter.Literal{Value: int64(0)}}, schema)
	}
	return nil, &TypeError{Column: col.name, Type: col.typeName, Msg: "a column alone must be a boolean or a number"}
}

// nullTest is IS NULL.
type nullTest struct{ col *column }

func bindIsNull(e filter.IsNull, schema *arrow.Schema) (node, error) {
	switch x := e.X.(type) {
	case filter.Literal:
		if x.Value == nil {
			return constant(isTrue), nil
		}
		return constant(isFalse), nil
	case filter.Column:
		col, err := resolve(x, schema)
		if err != nil {
			return nil, err
		}
		return nullTest{col}, nil
	}
	x, err := bind(e.X, schema)
	if err != nil {
		return nil, err
	}
	return truthTest{x}, nil
}

func (n nullTest) eval(b arrow.RecordBatch, out []uint8) error {
	a, err := n.col.find(b)
	if err != nil {
		return err
	}
	for i := range out {
		out[i] = isFalse
		if a.isNull(i) {
			out[i] = isTrue
		}
	}
	return nil
}

func (n nullTest) clone() node { return n }

// truthTest is IS NULL of a predicate.
type truthTest struct{ x node }

func (n truthTest) eval(b arrow.RecordBatch, out []uint8) error {
	if err := n.x.eval(b, out); err != nil {
		return err
	}
	for i, t := range out {
		out[i] = isFalse
		if t == isNull {
			out[i] = isTrue
		}
	}
	return nil
}

func (n truthTest) clone() node { return truthTest{n.x.clone()} }

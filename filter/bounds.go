package filter

import "slices"

// Bounds tells what is known about the values of columns in a set of rows (a file, a row group).
type Bounds interface {
	// Column returns what is known of the column at path. The zero Range means that nothing is known.
	Column(path []string) Range
}

// Range is what is known about one column. Min and Max are Literal values (see Literal) or nil when unknown; they
// hold for the non-null, non-NaN values and need not be tight.
type Range struct {
	// Known is false when nothing is known; the other fields then mean nothing.
	Known    bool
	Min, Max any
	// MayNaN says that NaN may occur beside Min and Max.
	MayNaN bool
	// Nulls and Rows are counts; -1 is unknown.
	Nulls, Rows int64
}

// outcome is the set of truth values that rows within bounds may give.
type outcome uint8

const (
	mayTrue outcome = 1 << iota
	mayFalse
	mayNull
	mayAll = mayTrue | mayFalse | mayNull
)

// MayMatch reports whether some row within b may make e true. It may say yes wrongly, never no wrongly.
func MayMatch(e Expr, b Bounds) bool { return outcomes(e, b)&mayTrue != 0 }

// AlwaysMatches reports whether every row within b makes e true. It may say no wrongly, never yes wrongly.
func AlwaysMatches(e Expr, b Bounds) bool { return outcomes(e, b) == mayTrue }

func outcomes(e Expr, b Bounds) outcome {
	switch e := e.(type) {
	case Literal:
		switch e.Value {
		case true:
			return mayTrue
		case false:
			return mayFalse
		case nil:
			return mayNull
		}
	case Column:
		r := b.Column(e.Path)
		if _, isBool := r.Min.(bool); isBool {
			return withNulls(r, func() outcome { return compareRange(r, Eq, true) })
		}
		return withNulls(r, func() outcome { return mayTrue | mayFalse })
	case And:
		all := mayTrue
		for _, a := range e.Args {
			all = conjunction(all, outcomes(a, b))
		}
		return all
	case Or:
		any := mayFalse
		for _, a := range e.Args {
			any = negation(conjunction(negation(any), negation(outcomes(a, b))))
		}
		return any
	case Not:
		if _, bare := e.X.(Column); bare {
			return mayAll // bitwise on integers
		}
		return negation(outcomes(e.X, b))
	case IsNull:
		return isNull(e, b)
	case Compare:
		return compare(e, b)
	case In:
		return in(e, b)
	case Like:
		return like(e, b)
	}
	return mayAll
}

func negation(o outcome) outcome {
	out := o & mayNull
	if o&mayTrue != 0 {
		out |= mayFalse
	}
	if o&mayFalse != 0 {
		out |= mayTrue
	}
	return out
}

// conjunction combines every pair of values by Kleene's AND.
func conjunction(x, y outcome) outcome {
	var out outcome
	if x&mayTrue != 0 && y&mayTrue != 0 {
		out |= mayTrue
	}
	if (x|y)&mayFalse != 0 {
		out |= mayFalse
	}
	if x&mayNull != 0 && y&(mayTrue|mayNull) != 0 || y&mayNull != 0 && x&(mayTrue|mayNull) != 0 {
		out |= mayNull
	}
	return out
}

func rangeOf(e Expr, b Bounds) Range {
	if c, ok := e.(Column); ok {
		return b.Column(c.Path)
	}
	return Range{}
}

// nullable tells whether nulls and values may occur.
func (r Range) nullable() (nulls, values bool) {
	if !r.Known {
		return true, true
	}
	return r.Nulls != 0, r.Nulls < 0 || r.Rows < 0 || r.Nulls < r.Rows
}

func isNull(e IsNull, b Bounds) outcome {
	if l, ok := e.X.(Literal); ok {
		if l.Value == nil {
			return mayTrue
		}
		return mayFalse
	}
	nulls, values := rangeOf(e.X, b).nullable()
	var out outcome
	if nulls {
		out |= mayTrue
	}
	if values {
		out |= mayFalse
	}
	return out
}

// withNulls adds null to the outcomes of the values, or leaves only it when there are no values.
func withNulls(r Range, of func() outcome) outcome {
	nulls, values := r.nullable()
	var out outcome
	if nulls {
		out |= mayNull
	}
	if values {
		out |= of()
	}
	return out
}

func compare(e Compare, b Bounds) outcome {
	left, right, op := e.Left, e.Right, e.Op
	if _, ok := left.(Literal); ok {
		left, right, op = right, left, flip(op)
	}
	lit, ok := right.(Literal)
	column, isColumn := left.(Column)
	if !ok || !isColumn {
		return mayAll
	}
	r := b.Column(column.Path)
	if op == NullSafeEq {
		return nullSafe(r, lit)
	}
	if lit.Value == nil {
		return mayNull
	}
	return withNulls(r, func() outcome { return compareRange(r, op, lit.Value) })
}

func flip(op Op) Op {
	switch op {
	case Lt:
		return Gt
	case Le:
		return Ge
	case Gt:
		return Lt
	case Ge:
		return Le
	}
	return op
}

func nullSafe(r Range, lit Literal) outcome {
	nulls, values := r.nullable()
	var out outcome
	if lit.Value == nil {
		if nulls {
			out |= mayTrue
		}
		if values {
			out |= mayFalse
		}
		return out
	}
	if nulls {
		out |= mayFalse
	}
	if values {
		out |= compareRange(r, Eq, lit.Value)
	}
	return out
}

// compareRange tells what comparing the values of r with v may give.
func compareRange(r Range, op Op, v any) outcome {
	if !r.Known {
		return mayTrue | mayFalse
	}
	// below and above: some value may be less or greater than v; equal: some value may equal it.
	below, equal, above := true, true, true
	if r.Min != nil {
		if c, ok := CompareValues(r.Min, v); ok {
			below = c < 0
			equal = equal && c <= 0
		}
	}
	if r.Max != nil {
		if c, ok := CompareValues(r.Max, v); ok {
			above = c > 0
			equal = equal && c >= 0
		}
	}
	if r.MayNaN {
		above = true
		if isNaN(v) {
			equal = true
		}
	}
	var truth, falsity bool
	switch op {
	case Eq:
		truth, falsity = equal, below || above
	case Ne:
		truth, falsity = below || above, equal
	case Lt:
		truth, falsity = below, equal || above
	case Le:
		truth, falsity = below || equal, above
	case Gt:
		truth, falsity = above, below || equal
	case Ge:
		truth, falsity = above || equal, below
	}
	var out outcome
	if truth {
		out |= mayTrue
	}
	if falsity {
		out |= mayFalse
	}
	return out
}

func in(e In, b Bounds) outcome {
	c, ok := e.X.(Column)
	if !ok {
		return mayAll
	}
	r := b.Column(c.Path)
	null := slices.ContainsFunc(e.List, func(l Literal) bool { return l.Value == nil })
	return withNulls(r, func() outcome {
		out := mayFalse
		for _, l := range e.List {
			if l.Value != nil {
				hit := compareRange(r, Eq, l.Value)
				out = negation(conjunction(negation(out), negation(hit)))
			}
		}
		if null && out&mayFalse != 0 {
			out = out&^mayFalse | mayNull
		}
		return out
	})
}

// like prunes by the text before the first wildcard.
func like(e Like, b Bounds) outcome {
	c, ok := e.X.(Column)
	if !ok {
		return mayAll
	}
	r := b.Column(c.Path)
	prefix, exact := likePrefix(e.Pattern)
	return withNulls(r, func() outcome {
		if exact {
			return compareRange(r, Eq, prefix)
		}
		out := mayTrue | mayFalse
		if compareRange(r, Ge, prefix)&mayTrue == 0 {
			return mayFalse
		}
		if min, ok := r.Min.(string); ok && len(prefix) > 0 && min > prefix && !hasPrefix(min, prefix) {
			return mayFalse
		}
		return out
	})
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

// likePrefix is the literal text at the start of a pattern, and whether it is all of it.
func likePrefix(pattern string) (string, bool) {
	var out []byte
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '%' || c == '_':
			return string(out), false
		case c == '\\' && i+1 < len(pattern):
			i++
			out = append(out, pattern[i])
		default:
			out = append(out, c)
		}
	}
	return string(out), true
}

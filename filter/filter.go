// Package filter is a predicate over named columns as plain data, with three-valued logic and no Arrow.
//
// Two dialects parse into the same tree: Parse reads the filter language of Metaxy, ParseSQL the SQL of delta-spark.
// What differs between them (NULL lists, `= NULL`, dotted names) is settled by the parsers, so that every evaluator
// has one meaning to implement. A syntax error is a *ParseError with the byte offset of the fault.
package filter

// Expr is a node of a predicate: one of Column, Literal, Compare, In, IsNull, Like, And, Or, Not (values, not pointers).
type Expr interface {
	// String renders the node in the SQL dialect, so that ParseSQL(e.String()) is e again where that does not nest too deep for it.
	String() string
	isExpr()
}

// Column names a column (one path element, which may itself contain dots) or a struct member (several).
type Column struct {
	Path []string
	// Fold lets a name match without case where that is unambiguous, as SQL does.
	Fold bool
}

// Literal is a constant. Value is one of: nil (NULL), bool, int64, *big.Int (outside int64), float64, float32, string,
// []byte, Decimal, Date, Timestamp, TimestampNTZ.
type Literal struct{ Value any }

// Decimal is an exact number text such as "10.50", as written.
type Decimal string

// Date is a day, counted from 1970-01-01.
type Date int32

// Timestamp is an instant in microseconds since the Unix epoch.
type Timestamp int64

// TimestampNTZ is a wall-clock time in microseconds since 1970-01-01 00:00:00, without a zone.
type TimestampNTZ int64

// Op is a comparison operator.
type Op uint8

// The comparison operators. NullSafeEq is never null: two nulls are equal.
const (
	Eq Op = iota
	Ne
	Lt
	Le
	Gt
	Ge
	NullSafeEq
)

// Compare is `Left op Right`; null when either side is null (but for NullSafeEq). NaN is greatest and equals itself;
// -0.0 equals 0.0; numbers of different types compare by value, never through rounding.
type Compare struct {
	Op          Op
	Left, Right Expr
}

// In is null when X is null, true when X equals an element, else null when an element is null, else false.
type In struct {
	X    Expr
	List []Literal
}

// IsNull is true where X is null, false elsewhere; it is never null.
type IsNull struct{ X Expr }

// Like is SQL's LIKE with `%`, `_` and backslash as the escape.
type Like struct {
	X       Expr
	Pattern string
}

// And is true when all Args are; false when one is false; else null. No Args: true.
type And struct{ Args []Expr }

// Or is true when one of Args is; false when all are false; else null. No Args: false.
type Or struct{ Args []Expr }

// Not negates; null stays null. On an integer column of the Metaxy dialect it is bitwise (true unless the value is -1).
type Not struct{ X Expr }

func (Column) isExpr()  {}
func (Literal) isExpr() {}
func (Compare) isExpr() {}
func (In) isExpr()      {}
func (IsNull) isExpr()  {}
func (Like) isExpr()    {}
func (And) isExpr()     {}
func (Or) isExpr()      {}
func (Not) isExpr()     {}

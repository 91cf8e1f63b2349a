package filter

// Bounds tells what is known about the values of columns in a set of rows (a file, a row group).
type Bounds interface {
	// Column returns what is known of the column at path. A zero Range means that nothing is known.
	Column(path []string) Range
}

// Range is what is known about one column. Min and Max are Literal values (see Literal) or nil when unknown; they
// hold for the non-null, non-NaN values and need not be tight.
type Range struct {
	Min, Max any
	// MayNaN says that NaN may occur beside Min and Max (float columns whose statistics cannot exclude it).
	MayNaN bool
	// Nulls and Rows are counts; -1 is unknown. The zero Range must be read with Known false.
	Nulls, Rows int64
	Known       bool
}

// MayMatch reports whether some row within b may make e true. It may say yes wrongly, never no wrongly.
func MayMatch(e Expr, b Bounds) bool { return true }

// Package filtereval evaluates a filter.Expr over Arrow batches.
//
// Bind checks the expression against a schema once (unknown column, text against number: an error naming the column and
// the nearest names); Eval then gives one bool a row, true where the predicate is true (null and false drop the row).
// All memory is reused between batches.
package filtereval

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// Program is an expression bound to a schema. It is not safe for concurrent use; Clone makes one for another goroutine.
type Program struct{}

// ColumnError is a column that a filter names and the table lacks. Nearest are existing names that look alike.
type ColumnError struct {
	Column  string
	Nearest []string
}

func (e *ColumnError) Error() string { return "filter: unknown column " + e.Column }

// Bind resolves the columns and types of e. It fails with *ColumnError, or with an error that names the column and both types.
func Bind(e filter.Expr, schema *arrow.Schema) (*Program, error) {
	return nil, errors.New("not built yet")
}

// Clone returns a program with buffers of its own.
func (p *Program) Clone() *Program { return p }

// Eval returns keep[i] = row i satisfies the predicate. The slice is reused by the next call. b must have the bound
// schema's columns by name; string columns may be String, LargeString or StringView.
func (p *Program) Eval(b arrow.RecordBatch) (keep []bool, err error) {
	return nil, errors.New("not built yet")
}

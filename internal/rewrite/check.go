package rewrite

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// Checker makes the checker of a CHECK constraint or column invariant for delta.Options.Check: it counts the rows of a batch for which the predicate is
// not true, null included. Double quotes enclose texts, as they do for delta-spark; where the text is a column's name as well, the rule is refused. An expression beyond the SQL dialect of package filter, or one that does not fit the schema, is an error.
func Checker(expression string, schema *arrow.Schema) (func(arrow.RecordBatch) (int64, error), error) {
	e, err := filter.ParseConstraint(expression)
	if err != nil {
		return nil, fmt.Errorf("not a predicate that can be checked here: %w", err)
	}
	if other, err := filter.ParseSQL(expression); err == nil && other.String() != e.String() {
		if _, err := filtereval.Bind(other, schema); err == nil {
			return nil, errors.New("a word in double quotes is a text for some writers, and the name of a column of this table for others")
		}
	}
	p, err := filtereval.Bind(e, schema)
	if err != nil {
		return nil, err
	}
	return func(b arrow.RecordBatch) (int64, error) {
		keep, err := p.Eval(b)
		if err != nil {
			return 0, err
		}
		broken := int64(0)
		for _, ok := range keep {
			if !ok {
				broken++
			}
		}
		return broken, nil
	}, nil
}

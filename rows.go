package metaxy

import (
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/declared"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// asDeclared are rows with a *resolve.InputError at the first batch that is not of their schema, or at once where there are no rows.
func asDeclared(key feature.Key, rows *Rows) (*Rows, error) {
	fault := func(f *declared.Fault) error {
		e := &resolve.InputError{Feature: key.String(), Column: f.Column, Msg: "want " + f.Want + ", got " + f.Got}
		if e.Column == "" {
			e.Column = "*"
		}
		return e
	}
	if rows == nil {
		return nil, fault(&declared.Fault{Want: "rows", Got: "none"})
	}
	if f := declared.Stream(rows.Schema, rows.Batches); f != nil {
		return nil, fault(f)
	}
	out := *rows
	out.Batches = declared.Batches(rows.Schema, rows.Batches, fault)
	return &out, nil
}

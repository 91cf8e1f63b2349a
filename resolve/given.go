package resolve

import (
	"github.com/metaxy-delta/metaxy-delta/internal/declared"
)

// asDeclared are rows with an *InputError at the first batch that is not of their schema.
func asDeclared(feature string, rows *Rows) (*Rows, error) {
	if rows == nil {
		return nil, &InputError{Feature: feature, Column: "*", Msg: "no rows were given"}
	}
	if f := declared.Stream(rows.Schema, rows.Batches); f != nil {
		return nil, undeclared(feature, f)
	}
	fault := func(f *declared.Fault) error { return undeclared(feature, f) }
	return &Rows{Schema: rows.Schema, Batches: declared.Batches(rows.Schema, rows.Batches, fault)}, nil
}

func undeclared(feature string, f *declared.Fault) error {
	e := &InputError{Feature: feature, Column: f.Column, Msg: "want " + f.Want + ", got " + f.Got}
	if e.Column == "" {
		e.Column = "*"
	}
	return e
}

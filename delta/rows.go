package delta

import (
	"github.com/metaxy-delta/metaxy-delta/internal/declared"
)

// Check reports rows that are none: nil, or without a schema or batches. What the batches hold is checked as they come.
func (r *Rows) Check() error {
	if r == nil {
		return &SchemaError{Column: "*", Want: "rows", Got: "none"}
	}
	if f := declared.Stream(r.Schema, r.Batches); f != nil {
		return undeclared(f)
	}
	return nil
}

// undeclared is the error of a batch that is not what its stream was declared to be.
func undeclared(f *declared.Fault) error {
	e := &SchemaError{Column: f.Column, Want: f.Want, Got: f.Got}
	if e.Column == "" {
		e.Column = "*"
	}
	return e
}

// Package declared holds record batches against the schema that their stream was declared with.
//
// Columns are found by their place in the declared schema everywhere below, so a batch whose columns stand in another order would put values into wrong
// columns. What differs is a *Fault, for the room that takes the rows in to turn into an error of its own.
package declared

import (
	"fmt"
	"iter"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
)

// Fault is where a batch or a stream departs from what was declared. Column is empty when the fault is none of a column's.
type Fault struct {
	Column, Want, Got string
}

func (f *Fault) Error() string {
	if f.Column == "" {
		return fmt.Sprintf("want %s, got %s", f.Want, f.Got)
	}
	return fmt.Sprintf("column %s: want %s, got %s", f.Column, f.Want, f.Got)
}

// Stream checks that there are a schema and batches to range over; nil when there are.
func Stream(schema *arrow.Schema, in iter.Seq2[arrow.RecordBatch, error]) *Fault {
	switch {
	case schema == nil:
		return &Fault{Want: "rows with a schema", Got: "none"}
	case in == nil:
		return &Fault{Want: "rows with batches", Got: "none"}
	}
	return nil
}

// Batch checks a batch, of which the stream gave so many rows before: it must have the declared columns, by name and type, in the declared order. Whether
// they may be null, and metadata, may differ. The cost is that of the schema, none of it that of the rows.
func Batch(schema *arrow.Schema, b arrow.RecordBatch, before int64) *Fault {
	place := " of the batch that begins at row " + strconv.FormatInt(before+1, 10)
	if b == nil {
		return &Fault{Want: "a batch", Got: "nil after " + strconv.FormatInt(before, 10) + " rows"}
	}
	own := b.Schema()
	if own == schema {
		return nil
	}
	for i := range min(own.NumFields(), schema.NumFields()) {
		want, got := schema.Field(i), own.Field(i)
		switch {
		case want.Name != got.Name:
			return &Fault{Column: want.Name, Want: "it as column " + strconv.Itoa(i+1) + place + ", as declared", Got: strconv.Quote(got.Name)}
		case !same(want.Type, got.Type):
			return &Fault{Column: want.Name, Want: "the declared type " + want.Type.String(), Got: got.Type.String() + " in column " + strconv.Itoa(i+1) + place}
		}
	}
	if n := schema.NumFields(); own.NumFields() != n {
		f := &Fault{Column: "*", Want: fmt.Sprintf("the %d declared columns", n), Got: fmt.Sprintf("%d", own.NumFields()) + place}
		if own.NumFields() < n {
			f.Column = schema.Field(own.NumFields()).Name
		}
		return f
	}
	return nil
}

// Batches passes a stream on up to the first batch that is not as declared; fault makes the error of that. The producer of the stream releases its batches.
func Batches(schema *arrow.Schema, in iter.Seq2[arrow.RecordBatch, error], fault func(*Fault) error) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if f := Stream(schema, in); f != nil {
			yield(nil, fault(f))
			return
		}
		before := int64(0)
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			if f := Batch(schema, b, before); f != nil {
				yield(nil, fault(f))
				return
			}
			before += b.NumRows()
			if !yield(b, nil) {
				return
			}
		}
	}
}

// same compares types; whether members may be null, their metadata and the names of list elements say nothing about where a value stands.
func same(a, b arrow.DataType) bool {
	if a == b || arrow.TypeEqual(a, b) {
		return true
	}
	if a.ID() != b.ID() {
		return false
	}
	switch a := a.(type) {
	case *arrow.StructType:
		b := b.(*arrow.StructType)
		if a.NumFields() != b.NumFields() {
			return false
		}
		for i := range a.NumFields() {
			if x, y := a.Field(i), b.Field(i); x.Name != y.Name || !same(x.Type, y.Type) {
				return false
			}
		}
		return true
	case *arrow.MapType:
		b := b.(*arrow.MapType)
		return same(a.KeyType(), b.KeyType()) && same(a.ItemType(), b.ItemType())
	case *arrow.FixedSizeListType:
		b := b.(*arrow.FixedSizeListType)
		return a.Len() == b.Len() && same(a.Elem(), b.Elem())
	case arrow.ListLikeType:
		return same(a.Elem(), b.(arrow.ListLikeType).Elem())
	}
	return false
}

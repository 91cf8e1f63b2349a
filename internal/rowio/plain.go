package rowio

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// convert makes an array of the plain type out of one of the type as it came;
// the caller releases it. nil stands for one that changes nothing.
type convert func(arrow.Array) (arrow.Array, error)

// plainRows gives rows whose types tables have, as far as there is such a type
// for every value. Batches are checked before anything looks into them.
func plainRows(ctx context.Context, s *arrow.Schema, in iter.Seq2[arrow.RecordBatch, error]) (frame.Rows, error) {
	fields := make([]arrow.Field, s.NumFields())
	converts := make([]convert, len(fields))
	p := &plainer{ctx: ctx}
	for i, f := range s.Fields() {
		if w, ok := f.Type.(*arrow.FixedSizeBinaryType); ok && w.ByteWidth == 0 {
			fields[i], converts[i] = arrow.Field{Name: f.Name, Type: arrow.BinaryTypes.Binary, Nullable: f.Nullable}, blobs
			continue
		}
		t, c, err := p.field(f, f.Name)
		if err != nil {
			return frame.Rows{}, err
		}
		fields[i], converts[i] = arrow.Field{Name: f.Name, Type: t, Nullable: f.Nullable}, c
	}
	schema := arrow.NewSchema(fields, nil)
	return frame.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		row := int64(1)
		for b, err := range in {
			if err != nil {
				yield(nil, plainWords(err))
				return
			}
			out, err := plainBatch(b, schema, converts, row)
			if err != nil {
				yield(nil, err)
				return
			}
			row += b.NumRows()
			if !frame.Give(yield, out, out) {
				return
			}
		}
	}}, nil
}

// plainWords takes the names of libraries out of an error.
func plainWords(err error) error {
	text := err.Error()
	for _, word := range []string{"arrow/ipc: ", "arrow/array: ", "arrow/compute: ", "arrow/schema: ", "parquet: "} {
		text = strings.ReplaceAll(text, word, "")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func plainBatch(b arrow.RecordBatch, schema *arrow.Schema, converts []convert, row int64) (arrow.RecordBatch, error) {
	if int(b.NumCols()) != len(converts) {
		return nil, fmt.Errorf("row %d: a batch of %d columns, and the schema has %d", row, b.NumCols(), len(converts))
	}
	cols := make([]arrow.Array, len(converts))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, c := range converts {
		a := b.Column(i)
		if err := sound(a, row); err != nil {
			return nil, fmt.Errorf("column %s: %w", schema.Field(i).Name, err)
		}
		if c == nil {
			a.Retain()
			cols[i] = a
			continue
		}
		out, err := c(a)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", schema.Field(i).Name, err)
		}
		cols[i] = out
	}
	return array.NewRecordBatch(schema, cols, b.NumRows()), nil
}

// sound checks that offsets lie within their buffers, and texts.
func sound(a arrow.Array, row int64) error {
	err := checked(a)
	if err == nil {
		return nil
	}
	if texts, ok := a.(array.StringLike); ok {
		for i := range texts.Len() {
			if v := texts.Value(i); texts.IsValid(i) && !utf8.ValidString(v) {
				return fmt.Errorf("row %d: %q is no UTF-8", row+int64(i), short(v))
			}
		}
	}
	if strings.Contains(strings.ToLower(err.Error()), "utf") {
		return fmt.Errorf("rows from %d on hold a text that is no UTF-8", row)
	}
	return fmt.Errorf("the rows from %d on are damaged: %w", row, plainWords(err))
}

// checked is what the library finds wrong with an array. It takes arrays that
// have no buffers for damaged, so that they are left out of what it looks at.
func checked(a arrow.Array) error {
	if a.NullN() < 0 || a.Len() < 0 {
		return errDamaged
	}
	var below []arrow.Array
	switch a := a.(type) {
	case *array.Null:
		return nil
	case *array.FixedSizeBinary:
		if a.DataType().(*arrow.FixedSizeBinaryType).ByteWidth == 0 {
			return nil
		}
		return array.ValidateFull(a)
	case *array.Struct:
		for i := range a.NumField() {
			below = append(below, a.Field(i))
		}
	case *array.Map:
		below = []arrow.Array{a.Keys(), a.Items()}
	case array.ListLike:
		below = []arrow.Array{a.ListValues()}
	case *array.Dictionary:
		below = []arrow.Array{a.Dictionary(), a.Indices()}
	case array.ExtensionArray:
		below = []arrow.Array{a.Storage()}
	default:
		return array.ValidateFull(a)
	}
	if v, ok := a.(interface{ ValidateFull() error }); ok {
		if err := v.ValidateFull(); err != nil {
			return err
		}
	}
	for _, b := range below {
		if err := checked(b); err != nil {
			return err
		}
	}
	return nil
}

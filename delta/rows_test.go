package delta_test

import (
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// wrongBatches are batches that are not as the columns a and b, both texts, declare them, with the column that an error must name.
func wrongBatches(t *testing.T) map[string]struct {
	column string
	batch  arrow.RecordBatch
} {
	text, number := arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64
	one := func(s *arrow.Schema, row string) arrow.RecordBatch {
		for b := range rowsOf(t, s, row).Batches {
			return b
		}
		return nil
	}
	return map[string]struct {
		column string
		batch  arrow.RecordBatch
	}{
		"other order":   {"a", one(fields("b", text, "a", text), `{"b": "B2", "a": "A2"}`)},
		"other name":    {"b", one(fields("a", text, "c", text), `{"a": "A2", "c": "C2"}`)},
		"other type":    {"b", one(fields("a", text, "b", number), `{"a": "A2", "b": 2}`)},
		"fewer columns": {"b", one(fields("a", text), `{"a": "A2"}`)},
		"no columns":    {"a", one(fields(), `{}`)},
		"more columns":  {"*", one(fields("a", text, "b", text, "c", text), `{"a": "A2", "b": "B2", "c": "C2"}`)},
		"nil":           {"*", nil},
	}
}

// followed are rows with another batch behind them.
func followed(rows *delta.Rows, b arrow.RecordBatch) *delta.Rows {
	return &delta.Rows{Schema: rows.Schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for first, err := range rows.Batches {
			if !yield(first, err) {
				return
			}
		}
		yield(b, nil)
	}}
}

// takers are the calls that take rows in.
var takers = map[string]func(*testing.T, *delta.Table, *delta.Rows) error{
	"append": func(t *testing.T, tb *delta.Table, r *delta.Rows) error {
		_, err := tb.Append(t.Context(), r, &delta.AppendOptions{Cast: true, MergeSchema: true})
		return err
	},
	"overwrite": func(t *testing.T, tb *delta.Table, r *delta.Rows) error {
		_, err := tb.Append(t.Context(), r, &delta.AppendOptions{Cast: true, Overwrite: true})
		return err
	},
	"files": func(t *testing.T, tb *delta.Table, r *delta.Rows) error {
		snap, err := tb.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = tb.WriteFiles(t.Context(), snap, r, nil)
		return err
	},
	"changes": func(t *testing.T, tb *delta.Table, r *delta.Rows) error {
		snap, err := tb.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = tb.WriteChanges(t.Context(), snap, r, "insert")
		return err
	},
}

// TestUndeclaredBatches gives each call that takes rows a first batch that is as declared and a second one that is not: values must never land in other
// columns.
func TestUndeclaredBatches(t *testing.T) {
	declared := fields("a", arrow.BinaryTypes.String, "b", arrow.BinaryTypes.String)
	for call, take := range takers {
		for name, c := range wrongBatches(t) {
			t.Run(call+"/"+name, func(t *testing.T) {
				tb := localTable(t, t.TempDir())
				if _, err := tb.Append(t.Context(), rowsOf(t, declared, `{"a": "A0", "b": "B0"}`), nil); err != nil {
					t.Fatal(err)
				}
				err := take(t, tb, followed(rowsOf(t, declared, `{"a": "A1", "b": "B1"}`), c.batch))
				var schema *delta.SchemaError
				if !errors.As(err, &schema) || schema.Column != c.column {
					t.Errorf("want a *SchemaError for column %s, got %v", c.column, err)
				}
				if snap, err := tb.Snapshot(t.Context()); err != nil || snap.Version() != 0 {
					t.Errorf("the table changed: %v %v", snap, err)
				}
			})
		}
	}
}

// TestNoRows gives each call rows that are none.
func TestNoRows(t *testing.T) {
	declared := fields("a", arrow.BinaryTypes.String)
	for call, take := range takers {
		for name, r := range map[string]*delta.Rows{"nil": nil, "no batches": {Schema: declared}, "no schema": {Batches: rowsOf(t, declared).Batches}} {
			tb := localTable(t, t.TempDir())
			if _, err := tb.Append(t.Context(), rowsOf(t, declared), nil); err != nil {
				t.Fatal(err)
			}
			var schema *delta.SchemaError
			if err := take(t, tb, r); !errors.As(err, &schema) {
				t.Errorf("%s of rows with %s: want a *SchemaError, got %v", call, name, err)
			}
		}
	}
}

// TestNullabilityIsNotDeclared appends batches that differ from the declared schema in what says nothing about the place of a value.
func TestNullabilityIsNotDeclared(t *testing.T) {
	member := func(null bool) arrow.DataType {
		return arrow.StructOf(arrow.Field{Name: "m", Type: arrow.ListOfField(arrow.Field{Name: "e", Type: arrow.BinaryTypes.String, Nullable: null}), Nullable: null})
	}
	given := rowsOf(t, arrow.NewSchema([]arrow.Field{{Name: "a", Type: member(false)}}, nil), `{"a": {"m": ["x"]}}`)
	md := arrow.NewMetadata([]string{"k"}, []string{"v"})
	rows := &delta.Rows{Schema: arrow.NewSchema([]arrow.Field{{Name: "a", Type: member(true), Nullable: true, Metadata: md}}, &md), Batches: given.Batches}
	if r, err := localTable(t, t.TempDir()).Append(t.Context(), rows, nil); err != nil || r.Rows != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

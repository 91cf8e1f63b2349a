// Package resolve computes, from a plan, upstream rows and current rows, the provenance of every sample and splits samples into new, stale and orphaned.
//
// It imports no storage: tables come as the interface Table, results leave as Arrow batches. Row order is unspecified, contents are deterministic.
// What the input lacks (a column, a struct member) is an *InputError naming feature and column.
package resolve

import (
	"context"
	"fmt"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// InputError is input that cannot be resolved: which feature, which column (may be empty), and why.
type InputError struct {
	Feature, Column, Msg string
}

func (e *InputError) Error() string {
	return fmt.Sprintf("%s: column %s: %s", e.Feature, e.Column, e.Msg)
}

// Warning has a code of the decisions list (NULL_IDS, FALLBACK_USED ...) and a sentence. It changes nothing.
type Warning struct{ Code, Message string }

// Table is stored rows, read in parts by many goroutines at once.
type Table interface {
	// Schema is what the table has, in table order (struct columns whole).
	Schema() *arrow.Schema
	// Units are the parts, in tie order: rows compare by (index of the unit, row), greater is newer.
	Units(ctx context.Context) ([]Unit, error)
	// Read gives columns of rows of a unit, in row order; cols may name struct members as "a.b" (map keys too). When rows are missing
	// (deleted, filtered) each batch has a last column "__row" (uint32) with the row within the unit; else rows are consecutive.
	// Strings may be String, LargeString or StringView. A column that the table lacks is an error.
	Read(ctx context.Context, unit int, rows Span, cols []string) iter.Seq2[arrow.RecordBatch, error]
	// Take gives columns of chosen rows in the order of refs, which must ascend; strings are utf8.
	Take(ctx context.Context, refs []RowRef, cols []string) iter.Seq2[arrow.RecordBatch, error]
}

// Span is rows [From, To) of a unit.
type Span struct{ From, To int64 }

// RowRef is unit<<40 | row.
type RowRef = uint64

// Unit is a part of a table. Stats answers what is known of a column (a path like "a.b") over the unit; exact says that Min and Max occur.
type Unit struct {
	Rows  int64
	Stats func(column string) (r filter.Range, exact bool)
}

// Package scan turns a snapshot, columns and a filter into Arrow batches, skipping files, row groups and deleted rows it can prove irrelevant.
//
// Two ways in: Batches streams everything that the filter keeps; Units, Read and Take give the parts one at a time to a caller that
// decides by a few columns first and fetches the others later. A file that cannot be read is a *FileError; nothing read from a
// file can panic, and sizes that a file claims are checked before memory is taken.
package scan

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// FileError is a data file that cannot be read. RowGroup is -1 when the whole file is meant. Damage carries txlog.ErrCorrupt.
type FileError struct {
	Op, Path string
	RowGroup int
	Err      error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("%s %s: row group %d: %v", e.Op, e.Path, e.RowGroup, e.Err)
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Options of a scan; nil = every column and row.
type Options struct {
	// Columns are logical names in output order, nil = all.
	Columns []string
	// Filter keeps rows for which it is true. It may name columns that are not in Columns.
	Filter filter.Expr
	// BatchRows is the greatest number of rows of a batch; 0 = 65,536.
	BatchRows int
	// Parallel is the number of row groups decoded at once; 0 = GOMAXPROCS.
	Parallel  int
	Allocator memory.Allocator
}

// Scan is a plan over a snapshot. It is safe for concurrent use.
type Scan struct{}

// New plans a scan: files are chosen by partition values and statistics, without reading any. An unknown column is an error.
func New(snap *delta.Snapshot, opts *Options) (*Scan, error) { return nil, errors.ErrUnsupported }

// Schema of the batches of Batches.
func (s *Scan) Schema() *arrow.Schema { return nil }

// Batches streams all rows that the filter keeps; order is unspecified between row groups. The producer releases each batch after the step.
func (s *Scan) Batches(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] { return nil }

// Plan tells what is read and what was skipped, and why.
func (s *Scan) Plan() *Plan { return nil }

// Plan counts files and row groups; String renders it for people. Files lists what is left to read.
type Plan struct {
	FilesTotal, SkippedByPartition, SkippedByStats int
	RowGroupsTotal, RowGroupsSkipped               int
	Files                                          []delta.File
}

// String is one line: `files 120 -> 7 (stats 98, partition 15)`.
func (p *Plan) String() string { return "" }

// Unit is a row group. Units come in tie order (older first): Ordinal grows with (commit version, add position, row group), so rows compare by
// (Ordinal, row). Deleted rows (deletion vectors) are counted in Rows but never given by Read or Take.
type Unit struct {
	File     string
	RowGroup int
	Rows     int64
	Ordinal  int
	// Stats answers for the row group what the footer proves; it is exact for timestamps too.
	Stats func(column string) (r filter.Range, exact bool)
}

// Units opens the footers of the planned files (in parallel) and lists their row groups that the filter's statistics do not exclude.
func (s *Scan) Units(ctx context.Context) ([]Unit, error) { return nil, errors.ErrUnsupported }

// Span is rows [From, To) of a unit.
type Span struct{ From, To int64 }

// RowRef is unit<<40 | row.
type RowRef = uint64

// Read gives columns of rows of one unit, page by page; many goroutines at once. cols may name struct members as "a.b". A further column
// RowColumn (uint32, rows within the unit) is appended to each batch when deletion vectors or the scan's filter drop rows; without it rows are consecutive from the
// span's start. The scan's filter is applied only where statistics have not answered it for the unit. Strings may be StringView.
func (s *Scan) Read(ctx context.Context, unit int, rows Span, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	return nil
}

// Take gives columns of chosen rows, in the order of refs, which must ascend. Strings are utf8; nested columns are whole.
func (s *Scan) Take(ctx context.Context, refs []RowRef, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	return nil
}

// RowColumn is the name of the row number column that Read may append.
const RowColumn = "__row"

// Package frame is the seam between rooms that hold rows: a table is read in units, rows come in blocks, and one row is named by a reference.
//
// A stored table (package scan) and batches in memory have the same face, so
// what resolves rows knows no storage. Whoever yields a batch releases it
// after the step; a consumer that keeps one longer retains it.
package frame

import (
	"context"
	"errors"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// Rows is a single-use stream of batches with their schema.
type Rows struct {
	Schema  *arrow.Schema
	Batches iter.Seq2[arrow.RecordBatch, error]
}

// Span is rows [From, To) of a unit.
type Span struct{ From, To int64 }

// Ref names a row of a table. References of one table compare as their rows do
// in tie order: the greater is the newer row.
type Ref uint64

const unitShift = 40

// RefOf returns the reference of a row of a unit.
func RefOf(unit int, row int64) Ref { return Ref(unit)<<unitShift | Ref(row) }

// Unit returns the index of the row's unit.
func (r Ref) Unit() int { return int(r >> unitShift) }

// Row returns the row within its unit.
func (r Ref) Row() int64 { return int64(r & (1<<unitShift - 1)) }

// Unit is a part of a table, a row group of a file for stored ones.
type Unit struct {
	// Rows counts deleted and filtered rows too.
	Rows int64
	// End is above the number of every row where that is not Rows: in a part of
	// a table whose rows keep their numbers. 0 = Rows.
	End int64
	// Stats returns what is known of a column (a path like "a.b") over the
	// unit; exact reports whether Min and Max occur in it.
	Stats func(column string) (r filter.Range, exact bool)
}

// Span returns how many row numbers the unit has.
func (u Unit) Span() int64 { return max(u.Rows, u.End) }

// Block is rows of one unit, in row order.
type Block struct {
	Batch arrow.RecordBatch
	// First is the row of the unit that the first row is, where the rows are
	// consecutive.
	First int64
	// Rows are the rows of the unit where some are missing between them, else
	// nil. The slice is valid as long as the batch is not released.
	Rows []uint32
}

// Row returns the row of the unit that row i of the block is.
func (b *Block) Row(i int) int64 {
	if b.Rows != nil {
		return int64(b.Rows[i])
	}
	return b.First + int64(i)
}

// Table is stored rows, read in parts by many goroutines at once.
type Table interface {
	// Schema returns what the table has, in table order, struct columns whole.
	Schema() *arrow.Schema
	// Units returns the parts in tie order: rows compare by (index of the
	// unit, row), greater is newer.
	Units(ctx context.Context) ([]Unit, error)
	// Read streams columns of rows of a unit, in row order, without rows that
	// are deleted or filtered. cols may name struct members and map keys as
	// "a.b". Texts may be String, LargeString or StringView. A column that the
	// table lacks is an error.
	Read(ctx context.Context, unit int, rows Span, cols []string) iter.Seq2[Block, error]
	// Take streams columns of chosen rows in the order of refs, which must
	// ascend; texts are String.
	Take(ctx context.Context, refs []Ref, cols []string) iter.Seq2[arrow.RecordBatch, error]
}

// Give yields a value and then releases its batch, also where the consumer
// panics or ends its goroutine.
func Give[T any](yield func(T, error) bool, v T, b arrow.RecordBatch) bool {
	defer b.Release()
	return yield(v, nil)
}

// Seeker is a Table that reads less where few values of a column are wanted.
type Seeker interface {
	// Seek streams columns of the rows of a unit, as Read does, but need not give
	// those whose value of the first column cannot be wanted. wanted reports
	// whether a range may have a value that is. ErrBounds ends it where rows
	// contradict what the file tells of them: nothing that came is of use then.
	Seek(ctx context.Context, unit int, cols []string, wanted func(filter.Range) bool) iter.Seq2[Block, error]
}

// Lender is a Table that can give its blocks the same memory again and again.
type Lender interface {
	// Lend is Read for a consumer that holds every array that it keeps: what is
	// not held is written over when the block is released.
	Lend(ctx context.Context, unit int, rows Span, cols []string) iter.Seq2[Block, error]
}

// ErrBounds is a part of a table whose rows are not as its statistics have them.
var ErrBounds = errors.New("rows contradict what is told of them")

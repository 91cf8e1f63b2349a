package resolve

import (
	"context"
	"errors"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// Algorithm is how versions are hashed and cut.
type Algorithm struct {
	// Name is one of xxhash32, xxhash64, xxh3_64, wyhash, sha256, md5.
	Name string
	// Truncation is the number of characters kept; at least 8.
	Truncation int
}

// Rows is a single-use stream with its schema.
type Rows struct {
	Schema  *arrow.Schema
	Batches iter.Seq2[arrow.RecordBatch, error]
}

// Source is the stored rows of one feature version: Table holds all rows of that version (or, with a wider scan, of several).
type Source struct {
	// Table is nil when the table does not exist.
	Table Table
	// IDs are the feature's id columns.
	IDs []string
	// Filters act on the newest row per id, after tombstones are gone.
	Filters []filter.Expr
}

// Request is one resolve_update.
type Request struct {
	Plan      *feature.Plan
	Algorithm Algorithm
	// MapMode stores the by-field columns as maps.
	MapMode bool
	// Deps are the upstream tables, in the order of Plan.Deps.
	Deps []Source
	// Current is the feature's own table (nil Table: there is none).
	Current Source
	// Samples replace upstream when set; TargetFilters then act on them too.
	Samples        *Rows
	SkipComparison bool
	StaleIf        []filter.Expr
	Options        Options
}

// Options bound the work.
type Options struct {
	// MemoryLimit in bytes, 0 = none; beyond it joins go to SpillDir ("" = *hashjoin.LimitError).
	MemoryLimit int64
	SpillDir    string
	// Parallel is the number of goroutines; 0 = GOMAXPROCS.
	Parallel int
	// WithInput keeps the expected rows as Increment.Input (input progress).
	WithInput bool
}

// Part says which part of the increment a batch belongs to.
type Part uint8

// The parts.
const (
	New Part = iota
	Stale
	Orphaned
)

// PartBatch is a batch of one part.
type PartBatch struct {
	Part  Part
	Batch arrow.RecordBatch
}

// Increment is the answer, computed when it is consumed.
type Increment struct{}

// Update checks the request and plans it; rows are read when a part is consumed.
func Update(ctx context.Context, req *Request) (*Increment, error) { return nil, errors.ErrUnsupported }

// Schema of a part, known before anything is read.
func (i *Increment) Schema(p Part) *arrow.Schema { return nil }

// All streams the whole increment in one pass; the producer releases each batch after the step.
func (i *Increment) All(ctx context.Context) iter.Seq2[PartBatch, error] { return nil }

// Warnings are complete after All has ended.
func (i *Increment) Warnings() []Warning { return nil }

// Stats are complete after All has ended.
func (i *Increment) Stats() Stats { return Stats{} }

// Stats counts what was done.
type Stats struct {
	New, Stale, Orphaned int64
	// RowsRead counts rows of deciding columns; Expected the joined rows; Current the rows compared with.
	RowsRead, Expected, Current int64
	// Progress is the input progress in percent; nil where undefined or not asked for.
	Progress *float64
}

// ReadRequest is one read(): newest row per id, tombstones, filters (metaxy.md 6).
type ReadRequest struct {
	Source Source
	// SampleHistory keeps every row instead of the newest per id; SoftDeleted keeps tombstones.
	SampleHistory, SoftDeleted bool
	// Columns to give, in this order; nil = id columns, then the others in table order (plain table order with SampleHistory).
	Columns []string
	// Limit on rows; 0 = none.
	Limit   int64
	Options Options
}

// Read plans a read and returns its stream; nothing is read before the stream is consumed.
func Read(ctx context.Context, req *ReadRequest) (*Rows, error) { return nil, errors.ErrUnsupported }

// Complete returns rows with the version columns that a write needs (metaxy.md 7 steps b and g: provenance, data versions), by-field columns converted
// between struct and map as mapMode asks. It streams.
func Complete(rows *Rows, plan *feature.Plan, alg Algorithm, mapMode bool) (*Rows, error) {
	return nil, errors.ErrUnsupported
}

// MemTable is a table over batches in memory, for stores that are not Delta and for tests. It retains the batches until Close.
func MemTable(schema *arrow.Schema, batches []arrow.RecordBatch) Table { return nil }

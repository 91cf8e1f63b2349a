package resolve

import (
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// Algorithm is how versions are hashed and cut.
type Algorithm struct {
	// Name is one of xxhash32, xxhash64, xxh3_64, wyhash, sha256, md5.
	Name string
	// Truncation is the number of characters kept; at least 8.
	Truncation int
}

// Validate reports an algorithm that is not known.
func (a Algorithm) Validate() error {
	_, err := rowhash.New(a.Name, a.Truncation)
	return err
}

// Weak reports whether so many rows are too many for the algorithm, which the
// warning WEAK_HASH tells.
func (a Algorithm) Weak(rows int64) bool { return a.Name == "xxhash32" && rows > 1_000_000 }

// Rows is a single-use stream with its schema.
type Rows struct {
	Schema  *arrow.Schema
	Batches iter.Seq2[arrow.RecordBatch, error]
}

// Source is the stored rows of one feature version: Table holds all rows of
// that version (or, with a wider scan, of several).
type Source struct {
	// Table is nil when the table does not exist.
	Table frame.Table
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
	// Shard is the share of the samples to look at; nil = all.
	Shard   *Shard
	Options Options
}

// Options bound the work.
type Options struct {
	// MemoryLimit in bytes, about, of the rows that are held at once; 0 = none.
	// Work that needs more is cut into partitions by key, which go to SpillDir;
	// without one, on a full disk, or when the rows of one key are too many, it
	// is a *hashjoin.LimitError.
	MemoryLimit int64
	SpillDir    string
	// Parallel is the number of goroutines; 0 = GOMAXPROCS.
	Parallel int
	// Force is the way to find keys that is used instead of the chosen one, and
	// Doubt believes no statistics. Neither changes an answer.
	Force hashjoin.Strategy
	Doubt bool
	// WithInput computes Stats.Progress. It costs a hash table over the join
	// keys.
	WithInput bool
	// Joined is told how many rows of the tables that lead the join are done, of
	// all of them, one call at a time; in partitions about so. Each pass over the
	// parts begins anew. nil tells nobody.
	Joined func(done, total int64)
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

// Stats counts what was done.
type Stats struct {
	New, Stale, Orphaned int64
	// RowsRead counts rows of deciding columns; Expected the joined rows;
	// Current the rows compared with.
	RowsRead, Expected, Current int64
	// Progress is the input progress in percent; nil where undefined or not asked for.
	Progress *float64
}

// ReadRequest is one read(): newest row per id, tombstones, filters.
type ReadRequest struct {
	Source Source
	// SampleHistory keeps every row instead of the newest per id; SoftDeleted keeps tombstones.
	SampleHistory, SoftDeleted bool
	// Columns to give, in this order; nil = id columns, then the others in
	// table order (plain table order with SampleHistory).
	Columns []string
	// Limit on rows; 0 = none.
	Limit   int64
	Options Options
}

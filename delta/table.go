// Package delta is a table at a version: protocol gate, schema, live files with statistics, and the rules for appending or removing them.
//
// It writes data files but never reads one. A missing table is fs.ErrNotExist; a table that needs more than this build
// knows is an *UnsupportedError; a schema that does not fit is a *SchemaError; a lost race is a *txlog.ConflictError.
package delta

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// UnsupportedError is a table feature that this build cannot serve. Need and Have are for the message.
type UnsupportedError struct {
	Feature, Need, Have string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("table needs %s %q; this build supports: %s", e.Need, e.Feature, e.Have)
}

// SchemaError is a column whose type is not what is wanted.
type SchemaError struct {
	Column, Want, Got string
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("column %s: want %s, got %s", e.Column, e.Want, e.Got)
}

// ErrOutsideRoot is a path that leads out of the table.
var ErrOutsideRoot = errors.New("path leads out of the table")

// ownEngine begins the name of this engine in commits.
const ownEngine = "metaxy-delta"

// Options of a table. The zero value is usable but for Now, which callers that write must set.
type Options struct {
	// Now is the clock of commits and tombstones.
	Now func() time.Time
	// AllowOutsideRoot lets data files and deletion vectors lie outside the table's root.
	AllowOutsideRoot bool
	// CheckpointInterval in commits; 0 = the table's property, else 100; negative = never.
	CheckpointInterval int
	// EngineInfo goes into commitInfo.
	EngineInfo string
	// Allocator of Arrow memory; nil = the default one.
	Allocator memory.Allocator
	// Backoff is how long to wait after losing a race for the try-th time; nil = at random, up to 100 ms.
	Backoff func(try int) time.Duration
	// Check makes the checker of a CHECK constraint or column invariant (a SQL predicate) over batches of the given schema. The checker tells how many
	// rows of a batch break it: those for which it is not true; a null counts as broken. nil, or an error: tables with such rules are not appended to.
	Check func(expression string, schema *arrow.Schema) (func(arrow.RecordBatch) (int64, error), error)
}

// Table is a handle on a table that need not exist yet. It holds no state of the log and is safe for concurrent use.
type Table struct {
	store *objstore.Store
	log   *txlog.Log
	opts  Options
}

// New returns the table at the root of store. No I/O.
func New(store *objstore.Store, opts *Options) *Table {
	t := &Table{store: store, log: txlog.Open(store)}
	if opts != nil {
		t.opts = *opts
	}
	if t.opts.Allocator == nil {
		t.opts.Allocator = memory.DefaultAllocator
	}
	if t.opts.EngineInfo == "" {
		t.opts.EngineInfo = ownEngine
	}
	return t
}

// Store is where the table is.
func (t *Table) Store() *objstore.Store { return t.store }

// Log is the table's log.
func (t *Table) Log() *txlog.Log { return t.log }

// AllowsOutsideRoot reports whether files outside the table's root may be read.
func (t *Table) AllowsOutsideRoot() bool { return t.opts.AllowOutsideRoot }

// Allocator of Arrow memory.
func (t *Table) Allocator() memory.Allocator { return t.opts.Allocator }

// Snapshot reads the newest version. fs.ErrNotExist when there is no table.
func (t *Table) Snapshot(ctx context.Context) (*Snapshot, error) {
	return t.SnapshotAt(ctx, txlog.Newest)
}

// SnapshotAt reads a version. fs.ErrNotExist when it does not exist or was cleaned up.
func (t *Table) SnapshotAt(ctx context.Context, version int64) (*Snapshot, error) {
	seg, err := t.log.Segment(ctx, version)
	if err != nil {
		return nil, err
	}
	st, err := seg.Replay(ctx)
	if err != nil {
		return nil, err
	}
	return newSnapshot(t, st)
}

// Rows is a single-use stream of batches with its schema. Who ranges over Batches retains what is kept past the step.
type Rows struct {
	Schema  *arrow.Schema
	Batches iter.Seq2[arrow.RecordBatch, error]
}

// AppendOptions says how rows are added.
type AppendOptions struct {
	// MergeSchema adds new columns and struct members to the table.
	MergeSchema bool
	// Cast converts columns of another type to the table's: internal/docs/casts.md says what becomes of which values.
	Cast bool
	// ExactNames refuses columns and members whose names differ from the table's in case alone; without it they are the table's, as for Spark.
	ExactNames bool
	// PartitionBy, Configuration and Features apply when the table is created by this append.
	PartitionBy   []string
	Configuration map[string]string
	Features      []string
	// AppID and AppVersion make the append idempotent: a version not above the recorded one writes nothing.
	AppID      string
	AppVersion int64
	// Since makes the append conditional: a commit after that version (-1: any commit) that added or removed rows is a *txlog.ConflictError, up to the
	// very commit of the append. nil = unconditional.
	Since *int64
	// Parameters go to commitInfo.operationParameters beside those of the write.
	Parameters map[string]string
	// Overwrite replaces all rows of the table in the same commit instead of adding to them.
	Overwrite bool
	// Replace narrows Overwrite to the files for which it is true (partitions, by their values); the rows written take their place. Its name for the log is
	// the parameter predicate.
	Replace func(*File) bool
	// Inserts writes change data files of the rows too: for a change that also moves rows, in a table with a change feed.
	Inserts bool
}

// Result is what a change did. Version is the commit, -1 if nothing was written.
type Result struct {
	Version  int64
	Files    int
	Rows     int64
	Bytes    int64
	Warnings []Warning
	// TableFiles and TableBytes are the live files of the table before the change.
	TableFiles int
	TableBytes int64
}

// Warning is a finding that changes nothing, such as LOSSY_CAST with the column and the number of values.
type Warning struct{ Code, Message string }

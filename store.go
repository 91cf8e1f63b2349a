package metaxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// ErrFeatureNotFound is a feature that no definition or no table has. It is wrapped in *NotFoundError.
var ErrFeatureNotFound = errors.New("feature not found")

// ErrProjectMismatch is a write to a feature of another project than the expected one.
var ErrProjectMismatch = errors.New("project mismatch")

// ErrClosed is a store used after Close.
var ErrClosed = errors.New("store is closed")

// ErrInvalid marks an argument that makes no sense: options that exclude each other, a root without samples, an engine Delta does not have.
// It is fs.ErrInvalid, which unknown columns, filters and keys that cannot be read, and wrong storage options satisfy, too.
var ErrInvalid = fs.ErrInvalid

// ErrOutcomeUnknown is a commit of which nobody knows whether it happened: the rows may be visible now or later. It is carried by *txlog.CommitError, whose Version and ID tell
// what to look for. Repeating the call may store the rows twice, unless it has WriteOptions.AppID.
var ErrOutcomeUnknown = txlog.ErrOutcomeUnknown

// NotFoundError says what was looked for; it satisfies errors.Is(err, ErrFeatureNotFound). NoTable: the definition is there, a table is not.
type NotFoundError struct {
	Feature string
	// Version of the feature, or Snapshot (a project version), that was not pushed.
	Version, Snapshot string
	NoTable           bool
	// Nearest are defined keys of a similar name.
	Nearest []string
	// Last is the newest project version that had the feature, "" without one.
	Last string
	// NoDefinitions: nothing was pushed to the store at all.
	NoDefinitions bool
	// NoFailures: it is the table of samples that failed which is not there.
	NoFailures bool
	// External features are of other projects; Feature may name several.
	External bool
}

func (e *NotFoundError) Error() string {
	switch {
	case e.Snapshot != "":
		return fmt.Sprintf("project version %s was not pushed to this store", e.Snapshot)
	case e.Version != "":
		return fmt.Sprintf("version %s of %s was not pushed to this store", e.Version, e.Feature)
	case e.NoFailures:
		return fmt.Sprintf("no sample of feature %s is recorded as failed", e.Feature)
	case e.NoTable:
		return fmt.Sprintf("feature %s has no table in this store or its fallback stores", e.Feature)
	}
	return fmt.Sprintf("feature %s is not defined", e.Feature)
}

// Unwrap returns ErrFeatureNotFound, and fs.ErrNotExist for a table that is not there.
func (e *NotFoundError) Unwrap() []error {
	if e.NoTable {
		return []error{ErrFeatureNotFound, fs.ErrNotExist}
	}
	return []error{ErrFeatureNotFound}
}

// PartialError is several features of which some failed. Done lists those that are complete.
type PartialError struct {
	Done   []feature.Key
	Failed map[feature.Key]error
}

func (e *PartialError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d features failed", len(e.Failed), len(e.Failed)+len(e.Done))
	for _, k := range sortedKeys(e.Failed) {
		fmt.Fprintf(&b, "; %s: %v", k, e.Failed[k])
	}
	return b.String()
}

// Unwrap returns the failures.
func (e *PartialError) Unwrap() []error {
	var out []error
	for _, k := range sortedKeys(e.Failed) {
		out = append(out, e.Failed[k])
	}
	return out
}

// Warning has a code (FALLBACK_USED, HASH_MISMATCH ...) and a sentence. It changes nothing.
type Warning = resolve.Warning

// Rows is a single-use stream of batches with its schema and where it came from. Rows are in no order, and columns in that of the schema. An error ends the stream; whoever yields a batch releases it after the
// step, who keeps one calls Retain. For a write only Schema and Batches count.
type Rows struct {
	Schema  *arrow.Schema
	Batches iter.Seq2[arrow.RecordBatch, error]
	Source  Source
	// Warnings found before the first batch, such as FALLBACK_USED.
	Warnings []Warning
}

// Source says which store served a feature, and at which table version (-1 when the store does not tell).
type Source struct {
	Feature      feature.Key
	Store        string
	TableVersion int64
	Fallback     bool
}

// MetadataStore is what a caller or a fallback needs of a store. *DeltaStore implements it.
type MetadataStore interface {
	// Read gives the visible rows of a feature: newest per id, of the current feature version, without tombstones. A feature without a table is
	// ErrFeatureNotFound, after which the next fallback store is asked; any other error ends the search. Filters, Columns and Limit may be left undone by a
	// fallback store: they are applied to what it gives.
	Read(ctx context.Context, key feature.Key, opts *ReadOptions) (*Rows, error)
	// Write appends rows; an empty stream with a schema creates the table.
	Write(ctx context.Context, key feature.Key, rows *Rows, opts *WriteOptions) (WriteResult, error)
	// Delete hides rows behind tombstones, or removes them when Hard is set.
	Delete(ctx context.Context, key feature.Key, opts *DeleteOptions) (DeleteResult, error)
	// ResolveUpdate tells which samples are new, stale and orphaned. Rows are read when the increment is consumed.
	ResolveUpdate(ctx context.Context, key feature.Key, opts *ResolveOptions) (*Increment, error)
	// HasFeature reports whether the store, or with fallbacks one of them, has a table of the feature.
	HasFeature(ctx context.Context, key feature.Key, opts *HasOptions) (bool, error)
	// Close releases the store. Later calls fail with ErrClosed.
	Close() error
}

// HasOptions widens HasFeature.
type HasOptions struct {
	// CheckFallback also asks the fallback stores.
	CheckFallback bool
}

// DeltaStore is a store of Delta tables. It is safe for concurrent use.
type DeltaStore struct {
	*core
	// crossProject lifts the project check of writes.
	crossProject bool
}

// core is what all views of a store share.
type core struct {
	name      string
	url       string
	objects   *objstore.Store
	opts      Options
	fallbacks []Fallback

	mu     sync.Mutex
	graph  *graphState
	loads  int // how often the graph was forgotten or replaced
	closed bool
}

var _ MetadataStore = (*DeltaStore)(nil)

// AllowCrossProjectWrites returns a view of the store that writes to features of any project; s itself stays strict.
func (s *DeltaStore) AllowCrossProjectWrites() *DeltaStore {
	return &DeltaStore{core: s.core, crossProject: true}
}

// rehearse returns a view whose writes are counted and not stored.
func (s *DeltaStore) rehearse() *DeltaStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &DeltaStore{core: &core{name: s.name, url: s.url, objects: s.objects.Rehearse(), opts: s.opts, fallbacks: s.fallbacks, graph: s.graph, closed: s.closed}, crossProject: s.crossProject}
}

// Name is the store's name in the configuration, or its URL.
func (s *DeltaStore) Name() string { return s.name }

// URL is the store's root, without credentials.
func (s *DeltaStore) URL() string { return s.objects.URL() }

// Storage is the objects below the store's root, read-only where the store is.
func (s *DeltaStore) Storage() *objstore.Store { return s.objects }

// String is Metaxy's display text.
func (s *DeltaStore) String() string { return "DeltaMetadataStore(path=" + s.url + ")" }

// Fallbacks are the fallback stores in order.
func (s *DeltaStore) Fallbacks() []Fallback { return s.fallbacks }

// Close releases the store and the fallback stores that it opened itself.
func (s *DeltaStore) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	var errs []error
	for _, f := range s.fallbacks {
		if f.owned {
			errs = append(errs, f.Store.Close())
		}
	}
	return errors.Join(append(errs, s.objects.Close())...)
}

func (s *DeltaStore) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}

// openToWrite is open, where something will be stored unless it is a dry run.
func (s *DeltaStore) openToWrite(dryRun bool) error {
	if err := s.open(); err != nil || dryRun || !s.opts.ReadOnly {
		return err
	}
	return fmt.Errorf("%w: store %s is opened for reading only", fs.ErrPermission, s.name)
}

// Table is the Delta table of a feature, which need not exist. It is read-only where the store is.
func (s *DeltaStore) Table(key feature.Key) *delta.Table { return s.tableAt(s.tablePath(key)) }

// tableAt is the Delta table at a key of the store.
func (s *DeltaStore) tableAt(path string) *delta.Table {
	return delta.New(s.objects.Sub(path), &delta.Options{
		Now:                s.opts.Now,
		CheckpointInterval: s.opts.CheckpointInterval,
		EngineInfo:         s.opts.EngineInfo,
		Allocator:          s.opts.Allocator,
		Check:              rewrite.Checker,
	})
}

// TableURL is where the table of a feature lies, or would lie, below the root as String shows it.
func (s *DeltaStore) TableURL(key feature.Key) string { return s.url + "/" + s.tablePath(key) }

func (s *DeltaStore) tablePath(key feature.Key) string {
	if s.opts.Layout == LayoutFlat {
		return key.TableName() + ".delta"
	}
	return strings.Join(key.Parts(), "/") + ".delta"
}

package metaxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/machine"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// ReadOptions of a read; nil = the visible rows with every column.
type ReadOptions struct {
	// FeatureVersion reads that version; needs FeatureHistory.
	FeatureVersion string
	// Filters act on the newest rows, one after another.
	Filters []filter.Expr
	// Columns to give, in this order; empty = all, id columns first.
	Columns []string
	// NoFallback keeps to this store.
	NoFallback bool
	// FeatureHistory includes rows of other feature versions; SampleHistory older rows of each id; SoftDeleted tombstones.
	FeatureHistory, SampleHistory, SoftDeleted bool
	// Limit on rows; 0 = none.
	Limit int64
	// unverified gives rows that were not compared with the log's statistics, as a resolve takes them.
	unverified bool
	// at is the look at this store's table that a verb has taken; nil: it looks.
	at *visit
}

// Read gives rows of a feature. A feature without a table here is read from the fallback stores in order, with the warning
// FALLBACK_USED; without a table anywhere it is a *NotFoundError. An existing table without matching rows is final.
func (s *DeltaStore) Read(ctx context.Context, key feature.Key, opts *ReadOptions) (*Rows, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	o := ReadOptions{}
	if opts != nil {
		o = *opts
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	if isSystem(key) {
		return s.readSystem(ctx, key, &o)
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.readWith(ctx, g, key, &o)
	if err != nil {
		return nil, err
	}
	rows.Batches = s.progress(key, "read", rows.Batches)
	return rows, nil
}

// validate refuses options that make no sense.
func (o *ReadOptions) validate() error {
	switch {
	case o.FeatureVersion != "" && !o.FeatureHistory:
		return fmt.Errorf("%w: a feature version needs the feature history", ErrInvalid)
	case o.Limit < 0:
		return fmt.Errorf("%w: the limit %d is negative", ErrInvalid, o.Limit)
	}
	for i, c := range o.Columns {
		if slices.Contains(o.Columns[:i], c) {
			return &invalidOption{&resolve.InputError{Feature: "read", Column: c, Msg: "is asked for twice"}}
		}
	}
	return nil
}

// readWith reads with the definitions of g, here or in the fallback stores.
func (s *DeltaStore) readWith(ctx context.Context, g *feature.Graph, key feature.Key, o *ReadOptions) (*Rows, error) {
	def, ok := g.Get(key)
	if !ok {
		return nil, s.undefined(ctx, g, key)
	}
	src, err := s.locate(ctx, g, key, def, o)
	if err != nil {
		return nil, err
	}
	if src.rows != nil {
		return &Rows{Schema: src.rows.Schema, Batches: src.rows.Batches, Source: src.source, Warnings: src.warnings}, nil
	}
	req := &resolve.ReadRequest{
		Source:        resolve.Source{Table: s.watch(key, src.table), IDs: def.Spec.IDColumns, Filters: o.Filters},
		SampleHistory: o.SampleHistory,
		SoftDeleted:   o.SoftDeleted,
		Columns:       o.Columns,
		Limit:         o.Limit,
		Options:       s.resolveOptions(),
	}
	r, err := resolve.Read(ctx, req)
	if err != nil {
		return nil, err
	}
	return &Rows{Schema: r.Schema, Batches: r.Batches, Source: src.source, Warnings: src.warnings}, nil
}

// located is where the rows of a feature are: a table of this store or a fallback, or rows that a foreign fallback store gave.
type located struct {
	table frame.Table
	// snap and where are what the table is a scan of; nil for rows of others.
	snap     *delta.Snapshot
	where    filter.Expr
	rows     *Rows
	again    func(ctx context.Context) (*Rows, error) // asks for rows once more
	source   Source
	warnings []Warning
}

// locate finds the table of a feature here, else in the fallback stores in order.
func (s *DeltaStore) locate(ctx context.Context, g *feature.Graph, key feature.Key, def *feature.Definition, o *ReadOptions) (*located, error) {
	at, err := o.at, error(nil)
	if at == nil {
		at, err = s.visit(ctx, key)
	} else {
		err = at.err
	}
	switch {
	case err == nil && at.snap != nil:
		snap := at.snap
		version, err := g.FeatureVersion(key)
		if err != nil {
			return nil, err
		}
		where := versionFilter(o, version, snap)
		t, err := s.scan(snap, where, o.unverified)
		if err != nil {
			return nil, err
		}
		l := &located{table: t, snap: snap, where: where, source: Source{Feature: key, Store: s.name, TableVersion: snap.Version()}}
		for _, w := range snap.Warnings() {
			l.warnings = append(l.warnings, Warning{Code: w.Code, Message: key.String() + ": " + w.Message})
		}
		if m := s.hashMismatch(snap); m != "" {
			l.warnings = append(l.warnings, Warning{Code: "HASH_MISMATCH", Message: key.String() + ": " + m, Feature: key.String()})
		}
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("feature %s in store %s: %w", key, s.name, err)
	case o.NoFallback:
		return nil, s.noTable(key)
	}
	for _, f := range s.fallbacks {
		l, err := f.locate(ctx, g, key, def, o, s.opts.Allocator)
		if errors.Is(err, ErrFeatureNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("fallback store %s: %w", f.Name, err)
		}
		if !l.source.Fallback {
			l.source.Fallback = true
			l.warnings = append(l.warnings, Warning{Code: "FALLBACK_USED", Message: fmt.Sprintf(
				"feature %s has no table in store %s: it is read from fallback store %s", key, s.name, l.source.Store), Feature: key.String()})
		}
		return l, nil
	}
	return nil, s.noTable(key)
}

// locate asks a fallback store; one that is not a DeltaStore answers with rows.
func (f Fallback) locate(ctx context.Context, g *feature.Graph, key feature.Key, def *feature.Definition, o *ReadOptions, mem memory.Allocator) (*located, error) {
	if ds, ok := f.Store.(*DeltaStore); ok {
		if err := ds.open(); err != nil {
			return nil, err
		}
		own := *o
		own.at = nil // that is another table
		return ds.locate(ctx, g, key, def, &own)
	}
	return f.foreign(ctx, key, o, mem)
}

// scan returns a table whose rows are compared with the statistics of the log,
// unless it is unverified.
func (s *DeltaStore) scan(snap *delta.Snapshot, where filter.Expr, unverified bool) (*scan.Scan, error) {
	o := scan.Options{Filter: where, Parallel: s.opts.Parallel, Allocator: s.opts.Allocator, Unverified: unverified}
	return scan.New(snap, &o)
}

func (s *DeltaStore) noTable(key feature.Key) error {
	return &NotFoundError{Feature: key.String(), NoTable: true}
}

// versionFilter is the condition on the feature version; nil = every version. A table of an old writer that lacks the column has no row of any version.
func versionFilter(o *ReadOptions, current string, snap *delta.Snapshot) filter.Expr {
	version := current
	switch {
	case !o.FeatureHistory:
	case o.FeatureVersion != "":
		version = o.FeatureVersion
	default:
		return nil
	}
	if _, ok := snap.Schema().Find([]string{syscol.FeatureVersion}); !ok {
		return filter.Literal{Value: false}
	}
	return filter.Compare{Op: filter.Eq, Left: filter.Column{Path: []string{syscol.FeatureVersion}}, Right: filter.Literal{Value: version}}
}

func isSystem(key feature.Key) bool { return strings.HasPrefix(key.String(), systemNamespace+"/") }

// readSystem reads a system table raw: every row, user filters only.
func (s *DeltaStore) readSystem(ctx context.Context, key feature.Key, o *ReadOptions) (*Rows, error) {
	snap, err := s.Table(key).Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.noTable(key)
	}
	if err != nil {
		return nil, err
	}
	t, err := s.scan(snap, nil, false)
	if err != nil {
		return nil, err
	}
	r, err := resolve.Read(ctx, &resolve.ReadRequest{
		Source:        resolve.Source{Table: t, Filters: o.Filters},
		SampleHistory: true, SoftDeleted: true, Columns: o.Columns, Limit: o.Limit, Options: s.resolveOptions(),
	})
	if err != nil {
		return nil, err
	}
	return &Rows{Schema: r.Schema, Batches: r.Batches, Source: Source{Feature: key, Store: s.name, TableVersion: snap.Version()}}, nil
}

// HasFeature reports whether this store, or with CheckFallback one of the fallback stores, has a table of the feature.
func (s *DeltaStore) HasFeature(ctx context.Context, key feature.Key, opts *HasOptions) (bool, error) {
	if err := s.open(); err != nil {
		return false, err
	}
	_, err := s.Table(key).Snapshot(ctx)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if opts == nil || !opts.CheckFallback {
		return false, nil
	}
	for _, f := range s.fallbacks {
		if ok, err := f.Store.HasFeature(ctx, key, opts); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (s *DeltaStore) resolveOptions() resolve.Options {
	o := resolve.Options{MemoryLimit: s.opts.MemoryLimit, SpillDir: s.opts.SpillDir, Parallel: s.opts.Parallel, Force: s.opts.force, Doubt: s.opts.doubt}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = machine.Memory() / 2
		o.SpillDir = cmp.Or(o.SpillDir, os.TempDir())
	}
	return o
}

package metaxy

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// DeleteOptions of a delete; nil = a soft delete of every visible row.
type DeleteOptions struct {
	// Filters choose rows; all must be true. None = every row.
	Filters []filter.Expr
	// Orphaned chooses, of those, the rows of samples that a resolve finds orphaned
	// now: of an expansion all rows of each group, where the increment has one. It
	// needs upstream features; a table that others write to meanwhile is a
	// *txlog.ConflictError. The ids of those samples are held in memory.
	Orphaned bool
	// Hard removes rows instead of hiding them behind tombstones.
	Hard bool
	// FeatureHistory also takes rows of other feature versions; SampleHistory (soft only) older rows of each id.
	FeatureHistory, SampleHistory bool
	// DryRun does everything but store: the result is that of the delete.
	DryRun bool
	// MaterializationID of the tombstones.
	MaterializationID string
}

// DeleteResult is what a delete did, or would do in a dry run: rows hidden or removed, data files written and their bytes, data files taken out of the table.
// TableVersion is the commit, -1 when there is none.
type DeleteResult struct {
	Feature             feature.Key
	Rows, Bytes         int64
	Files, FilesRemoved int
	TableVersion        int64
	// PreviousVersion is what the table can be restored to: the version before the commit, or without one the newest; -1 when the table did not exist.
	PreviousVersion int64
	Warnings        []Warning
}

// Delete hides the chosen visible rows behind tombstones (appended rows with metaxy_deleted_at set, stamped with the current versions), or with
// Hard removes the raw rows of this store for which every filter is true. A missing table is no error when hard.
func (s *DeltaStore) Delete(ctx context.Context, key feature.Key, opts *DeleteOptions) (DeleteResult, error) {
	o := DeleteOptions{}
	if opts != nil {
		o = *opts
	}
	if err := s.openToWrite(o.DryRun); err != nil {
		return DeleteResult{}, err
	}
	if isSystem(key) {
		return DeleteResult{}, fmt.Errorf("%w: %s is a system table: its rows are never deleted", ErrInvalid, key)
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return DeleteResult{}, err
	}
	if _, ok := g.Get(key); !ok {
		return DeleteResult{}, s.undefined(ctx, g, key)
	}
	if err := s.checkProject(g, key); err != nil {
		return DeleteResult{}, err
	}
	if o.DryRun {
		s = s.rehearse()
	}
	v, err := s.visit(ctx, key)
	if err != nil {
		return DeleteResult{}, err
	}
	if o.Orphaned {
		chosen, version, err := s.orphans(ctx, g, key)
		if err != nil || chosen == nil {
			return DeleteResult{Feature: key, TableVersion: -1, PreviousVersion: v.version()}, err
		}
		if version != v.version() {
			return DeleteResult{Feature: key, TableVersion: -1, PreviousVersion: v.version()}, &txlog.ConflictError{Version: v.version(), Err: fmt.Errorf("the table of %s changed while its orphans were looked for", key)}
		}
		o.Filters = append(slices.Clone(o.Filters), chosen)
	}
	var res DeleteResult
	if o.Hard {
		res, err = s.deleteHard(ctx, g, key, v, &o)
	} else {
		res, err = s.deleteSoft(ctx, g, key, v, &o)
	}
	res.Feature, res.PreviousVersion = key, v.version()
	if err == nil && res.TableVersion >= 0 {
		res.PreviousVersion = res.TableVersion - 1 // others may have written since the look
	}
	return res, err
}

// Drop removes every row of a feature in this store and keeps the table, so that HasFeature stays true. A missing table or definition is no error.
func (s *DeltaStore) Drop(ctx context.Context, key feature.Key, opts *DeleteOptions) (DeleteResult, error) {
	o := DeleteOptions{Hard: true, FeatureHistory: true}
	if opts != nil {
		o.DryRun = opts.DryRun
	}
	res, err := s.Delete(ctx, key, &o)
	if isNotFound(err) {
		return DeleteResult{Feature: key, TableVersion: -1, PreviousVersion: -1}, nil
	}
	return res, err
}

func (s *DeltaStore) deleteSoft(ctx context.Context, g *feature.Graph, key feature.Key, v *visit, o *DeleteOptions) (DeleteResult, error) {
	rows, err := s.readWith(ctx, g, key, &ReadOptions{Filters: o.Filters, FeatureHistory: o.FeatureHistory, SampleHistory: o.SampleHistory, at: v})
	if err != nil {
		return DeleteResult{}, err
	}
	warnings := rows.Warnings
	if o.FeatureHistory || rows.Source.Fallback {
		w, err := s.tombstoneWarnings(ctx, g, key, v, o, rows.Source)
		if err != nil {
			return DeleteResult{}, err
		}
		warnings = append(warnings, w...)
	}
	now := s.opts.Now()
	w, err := s.write(ctx, g, key, v, withTombstones(rows), &stamps{
		WriteOptions: WriteOptions{MaterializationID: o.MaterializationID, AllowNullIDs: true, Resolved: o.resolved(v)}, now: now, tombstone: true})
	if err != nil {
		return DeleteResult{}, err
	}
	return DeleteResult{Rows: w.Rows, Files: w.Files, Bytes: w.Bytes, TableVersion: w.TableVersion, Warnings: append(warnings, w.Warnings...)}, nil
}

// withTombstones makes sure that the frame has the column that intake.Complete
// overwrites with the time of deletion.
func withTombstones(rows *Rows) *Rows {
	if rows.Schema.HasField(syscol.DeletedAt) {
		return rows
	}
	fields := append(rows.Schema.Fields(), arrow.Field{Name: syscol.DeletedAt, Type: intake.StampType, Nullable: true})
	schema := arrow.NewSchema(fields, nil)
	return &Rows{Schema: schema, Source: rows.Source, Batches: appendNulls(rows, schema)}
}

// tombstoneWarnings tells what a soft delete touches beside what was asked: rows of other versions (D39), rows of a fallback store that go out of sight (D40).
func (s *DeltaStore) tombstoneWarnings(ctx context.Context, g *feature.Graph, key feature.Key, v *visit, o *DeleteOptions, src Source) ([]Warning, error) {
	var out []Warning
	count := func(ro *ReadOptions) (int64, error) {
		ro.at = v
		r, err := s.readWith(ctx, g, key, ro)
		if err != nil {
			return 0, err
		}
		return countRows(r)
	}
	if o.FeatureHistory {
		all, err := count(&ReadOptions{Filters: o.Filters, FeatureHistory: true, SampleHistory: o.SampleHistory})
		if err != nil {
			return nil, err
		}
		version, err := g.FeatureVersion(key)
		if err != nil {
			return nil, err
		}
		current, err := count(&ReadOptions{Filters: o.Filters, FeatureHistory: true, FeatureVersion: version, SampleHistory: o.SampleHistory})
		if err != nil {
			return nil, err
		}
		if all > current {
			out = append(out, Warning{Code: "HISTORY_TOUCHED", Message: fmt.Sprintf("%s: %d rows of other feature versions are stamped with the current one and hide newer rows of their ids", key, all-current)})
		}
	}
	if src.Fallback {
		visible, err := count(&ReadOptions{})
		if err != nil {
			return nil, err
		}
		hit, err := count(&ReadOptions{Filters: o.Filters, FeatureHistory: o.FeatureHistory, SampleHistory: o.SampleHistory})
		if err != nil {
			return nil, err
		}
		out = append(out, Warning{Code: "FALLBACK_HIDDEN", Message: fmt.Sprintf("%s: the tombstones create a table in store %s, which puts %d more rows of fallback store %s out of sight", key, s.name, max(0, visible-hit), src.Store)})
	}
	return out, nil
}

func (s *DeltaStore) deleteHard(ctx context.Context, g *feature.Graph, key feature.Key, v *visit, o *DeleteOptions) (DeleteResult, error) {
	version, err := g.FeatureVersion(key)
	if err != nil {
		return DeleteResult{}, err
	}
	where := filter.And{Args: o.Filters}
	if !o.FeatureHistory {
		where.Args = append([]filter.Expr{filter.Compare{Op: filter.Eq, Left: filter.Column{Path: []string{syscol.FeatureVersion}}, Right: filter.Literal{Value: version}}}, o.Filters...)
	}
	var pred filter.Expr
	if len(where.Args) > 0 {
		pred = where
	}
	if v.snap == nil {
		return DeleteResult{TableVersion: -1}, nil
	}
	r, err := rewrite.Delete(ctx, s.Table(key), pred, &rewrite.DeleteOptions{Snapshot: v.snap, CopyOnWrite: true, Parallel: s.opts.Parallel, Now: s.opts.Now().UnixMilli()})
	if err != nil {
		return DeleteResult{}, fmt.Errorf("delete from %s: %w", key, err)
	}
	return DeleteResult{Rows: r.Rows, Files: r.FilesAdded, FilesRemoved: r.FilesRemoved, Bytes: r.BytesAdded, TableVersion: r.Version}, nil
}

func countRows(r *Rows) (int64, error) {
	var n int64
	for b, err := range r.Batches {
		if err != nil {
			return 0, err
		}
		n += b.NumRows()
	}
	return n, nil
}

// appendNulls adds the columns that schema has more, as nulls, at the end.
func appendNulls(rows *Rows, schema *arrow.Schema) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range rows.Batches {
			if err != nil {
				yield(nil, err)
				return
			}
			cols := slices.Clone(b.Columns())
			for _, f := range schema.Fields()[len(cols):] {
				nulls := intake.Constant(f.Type, nil, int(b.NumRows()))
				defer nulls.Release()
				cols = append(cols, nulls)
			}
			out := array.NewRecordBatch(schema, cols, b.NumRows())
			ok := frame.Give(yield, out, out)
			if !ok {
				return
			}
		}
	}
}

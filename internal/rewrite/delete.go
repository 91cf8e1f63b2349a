// Package rewrite removes rows of a Delta table and compacts its files: what needs both reading and writing of data files.
//
// Every change is one commit of removes and adds, decided on one snapshot and checked against later commits; a lost race that cannot be
// rebased is a *txlog.ConflictError and leaves nothing visible.
package rewrite

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// DeleteOptions of a delete; nil = defaults.
type DeleteOptions struct {
	// DryRun counts rows and writes nothing.
	DryRun bool
	// Parallel is the number of row groups decoded at once; 0 = GOMAXPROCS.
	Parallel int
	// Now is the time of tombstones in milliseconds.
	Now int64
}

// DeleteResult is what a delete did. Version is the commit, -1 when nothing was written.
type DeleteResult struct {
	Version                  int64
	Rows, BytesAdded         int64
	FilesRemoved, FilesAdded int
}

// Delete removes the rows for which where is true (nil: all of them) by rewriting the files that hold such rows. Rows for which where is null
// stay. fs.ErrNotExist when there is no table. Memory is a few batches.
func Delete(ctx context.Context, t *delta.Table, where filter.Expr, opts *DeleteOptions) (DeleteResult, error) {
	o := DeleteOptions{}
	if opts != nil {
		o = *opts
	}
	snap, err := t.Snapshot(ctx)
	if err != nil {
		return DeleteResult{}, err
	}
	if where == nil {
		return deleteAll(ctx, t, snap, &o)
	}
	return deleteSome(ctx, t, snap, where, &o)
}

// deleteAll removes every file without reading one.
func deleteAll(ctx context.Context, t *delta.Table, snap *delta.Snapshot, o *DeleteOptions) (DeleteResult, error) {
	res := DeleteResult{Version: -1}
	ch := &delta.Change{Read: snap, Operation: "DELETE", Parameters: map[string]any{}, ReadAll: true}
	files := snap.Files()
	for i := range files {
		n := files[i].Rows()
		if n < 0 {
			var err error
			if n, err = count(ctx, snap, &files[i], nil, o); err != nil {
				return res, err
			}
		}
		res.Rows += n
		ch.Removes = append(ch.Removes, files[i].Remove(o.Now, true))
	}
	res.FilesRemoved = len(ch.Removes)
	if o.DryRun || len(ch.Removes) == 0 {
		return res, nil
	}
	var err error
	res.Version, err = t.Commit(ctx, ch)
	return res, err
}

// deleteSome rewrites the files that hold a matching row.
func deleteSome(ctx context.Context, t *delta.Table, snap *delta.Snapshot, where filter.Expr, o *DeleteOptions) (DeleteResult, error) {
	res := DeleteResult{Version: -1}
	plan, err := scan.New(snap, &scan.Options{Filter: where, Parallel: o.Parallel})
	if err != nil {
		return res, err
	}
	ch := &delta.Change{Read: snap, Operation: "DELETE", Parameters: map[string]any{"predicate": where.String()}, ReadAll: true}
	var touched []delta.File
	for _, f := range plan.Plan().Files {
		n, err := count(ctx, snap, &f, where, o)
		if err != nil {
			return res, err
		}
		if n > 0 {
			res.Rows += n
			touched = append(touched, f)
			ch.Removes = append(ch.Removes, f.Remove(o.Now, true))
		}
	}
	res.FilesRemoved = len(touched)
	if o.DryRun || len(touched) == 0 {
		return res, nil
	}
	// Rows for which the predicate is null stay, as those for which it is false.
	sc, err := scan.New(snap, &scan.Options{Files: touched, Filter: filter.Or{Args: []filter.Expr{filter.Not{X: where}, filter.IsNull{X: where}}}, Parallel: 1})
	if err != nil {
		return res, err
	}
	adds, err := t.WriteFiles(ctx, snap, &delta.Rows{Schema: sc.Schema(), Batches: sc.Batches(ctx)}, true)
	if err != nil {
		return res, err
	}
	ch.Adds = adds
	res.FilesAdded = len(adds)
	for _, a := range adds {
		res.BytesAdded += a.Size
	}
	res.Version, err = t.Commit(ctx, ch)
	var lost *txlog.ConflictError
	if errors.As(err, &lost) {
		err = errors.Join(err, discard(ctx, t, adds))
	}
	return res, err
}

// discard removes files of a change that certainly was not committed; after any other failure they may be in force and stay.
func discard(ctx context.Context, t *delta.Table, adds []*txlog.Add) error {
	for _, a := range adds {
		key, err := txlog.DecodePath(a.Path)
		if err != nil {
			return err
		}
		if err := t.Store().Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// count reads how many rows of a file match.
func count(ctx context.Context, snap *delta.Snapshot, f *delta.File, where filter.Expr, o *DeleteOptions) (int64, error) {
	columns := []string{snap.Schema().Fields[0].Name}
	sc, err := scan.New(snap, &scan.Options{Files: []delta.File{*f}, Filter: where, Columns: columns, Parallel: o.Parallel})
	if err != nil {
		return 0, err
	}
	return rows(sc.Batches(ctx))
}

func rows(batches iter.Seq2[arrow.RecordBatch, error]) (int64, error) {
	var n int64
	for b, err := range batches {
		if err != nil {
			return n, err
		}
		n += b.NumRows()
	}
	return n, nil
}

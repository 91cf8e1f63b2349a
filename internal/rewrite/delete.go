// Package rewrite removes and replaces rows of a Delta table and compacts its files: what needs both reading and writing of data files.
//
// Every change is one commit of removes and adds, decided on one snapshot and checked against later commits; a lost race that cannot be
// rebased is a *txlog.ConflictError and leaves nothing visible.
package rewrite

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/dv"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// DeleteOptions of a delete; nil = defaults.
type DeleteOptions struct {
	// Snapshot is the version to decide on; nil = the newest.
	Snapshot *delta.Snapshot
	// CopyOnWrite rewrites files also where the table asks for deletion vectors, for readers that do not know them.
	CopyOnWrite bool
	// Parallel is the number of row groups decoded at once; 0 = GOMAXPROCS.
	Parallel int
	// Now is the time of tombstones in milliseconds.
	Now int64
}

// DeleteResult is what a delete did. Version is the commit, -1 when nothing was written. Vectors counts the files that stay with another deletion
// vector; they are not among FilesRemoved and FilesAdded.
type DeleteResult struct {
	Version                           int64
	Rows, BytesAdded                  int64
	FilesRemoved, FilesAdded, Vectors int
}

// Delete removes the rows for which where is true (nil: all of them): by deletion vectors where delta.enableDeletionVectors is true, else by rewriting the
// files that hold such rows, with change data files where delta.enableChangeDataFeed is true. Rows for which where is null stay. fs.ErrNotExist when
// there is no table. Memory is a few batches, and the row numbers that one file loses.
func Delete(ctx context.Context, t *delta.Table, where filter.Expr, opts *DeleteOptions) (DeleteResult, error) {
	o := DeleteOptions{}
	if opts != nil {
		o = *opts
	}
	snap, err := o.Snapshot, error(nil)
	if snap == nil {
		if snap, err = t.Snapshot(ctx); err != nil {
			return DeleteResult{Version: -1}, err
		}
	}
	r := newRemoval(t, snap, where, &o)
	r.ch.Operation, r.ch.Parameters = "DELETE", map[string]any{}
	if where != nil {
		r.ch.Parameters["predicate"] = where.String()
	}
	if err := r.decide(ctx); err != nil || len(r.ch.Removes) == 0 {
		return r.res, err
	}
	if err := r.write(ctx); err != nil {
		return r.res, err
	}
	r.ch.Metrics = map[string]any{"numDeletedRows": strconv.FormatInt(r.res.Rows, 10), "numRemovedFiles": strconv.Itoa(r.res.FilesRemoved),
		"numAddedFiles": strconv.Itoa(r.res.FilesAdded), "numDeletionVectorsAdded": strconv.Itoa(r.res.Vectors)}
	r.res.Version, err = t.Commit(ctx, r.ch)
	return r.res, r.undone(ctx, err)
}

// removal takes rows out of a snapshot: decide looks for them, write makes the files of what stays.
type removal struct {
	table *delta.Table
	snap  *delta.Snapshot
	where filter.Expr // nil: every row
	// whole decides a predicate over partition columns, for files as wholes; nil: rows must be read.
	whole func(*delta.File) (bool, error)
	opts  *DeleteOptions
	ch    *delta.Change
	res   DeleteResult
	// split are files that keep rows and must be written again.
	split []delta.File
	// gone are files that lose all their rows.
	gone []delta.File
	// vectors are the files that stay with another deletion vector.
	vectors vectorWriter
	// written are the keys of new files.
	written []string
}

func newRemoval(t *delta.Table, snap *delta.Snapshot, where filter.Expr, opts *DeleteOptions) *removal {
	return &removal{table: t, snap: snap, where: where, opts: opts, ch: &delta.Change{Read: snap, ReadAll: true}, res: DeleteResult{Version: -1}}
}

// decide finds the files that lose rows and fills in the change's removes, and its adds where files get deletion vectors.
func (r *removal) decide(ctx context.Context) error {
	files := r.snap.Files()
	if r.where != nil {
		plan, err := scan.New(r.snap, &scan.Options{Filter: r.where})
		if err != nil {
			return err
		}
		files = plan.Plan().Files
		r.ch.Reads = func(f *delta.File) bool {
			plan, err := scan.New(r.snap, &scan.Options{Filter: r.where, Files: []delta.File{*f}})
			return err != nil || len(plan.Plan().Files) > 0
		}
		if r.whole, err = scan.ByPartition(r.snap, r.where); err != nil {
			return err
		}
	}
	if err := r.snap.Allows(r.ch); err != nil {
		return err
	}
	for i := range files {
		if err := r.cut(ctx, &files[i]); err != nil {
			return err
		}
	}
	if len(r.split) > 0 {
		if err := r.snap.Rewritable(); err != nil {
			return err
		}
	}
	return r.snap.Allows(&delta.Change{Removes: r.ch.Removes})
}

// cut takes the matching rows out of one file.
func (r *removal) cut(ctx context.Context, f *delta.File) error {
	everything := r.where == nil
	if r.whole != nil {
		var err error
		if everything, err = r.whole(f); err != nil || !everything {
			return err
		}
	}
	live := f.Rows()
	if live < 0 {
		n, err := r.count(ctx, f, nil)
		if err != nil {
			return err
		}
		live = n
	}
	vectors := r.snap.UsesVectors() && !r.opts.CopyOnWrite
	lost, rows := live, (*dv.Bitmap)(nil)
	var err error
	switch {
	case everything:
	case vectors:
		if rows, err = r.matching(ctx, f); err == nil {
			lost = int64(rows.Count())
		}
	default:
		lost, err = r.count(ctx, f, r.where)
	}
	if err != nil || lost == 0 && !everything {
		return err
	}
	r.res.Rows += lost
	r.ch.Removes = append(r.ch.Removes, f.Remove(r.opts.Now, true))
	switch {
	case lost >= live:
		r.gone = append(r.gone, *f)
		r.res.FilesRemoved++
	case vectors:
		r.res.Vectors++
		return r.vectors.add(ctx, f, rows)
	default:
		r.split = append(r.split, *f)
		r.res.FilesRemoved++
	}
	return nil
}

// write makes the files of the change. On a failure what was written is removed again.
func (r *removal) write(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, discard(context.WithoutCancel(ctx), r.table, r.written))
		}
	}()
	if r.vectors.adds != nil {
		keys, err := r.vectors.flush(ctx, r.table)
		r.written = append(r.written, keys...)
		if err != nil {
			return err
		}
		r.ch.Adds = append(r.ch.Adds, r.vectors.adds...)
	}
	if len(r.split) == 0 {
		return nil
	}
	// Rows for which the predicate is null stay, as those for which it is false.
	keep := filter.Or{Args: []filter.Expr{filter.Not{X: r.where}, filter.IsNull{X: r.where}}}
	sc, err := scan.New(r.snap, &scan.Options{Files: r.split, Filter: keep, Parallel: 1})
	if err != nil {
		return err
	}
	adds, err := r.table.WriteFiles(ctx, r.snap, &delta.Rows{Schema: sc.Schema(), Batches: sc.Batches(ctx)}, &delta.FileOptions{DataChange: true})
	if err != nil {
		return err
	}
	r.ch.Adds = append(r.ch.Adds, adds...)
	r.res.FilesAdded = len(adds)
	for _, a := range adds {
		r.res.BytesAdded += a.Size
	}
	if err := r.wrote(pathsOf(adds)); err != nil || !r.snap.FeedsChanges() {
		return err
	}
	sc, err = scan.New(r.snap, &scan.Options{Files: append(r.split, r.gone...), Filter: r.where, Parallel: 1})
	if err != nil {
		return err
	}
	return r.changes(ctx, sc, "delete")
}

// changes writes the rows of a scan as change data files of one kind.
func (r *removal) changes(ctx context.Context, sc *scan.Scan, kind string) error {
	list, err := r.table.WriteChanges(ctx, r.snap, &delta.Rows{Schema: sc.Schema(), Batches: sc.Batches(ctx)}, kind)
	if err != nil {
		return err
	}
	r.ch.CDC = append(r.ch.CDC, list...)
	paths := make([]string, len(list))
	for i, c := range list {
		paths[i] = c.Path
	}
	return r.wrote(paths)
}

func (r *removal) wrote(paths []string) error {
	for _, p := range paths {
		key, err := txlog.DecodePath(p)
		if err != nil {
			return err
		}
		r.written = append(r.written, key)
	}
	return nil
}

// undone removes the files of a change that certainly was not committed; after any other failure they may be in force and stay.
func (r *removal) undone(ctx context.Context, err error) error {
	if notCommitted(err) {
		return errors.Join(err, discard(ctx, r.table, r.written))
	}
	return err
}

// notCommitted reports whether the error of a commit says that it has not happened.
func notCommitted(err error) bool {
	var lost *txlog.ConflictError
	var schema *delta.SchemaError
	var unsupported *delta.UnsupportedError
	return errors.As(err, &lost) || errors.As(err, &schema) || errors.As(err, &unsupported)
}

// matching are the rows of a file that match and are not deleted yet, by their number in the file.
func (r *removal) matching(ctx context.Context, f *delta.File) (*dv.Bitmap, error) {
	sc, err := scan.New(r.snap, &scan.Options{Files: []delta.File{*f}, Filter: r.where, Parallel: r.opts.Parallel})
	if err != nil {
		return nil, err
	}
	units, err := sc.RowGroups(ctx)
	if err != nil {
		return nil, err
	}
	out := &dv.Bitmap{}
	for i := range units {
		for b, err := range sc.Read(ctx, i, frame.Span{To: units[i].Rows}, nil) {
			if err != nil {
				return nil, err
			}
			mark(out, &b, units[i].First)
		}
	}
	return out, nil
}

// discard removes files.
func discard(ctx context.Context, t *delta.Table, keys []string) error {
	for _, key := range keys {
		if err := t.Store().Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// discardAdds removes the files of adds that were not committed.
func discardAdds(ctx context.Context, t *delta.Table, adds []*txlog.Add) error {
	r := &removal{}
	if err := r.wrote(pathsOf(adds)); err != nil {
		return err
	}
	return discard(context.WithoutCancel(ctx), t, r.written)
}

func pathsOf(adds []*txlog.Add) []string {
	out := make([]string, len(adds))
	for i, a := range adds {
		out[i] = a.Path
	}
	return out
}

// count reads how many rows of a file match.
func (r *removal) count(ctx context.Context, f *delta.File, where filter.Expr) (int64, error) {
	columns := []string{r.snap.Schema().Fields[0].Name}
	sc, err := scan.New(r.snap, &scan.Options{Files: []delta.File{*f}, Filter: where, Columns: columns, Parallel: r.opts.Parallel})
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

package metaxy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Resolved makes a write conditional on what was resolved, so that no sample version is stored twice however many workers resolve and write at once.
type Resolved struct {
	// TableVersion of the feature that the increment was made from (Increment.TableVersion); -1 = it had no table.
	TableVersion int64
	// Drop leaves out the rows whose sample version (ids, feature version and provenance) others have written since. Without it any change of rows since fails
	// the write with a *txlog.ConflictError; so does, with Drop, a removal of rows. Rows wait in memory, past 64 MiB in SpillDir if there is one, until the
	// commit is won.
	Drop bool
}

// maxResolvedTries bounds how often rows are written anew because others wrote meanwhile.
const maxResolvedTries = 100

// appendResolved appends rows if nobody has changed the table since, or those that nobody has written since.
func (s *DeltaStore) appendResolved(ctx context.Context, key feature.Key, v *visit, rows *Rows, ids []string, o *delta.AppendOptions, on Resolved) (WriteResult, error) {
	if !on.Drop {
		o.Since = &on.TableVersion
		return s.append(ctx, key, v, rows, o, false)
	}
	kept := &keptRows{in: rows.Batches, schema: rows.Schema, dir: s.opts.SpillDir, mem: s.opts.Allocator}
	defer kept.release()
	w := newWrittenSince(ids, on.TableVersion)
	for try := 0; ; try++ {
		err := error(nil)
		if try > 0 {
			v, err = s.visit(ctx, key)
		}
		if err == nil {
			err = w.advance(ctx, v.snap, s.opts.Parallel, s.opts.Allocator)
		}
		if err != nil {
			return WriteResult{}, fmt.Errorf("write %s: %w", key, err)
		}
		since := w.version
		o.Since = &since
		w.dropped = 0
		res, err := s.append(ctx, key, v, &Rows{Schema: rows.Schema, Batches: w.without(ctx, rows.Schema, kept.all())}, o, false)
		res.Dropped = w.dropped
		var lost *txlog.ConflictError
		if err == nil || !errors.As(err, &lost) || lost.Version <= since || try == maxResolvedTries {
			return res, err
		}
	}
}

// Written are the sample versions (ids, feature version and provenance) that a
// table got after a version: what Resolved.Drop leaves out, for those who write
// the files of one commit in several processes. It is not safe for concurrent
// use.
type Written struct{ w *writtenSince }

// NewWritten are those of a feature with these id columns after a table
// version, -1 = after there was no table.
func NewWritten(ids []string, after int64) *Written { return &Written{newWrittenSince(ids, after)} }

// Advance reads what was written up to a snapshot. A commit that removed rows
// is a *txlog.ConflictError.
func (w *Written) Advance(ctx context.Context, snap *delta.Snapshot) error {
	return w.w.advance(ctx, snap, 0, nil)
}

// Without gives completed rows but those that are written. It streams and
// releases each batch after the step.
func (w *Written) Without(ctx context.Context, rows *Rows) *Rows {
	return &Rows{Schema: rows.Schema, Batches: w.w.without(ctx, rows.Schema, rows.Batches)}
}

// Dropped is how many rows Without has left out so far.
func (w *Written) Dropped() int64 { return w.w.dropped }

func newWrittenSince(ids []string, after int64) *writtenSince {
	return &writtenSince{columns: slices.Concat(ids, []string{syscol.FeatureVersion, syscol.Provenance}), version: after, from: after}
}

// writtenSince are the sample versions that a table got after a version.
type writtenSince struct {
	columns []string
	seen    *hashjoin.Join
	version int64 // the newest one that was read
	from    int64
	schema  *arrow.Schema // of the columns in the table; nil = none of its rows can equal one of ours
	dropped int64
}

// advance reads what was written up to a snapshot, nil = there is no table.
func (w *writtenSince) advance(ctx context.Context, snap *delta.Snapshot, parallel int, mem memory.Allocator) error {
	switch {
	case snap == nil && w.version < 0:
		return nil
	case snap == nil:
		return &txlog.ConflictError{Version: w.version, Err: errors.New("the table is gone")}
	}
	was := w.schema
	if w.schema = w.keySchema(snap.Schema().Arrow()); w.schema != nil && (was == nil || !was.Equal(w.schema)) {
		// Other types have other keys: everything is read again.
		l, err := hashjoin.NewLayout(typesOf(w.schema, w.columns))
		if err != nil {
			return err
		}
		w.seen, w.version = hashjoin.NewJoin(l, true, 0), w.from
	}
	files, err := snap.AddedSince(ctx, w.version)
	if err != nil {
		return err
	}
	if w.version = snap.Version(); w.schema == nil {
		return nil
	}
	if len(files) > 0 {
		sc, err := scan.New(snap, &scan.Options{Files: files, Columns: w.columns, Parallel: parallel, Allocator: mem})
		if err != nil {
			return err
		}
		for b, err := range sc.Batches(ctx) {
			if err == nil {
				err = w.seen.Add(b.Columns())
			}
			if err != nil {
				return err
			}
		}
	}
	return w.seen.Seal()
}

// keySchema are the columns in a table; nil where it lacks one.
func (w *writtenSince) keySchema(table *arrow.Schema) *arrow.Schema {
	var fields []arrow.Field
	for _, c := range w.columns {
		i := table.FieldIndices(c)
		if len(i) == 0 {
			return nil
		}
		fields = append(fields, table.Field(i[0]))
	}
	return arrow.NewSchema(fields, nil)
}

// without gives the rows that are not written yet and releases each batch after the step.
func (w *writtenSince) without(ctx context.Context, schema *arrow.Schema, in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	if w.schema == nil || w.seen.Rows() == 0 {
		return in
	}
	cast := delta.NewCaster(schema, w.schema, compute.GetAllocator(ctx))
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			var out arrow.RecordBatch
			if err == nil {
				out, err = w.filter(ctx, cast, b)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			ok := frame.Give(yield, out, out)
			if !ok {
				return
			}
		}
	}
}

func (w *writtenSince) filter(ctx context.Context, cast *delta.Caster, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	keys, err := cast.Batch(ctx, b)
	if err != nil {
		return nil, err
	}
	defer keys.Release()
	var fresh hashjoin.Matches
	if err := w.seen.Probe(hashjoin.Anti, keys.Columns(), &fresh); err != nil {
		return nil, err
	}
	dropped := b.NumRows() - int64(len(fresh.Probe))
	w.dropped += dropped
	if dropped == 0 {
		b.Retain()
		return b, nil
	}
	cols := make([]arrow.Array, b.NumCols())
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	rows := wide(fresh.Probe)
	for i, c := range b.Columns() {
		if cols[i], err = takeRows(ctx, c, rows); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(b.Schema(), cols, int64(len(rows))), nil
}

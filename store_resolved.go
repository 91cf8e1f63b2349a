package metaxy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
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
		return s.append(ctx, key, v, rows, o)
	}
	kept := &keptRows{in: rows.Batches, schema: rows.Schema, dir: s.opts.SpillDir, mem: s.opts.Allocator}
	defer kept.release()
	w := &writtenSince{columns: slices.Concat(ids, []string{colFeatureVersion, colProvenance}), seen: map[string]bool{}, version: on.TableVersion}
	for try := 0; ; try++ {
		err := error(nil)
		if try > 0 {
			v, err = s.visit(ctx, key)
		}
		if err == nil {
			err = w.advance(ctx, s, v)
		}
		if err != nil {
			return WriteResult{}, fmt.Errorf("write %s: %w", key, err)
		}
		since := w.version
		o.Since = &since
		w.dropped = 0
		res, err := s.append(ctx, key, v, &Rows{Schema: rows.Schema, Batches: w.without(ctx, rows.Schema, kept.all())}, o)
		res.Dropped = w.dropped
		var lost *txlog.ConflictError
		if err == nil || !errors.As(err, &lost) || lost.Version <= since || try == maxResolvedTries {
			return res, err
		}
	}
}

// writtenSince are the sample versions that a table got after a version.
type writtenSince struct {
	columns []string
	seen    map[string]bool
	version int64
	schema  *arrow.Schema // of the columns in the table; nil = none of its rows can equal one of ours
	dropped int64
}

// advance reads what was written up to the version that v saw.
func (w *writtenSince) advance(ctx context.Context, s *DeltaStore, v *visit) error {
	snap := v.snap
	switch {
	case snap == nil && w.version < 0:
		return nil
	case snap == nil:
		return &txlog.ConflictError{Version: w.version, Err: errors.New("the table is gone")}
	}
	files, err := snap.AddedSince(ctx, w.version)
	if err != nil {
		return err
	}
	w.version = snap.Version()
	all := snap.Schema().Arrow()
	var fields []arrow.Field
	for _, c := range w.columns {
		i := all.FieldIndices(c)
		if len(i) == 0 {
			w.schema = nil
			return nil
		}
		fields = append(fields, all.Field(i[0]))
	}
	w.schema = arrow.NewSchema(fields, nil)
	if len(files) == 0 {
		return nil
	}
	sc, err := scan.New(snap, &scan.Options{Files: files, Columns: w.columns, Parallel: s.opts.Parallel, Allocator: s.opts.Allocator})
	if err != nil {
		return err
	}
	for b, err := range sc.Batches(ctx) {
		if err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			w.seen[rowKey(b, i)] = true
		}
	}
	return nil
}

// rowKey is a row as text; nulls and the border between columns are told apart from values.
func rowKey(b arrow.RecordBatch, row int) string {
	var out strings.Builder
	for _, c := range b.Columns() {
		if c.IsNull(row) {
			out.WriteByte('-')
			continue
		}
		v := c.ValueStr(row)
		out.WriteString(strconv.Itoa(len(v)))
		out.WriteByte(':')
		out.WriteString(v)
	}
	return out.String()
}

// without gives the rows that are not written yet and releases each batch after the step.
func (w *writtenSince) without(ctx context.Context, schema *arrow.Schema, in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	if len(w.seen) == 0 || w.schema == nil {
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
			ok := yield(out, nil)
			out.Release()
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
	mask := array.NewBooleanBuilder(compute.GetAllocator(ctx))
	defer mask.Release()
	dropped := int64(0)
	for i := range int(b.NumRows()) {
		again := w.seen[rowKey(keys, i)]
		mask.Append(!again)
		if again {
			dropped++
		}
	}
	w.dropped += dropped
	if dropped == 0 {
		b.Retain()
		return b, nil
	}
	keep := mask.NewArray()
	defer keep.Release()
	return compute.FilterRecordBatch(ctx, b, keep, compute.DefaultFilterOptions())
}

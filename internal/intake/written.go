package intake

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Written are the sample versions (ids, feature version and provenance) that a
// table got after a version. It is not safe for concurrent use.
type Written struct {
	// Version is the newest one that was read.
	Version int64
	// Dropped is how many rows Without has left out so far.
	Dropped int64

	columns []string
	seen    *hashjoin.Join
	from    int64
	// schema is of the columns in the table; nil = none of its rows can equal
	// one of ours.
	schema *arrow.Schema
}

// NewWritten are those of a feature with these id columns after a table version,
// -1 = after there was no table.
func NewWritten(ids []string, after int64) *Written {
	return &Written{Version: after, from: after,
		columns: slices.Concat(ids, []string{syscol.FeatureVersion, syscol.Provenance})}
}

// Advance reads what was written up to a snapshot, nil = there is no table. A
// commit that removed rows is a *txlog.ConflictError.
func (w *Written) Advance(ctx context.Context, snap *delta.Snapshot, parallel int, mem memory.Allocator) error {
	switch {
	case snap == nil && w.Version < 0:
		return nil
	case snap == nil:
		return &txlog.ConflictError{Version: w.Version, Err: errors.New("the table is gone")}
	}
	was := w.schema
	if w.schema = w.keySchema(snap.Schema().Arrow()); w.schema != nil && (was == nil || !was.Equal(w.schema)) {
		// Other types have other keys: everything is read again.
		l, err := hashjoin.NewLayout(types(w.schema))
		if err != nil {
			return err
		}
		w.seen, w.Version = hashjoin.NewJoin(l, true, 0), w.from
	}
	files, err := snap.AddedSince(ctx, w.Version)
	if err != nil {
		return err
	}
	if w.Version = snap.Version(); w.schema == nil {
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

func types(s *arrow.Schema) []arrow.DataType {
	out := make([]arrow.DataType, s.NumFields())
	for i, f := range s.Fields() {
		out[i] = f.Type
	}
	return out
}

// keySchema are the columns in a table; nil where it lacks one.
func (w *Written) keySchema(table *arrow.Schema) *arrow.Schema {
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

// Without gives completed rows but those that are written, and counts those in
// Dropped. It streams and releases each batch after the step.
func (w *Written) Without(ctx context.Context, schema *arrow.Schema, in batches) batches {
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

func (w *Written) filter(ctx context.Context, cast *delta.Caster, b arrow.RecordBatch) (arrow.RecordBatch, error) {
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
	w.Dropped += dropped
	if dropped == 0 {
		b.Retain()
		return b, nil
	}
	rows := make([]int64, len(fresh.Probe))
	for i, r := range fresh.Probe {
		rows[i] = int64(r)
	}
	return frame.Gather(ctx, b, rows)
}

package metaxy

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// batches are the records of rows, a batch each.
func (r *failedRows) batches(in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			var out arrow.RecordBatch
			if err == nil {
				out, err = r.batch(b)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !frame.Give(yield, out, out) {
				return
			}
		}
	}
}

func (r *failedRows) batch(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	n := int(b.NumRows())
	ids := make([]arrow.Array, len(r.on))
	for i, c := range r.on {
		ids[i] = b.Column(c)
	}
	var keys hashjoin.Keys
	if err := r.before.layout.Encode(ids, &keys); err != nil {
		return nil, err
	}
	provenance := b.Column(r.provenance).(*array.String)
	attempts := array.NewInt64Builder(memory.DefaultAllocator)
	defer attempts.Release()
	for i := range n {
		attempts.Append(r.attemptOf(b, i, idOf(&keys, i), provenance.Value(i)))
	}
	mem := memory.DefaultAllocator
	cols := slices.Clone(ids)
	for _, c := range append(slices.Clone(ids), provenance) {
		c.Retain()
	}
	reason := array.MakeArrayOfNull(mem, arrow.BinaryTypes.String, n)
	if r.reason >= 0 && b.Column(r.reason).DataType().ID() == arrow.STRING {
		reason.Release()
		reason = b.Column(r.reason)
		reason.Retain()
	}
	cols = append(cols, intake.Constant(arrow.BinaryTypes.String, r.version, n), provenance, reason, attempts.NewArray(),
		intake.Constant(intake.StampType, time.UnixMicro(int64(r.now)).UTC(), n), array.MakeArrayOfNull(mem, intake.StampType, n))
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	return array.NewRecordBatch(r.schema, cols, int64(n)), nil
}

// attemptOf is the number of an attempt: as given, else one more than the last.
func (r *failedRows) attemptOf(b arrow.RecordBatch, i int, id [2]uint64, provenance string) int64 {
	if r.attempt >= 0 && b.Column(r.attempt).IsValid(i) {
		switch a := b.Column(r.attempt).(type) {
		case *array.Int64:
			return a.Value(i)
		case *array.Int32:
			return int64(a.Value(i))
		}
	}
	if old, ok := r.before.byKey[id]; ok && !old.cleared && old.provenance == provenance {
		return old.attempt + 1
	}
	return 1
}

// failing leaves out of an increment what failed.
type failing struct {
	*failures
	opts FailedOptions
	now  int64 // microseconds
	// left counts, for each part, what the last pass left out.
	left [len(partNames)]atomic.Int64
}

// leaveOut reads what the options need to know.
func (s *DeltaStore) leaveOut(ctx context.Context, plan *feature.Plan, inc *Increment, o *FailedOptions) error {
	if o == nil {
		return nil
	}
	if o.MaxAttempts < 0 || o.After < 0 {
		return fmt.Errorf("%w: attempts %d after %s: want none that is negative", ErrInvalid, o.MaxAttempts, o.After)
	}
	f, err := s.readFailures(ctx, plan, typesOf(inc.Schema(New), plan.JoinColumns()))
	if err == nil {
		inc.failing = &failing{failures: f, opts: *o, now: s.opts.Now().UnixMicro()}
	}
	return err
}

// leaves reports whether a sample is left out that failed.
func (f *failing) leaves(one failure) bool {
	o := &f.opts
	return !one.cleared && (o.Skip || o.MaxAttempts > 0 && one.attempt >= o.MaxAttempts || o.After > 0 && f.now-one.at < o.After.Microseconds())
}

// batch gives the rows of a batch that are not left out; the caller releases it.
func (f *failing) batch(ctx context.Context, p Part, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	if p == Orphaned || f.open == 0 {
		b.Retain()
		return b, nil
	}
	var keys hashjoin.Keys
	if err := f.layout.Encode(columnsOf(b, f.on), &keys); err != nil {
		return nil, err
	}
	provenance := columnsOf(b, []string{syscol.Provenance})[0].(*array.String)
	keep := make([]bool, b.NumRows())
	out := int64(0)
	for i := range keep {
		one, ok := f.byKey[idOf(&keys, i)]
		keep[i] = !ok || keys.IsNull(i) || provenance.IsNull(i) || one.provenance != provenance.Value(i) || !f.leaves(one)
		if !keep[i] {
			out++
		}
	}
	if f.left[p].Add(out); out == 0 {
		b.Retain()
		return b, nil
	}
	return filtered(ctx, b, keep)
}

// all is a stream of parts without what is left out.
func (f *failing) all(ctx context.Context, in iter.Seq2[PartBatch, error], parts ...Part) iter.Seq2[PartBatch, error] {
	return func(yield func(PartBatch, error) bool) {
		for _, p := range parts {
			f.left[p].Store(0)
		}
		for b, err := range in {
			if err == nil {
				b.Batch, err = f.batch(ctx, b.Part, b.Batch)
			}
			if err != nil {
				yield(PartBatch{}, err)
				return
			}
			if b.Batch.NumRows() == 0 {
				b.Batch.Release()
				continue
			}
			if !frame.Give(yield, b, b.Batch) {
				return
			}
		}
	}
}

// part is a stream of one part without what is left out.
func (f *failing) part(ctx context.Context, p Part, in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return untagged(f.all(ctx, tagged(p, in), p))
}

// tagged says of each batch which part it is of.
func tagged(p Part, in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[PartBatch, error] {
	return func(yield func(PartBatch, error) bool) {
		for b, err := range in {
			if !yield(PartBatch{Part: p, Batch: b}, err) {
				return
			}
		}
	}
}

// untagged is a stream of parts of which only one comes.
func untagged(in iter.Seq2[PartBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			if !yield(b.Batch, err) {
				return
			}
		}
	}
}

// clearing notes which samples that failed a write stores.
type clearing struct {
	*failures
	stored map[[2]uint64]bool
}

// clearing is nil where no sample of the feature waits for a success.
func (s *DeltaStore) clearing(ctx context.Context, plan *feature.Plan, given *arrow.Schema) (*clearing, error) {
	on := plan.JoinColumns()
	if slices.ContainsFunc(on, func(c string) bool { return !given.HasField(c) }) {
		return nil, nil
	}
	f, err := s.readFailures(ctx, plan, typesOf(given, on))
	if err != nil || f.open == 0 {
		return nil, err
	}
	return &clearing{failures: f, stored: map[[2]uint64]bool{}}, nil
}

// watch notes the samples that go by.
func (c *clearing) watch(in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		var keys hashjoin.Keys
		for b, err := range in {
			if err == nil {
				err = c.layout.Encode(columnsOf(b, c.on), &keys)
			}
			for i := 0; err == nil && i < keys.Len(); i++ {
				id := idOf(&keys, i)
				if one, ok := c.byKey[id]; ok && !one.cleared && !keys.IsNull(i) {
					c.stored[id] = true
				}
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// done records that the samples were stored, after they were.
func (c *clearing) done(ctx context.Context, now time.Time) error {
	if len(c.stored) == 0 {
		return nil
	}
	sc, err := c.scan()
	if err != nil {
		return err
	}
	last := sc.Schema().NumFields() - 1
	open := c.newest(ctx, sc, func(id [2]uint64, _ failure) bool { return c.stored[id] }, last+1)
	_, err = c.store.appendFailed(ctx, c.failures, &delta.Rows{Schema: sc.Schema(), Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range open {
			if err != nil {
				yield(nil, err)
				return
			}
			cols := slices.Clone(b.Columns())
			cols[last] = intake.Constant(intake.StampType, now, int(b.NumRows()))
			out := array.NewRecordBatch(sc.Schema(), cols, b.NumRows())
			cols[last].Release()
			if !frame.Give(yield, out, out) {
				return
			}
		}
	}})
	return err
}

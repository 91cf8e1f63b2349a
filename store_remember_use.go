package metaxy

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/remember"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// standing is an increment that may stand on what an earlier resolve proved,
// and that leaves what it proves itself.
type standing struct {
	store  *DeltaStore
	recall *recall
	seen   collector
	// partial is what stands in for the whole resolve; answered, that the memory
	// alone gave the counts.
	partial  *partial
	answered bool
	measured bool
	closed   bool
}

// stand gives an increment what is remembered of earlier ones.
func (s *DeltaStore) stand(ctx context.Context, g *feature.Graph, plan *feature.Plan, o *ResolveOptions, req *resolve.Request, inc *Increment) error {
	if len(inc.found) != len(plan.Deps)+1 {
		return nil
	}
	r, err := s.recall(ctx, g, plan, o, req, inc.found)
	if r != nil {
		inc.standing = &standing{store: s, recall: r, seen: collector{on: plan.JoinColumns(), kinds: r.kinds}, measured: o.Progress}
	}
	return err
}

// engine is the resolve that answers: of the keys that may need something, or
// the whole one.
func (st *standing) engine(ctx context.Context, whole *resolve.Increment) (*resolve.Increment, error) {
	if old := st.recall.old; st.partial == nil && old != nil && old.Keys != nil && !st.closed {
		p, err := st.recall.partial(ctx, st.store)
		switch {
		case errors.Is(err, errDoubt):
			st.recall.old = nil
		case err != nil:
			return nil, err
		default:
			st.partial = p
		}
	}
	if st.partial != nil {
		return st.partial.inc, nil
	}
	return whole, nil
}

// close gives back what is held for the keys.
func (st *standing) close() {
	st.closed = true
	if st.partial != nil {
		st.partial.close()
	}
}

// used reports whether what was remembered served.
func (st *standing) used() bool { return st.partial != nil || st.answered }

func (st *standing) all(ctx context.Context, whole *resolve.Increment) iter.Seq2[PartBatch, error] {
	return func(yield func(PartBatch, error) bool) {
		inc, err := st.engine(ctx, whole)
		if err != nil {
			yield(PartBatch{}, err)
			return
		}
		for p := range st.seen.parts {
			st.seen.begin(Part(p))
		}
		for b, err := range inc.All(ctx) {
			if err == nil {
				st.seen.add(b.Part, b.Batch)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
		for p := range st.seen.parts {
			st.seen.end(Part(p))
		}
		st.keep(ctx, inc)
	}
}

func (st *standing) part(ctx context.Context, whole *resolve.Increment, p Part) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		inc, err := st.engine(ctx, whole)
		if err != nil {
			yield(nil, err)
			return
		}
		st.seen.begin(p)
		for b, err := range inc.Part(ctx, p) {
			if err == nil {
				st.seen.add(p, b)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
		st.seen.end(p)
		st.keep(ctx, inc)
	}
}

// count answers from memory while nothing has changed. Otherwise it looks at
// the rows, as long as their keys are few enough to be kept.
func (st *standing) count(ctx context.Context, whole *resolve.Increment) error {
	if st.recall.old != nil && st.recall.unchanged {
		st.answered = true
		return nil
	}
	for _, err := range st.all(ctx, whole) {
		if err != nil {
			return err
		}
		if st.seen.many {
			break
		}
	}
	inc, err := st.engine(ctx, whole)
	if err != nil {
		return err
	}
	if err := inc.Count(ctx); err != nil || !st.seen.many {
		return err
	}
	for p := range st.seen.parts {
		st.seen.end(Part(p))
	}
	st.keep(ctx, inc)
	return nil
}

func (st *standing) stats(whole *resolve.Increment) Stats {
	var c remember.Counts
	var out Stats
	switch {
	case st.partial != nil:
		c, out = st.partial.counts, st.partial.inc.Stats()
	case st.answered:
		c = st.recall.old.Counts
	default:
		return whole.Stats()
	}
	out.New, out.Stale, out.Orphaned, out.Expected, out.Current = c.New, c.Stale, c.Orphaned, c.Expected, c.Current
	if st.measured {
		out.Progress = c.Progress
	}
	return out
}

func (st *standing) warnings(whole *resolve.Increment) []Warning {
	if !st.used() {
		return whole.Warnings()
	}
	var out []Warning
	for _, w := range st.recall.old.Warnings {
		out = append(out, Warning{Code: w.Code, Message: w.Message})
	}
	if st.partial == nil {
		return out
	}
	for _, w := range st.partial.inc.Warnings() {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// keep stores what the resolve proved, once all of it has passed by. Other
// warnings than those that stay true while rows are only added are doubts:
// nothing is kept then. A memory that cannot be stored costs time, no answer.
func (st *standing) keep(ctx context.Context, inc *resolve.Increment) {
	r := st.recall
	keys, whole := st.seen.keys()
	if !whole || !r.write || r.old != nil && r.unchanged {
		return
	}
	m := &remember.Memory{Plan: r.plan, Keys: keys}
	for _, w := range st.warnings(inc) {
		if w.Code != "WEAK_HASH" {
			return
		}
		m.Warnings = append(m.Warnings, remember.Warning{Code: w.Code, Message: w.Message})
	}
	for _, t := range r.tables {
		m.Tables = append(m.Tables, t.now)
	}
	s := st.stats(inc)
	m.Counts = remember.Counts{New: s.New, Stale: s.Stale, Orphaned: s.Orphaned, Expected: s.Expected, Current: s.Current, Progress: s.Progress, Measured: st.measured}
	if data, err := m.Encode(); err == nil {
		_ = r.objects.Put(ctx, memoryKey, bytes.NewReader(data)) // the next resolve looks at all rows then
	}
}

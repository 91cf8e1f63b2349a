package calls_test

import (
	"context"
	"iter"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/why"
)

// callersTable is a table that is code of the caller.
type callersTable struct {
	frame.Table
	w *world
}

func (t callersTable) Units(ctx context.Context) ([]frame.Unit, error) {
	t.w.inside()
	return t.Table.Units(ctx)
}

func (t callersTable) Read(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return within(t.w, t.Table.Read(ctx, unit, rows, cols))
}

func (t callersTable) Take(ctx context.Context, refs []frame.Ref, cols []string) iter.Seq2[batch, error] {
	return within(t.w, t.Table.Take(ctx, refs, cols))
}

// within runs the caller's code before each element of a stream and at its end.
func within[T any](w *world, in iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range in {
			w.inside()
			if !yield(v, err) {
				return
			}
		}
		w.inside()
	}
}

// history has the root's rows, as a store has them.
func (w *world) history() *why.History {
	w.Helper()
	s := w.store()
	rows, err := s.Read(w.Context(), root, nil)
	w.must(err)
	h := &why.History{Schema: rows.Schema, IDs: []string{"id"}}
	w.end(func() {
		for _, b := range h.Batches {
			b.Release()
		}
	})
	for b, err := range rows.Batches {
		w.must(err)
		b.Retain()
		h.Batches, h.Commits = append(h.Batches, b), append(h.Commits, 0)
	}
	return h
}

// stored is a table of the caller's with the same rows.
func (w *world) stored() frame.Table {
	w.Helper()
	h := w.history()
	return callersTable{resolve.MemTable(h.Schema, h.Batches), w}
}

var xxh = resolve.Algorithm{Name: "xxhash64", Truncation: 8}

func (w *world) request() *resolve.Request {
	w.Helper()
	return &resolve.Request{Plan: sample(graph().Plan(leaf)), Algorithm: xxh, Deps: []resolve.Source{{Table: w.stored(), IDs: []string{"id"}}}, Options: resolve.Options{Parallel: 1}}
}

func (w *world) resolved() *resolve.Increment {
	w.Helper()
	inc, err := resolve.Update(w.Context(), w.request())
	w.must(err)
	w.end(inc.Close)
	return inc
}

func resolveCall(f func(w *world, inc *resolve.Increment, ctx context.Context) error) func(w *world) call {
	return ctxCall((*world).resolved, f)
}

func drainedOf(w *world, r *resolve.Rows, err error) error {
	if err != nil {
		return err
	}
	return drained(w, r.Batches)
}

// onePart gives the tables of a request as its only partition.
type onePart struct {
	w   *world
	req *resolve.Request
}

func (onePart) Len() int { return 1 }

func (p onePart) Part(context.Context, int) (resolve.PartTables, func(), error) {
	p.w.inside()
	t := resolve.PartTables{}
	for _, d := range p.req.Deps {
		t.Deps = append(t.Deps, d.Table)
	}
	return t, func() {}, nil
}

// released lets go of a batch that a call made.
func released(b batch, err error) error {
	if err == nil {
		b.Release()
	}
	return err
}

var resolveRows = []row{
	{fn: resolve.Algorithm.Validate}, {fn: resolve.Algorithm.Weak}, {fn: resolve.WeakWarning}, {fn: (*resolve.InputError).Error}, {fn: resolve.Shard.Check},
	{fn: (*resolve.PanicError).Error}, {fn: (*resolve.PanicError).Unwrap},
	{fn: resolve.MemTable, make: func(w *world) call {
		b := w.batch(1, 2)
		w.end(b.Release)
		return func(ctx context.Context) error {
			t := resolve.MemTable(b.Schema(), []batch{b})
			if err := drained(w, t.Take(ctx, []frame.Ref{frame.RefOf(0, 1)}, []string{"id"})); err != nil {
				return err
			}
			return drained(w, t.Read(ctx, 0, frame.Span{To: 2}, []string{"id"}))
		}
	}},
	{fn: frame.Size, make: func(w *world) call {
		b := w.batch(1, 2)
		w.end(b.Release)
		return func(context.Context) error { frame.Size(b); return nil }
	}},
	{fn: frame.Gather, make: func(w *world) call {
		b := w.batch(1, 2)
		w.end(b.Release)
		return func(ctx context.Context) error { return released(frame.Gather(ctx, b, []int64{1, 0, 1})) }
	}},
	{fn: frame.Concat, make: func(w *world) call {
		list := []batch{w.batch(1, 2), w.batch(3)}
		w.end(func() { list[0].Release(); list[1].Release() })
		return func(ctx context.Context) error { return released(frame.Concat(ctx, list)) }
	}},
	{fn: resolve.Complete, make: func(w *world) call {
		s, b := w.stream(0)
		return func(ctx context.Context) error {
			r, err := resolve.Complete(ctx, &resolve.Rows{Schema: s, Batches: b}, sample(graph().Plan(root)), xxh, false)
			return drainedOf(w, r, err)
		}
	}},
	{fn: resolve.Read, make: func(w *world) call {
		t := w.stored()
		return func(ctx context.Context) error {
			r, err := resolve.Read(ctx, &resolve.ReadRequest{Source: resolve.Source{Table: t, IDs: []string{"id"}}})
			return drainedOf(w, r, err)
		}
	}},
	{fn: resolve.Update, make: func(w *world) call {
		req := w.request()
		return func(ctx context.Context) error {
			inc, err := resolve.Update(ctx, req)
			if err != nil {
				return err
			}
			defer inc.Close()
			return drained(w, inc.All(ctx))
		}
	}},
	{fn: (*resolve.Increment).All, make: resolveCall(func(w *world, inc *resolve.Increment, ctx context.Context) error { return drained(w, inc.All(ctx)) })},
	{fn: (*resolve.Increment).Part, make: resolveCall(func(w *world, inc *resolve.Increment, ctx context.Context) error {
		return drained(w, inc.Part(ctx, resolve.New))
	})},
	{fn: (*resolve.Increment).Count, make: resolveCall(func(_ *world, inc *resolve.Increment, ctx context.Context) error { return inc.Count(ctx) })},
	{fn: (*resolve.Increment).Explain, make: resolveCall(func(_ *world, inc *resolve.Increment, ctx context.Context) error { return told(inc.Explain(ctx)) })},
	{fn: (*resolve.Increment).Close, make: resolveCall(func(_ *world, inc *resolve.Increment, _ context.Context) error { inc.Close(); return nil })},
	{fn: (*resolve.Increment).Schema, make: resolveCall(func(_ *world, inc *resolve.Increment, _ context.Context) error { inc.Schema(resolve.Stale); return nil })},
	{fn: (*resolve.Increment).Stats, make: resolveCall(func(_ *world, inc *resolve.Increment, _ context.Context) error { inc.Stats(); return nil })},
	{fn: (*resolve.Increment).Warnings, make: resolveCall(func(_ *world, inc *resolve.Increment, _ context.Context) error { inc.Warnings(); return nil })},
	{fn: (*resolve.Increment).Inputs, make: resolveCall(func(_ *world, inc *resolve.Increment, ctx context.Context) error { return told(inc.Inputs(ctx)) })},
	{fn: (*resolve.Input).NewestFirst, make: resolveCall(func(_ *world, inc *resolve.Increment, ctx context.Context) error {
		in, err := inc.Inputs(ctx)
		if err == nil {
			in[0].NewestFirst()
		}
		return err
	})},
	{fn: resolve.Newest, make: func(w *world) call {
		t := w.stored()
		return func(ctx context.Context) error {
			return resolve.Newest(ctx, t, []string{"id"}, []string{"path"}, func(int, batch) error { return nil })
		}
	}},
	{fn: (*resolve.Cutter).Cut, make: func(w *world) call {
		b := w.batch(1, 2, 3)
		w.end(b.Release)
		c := &resolve.Cutter{Layout: oneWord(), Keys: []string{"id"}, Parts: 2}
		return func(ctx context.Context) error {
			return c.Cut(ctx, b, func(int, batch) error { w.inside(); return nil })
		}
	}},
	{fn: resolve.UpdateParts, make: func(w *world) call {
		req := w.request()
		return func(ctx context.Context) error {
			inc, err := resolve.UpdateParts(ctx, req, onePart{w, req})
			if err != nil {
				return err
			}
			defer inc.Close()
			return drained(w, inc.All(ctx))
		}
	}},
	{fn: why.Explain, make: func(w *world) call {
		req := &why.Request{Plan: sample(graph().Plan(leaf)), Algorithm: xxh, Keys: [][]string{{"3"}}, Deps: []*why.History{w.history()},
			Defined: func(string) []why.Cause { w.inside(); return nil }}
		return func(ctx context.Context) error { return told(why.Explain(ctx, req)) }
	}, quiet: "Defined runs for samples that are stored under another definition"},
	{fn: (*why.Cause).Short}, {fn: (*why.Sample).Reason},
}

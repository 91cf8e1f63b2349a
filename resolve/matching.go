package resolve

import (
	"context"
	"errors"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/slab"
)

// matching is how the rows of several tables find each other: one layout of keys
// and one index for all, made when it is first needed.
type matching struct {
	layout   *hashjoin.Layout
	parallel int
	doubt    bool // believe no statistics
	hints    hashjoin.Hints
	arena    *slab.Arena // of the index and what lies beside it
	index    *hashjoin.Index
}

// get returns the index.
func (m *matching) get() *hashjoin.Index {
	if m.index == nil {
		m.hints.NullGroup, m.hints.Arena = true, m.arena
		m.index = hashjoin.NewIndex(m.layout, m.hints)
	}
	return m.index
}

// tries runs f with the belief that every unit has one stamp, and without it
// where rows contradict it.
func (m *matching) tries(f func(layered bool) error) error {
	if m.doubt {
		return f(false)
	}
	if err := f(true); !errors.Is(err, errBelief) {
		return err
	}
	return f(false)
}

// keyed is a table whose keys an index holds: by these columns.
type keyed struct {
	feed *feed
	keys []string
}

// hintsOf is what statistics tell of the keys of several tables. Keys of two
// words are expected to be those of the largest table, an eighth more.
func hintsOf(tables []keyed, l *hashjoin.Layout, o *Options) hashjoin.Hints {
	h := hashjoin.Hints{Ranged: l.Words() == 1 && !o.Doubt, Force: o.Force}
	first, most := true, int64(0)
	for _, t := range tables {
		rows, _ := t.feed.rows()
		h.Rows += rows
		most = max(most, rows+rows/8)
		for _, u := range t.feed.units {
			if u.Rows == 0 || !h.Ranged {
				continue
			}
			r, _ := u.Stats(t.keys[0])
			lo, okLo := r.Min.(int64)
			hi, okHi := r.Max.(int64)
			if h.Ranged = r.Known && okLo && okHi; !h.Ranged {
				break
			}
			if first {
				h.Min, h.Max, first = lo, hi, false
			}
			h.Min, h.Max = min(h.Min, lo), max(h.Max, hi)
		}
	}
	if l.Words() > 1 {
		h.Rows = most
	}
	return h
}

// believing runs f with an index made from what statistics tell of the tables,
// and with one that believes nothing but their numbers of rows where keys
// contradict that.
func believing(ctx context.Context, tables []keyed, l *hashjoin.Layout, o *Options, f func(context.Context, *matching) error) error {
	m := &matching{layout: l, parallel: o.Parallel, doubt: o.Doubt, hints: hintsOf(tables, l, o), arena: &slab.Arena{}}
	err := f(ctx, m)
	if !errors.Is(err, hashjoin.ErrHints) {
		return err
	}
	m.arena.Free()
	m.hints, m.index = hashjoin.Hints{Force: hashjoin.Hash}, nil
	for _, t := range tables {
		_, span := t.feed.rows()
		m.hints.Rows += span
	}
	return f(ctx, m)
}

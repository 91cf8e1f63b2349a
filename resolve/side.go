package resolve

import (
	"context"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// side is a table that a stream is joined to, held by join key. A key has at
// most one row that counts, because the join columns are the table's ids. What
// is known of it lies in slices by the key's slot.
type side struct {
	feed *feed
	keys []string // join columns, by the table's names
	// last is the number of the row, plus one; 0 = there is none.
	last []uint32
	rows int64
}

// load reads the feed once: of every key the newest row counts, if it is no
// tombstone and passes the filters. keep stores what is wanted of rows of a
// batch, rows[j] of it in slots[j]; a later call for a slot replaces an earlier
// one. columns are read for it.
func (s *side) load(ctx context.Context, l *hashjoin.Layout, x *hashjoin.Index, columns []string, parallel int, keep func(b *agedBlock, rows, slots []int32) error, hide func(slot int32)) error {
	if err := s.feed.check(); err != nil {
		return err
	}
	further := unique(slices.Concat(columns, s.feed.filterColumns()))
	return tries(func(layered bool) error {
		var mu sync.Mutex
		n := newNewest(x.Slots(), !layered)
		hidden := map[int32]bool{} // slots whose newest row does not count
		err := s.feed.aged(ctx, l, s.keys, further, parallel, layered, func() func(*agedBlock) error {
			var rows, slots []int32
			var filters filters
			return func(b *agedBlock) error {
				counts, err := filters.pass(s.feed, b)
				if err != nil {
					return err
				}
				b.slots = slices.Grow(b.slots[:0], b.keys.Len())[:b.keys.Len()]
				mu.Lock()
				defer mu.Unlock()
				if err := x.Insert(&b.keys, b.slots); err != nil {
					return err
				}
				rows, slots = rows[:0], slots[:0]
				for i, slot := range b.slots {
					if n.offer(b, i) == b.numbers[i] {
						continue
					}
					if counts != nil && !counts[i] {
						hidden[slot] = true
						continue
					}
					if len(hidden) > 0 {
						delete(hidden, slot)
					}
					rows, slots = append(rows, int32(i)), append(slots, slot)
				}
				return keep(b, rows, slots)
			}
		})
		if err != nil {
			return err
		}
		s.last, s.rows = n.last, 0
		for slot := range hidden {
			s.last[slot] = 0
			hide(slot)
		}
		for _, n := range s.last {
			if n != 0 {
				s.rows++
			}
		}
		return nil
	})
}

// filters are the predicates of a feed, bound to its batches.
type filters struct {
	programs []*filtereval.Program
	counts   []bool
}

// pass reports for each row of a block whether it counts, if it is the newest:
// it is no tombstone and passes every filter. nil says that all do.
func (p *filters) pass(f *feed, b *agedBlock) ([]bool, error) {
	if len(b.gone) == 0 && len(f.filters) == 0 {
		return nil, nil
	}
	n := int(b.Batch.NumRows())
	p.counts = slices.Grow(p.counts[:0], n)[:n]
	for i := range p.counts {
		p.counts[i] = true
	}
	for _, i := range b.gone {
		p.counts[i] = false
	}
	if p.programs == nil {
		var err error
		if p.programs, err = f.bind(b.Batch, b.cols); err != nil {
			return nil, err
		}
	}
	for i, program := range p.programs {
		rec := renamed(b.Batch, b.cols, f.filters[i].rename)
		keep, err := program.Eval(rec)
		rec.Release()
		if err != nil {
			return nil, err
		}
		for j, k := range keep {
			p.counts[j] = p.counts[j] && k
		}
	}
	return p.counts, nil
}

// depSide is an upstream table that is joined to.
type depSide struct {
	side
	members []string
	texts   []*rowhash.Store // by member
}

func (s *depSide) read(ctx context.Context, l *hashjoin.Layout, x *hashjoin.Index, parallel int) error {
	var cols []string
	s.texts = nil
	for _, m := range s.members {
		cols = append(cols, memberColumn(m))
		s.texts = append(s.texts, rowhash.NewStore(x.Slots()))
	}
	return s.load(ctx, l, x, cols, parallel, func(b *agedBlock, rows, slots []int32) error {
		for i, a := range columnsOf(b.Batch, b.cols, cols) {
			v, err := stringsOf(a)
			if err != nil {
				return err
			}
			s.texts[i].Put(&v, rows, slots)
		}
		return nil
	}, func(int32) {})
}

// stringsOf views an array as text; values that are no text are written as such.
func stringsOf(a arrow.Array) (rowhash.Strings, error) {
	if s, err := rowhash.StringsOf(a); err == nil {
		return s, nil
	}
	plain, err := plainText(a)
	if err != nil {
		return rowhash.Strings{}, err
	}
	return rowhash.StringsOf(plain)
}

// storedSide is the feature's own rows: their provenance, to compare with.
type storedSide struct {
	side
	prints *fingerprints
	// flagged has a bit for each slot that a staleness predicate marks; nil
	// without predicates.
	flagged []uint64
	// foreign counts provenances that the hash settings cannot give.
	foreign int
}

func (s *storedSide) read(ctx context.Context, l *hashjoin.Layout, x *hashjoin.Index, parallel int, alg Algorithm, staleIf []filter.Expr, suspects bool) error {
	s.prints = newFingerprints(alg, x.Slots())
	s.flagged, s.foreign = nil, 0
	if len(staleIf) > 0 {
		s.flagged = make([]uint64, (x.Slots()+63)/64)
	}
	cols := append([]string{colProvenance}, filterColumns(staleIf)...)
	return s.load(ctx, l, x, cols, parallel, func(b *agedBlock, rows, slots []int32) error {
		v, err := stringsOf(b.Batch.Column(slices.Index(b.cols, colProvenance)))
		if err != nil {
			return err
		}
		if suspects {
			for i := range min(suspectRows, int(b.Batch.NumRows())) {
				if !v.IsNull(i) && !alg.couldMake(string(v.Value(i))) {
					s.foreign++
				}
			}
		}
		s.prints.put(&v, rows, slots)
		return s.flag(b, rows, slots, staleIf)
	}, func(slot int32) { s.prints.hide(slot) })
}

// flag marks the rows for which one of the predicates is true.
func (s *storedSide) flag(b *agedBlock, rows, slots []int32, staleIf []filter.Expr) error {
	if len(staleIf) == 0 {
		return nil
	}
	rec := renamed(b.Batch, b.cols, same)
	defer rec.Release()
	hit, err := anyTrue(staleIf, rec)
	if err != nil {
		return err
	}
	for j, slot := range slots {
		if s.flagged[slot>>6] &^= 1 << (slot & 63); hit[rows[j]] {
			s.flagged[slot>>6] |= 1 << (slot & 63)
		}
	}
	return nil
}

// marked reports whether a staleness predicate marks the row of a slot.
func (s *storedSide) marked(slot int32) bool {
	return s.flagged != nil && s.flagged[slot>>6]>>(slot&63)&1 != 0
}

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
	"github.com/metaxy-delta/metaxy-delta/internal/slab"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// side is a table that others are joined to, held by join key. What is known of
// its rows lies in slices by entry. Where the join columns are the ids, a key
// has at most one row that counts, and its slot is its entry.
type side struct {
	feed *feed
	keys []string // join columns, by the table's names
	// there has a bit for each slot that has a row.
	there []uint64
	// last is the number of the entry's row, plus one, where numbered asks for
	// it; 0 = there is none.
	last     []uint32
	numbered bool
	rows     int64
	// several has the entries of each key where that may be more than one.
	several *chains
}

// chains are entries by slot.
type chains struct {
	head []int32 // by slot: the entry that came last, plus one
	next []int32 // by entry: the one before it, plus one
	slot []int32 // by entry
	// stamps order the rows of one key by age, where that is asked for.
	stamps []int64
}

// each calls do with the entries of a slot.
func (c *chains) each(slot int32, do func(entry int32)) {
	for e := c.head[slot]; e != 0; e = c.next[e-1] {
		do(e - 1)
	}
}

// has reports whether a slot has a row.
func (s *side) has(slot int32) bool {
	return slot >= 0 && s.there[slot>>6]>>(slot&63)&1 != 0
}

// entries is the number of entries that slices need room for.
func (s *side) entries(x *hashjoin.Index) int {
	if s.several == nil {
		return x.Slots()
	}
	rows, _ := s.feed.rows()
	return int(rows)
}

// keeper stores what is wanted of rows[j] of a batch for entries[j]. A later call
// for an entry replaces an earlier one.
type keeper func(b arrow.RecordBatch, cols []string, rows, entries []int32) error

// load reads the rows that count: of every id the newest, if it is no tombstone
// and passes the filters. columns are read for keep; hide takes an entry back.
func (s *side) load(ctx context.Context, m *matching, columns []string, keep keeper, hide func(entry int32)) error {
	if s.several != nil {
		return s.loadSeveral(ctx, m, columns, keep)
	}
	return s.loadOne(ctx, m, columns, keep, hide)
}

// loadOne reads the feed once.
func (s *side) loadOne(ctx context.Context, m *matching, columns []string, keep keeper, hide func(entry int32)) error {
	if err := s.feed.check(); err != nil {
		return err
	}
	further := unique(slices.Concat(columns, s.feed.filterColumns()))
	x := m.get()
	return m.tries(func(layered bool) error {
		var mu sync.Mutex
		var own slab.Arena
		defer own.Free()
		arena := &own
		if s.numbered {
			arena = m.arena
		}
		n := newNewest(arena, x.Slots(), !layered)
		hidden := map[int32]bool{} // slots whose newest row does not count
		err := s.feed.aged(ctx, m.layout, s.keys, further, m.parallel, layered, func() func(*agedBlock) error {
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
				return keep(b.Batch, b.cols, rows, slots)
			}
		})
		if err != nil {
			return err
		}
		for slot := range hidden {
			n.last[slot] = 0
			hide(slot)
		}
		s.there, s.rows, s.last = make([]uint64, (x.Slots()+63)/64), 0, nil
		for slot, number := range n.last {
			if number != 0 {
				s.there[slot>>6] |= 1 << (slot & 63)
				s.rows++
			}
		}
		if s.numbered {
			s.last = n.last
		}
		return nil
	})
}

// loadSeveral surveys the feed by its ids, then reads the rows that count.
func (s *side) loadSeveral(ctx context.Context, m *matching, columns []string, keep keeper) error {
	if err := s.feed.surveyApart(ctx, m); err != nil {
		return err
	}
	stamps, err := stampColumns(ctx, s.feed.table)
	if err != nil {
		return err
	}
	x, c := m.get(), s.several
	aged := c.stamps != nil
	*c = chains{head: make([]int32, x.Slots())}
	if aged { // also where this attempt fails before a row, and another follows
		c.stamps = []int64{}
	}
	s.there, s.last, s.rows = make([]uint64, (x.Slots()+63)/64), nil, 0
	cols := unique(slices.Concat(s.keys, stamps, columns))
	var mu sync.Mutex
	return s.feed.each(ctx, m.parallel, func(ctx context.Context, unit int) error {
		var keys hashjoin.Keys
		var slots, rows, entries []int32
		var at []int64
		return s.feed.live(ctx, unit, cols, func(p *picked) error {
			if err := m.layout.Encode(columnsOf(p.Batch, cols, s.keys), &keys); err != nil {
				return err
			}
			keys.Pick(p.rows)
			slots = slices.Grow(slots[:0], keys.Len())[:keys.Len()]
			at, _ = rowStamps(p.Batch, cols, stamps, at, func(int) {})
			mu.Lock()
			defer mu.Unlock()
			if err := x.Insert(&keys, slots); err != nil {
				return err
			}
			rows, entries = rows[:0], entries[:0]
			for j, slot := range slots {
				i := p.index(j)
				e := int32(len(c.next))
				rows, entries = append(rows, i), append(entries, e)
				c.slot = append(c.slot, slot)
				c.next = append(c.next, c.head[slot])
				c.head[slot] = e + 1
				s.there[slot>>6] |= 1 << (slot & 63)
				s.last = append(s.last, s.feed.first[unit]+uint32(p.Row(int(i)))+1)
				if aged {
					c.stamps = append(c.stamps, at[i])
				}
			}
			s.rows += int64(len(rows))
			return keep(p.Batch, cols, rows, entries)
		})
	})
}

// filters are the predicates of a feed, bound to its batches.
type filters struct {
	programs []*filtereval.Program
	counts   []bool
	keys     hashjoin.Keys
	share    []bool
}

// pass reports for each row of a block whether it counts, if it is the newest:
// it is no tombstone and passes every filter. nil says that all do.
func (p *filters) pass(f *feed, b *agedBlock) ([]bool, error) {
	if len(b.gone) == 0 && len(f.filters) == 0 && f.shard == nil {
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
	if f.shard != nil {
		var err error
		if p.share, err = f.shard.pass(b.Batch, b.cols, &p.keys, p.share); err != nil {
			return nil, err
		}
		for j, k := range p.share {
			p.counts[j] = p.counts[j] && k
		}
	}
	return p.counts, nil
}

// depSide is an upstream table that is joined to.
type depSide struct {
	side
	// texts are the versions, by member, by entry; of groups where rows are
	// aggregated.
	members []string
	texts   []*rowhash.Store
	groups  *groups
	group   []int32 // by entry: the slot of its group
}

func (s *depSide) read(ctx context.Context, m *matching) error {
	x := m.get()
	s.texts, s.group = nil, nil
	if s.groups != nil {
		return s.load(ctx, m, s.groups.keys, func(b arrow.RecordBatch, cols []string, rows, entries []int32) error {
			slots, err := s.groups.find(b, cols)
			if err != nil {
				return err
			}
			for _, i := range rows { // entries of several ascend
				s.group = append(s.group, slots[i])
			}
			return nil
		}, nil)
	}
	var cols []string
	arena := m.arena
	for _, m := range s.members {
		cols = append(cols, memberColumn(m))
		s.texts = append(s.texts, rowhash.NewStore(arena, s.entries(x)))
	}
	return s.load(ctx, m, cols, func(b arrow.RecordBatch, read []string, rows, entries []int32) error {
		for i, a := range columnsOf(b, read, cols) {
			v, err := stringsOf(a)
			if err != nil {
				return err
			}
			s.texts[i].Put(&v, rows, entries)
		}
		return nil
	}, func(int32) {})
}

// versions are the stored versions of a member for chosen entries, -1 = null.
func (s *depSide) versions(member string, entries []int32) rowhash.Strings {
	i := slices.Index(s.members, member)
	if s.groups == nil {
		return s.texts[i].Strings().Pick(entries)
	}
	picks := make([]int32, len(entries))
	for j, e := range entries {
		if picks[j] = -1; e >= 0 {
			picks[j] = s.group[e]
		}
	}
	return s.groups.texts[i].Strings().Pick(picks)
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
	prints *fingerprints // by entry
	// marked has a bit for each entry that a staleness predicate marks, for each
	// slot where the rows of a key are compared as one; nil without predicates.
	marked []uint64
	// foreign counts provenances that the hash settings cannot give.
	foreign int
	// asOne says that the rows of one key are compared as one row.
	asOne bool
}

func (s *storedSide) read(ctx context.Context, m *matching, req *Request) error {
	x := m.get()
	// Rows that count as one are compared with each other, too, and not all of
	// their texts need be words.
	s.prints = newFingerprints(m.arena, req.Algorithm.Truncation <= 8 && req.Samples == nil && !s.asOne, s.entries(x))
	s.marked, s.foreign = nil, 0
	var marks []filter.Expr
	if len(req.StaleIf) > 0 && !s.asOne {
		marks = req.StaleIf
		s.marked = make([]uint64, (s.entries(x)+63)/64)
	}
	cols := append([]string{syscol.Provenance}, filterColumns(marks)...)
	err := s.load(ctx, m, cols, func(b arrow.RecordBatch, read []string, rows, entries []int32) error {
		v, err := stringsOf(b.Column(slices.Index(read, syscol.Provenance)))
		if err != nil {
			return err
		}
		if len(req.Plan.Deps) > 0 { // what roots store is their users' own
			s.foreign += req.Algorithm.strangers(&v, int(b.NumRows()))
		}
		s.prints.put(&v, rows, entries)
		return s.mark(b, read, rows, entries, marks)
	}, func(entry int32) { s.prints.hide(entry) })
	if err == nil && len(req.StaleIf) > 0 && s.asOne {
		err = s.markGroups(ctx, req.StaleIf)
	}
	return err
}

// mark marks the rows for which one of the predicates is true.
func (s *storedSide) mark(b arrow.RecordBatch, cols []string, rows, entries []int32, staleIf []filter.Expr) error {
	if len(staleIf) == 0 {
		return nil
	}
	rec := renamed(b, cols, same)
	defer rec.Release()
	hit, err := anyTrue(staleIf, rec)
	if err != nil {
		return err
	}
	for j, e := range entries {
		if s.marked[e>>6] &^= 1 << (e & 63); hit[rows[j]] {
			s.marked[e>>6] |= 1 << (e & 63)
		}
	}
	return nil
}

// markedAt reports whether a staleness predicate marks an entry or slot.
func (s *storedSide) markedAt(i int32) bool {
	return s.marked != nil && s.marked[i>>6]>>(i&63)&1 != 0
}

// anyTrue marks the rows for which one of the predicates is true.
func anyTrue(exprs []filter.Expr, rec arrow.RecordBatch) ([]bool, error) {
	out := make([]bool, rec.NumRows())
	for _, e := range exprs {
		p, err := filtereval.Bind(e, rec.Schema())
		if err != nil {
			return nil, err
		}
		keep, err := p.Eval(rec)
		if err != nil {
			return nil, err
		}
		for i, k := range keep {
			out[i] = out[i] || k
		}
	}
	return out, nil
}

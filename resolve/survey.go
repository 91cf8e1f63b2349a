package resolve

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/slab"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// errBelief says that rows are not as statistics had it. What was tried starts
// again without that belief.
var errBelief = errors.New("the rows contradict the statistics")

// agedBlock is rows of a unit with their keys and what orders them by age.
type agedBlock struct {
	frame.Block
	unit  int
	cols  []string // of the batch
	keys  hashjoin.Keys
	slots []int32
	// numbers are the rows' numbers, plus one.
	numbers []uint32
	// stamps order rows before numbers do; nil where numbers alone do.
	stamps []int64
	gone   []int32 // tombstones
}

// aged reads keys, stamps and further columns of every unit. layered believes
// that every unit has one stamp, as what one write made has, numbers the rows by
// it, and fails with errBelief where that is not so. visit is called once a
// unit and makes what looks at its blocks.
func (f *feed) aged(ctx context.Context, l *hashjoin.Layout, keys, further []string, parallel int, layered bool, visit func() func(*agedBlock) error) error {
	stamps, err := stampColumns(ctx, f.table)
	if err != nil {
		return err
	}
	var claims []int64
	if layered {
		if claims = f.claimedStamps(stamps); claims == nil {
			return errBelief
		}
	}
	f.number(claims)
	f.read = 0
	cols := unique(slices.Concat(keys, stamps, further))
	var mu sync.Mutex
	return f.each(ctx, parallel, func(ctx context.Context, unit int) error {
		do := visit()
		b := &agedBlock{unit: unit, cols: cols}
		read := int64(0)
		var at []int64
		for block, err := range f.lend(ctx, unit, cols) {
			if err != nil {
				return err
			}
			b.Block = block
			read += block.Batch.NumRows()
			if err := l.Encode(columnsOf(block.Batch, cols, keys), &b.keys); err != nil {
				return err
			}
			b.gone = b.gone[:0]
			if claims == nil {
				at, _ = rowStamps(block.Batch, cols, stamps, at, func(i int) { b.gone = append(b.gone, int32(i)) })
				b.stamps = at
			} else if !stampedAt(block.Batch, cols, stamps, claims[unit]) {
				return errBelief
			}
			n := int(block.Batch.NumRows())
			b.numbers = slices.Grow(b.numbers[:0], n)[:n]
			for i := range b.numbers {
				b.numbers[i] = f.first[unit] + uint32(b.Row(i)) + 1
			}
			if err := do(b); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		f.read += read
		return ctx.Err()
	})
}

// claimedStamps are the stamps of units by their statistics, nil where one has
// several or may have tombstones.
func (f *feed) claimedStamps(columns []string) []int64 {
	claims := make([]int64, len(f.units))
	for i, u := range f.units {
		claims[i] = noStamp
		for _, name := range columns {
			v, ok := constantStamp(u, name)
			if name == syscol.DeletedAt || !ok && u.Rows > 0 {
				return nil
			}
			claims[i] = v
		}
	}
	return claims
}

// newest is the newest row of each slot so far.
type newest struct {
	last []uint32 // its number plus one; 0 = none
	at   []int64  // its stamp; nil where numbers order rows
}

func newNewest(a *slab.Arena, slots int, stamps bool) *newest {
	n := &newest{last: slab.Make[uint32](a, slots)}
	if stamps {
		n.at = slab.Make[int64](a, slots)
	}
	return n
}

// offer takes row i of a block, and returns the number, plus one, of the row
// that is not the newest of the slot, 0 for none.
func (n *newest) offer(b *agedBlock, i int) (loser uint32) {
	slot, row := b.slots[i], b.numbers[i]
	was := n.last[slot]
	if n.at != nil {
		stamp := b.stamps[i]
		if was != 0 && (n.at[slot] > stamp || n.at[slot] == stamp && was > row) {
			return row
		}
		n.at[slot] = stamp
	} else if was > row {
		return row
	}
	n.last[slot] = row
	return was
}

// survey finds the rows of a feed that are live: the newest of each id, without
// tombstones. Where statistics promise that one integer id ascends in every unit
// and that no two units share a range, that is only checked on the way.
// Otherwise ids get slots, which are kept where keys have two words. ids are the
// feed's in the order of the layout.
func (f *feed) survey(ctx context.Context, m *matching, ids []string) error {
	if err := f.check(); err != nil {
		return err
	}
	f.slots, f.uuids = nil, false
	if !m.doubt {
		if err := f.disjoint(ctx, m.layout, m.parallel); !errors.Is(err, errBelief) {
			return err
		}
	}
	x := m.get()
	if m.layout.Words() > 1 {
		f.slots = make([][]int32, len(f.units))
	}
	return m.tries(func(layered bool) error {
		var mu sync.Mutex
		clear(f.dead)
		clear(f.slots)
		f.uuids = f.slots != nil
		var arena slab.Arena // only the survey needs this
		defer arena.Free()
		n := newNewest(&arena, x.Slots(), !layered)
		return f.aged(ctx, m.layout, ids, nil, m.parallel, layered, func() func(*agedBlock) error {
			return func(b *agedBlock) error {
				b.slots = slices.Grow(b.slots[:0], b.keys.Len())[:b.keys.Len()]
				mu.Lock()
				defer mu.Unlock()
				if err := x.Insert(&b.keys, b.slots); err != nil {
					return err
				}
				for i := range b.slots {
					if loser := n.offer(b, i); loser != 0 {
						ref := f.ref(loser - 1)
						f.kill(ref.Unit(), ref.Row())
					}
				}
				f.bury(b)
				if f.slots != nil {
					f.uuids = f.uuids && b.keys.UUIDs
					maskNulls(&b.keys, b.slots)
					f.slots[b.unit] = append(slices.Grow(f.slots[b.unit], max(int(f.units[b.unit].Rows)-len(f.slots[b.unit]), 0)), b.slots...)
				}
				return nil
			}
		})
	})
}

// surveyApart surveys a feed by its ids, with an index of its own.
func (f *feed) surveyApart(ctx context.Context, m *matching) error {
	if f.surveyed {
		return nil
	}
	l, err := hashjoin.NewLayout(typesOf(f.table.Schema(), f.ids))
	if err != nil {
		return err
	}
	o := &Options{Parallel: m.parallel, Doubt: m.doubt, Force: m.hints.Force}
	err = believing(ctx, []keyed{{f, f.ids}}, l, o, func(ctx context.Context, m *matching) error {
		defer m.arena.Free()
		return f.survey(ctx, m, f.ids)
	})
	f.slots, f.uuids, f.surveyed = nil, false, err == nil // slots are of that index
	return err
}

// killDeleted marks tombstones as not live.
func (f *feed) killDeleted(ctx context.Context, parallel int) error {
	stamps, err := stampColumns(ctx, f.table)
	if err != nil || f.keepsDeleted || !slices.Contains(stamps, syscol.DeletedAt) {
		return err
	}
	cols := []string{syscol.DeletedAt}
	return f.each(ctx, parallel, func(ctx context.Context, unit int) error {
		for b, err := range f.lend(ctx, unit, cols) {
			if err != nil {
				return err
			}
			tombstones(b.Batch, cols, func(i int) { f.kill(unit, b.Row(i)) })
		}
		return ctx.Err()
	})
}

// maskNulls takes the slots of rows whose keys have nulls, which match nothing.
func maskNulls(k *hashjoin.Keys, slots []int32) {
	if k.Null == nil {
		return
	}
	for i := range slots {
		if k.IsNull(i) {
			slots[i] = -1
		}
	}
}

// bury marks the tombstones of a block as not live.
func (f *feed) bury(b *agedBlock) {
	if f.keepsDeleted {
		return
	}
	for _, i := range b.gone {
		f.kill(b.unit, b.Row(int(i)))
	}
}

// disjoint succeeds where no id can have two rows, by the ranges and the order
// of ids.
func (f *feed) disjoint(ctx context.Context, l *hashjoin.Layout, parallel int) error {
	if l.Words() != 1 || !f.claimsDisjoint() {
		return errBelief
	}
	clear(f.dead)
	f.number(nil)
	f.read = 0
	stamps, err := stampColumns(ctx, f.table)
	if err != nil {
		return err
	}
	cols := slices.Clone(f.ids)
	if slices.Contains(stamps, syscol.DeletedAt) && !f.keepsDeleted {
		cols = append(cols, syscol.DeletedAt)
	}
	var mu sync.Mutex
	return f.each(ctx, parallel, func(ctx context.Context, unit int) error {
		var keys hashjoin.Keys
		lo, hi, _ := f.claimedRange(unit)
		read, last := int64(0), lo
		for block, err := range f.lend(ctx, unit, cols) {
			if err != nil {
				return err
			}
			if err := l.Encode(columnsOf(block.Batch, cols, f.ids), &keys); err != nil {
				return err
			}
			if n := keys.Len(); n > 0 {
				if !keys.Ascending || keys.Min < last || keys.Min == last && read > 0 || keys.Max > hi {
					return errBelief
				}
				last, read = keys.Max, read+int64(n)
			}
			tombstones(block.Batch, cols, func(i int) { f.kill(unit, block.Row(i)) })
		}
		mu.Lock()
		defer mu.Unlock()
		f.read += read
		return ctx.Err()
	})
}

// claimedRange is the range of the one id that statistics give for a unit.
func (f *feed) claimedRange(unit int) (lo, hi int64, ok bool) {
	r, _ := f.units[unit].Stats(f.ids[0])
	lo, okLo := r.Min.(int64)
	hi, okHi := r.Max.(int64)
	return lo, hi, r.Known && okLo && okHi
}

func (f *feed) claimsDisjoint() bool {
	type span struct{ lo, hi int64 }
	var spans []span
	for i := range f.units {
		if f.units[i].Rows == 0 {
			continue
		}
		lo, hi, ok := f.claimedRange(i)
		if !ok {
			return false
		}
		spans = append(spans, span{lo, hi})
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.lo < b.lo {
			return -1
		}
		return 1
	})
	for i := 1; i < len(spans); i++ {
		if spans[i].lo <= spans[i-1].hi {
			return false
		}
	}
	return true
}

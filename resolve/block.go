package resolve

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// worker joins, hashes and compares blocks of the driver. Its memory is reused
// from block to block.
type worker struct {
	s       *stream
	hashers []*rowhash.FieldHasher
	sample  *rowhash.SampleHasher
	// fields has a result for each field of the plan, members those of the
	// struct, sorted those in the order in which the sample hashes them.
	fields          []*rowhash.Texts
	members, sorted []*rowhash.Texts
	total           *rowhash.Texts

	keys hashjoin.Keys
	own  []int32 // by row of the batch: the slot of its key, -1 for none
	// What follows is by joined row.
	rows     []int32   // of the batch
	slots    []int32   // -1 for none
	optional [][]int32 // by optional dep: the slot where it has a row, else -1
	parts    [2][]int32
	// matched has a bit for each stored row that something expects.
	matched []uint64
	count   Stats
	nulls   nullCounts
}

// nullCounts are what warnings tell of the expected rows.
type nullCounts struct{ versions, ids int }

func (s *stream) newWorker() *worker {
	plan := s.inc.req.Plan
	w := &worker{s: s, sample: s.inc.hasher.Sample(), total: &rowhash.Texts{}, optional: make([][]int32, len(s.sides))}
	for range plan.Fields {
		w.fields = append(w.fields, &rowhash.Texts{})
	}
	byMember := map[string]*rowhash.Texts{}
	for i, f := range plan.Fields {
		byMember[f.Key.StructKey()] = w.fields[i]
	}
	for _, m := range members(plan) {
		w.members = append(w.members, byMember[m])
	}
	for _, m := range sortedMembers(plan) {
		w.sorted = append(w.sorted, byMember[m])
	}
	for _, g := range s.groups {
		w.hashers = append(w.hashers, g.hasher())
	}
	if s.stored != nil {
		w.matched = make([]uint64, (s.index.Slots()+63)/64)
	}
	return w
}

// block decides the expected rows that a block of the driver leads to. cols are
// the columns of its batch.
func (w *worker) block(p *picked, unit int, cols []string) error {
	s := w.s
	keys := columnsOf(p.Batch, cols, s.keys)
	if err := w.find(p, unit, keys); err != nil {
		return err
	}
	w.join(p)
	w.parts[New], w.parts[Stale] = w.parts[New][:0], w.parts[Stale][:0]
	if len(w.rows) == 0 {
		return nil
	}
	if err := w.hash(p, cols); err != nil {
		return err
	}
	w.compare()
	w.count.Expected += int64(len(w.rows))
	w.nulls.versions += w.total.Nulls
	w.nulls.ids += nullRows(keys, w.rows)
	return nil
}

// find gives every row of the batch the slot of its join key.
func (w *worker) find(p *picked, unit int, keys []arrow.Array) error {
	s, n := w.s, int(p.Batch.NumRows())
	w.own = slices.Grow(w.own[:0], n)[:n]
	if s.driver.slots != nil {
		copy(w.own, s.driver.slots[unit][p.at:])
		return nil
	}
	if s.index == nil { // nothing is joined or compared
		for i := range w.own {
			w.own[i] = -1
		}
		return nil
	}
	if err := s.layout.Encode(keys, &w.keys); err != nil {
		return err
	}
	s.index.Find(&w.keys, w.own)
	maskNulls(&w.keys, w.own)
	return nil
}

// join finds the rows that count and that every required side has.
func (w *worker) join(p *picked) {
	s := w.s
	w.rows = slices.Grow(w.rows[:0], len(w.own))
	if p.rows != nil {
		w.rows = append(w.rows, p.rows...)
	} else {
		for i := range w.own {
			w.rows = append(w.rows, int32(i))
		}
	}
	for dep, side := range s.sides {
		if side == nil || s.inc.deps[dep].plan.Optional {
			continue
		}
		kept := w.rows[:0]
		for _, i := range w.rows {
			if slot := w.own[i]; slot >= 0 && side.last[slot] != 0 {
				kept = append(kept, i)
			}
		}
		w.rows = kept
	}
	w.slots = slices.Grow(w.slots[:0], len(w.rows))
	for _, i := range w.rows {
		w.slots = append(w.slots, w.own[i])
	}
	for dep, side := range s.sides {
		if side == nil || !s.inc.deps[dep].plan.Optional {
			continue
		}
		list := slices.Grow(w.optional[dep][:0], len(w.rows))
		for _, slot := range w.slots {
			if slot >= 0 && side.last[slot] == 0 {
				slot = -1
			}
			list = append(list, slot)
		}
		w.optional[dep] = list
	}
}

// nullRows counts the rows with a null in one of the columns.
func nullRows(columns []arrow.Array, rows []int32) int {
	columns = slices.DeleteFunc(slices.Clone(columns), func(a arrow.Array) bool { return a.NullN() == 0 && a.DataType().ID() != arrow.NULL })
	n := 0
	for _, i := range rows {
		if slices.ContainsFunc(columns, func(a arrow.Array) bool { return a.IsNull(int(i)) }) {
			n++
		}
	}
	return n
}

// hash computes the versions of the joined rows.
func (w *worker) hash(p *picked, cols []string) error {
	s, n := w.s, len(w.rows)
	whole := n == int(p.Batch.NumRows())
	read := map[string]rowhash.Strings{}
	for g := range s.groups {
		group := &s.groups[g]
		parents := make([]rowhash.Strings, len(group.sources))
		for i, src := range group.sources {
			var err error
			if parents[i], err = w.versions(p, cols, src, whole, read); err != nil {
				return err
			}
		}
		outs := make([]*rowhash.Texts, len(group.fields))
		for i, f := range group.fields {
			outs[i] = w.fields[f]
		}
		w.hashers[g].Hash(parents, n, outs...)
	}
	w.sample.Hash(w.sorted, n, w.total)
	return nil
}

// versions are the stored versions of a parent for the joined rows.
func (w *worker) versions(p *picked, cols []string, src feature.Parent, whole bool, read map[string]rowhash.Strings) (rowhash.Strings, error) {
	member := src.Field.StructKey()
	if src.Dep != w.s.dep {
		side := w.s.sides[src.Dep]
		if side == nil {
			return rowhash.Strings{}, nil
		}
		v := side.texts[slices.Index(side.members, member)].Strings()
		if list := w.optional[src.Dep]; list != nil {
			return v.Pick(list), nil
		}
		return v.Pick(w.slots), nil
	}
	name := memberColumn(member)
	if v, ok := read[name]; ok {
		return v, nil
	}
	v, err := stringsOf(p.Batch.Column(slices.Index(cols, name)))
	if err != nil {
		return v, err
	}
	if !whole && v.Len() > 0 {
		v = v.Pick(w.rows)
	}
	read[name] = v
	return v, nil
}

// compare sorts the joined rows into new and stale ones.
func (w *worker) compare() {
	st := w.s.stored
	if st == nil {
		for j := range w.rows {
			w.parts[New] = append(w.parts[New], int32(j))
		}
		w.count.New += int64(len(w.rows))
		return
	}
	want := w.prints()
	for j, slot := range w.slots {
		if slot < 0 {
			w.parts[New] = append(w.parts[New], int32(j))
			continue
		}
		have := st.prints.at(slot)
		if have == noPrint {
			w.parts[New] = append(w.parts[New], int32(j))
			continue
		}
		w.matched[slot>>6] |= 1 << (slot & 63)
		// A null expectation is not stale by itself.
		if have == nullPrint || have != want(j) && !w.total.IsNull(j) || st.marked(slot) {
			w.parts[Stale] = append(w.parts[Stale], int32(j))
		}
	}
	w.count.New += int64(len(w.parts[New]))
	w.count.Stale += int64(len(w.parts[Stale]))
}

// prints gives the print of a row's expected provenance.
func (w *worker) prints() func(j int) print {
	f := w.s.stored.prints
	if f.words {
		words := w.total.Words
		return func(j int) print { return print{words[j], 0} }
	}
	var buf []byte
	return func(j int) print {
		buf = w.total.Append(buf[:0], j)
		return f.of(buf)
	}
}

// texts are the versions of chosen joined rows as arrays: members in declaration
// order, then the sample's.
func (w *worker) texts(rows []int32) []arrow.Array {
	mem := memory.DefaultAllocator
	var out []arrow.Array
	for _, t := range append(slices.Clone(w.members), w.total) {
		out = append(out, t.Array(mem, rows))
	}
	return out
}

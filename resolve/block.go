package resolve

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// worker joins, hashes and compares blocks of a driver. Its memory is reused from
// block to block.
type worker struct {
	s       *stream
	hashers []*rowhash.FieldHasher
	sample  *rowhash.SampleHasher
	// fields has a result for each field of the plan, members those of the
	// struct, sorted those in the order in which the sample hashes them.
	fields          []*rowhash.Texts
	members, sorted []*rowhash.Texts
	total           *rowhash.Texts
	given           rowhash.Strings // provenance of samples

	keys hashjoin.Keys
	own  []int32 // by row of the batch: the slot of its key, -1 for none
	// What follows is by joined row.
	rows    []int32   // of the batch
	slots   []int32   // -1 for none
	entries [][]int32 // by joined dep, -1 for none; nil where slots are the entries
	parts   [2][]int32
	// matched has a bit for each slot whose stored rows something expects.
	matched []uint64
	count   Stats
	found   counts
	scratch [3][]int32
	text    []byte
}

// counts are what warnings tell.
type counts struct {
	nullVersions, nullIDs, duplicates, mixed int
}

func (c *counts) add(o counts) {
	c.nullVersions += o.nullVersions
	c.nullIDs += o.nullIDs
	c.duplicates += o.duplicates
	c.mixed += o.mixed
}

func (s *stream) newWorker() *worker {
	plan := s.inc.req.Plan
	w := &worker{s: s, sample: s.inc.hasher.Sample(), total: &rowhash.Texts{}, entries: make([][]int32, len(s.sides))}
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
	for _, g := range s.fields {
		w.hashers = append(w.hashers, g.hasher())
	}
	if s.stored != nil {
		w.matched = make([]uint64, (s.index().Slots()+63)/64)
	}
	return w
}

// block decides the expected rows that a block of a driver leads to.
func (w *worker) block(l *leg, p *picked, unit int) error {
	var keys []arrow.Array // none of ids that are not read, of which none is null
	if l.skip == 0 {
		keys = columnsOf(p.Batch, l.cols, l.keys)
	}
	if err := w.find(l, p, unit, keys); err != nil {
		return err
	}
	w.join(l, p)
	w.parts[New], w.parts[Stale] = w.parts[New][:0], w.parts[Stale][:0]
	if len(w.rows) == 0 {
		return nil
	}
	if err := w.hash(l, p); err != nil {
		return err
	}
	w.compare()
	w.count.Expected += int64(len(w.rows))
	w.found.nullIDs += nullRows(keys, w.rows)
	return nil
}

// find gives every row of the batch the slot of its join key.
func (w *worker) find(l *leg, p *picked, unit int, keys []arrow.Array) error {
	s, n := w.s, int(p.Batch.NumRows())
	w.own = slices.Grow(w.own[:0], n)[:n]
	if l.feed.slots != nil {
		copy(w.own, l.feed.slots[unit][p.at:])
		return nil
	}
	if s.index() == nil { // nothing is joined or compared
		for i := range w.own {
			w.own[i] = -1
		}
		return nil
	}
	if err := s.match.layout.Encode(keys, &w.keys); err != nil {
		return err
	}
	s.index().Find(&w.keys, w.own)
	maskNulls(&w.keys, w.own)
	return nil
}

// join finds the joined rows: those that count, with every row of each dep that
// has the key; a required dep that has none drops a row.
func (w *worker) join(l *leg, p *picked) {
	s := w.s
	w.rows, w.slots = slices.Grow(w.rows[:0], len(w.own)), slices.Grow(w.slots[:0], len(w.own))
rows:
	for j := range p.len() {
		i := p.index(j)
		slot := w.own[i]
		for _, dep := range l.before {
			if s.sides[dep].has(slot) {
				continue rows
			}
		}
		w.rows, w.slots = append(w.rows, i), append(w.slots, slot)
	}
	for n, dep := range l.joins {
		side, required := s.sides[dep], !s.inc.deps[dep].plan.Optional
		switch {
		case side.several != nil:
			w.expand(side, dep, required, l.joins[:n])
		case required:
			w.entries[dep] = nil
			w.require(side, l.joins[:n])
		default:
			list := slices.Grow(w.entries[dep][:0], len(w.slots))
			for _, slot := range w.slots {
				if !side.has(slot) {
					slot = -1
				}
				list = append(list, slot)
			}
			w.entries[dep] = list
		}
	}
}

// require drops rows that a side with one row a key lacks.
func (w *worker) require(side *depSide, before []int) {
	first := slices.IndexFunc(w.slots, func(slot int32) bool { return !side.has(slot) })
	if first < 0 {
		return
	}
	from := w.scratch[0][:0]
	for j := range first {
		from = append(from, int32(j))
	}
	for j := first; j < len(w.slots); j++ {
		if side.has(w.slots[j]) {
			from = append(from, int32(j))
		}
	}
	w.scratch[0] = from
	w.regroup(from, before)
}

// expand joins a side whose keys may have several rows.
func (w *worker) expand(side *depSide, dep int, required bool, before []int) {
	from, entries := w.scratch[0][:0], w.entries[dep][:0]
	for j, slot := range w.slots {
		if !side.has(slot) {
			if !required {
				from, entries = append(from, int32(j)), append(entries, -1)
			}
			continue
		}
		side.several.each(slot, func(e int32) {
			from, entries = append(from, int32(j)), append(entries, e)
		})
	}
	w.scratch[0] = from
	if entries == nil {
		entries = []int32{}
	}
	w.regroup(from, before)
	w.entries[dep] = entries
}

// regroup makes row j of the joined rows what row from[j] was.
func (w *worker) regroup(from []int32, before []int) {
	w.rows, w.scratch[1] = pick32(w.scratch[1], w.rows, from)
	w.slots, w.scratch[2] = pick32(w.scratch[2], w.slots, from)
	for _, dep := range before {
		if w.entries[dep] != nil {
			w.entries[dep], _ = pick32(nil, w.entries[dep], from)
		}
	}
}

// pick32 returns values[from...] in the memory of into, and what is free now.
func pick32(into, values, from []int32) (picked, free []int32) {
	into = slices.Grow(into[:0], len(from))
	for _, i := range from {
		into = append(into, values[i])
	}
	return into, values
}

// entriesOf are the entries of a joined dep by joined row.
func (w *worker) entriesOf(dep int) []int32 {
	if w.entries[dep] != nil {
		return w.entries[dep]
	}
	return w.slots
}

// nullRows counts the rows with a null in one of the columns.
func nullRows(columns []arrow.Array, rows []int32) int {
	columns = slices.DeleteFunc(slices.Clone(columns), func(a arrow.Array) bool { return a.NullN() == 0 && a.DataType().ID() != arrow.NULL })
	if len(columns) == 0 {
		return 0
	}
	n := 0
	for _, i := range rows {
		if slices.ContainsFunc(columns, func(a arrow.Array) bool { return a.IsNull(int(i)) }) {
			n++
		}
	}
	return n
}

// hash computes the versions of the joined rows; samples bring theirs.
func (w *worker) hash(l *leg, p *picked) error {
	s, n := w.s, len(w.rows)
	if l.dep < 0 {
		v, err := stringsOf(p.Batch.Column(slices.Index(l.cols, syscol.Provenance)))
		if err != nil {
			return err
		}
		w.given = v
		for _, i := range w.rows {
			w.found.nullVersions += boolInt(v.IsNull(int(i)))
		}
		return nil
	}
	read := map[string]rowhash.Strings{}
	for g := range s.fields {
		group := &s.fields[g]
		parents := make([]rowhash.Strings, len(group.sources))
		for i, src := range group.sources {
			var err error
			if parents[i], err = w.versions(l, p, src, read); err != nil {
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
	w.found.nullVersions += w.total.Nulls
	return nil
}

// versions are the stored versions of a parent for the joined rows.
func (w *worker) versions(l *leg, p *picked, src feature.Parent, read map[string]rowhash.Strings) (rowhash.Strings, error) {
	member := src.Field.StructKey()
	if src.Dep != l.dep {
		if !slices.Contains(l.joins, src.Dep) {
			return rowhash.Strings{}, nil
		}
		return w.s.sides[src.Dep].versions(member, w.entriesOf(src.Dep)), nil
	}
	if v, ok := read[member]; ok {
		return v, nil
	}
	v, err := w.driverVersions(l, p, member)
	read[member] = v
	return v, err
}

// driverVersions are the versions of a member of the driver for the joined rows.
func (w *worker) driverVersions(l *leg, p *picked, member string) (rowhash.Strings, error) {
	if l.groups != nil {
		slots, err := l.groups.find(p.Batch, l.cols)
		if err != nil {
			return rowhash.Strings{}, err
		}
		picks, _ := pick32(nil, slots, w.rows)
		return l.groups.texts[slices.Index(w.s.inc.deps[l.dep].members, member)].Strings().Pick(picks), nil
	}
	v, err := stringsOf(p.Batch.Column(slices.Index(l.cols[l.skip:], memberColumn(member))))
	if err != nil || v.Len() == 0 || len(w.rows) == int(p.Batch.NumRows()) && len(l.joins) == 0 {
		return v, err
	}
	return v.Pick(w.rows), nil
}

// print gives the print of the expected provenance of a joined row, and whether
// that is null.
func (w *worker) print(j int) (p print, null bool) {
	f := w.s.stored.prints
	switch {
	case w.s.samples != nil || w.s.inc.req.Samples != nil:
		i := int(w.rows[j])
		if w.given.IsNull(i) {
			return nullPrint, true
		}
		return f.of(w.given.Value(i)), false
	case w.total.IsNull(j):
		return nullPrint, true
	case f.words:
		return print{w.total.Words[j], 0}, false
	}
	w.text = w.total.Append(w.text[:0], j)
	return f.of(w.text), false
}

// texts are the versions of chosen joined rows as arrays: members in declaration
// order, then the sample's.
func (w *worker) texts(rows []int32) []arrow.Array {
	var out []arrow.Array
	for _, t := range append(slices.Clone(w.members), w.total) {
		out = append(out, t.Array(memory.DefaultAllocator, rows))
	}
	return out
}

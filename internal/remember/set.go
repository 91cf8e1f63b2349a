package remember

import (
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// Set finds keys in columns. It is safe for concurrent use.
type Set struct {
	layout *hashjoin.Layout
	index  *hashjoin.Index
	rows   int
	sieve  []uint64 // by key
	ends   []uint64 // by the ends of texts, where a key is one text; else nil
	shift  int
	// The values of the first column in order, and whether one is null.
	ints  []int64
	texts []string
	null  bool
}

// NewSet returns the set of keys, to be found in columns of the types of side.
func NewSet(k *Keys, side []arrow.DataType) (*Set, error) {
	var types []arrow.DataType
	cols := make([]arrow.Array, len(k.Columns))
	for i := range k.Columns {
		types = append(types, k.Columns[i].dataType())
		cols[i] = k.Columns[i].array()
		defer cols[i].Release()
	}
	layout, err := hashjoin.NewLayout(types, side)
	if err != nil {
		return nil, err
	}
	s := &Set{layout: layout, rows: k.Rows, index: hashjoin.NewIndex(layout, hashjoin.Hints{Rows: int64(k.Rows), NullGroup: true, Force: hashjoin.Hash})}
	s.order(&k.Columns[0], k.Rows)
	if s.rows == 0 {
		return s, nil
	}
	var keys hashjoin.Keys
	if err := layout.Encode(cols, &keys); err != nil {
		return nil, err
	}
	s.fillSieve(&keys)
	if len(cols) == 1 && k.Columns[0].Kind == Text {
		s.fillEnds()
	}
	return s, s.index.Insert(&keys, make([]int32, keys.Len()))
}

// order keeps the values of the first column in order.
func (s *Set) order(first *KeyColumn, rows int) {
	for i := range rows {
		if _, null := slices.BinarySearch(first.Null, int32(i)); null {
			s.null = true
		} else if first.Kind == Int {
			s.ints = append(s.ints, first.Ints[i])
		} else {
			s.texts = append(s.texts, string(first.Texts[i]))
		}
	}
	slices.Sort(s.ints)
	slices.Sort(s.texts)
}

// Len is the number of keys, repeated ones counted.
func (s *Set) Len() int { return s.rows }

// Matcher finds rows whose keys are in sets. Its memory is reused from block to
// block; the zero value is ready.
type Matcher struct {
	keys       hashjoin.Keys
	slots      []int32
	rows, some []int32
}

// Match returns the rows of columns whose keys are in a set. The slice is valid
// until the next call.
func (m *Matcher) Match(s *Set, cols []arrow.Array) ([]int32, error) {
	if s.rows == 0 || cols[0].Len() == 0 {
		return nil, nil
	}
	if texts, ok := cols[0].(*array.String); ok && s.ends != nil && texts.NullN() == 0 {
		if m.some = s.siftTexts(texts, m.some[:0]); len(m.some) == 0 {
			return nil, nil
		}
		few := pickTexts(texts, m.some)
		defer few.Release()
		rows, err := m.find(s, []arrow.Array{few})
		for j, i := range rows {
			rows[j] = m.some[i]
		}
		return rows, err
	}
	return m.find(s, cols)
}

// find is Match by the keys of all rows.
func (m *Matcher) find(s *Set, cols []arrow.Array) ([]int32, error) {
	if err := s.layout.Encode(cols, &m.keys); err != nil {
		return nil, err
	}
	m.rows = s.sift(&m.keys, m.rows[:0])
	m.keys.Pick(m.rows)
	m.slots = slices.Grow(m.slots[:0], len(m.rows))[:len(m.rows)]
	s.index.Find(&m.keys, m.slots)
	n := 0
	for j, slot := range m.slots {
		if slot >= 0 {
			m.rows[n] = m.rows[j]
			n++
		}
	}
	return m.rows[:n], nil
}

// The sieve has a bit for the hash of each key, and so many bits for a key that
// few others pass; it fits the first-level cache while keys are few.
const (
	sieveShare = 32
	leastSieve = 1 << 16
	mostSieve  = 1 << 24
)

// sieveBit is the bit of a key.
func sieveBit(lo uint64, shift int) uint64 { return lo * 0x9e3779b97f4a7c15 >> shift }

func (s *Set) fillSieve(k *hashjoin.Keys) {
	size := leastSieve
	for size < sieveShare*s.rows && size < mostSieve {
		size *= 2
	}
	s.sieve, s.shift = make([]uint64, size/64), 64-bits.Len(uint(size-1))
	for _, lo := range k.Lo {
		at := sieveBit(lo, s.shift)
		s.sieve[at>>6] |= 1 << (at & 63)
	}
}

// fillEnds makes the sieve of texts.
func (s *Set) fillEnds() {
	s.ends = make([]uint64, len(s.sieve))
	for _, t := range s.texts {
		at := endBit(t, s.shift)
		s.ends[at>>6] |= 1 << (at & 63)
	}
}

// endBit is the bit of a text by its first and last eight bytes: most texts are
// told apart by them, and no key need be made of the others.
func endBit(t string, shift int) uint64 {
	if len(t) < 8 {
		return 0
	}
	return sieveBit(word(t)*0xbf58476d1ce4e5b9^word(t[len(t)-8:]), shift)
}

func word(t string) uint64 {
	_ = t[7]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 | uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

// siftTexts returns the rows that pass the sieve of texts.
func (s *Set) siftTexts(a *array.String, rows []int32) []int32 {
	rows = slices.Grow(rows, a.Len())[:a.Len()]
	n, sieve, shift := 0, s.ends, s.shift
	for i := range rows {
		at := endBit(a.Value(i), shift)
		rows[n] = int32(i)
		n += int(sieve[at>>6] >> (at & 63) & 1)
	}
	return rows[:n]
}

// pickTexts copies chosen texts; the caller releases them.
func pickTexts(a *array.String, rows []int32) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for _, i := range rows {
		b.Append(a.Value(int(i)))
	}
	return b.NewArray()
}

// sift returns the rows that pass the sieve: those that are in the set, and few
// others.
func (s *Set) sift(k *hashjoin.Keys, rows []int32) []int32 {
	rows = slices.Grow(rows, k.Len())[:k.Len()]
	n, sieve, shift := 0, s.sieve, s.shift
	for i, lo := range k.Lo {
		at := sieveBit(lo, shift)
		rows[n] = int32(i)
		n += int(sieve[at>>6] >> (at & 63) & 1)
	}
	return rows[:n]
}

// MayHold reports whether rows whose first key column has this range may have a
// key of the set.
func (s *Set) MayHold(r filter.Range) bool {
	switch {
	case s.rows == 0:
		return false
	case !r.Known:
		return true
	case s.null && r.Nulls != 0:
		return true
	case r.Nulls >= 0 && r.Nulls == r.Rows:
		return false
	}
	if len(s.ints) > 0 {
		return within(s.ints, r)
	}
	return within(s.texts, r)
}

// within reports whether one of sorted values lies in a range; ends that are
// not known, or of another type, are open.
func within[T int64 | string](sorted []T, r filter.Range) bool {
	if len(sorted) == 0 {
		return false
	}
	at := 0
	if lo, ok := r.Min.(T); ok {
		at, _ = slices.BinarySearch(sorted, lo)
	}
	if at == len(sorted) {
		return false
	}
	hi, ok := r.Max.(T)
	return !ok || sorted[at] <= hi
}

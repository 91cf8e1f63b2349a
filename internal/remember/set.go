package remember

import (
	"math/bits"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// Set finds keys in columns. It is safe for concurrent use.
type Set struct {
	layout *hashjoin.Layout
	index  *hashjoin.Index
	rows   int
	sieve  []uint64
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
	keys  hashjoin.Keys
	slots []int32
	rows  []int32
}

// Match returns the rows of columns whose keys are in a set. The slice is valid
// until the next call.
func (m *Matcher) Match(s *Set, cols []arrow.Array) ([]int32, error) {
	m.rows = m.rows[:0]
	if s.rows == 0 || cols[0].Len() == 0 {
		return nil, nil
	}
	if err := s.layout.Encode(cols, &m.keys); err != nil {
		return nil, err
	}
	m.rows = s.sift(&m.keys, m.rows)
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

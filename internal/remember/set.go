package remember

import (
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

// Match reports for each row of columns whether its key is in the set.
func (s *Set) Match(cols []arrow.Array) ([]bool, error) {
	out := make([]bool, cols[0].Len())
	if s.rows == 0 || len(out) == 0 {
		return out, nil
	}
	var keys hashjoin.Keys
	if err := s.layout.Encode(cols, &keys); err != nil {
		return nil, err
	}
	slots := make([]int32, keys.Len())
	s.index.Find(&keys, slots)
	for i, slot := range slots {
		out[i] = slot >= 0
	}
	return out, nil
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

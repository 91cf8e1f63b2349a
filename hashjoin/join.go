package hashjoin

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
)

// Kind is what a join gives of the rows that it is probed with.
type Kind uint8

const (
	// Inner gives every pair of rows with equal keys.
	Inner Kind = iota
	// Left gives the same, and rows without a match once.
	Left
	// Semi gives each row that has a match once, with the first one.
	Semi
	// Anti gives the rows without a match.
	Anti
)

// Matches are pairs of rows, in the order of the rows probed with and then in
// that in which the others were added. The zero value is ready to use; its memory
// is reused by the next Probe.
type Matches struct {
	// Probe are rows of the batch, Build numbers of rows added; -1 = none.
	Probe, Build []int32

	keys  Keys
	slots []int32
}

// Join is rows by key, to be matched with others. First rows are added and get
// numbers from 0 on, then it is sealed, then it is probed; more rows can be added
// after that, and it is sealed again. It keeps the keys of rows and nothing else
// of them.
type Join struct {
	layout *Layout
	nulls  bool
	limit  int64
	keys   Keys // of all rows
	block  Keys
	index  *Index
	first  []int32 // by slot: the first row, plus one; 0 = none
	next   []int32 // by row: the next one of its key, the same way
}

// NewJoin returns a join without rows. Nulls match nothing; with equalNulls they
// equal each other. It costs about 60 bytes a row; needing more than limitBytes
// is a *LimitError, 0 = no limit.
func NewJoin(l *Layout, equalNulls bool, limitBytes int64) *Join {
	return &Join{layout: l, nulls: equalNulls, limit: limitBytes}
}

// Rows is the number of rows that were added.
func (j *Join) Rows() int { return j.keys.Len() }

// Add adds the rows of a batch by its key columns.
func (j *Join) Add(cols []arrow.Array) error {
	if err := j.layout.Encode(cols, &j.block); err != nil {
		return err
	}
	rows := int64(j.Rows() + j.block.Len())
	need := rows * (64 + 8*int64(j.layout.Words()-1))
	if j.limit > 0 && need > j.limit || rows > maxSlots {
		return &LimitError{LimitBytes: j.limit, NeedBytes: need}
	}
	j.keys.append(&j.block)
	j.index = nil
	return nil
}

// Seal makes what was added ready for Probe.
func (j *Join) Seal() error {
	k := &j.keys
	h := Hints{Rows: int64(k.Len()), NullGroup: j.nulls, Ranged: k.Min <= k.Max, Min: k.Min, Max: k.Max}
	j.index = NewIndex(j.layout, h)
	slots := make([]int32, k.Len())
	if err := j.index.Insert(k, slots); err != nil {
		return err
	}
	j.first, j.next = make([]int32, j.index.Slots()), make([]int32, k.Len())
	for row := len(slots) - 1; row >= 0; row-- {
		if s := slots[row]; s >= 0 {
			j.next[row], j.first[s] = j.first[s], int32(row)+1
		}
	}
	return nil
}

// errNotSealed is a mistake of the caller.
var errNotSealed = errors.New("hashjoin: rows were added since the join was sealed")

// Probe matches the rows of a batch. It is safe for concurrent use, each
// goroutine with matches of its own.
func (j *Join) Probe(kind Kind, cols []arrow.Array, m *Matches) error {
	if j.index == nil {
		return errNotSealed
	}
	if err := j.layout.Encode(cols, &m.keys); err != nil {
		return err
	}
	m.slots = grow(m.slots, m.keys.Len())
	j.index.Find(&m.keys, m.slots)
	m.Probe, m.Build = m.Probe[:0], m.Build[:0]
	for i, s := range m.slots {
		row := int32(0)
		if s >= 0 {
			row = j.first[s]
		}
		switch {
		case row == 0 && (kind == Left || kind == Anti):
			m.put(i, -1)
		case row == 0 || kind == Anti:
		case kind == Semi:
			m.put(i, row-1)
		default:
			for ; row != 0; row = j.next[row-1] {
				m.put(i, row-1)
			}
		}
	}
	return nil
}

func (m *Matches) put(probe int, build int32) {
	m.Probe, m.Build = append(m.Probe, int32(probe)), append(m.Build, build)
}

// append adds the keys of a block.
func (k *Keys) append(o *Keys) {
	n := k.Len()
	if n == 0 {
		k.Min, k.Max = o.Min, o.Max
	}
	k.Min, k.Max, k.Ascending = min(k.Min, o.Min), max(k.Max, o.Max), false
	k.Lo, k.Hi = append(k.Lo, o.Lo...), append(k.Hi, o.Hi...)
	if o.Null == nil && k.Null == nil {
		return
	}
	for words := (k.Len() + 63) / 64; len(k.Null) < words; {
		k.Null = append(k.Null, 0)
	}
	for i := range o.Len() {
		if o.IsNull(i) {
			k.Null[(n+i)>>6] |= 1 << ((n + i) & 63)
		}
	}
}

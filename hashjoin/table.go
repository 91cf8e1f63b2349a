package hashjoin

import (
	"math/bits"
	"math/rand/v2"
)

// Table gives dense ids to keys, in order of first appearance. It costs about 24 bytes a key. It is safe for concurrent Find once nothing is added.
type Table struct {
	keys  []Key
	slots []uint32 // id + 1; 0 = free
	shift int      // log2 of len(slots)
	mix   uint64   // odd, drawn anew for every table
	limit int64
}

// NewTable returns an empty table for about rows keys; limitBytes 0 = no limit.
func NewTable(rows int, limitBytes int64) *Table {
	t := &Table{limit: limitBytes, mix: rand.Uint64() | 1}
	t.resize(max(16, rows*2))
	return t
}

// Len is the number of keys.
func (t *Table) Len() int { return len(t.keys) }

func (t *Table) resize(n int) {
	size := 1 << bits.Len(uint(n-1))
	t.slots, t.shift = make([]uint32, size), bits.Len(uint(size))-1
	for id, k := range t.keys {
		i := t.slot(k)
		for t.slots[i] != 0 {
			i = (i + 1) & (size - 1)
		}
		t.slots[i] = uint32(id) + 1
	}
}

// slot keeps the low bits, so that neighbouring integer keys lie side by side and scans in key order stay in the cache; what is above them is spread by a factor
// that nobody can choose keys against. Hashed keys are random in every bit.
func (t *Table) slot(k Key) int {
	return int((k[0] + (k[0]>>t.shift)*t.mix) & uint64(len(t.slots)-1))
}

// Insert returns the id of a key and whether it is new. It fails with *LimitError when the table would outgrow the limit.
func (t *Table) Insert(k Key) (id int, fresh bool, err error) {
	if len(t.keys)*2 >= len(t.slots) {
		if need := int64(len(t.slots))*8 + int64(len(t.keys))*32; t.limit > 0 && need > t.limit {
			return 0, false, &LimitError{LimitBytes: t.limit, NeedBytes: need}
		}
		t.resize(len(t.slots) * 2)
	}
	for i := t.slot(k); ; i = (i + 1) & (len(t.slots) - 1) {
		s := t.slots[i]
		if s == 0 {
			t.keys = append(t.keys, k)
			t.slots[i] = uint32(len(t.keys))
			return len(t.keys) - 1, true, nil
		}
		if t.keys[s-1] == k {
			return int(s - 1), false, nil
		}
	}
}

// Find returns the id of a key, -1 when it is not there.
func (t *Table) Find(k Key) int {
	for i := t.slot(k); ; i = (i + 1) & (len(t.slots) - 1) {
		s := t.slots[i]
		if s == 0 {
			return -1
		}
		if t.keys[s-1] == k {
			return int(s - 1)
		}
	}
}

// Multi is a table from keys to the rows that have them, in order of insertion: 4 bytes a row beside the table.
type Multi struct {
	*Table
	first, last []int32
	next        []int32
	rows        []int32
}

// NewMulti returns an empty table for about rows rows.
func NewMulti(rows int, limitBytes int64) *Multi {
	return &Multi{Table: NewTable(rows, limitBytes)}
}

// Add puts a row under a key.
func (m *Multi) Add(k Key, row int32) error {
	id, fresh, err := m.Insert(k)
	if err != nil {
		return err
	}
	at := int32(len(m.rows))
	m.rows, m.next = append(m.rows, row), append(m.next, -1)
	if fresh {
		m.first, m.last = append(m.first, at), append(m.last, at)
		return nil
	}
	m.next[m.last[id]] = at
	m.last[id] = at
	return nil
}

// Rows calls f with each row of a key id, in order of insertion.
func (m *Multi) Rows(id int, f func(row int32)) {
	for at := m.first[id]; at >= 0; at = m.next[at] {
		f(m.rows[at])
	}
}

// Latest keeps, per key, the row with the greatest stamp; equal stamps keep the row added later, and a null stamp loses to any other.
// Null keys are equal to each other when their values are. Memory is about 40 bytes a key; beyond LimitBytes it fails with *LimitError.
type Latest struct {
	table *Table
	stamp []int64
	row   []int32
}

// NoStamp is a null stamp.
const NoStamp = -1 << 63

// NewLatest returns an empty one for about rows rows.
func NewLatest(rows int, limitBytes int64) *Latest {
	return &Latest{table: NewTable(rows, limitBytes)}
}

// Add offers a row; rows must come in tie order, oldest first.
func (l *Latest) Add(k Key, stamp int64, row int32) error {
	id, fresh, err := l.table.Insert(k)
	if err != nil {
		return err
	}
	if fresh {
		l.stamp, l.row = append(l.stamp, stamp), append(l.row, row)
	} else if stamp >= l.stamp[id] {
		l.stamp[id], l.row[id] = stamp, row
	}
	return nil
}

// Len is the number of keys.
func (l *Latest) Len() int { return l.table.Len() }

// Find returns the id of a key, -1 when it is not there. Safe for concurrent use once nothing is added.
func (l *Latest) Find(k Key) int { return l.table.Find(k) }

// Row is the row that was kept for a key's id.
func (l *Latest) Row(id int) int32 { return l.row[id] }

// Rows are the rows that were kept, in no order.
func (l *Latest) Rows() []int32 { return l.row }

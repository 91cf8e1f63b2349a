package hashjoin

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/metaxy-delta/metaxy-delta/internal/slab"
)

// Strategy is a way to find keys. The choice never changes an answer.
type Strategy uint8

const (
	// Auto lets the hints choose.
	Auto Strategy = iota
	// Dense gives every value of a range its own slot: the distance from the
	// smallest. It takes one-word keys whose range is known.
	Dense
	// Hash is an open-addressing table that numbers keys in the order in which
	// they come. It takes all keys.
	Hash
)

// String is the strategy's name, as plans print it.
func (s Strategy) String() string {
	switch s {
	case Dense:
		return "dense"
	case Hash:
		return "hash"
	}
	return "auto"
}

// Hints are what is known of keys before they are seen. What is believed is
// checked: keys that contradict the hints are ErrHints.
type Hints struct {
	// Rows bounds the number of distinct keys.
	Rows int64
	// Min and Max bound one-word keys, read as int64, where Ranged says so.
	Ranged   bool
	Min, Max int64
	// NullGroup lets rows with nulls have slots: rows whose columns are equal,
	// nulls included, have one slot. Otherwise nulls have none.
	NullGroup bool
	// Force is the strategy to use instead of the chosen one. Dense without a
	// range, or for two words, is Hash all the same.
	Force Strategy
	// Arena is where the index lies; nil = the heap.
	Arena *slab.Arena
}

// ErrHints says that keys lie outside the hinted range or are more than hinted.
// The index is of no use then: start again with true hints and Force Hash.
var ErrHints = errors.New("hashjoin: the keys are not as the hints say")

// spread is the range per row up to which Dense is chosen: an array of as many
// words costs what Hash and an array of a word a row cost.
const spread = 4

// Choose returns the strategy for keys of a layout. Dense takes a range of at
// most 4 values per row, Hash the rest.
func (h Hints) Choose(l *Layout) Strategy {
	room := uint64(max(h.Rows, 0))*spread + 1024
	switch able := h.Ranged && h.Min <= h.Max && l.word; {
	case !able || h.Force == Hash:
		return Hash
	case h.Force == Dense:
		return Dense
	case uint64(h.Max)-uint64(h.Min) < min(room, maxSlots):
		return Dense
	}
	return Hash
}

// Slots returns what Slots of an index with these hints does, without the slot
// of nulls.
func (h Hints) Slots(l *Layout) int64 {
	if h.Choose(l) == Dense {
		return h.Max - h.Min + 1
	}
	return h.Rows
}

// Bytes returns what Bytes of an index with these hints does, before it is made.
func (h Hints) Bytes(l *Layout) int64 {
	if h.Choose(l) == Dense {
		return (h.Slots(l) + 63) / 64 * 8
	}
	rows := max(h.Rows, 0)
	return 8 * (2*rows + 8 + max(rows, 1)*int64(l.Words()))
}

// maxSlots leaves room for the slots beside a table in an int32.
const maxSlots = math.MaxInt32 - 2

// Index gives keys slots, numbers from 0 to Slots, so that what is known of a
// key lies in arrays beside it. A key keeps its slot.
type Index struct {
	layout    *Layout
	strategy  Strategy
	size      uint64 // of the range or of the table
	nullGroup bool
	hasNull   bool
	keys      int // without the group of nulls where that has a slot of its own

	// Dense: slot = key - base, with a set bit of there for each slot in use.
	base  uint64
	there []uint64

	// Hash: buckets, and the keys by slot, 1<<shift words each, of which there
	// are most at most. Salt and factor are drawn for each table, so that nobody
	// can choose one-word keys that collide.
	buckets   []uint64
	known     []uint64
	shift     int
	most      int
	mix, salt uint64

	beyond int64 // bytes of a table that would need too many slots
}

// NewIndex returns an empty index for keys of a layout. Hash takes 24 bytes a
// hinted row with one word, 32 with two; Dense takes a bit for each value of the
// range.
func NewIndex(l *Layout, h Hints) *Index {
	x := &Index{layout: l, strategy: h.Choose(l), nullGroup: h.NullGroup}
	if x.strategy == Dense {
		x.base, x.size = uint64(h.Min), uint64(h.Max)-uint64(h.Min)+1
		if x.size == 0 || x.size > maxSlots { // 0 is the whole of 64 bits
			x.beyond = int64(min((x.size-1)/8, math.MaxInt64))
			x.size = 0
		}
		x.there = slab.Make[uint64](h.Arena, int((x.size+63)/64))
		return x
	}
	rows := max(h.Rows, 0)
	if rows > maxSlots {
		x.beyond = min(rows, math.MaxInt64/32) * 32
		rows = 0
	}
	x.shift = l.Words() - 1
	// Searches are short while half the buckets are free.
	x.most, x.size = int(rows), uint64(2*rows+8)
	x.buckets, x.known = slab.Make[uint64](h.Arena, int(x.size)), slab.Make[uint64](h.Arena, int(max(rows, 1)<<x.shift))
	x.mix, x.salt = rand.Uint64()|1, rand.Uint64()
	return x
}

// Strategy is the one that was chosen.
func (x *Index) Strategy() Strategy { return x.strategy }

// Slots is the length that arrays beside the index need. It never changes.
func (x *Index) Slots() int {
	n := x.most
	if x.strategy == Dense {
		n = int(x.size)
	}
	if x.nullGroup && x.layout.word {
		n++
	}
	return n
}

// Len is the number of distinct keys, the group of nulls included.
func (x *Index) Len() int {
	if x.hasNull {
		return x.keys + 1
	}
	return x.keys
}

// Bytes is the memory that the index takes.
func (x *Index) Bytes() int64 {
	return 8 * int64(len(x.there)+len(x.buckets)+len(x.known))
}

// Insert gives every row of a block the slot of its key, -1 where it has none,
// and keeps keys that are new. It fails with ErrHints for keys that contradict
// the hints and with *LimitError for more than 2^31-1 slots; the index cannot be
// used after that. slots has room for k.Len() rows.
func (x *Index) Insert(k *Keys, slots []int32) error {
	if x.beyond > 0 {
		return &LimitError{LimitBytes: maxSlots, NeedBytes: x.beyond}
	}
	slots = slots[:k.Len()]
	insert := x.insertHash
	if x.strategy == Dense {
		insert = x.insertDense
	}
	if !insert(k, slots) {
		return ErrHints
	}
	return nil
}

// Find gives every row of a block the slot of its key, -1 where the key was
// never inserted. It is safe for concurrent use while nothing is inserted.
func (x *Index) Find(k *Keys, slots []int32) {
	slots = slots[:k.Len()]
	if x.strategy == Dense {
		x.findDense(k, slots)
	} else {
		x.findHash(k, slots)
	}
}

// ownNulls reports whether rows with nulls are no ordinary keys: with two words
// in a group of nulls they are.
func (x *Index) ownNulls() bool { return x.layout.word || !x.nullGroup }

// nullSlot is the slot of a null row.
func (x *Index) nullSlot() int32 {
	if x.nullGroup && x.hasNull {
		return int32(x.Slots() - 1)
	}
	return -1
}

// insertNull returns the slot of a null row, which is there from now on.
func (x *Index) insertNull() int32 {
	x.hasNull = x.nullGroup
	return x.nullSlot()
}

func (x *Index) insertDense(k *Keys, slots []int32) bool {
	there, base, size := x.there, x.base, x.size
	fresh, null := 0, k.Null
	for i, w := range k.Lo {
		if null != nil && null[i>>6]>>(i&63)&1 != 0 {
			slots[i] = x.insertNull()
			continue
		}
		at := w - base
		if at >= size {
			return false
		}
		word, bit := there[at>>6], uint64(1)<<(at&63)
		fresh += int(^word >> (at & 63) & 1)
		there[at>>6] = word | bit
		slots[i] = int32(at)
	}
	x.keys += fresh
	return true
}

func (x *Index) findDense(k *Keys, slots []int32) {
	there, base, size := x.there, x.base, x.size
	for i, w := range k.Lo {
		at := w - base
		if at >= size || there[at>>6]>>(at&63)&1 == 0 {
			slots[i] = -1
			continue
		}
		slots[i] = int32(at)
	}
	if k.Null != nil {
		x.findNulls(k, slots)
	}
}

// findNulls corrects the slots of null rows.
func (x *Index) findNulls(k *Keys, slots []int32) {
	if !x.ownNulls() {
		return
	}
	slot := x.nullSlot()
	for i := range slots {
		if k.IsNull(i) {
			slots[i] = slot
		}
	}
}

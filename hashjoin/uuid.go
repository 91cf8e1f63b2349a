package hashjoin

import (
	"math/rand/v2"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/internal/uuid"
)

// A UUID in its usual form is its 16 bytes and no hash, so that the text can be
// made from the key again. The words are those bytes under a mask that dies with
// the process, so that nobody can choose keys that collide with each other's
// places or with the hash of another text. The zero mask stands for none.
func newMask() uuid.Mask { return uuid.Mask{rand.Uint64() | 1, rand.Uint64()} }

// uuids makes the words of rows that are all UUIDs; false where some are not, or
// do not lie one behind another.
func (s *source) uuids(m *uuid.Mask, from int, lo, hi []uint64) bool {
	a, ok := s.array.(*array.String)
	if !ok || a.NullN() > 0 {
		return false
	}
	offsets := a.ValueOffsets()
	first := offsets[from]
	for i, end := range offsets[from+1 : from+1+len(lo)] {
		if int(end-first) != uuid.Len*(i+1) {
			return false
		}
	}
	return m.Parse(a.ValueBytes()[first-offsets[0]:][:uuid.Len*len(lo)], lo, hi)
}

// pack makes words of a UUID; false for all other texts.
func pack(m *uuid.Mask, s string) (lo, hi uint64, ok bool) {
	return m.ParseOne(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// UUIDs writes the texts of keys that were packed as UUIDs ([Keys.UUIDs]), 36
// bytes each, into dst. Every slot must have such a key.
func (x *Index) UUIDs(slots []int32, dst []byte) {
	x.layout.mask.Format(dst, x.known, slots)
}

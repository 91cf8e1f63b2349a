package rowhash

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/internal/slab"
)

// PutWords writes the text of rows[j] as a word to out[slots[j]]. Nulls are
// written as null, and as other texts that are no words: empty ones, those that
// end in a NUL, and those of more than 8 bytes. The result reports whether there
// was none of these.
func (s *Strings) PutWords(rows, slots []int32, out []uint64, null, other uint64) bool {
	if s.layout == narrow && s.rows == nil && s.valid == nil {
		return putOffsets(s.data, s.off32[s.at:], rows, slots, out, other)
	}
	all := true
	for j, i := range rows {
		w, ok := s.wordAt(int(i))
		switch {
		case !ok:
			w, all = other, false
		case w == 0:
			w = null
		}
		out[slots[j]] = w
	}
	return all
}

// putOffsets is PutWords of a column without nulls.
func putOffsets(data []byte, off []int32, rows, slots []int32, out []uint64, other uint64) bool {
	odd := 0
	for j, i := range rows {
		from := int(off[i])
		n := int(off[i+1]) - from
		if from+8 > len(data) || uint(n-1) >= 8 {
			w, ok := wordOf(data, from, n)
			if !ok {
				w = other
				odd++
			}
			out[slots[j]] = w
			continue
		}
		w := binary.LittleEndian.Uint64(data[from:]) & (^uint64(0) >> (64 - 8*n))
		if w>>(8*n-8) == 0 {
			w = other
			odd++
		}
		out[slots[j]] = w
	}
	return odd == 0
}

// wordAt returns row i as a word, 0 for a null, and whether it is one.
func (s *Strings) wordAt(i int) (uint64, bool) {
	if s.layout != narrow || s.rows != nil {
		v, ok := s.value(i)
		if !ok {
			return 0, true
		}
		return wordOf(v, 0, len(v))
	}
	i += s.at
	if s.valid != nil && s.valid[i>>3]>>(i&7)&1 == 0 {
		return 0, true
	}
	from := int(s.off32[i])
	return wordOf(s.data, from, int(s.off32[i+1])-from)
}

// wordOf returns n bytes of b as a word, if they are one.
func wordOf(b []byte, from, n int) (uint64, bool) {
	if uint(n-1) >= 8 {
		return 0, false
	}
	w := first8(b, from) & (^uint64(0) >> (64 - 8*n))
	return w, w>>(8*n-8) != 0
}

// Store is a column of texts by slot, filled in any order. It costs 8 bytes a
// slot as long as every text has at most 8 bytes, then 16 and what is longer
// than 12 bytes.
type Store struct {
	words []uint64 // while heads is nil; 0 = null
	heads []byte   // headers of views
	valid []uint64
	arena [][]byte
}

// NewStore makes a column of nulls in an arena (nil = on the heap).
func NewStore(a *slab.Arena, slots int) *Store { return &Store{words: slab.Make[uint64](a, slots)} }

// arenaBytes is the size of a piece of memory for long texts.
const arenaBytes = 1 << 20

// Put writes the text of rows[j] to slots[j].
func (s *Store) Put(v *Strings, rows, slots []int32) {
	if s.heads == nil {
		if v.PutWords(rows, slots, s.words, 0, 0) {
			return
		}
		s.widen()
	}
	for j, slot := range slots {
		if b, ok := v.value(int(rows[j])); ok {
			s.put(int(slot), b)
		} else {
			s.valid[slot>>6] &^= 1 << (slot & 63)
		}
	}
}

// Set writes a text to a slot.
func (s *Store) Set(slot int, text []byte) {
	if s.heads == nil {
		if w, ok := wordOf(text, 0, len(text)); ok {
			s.words[slot] = w
			return
		}
		s.widen()
	}
	s.put(slot, text)
}

// widen turns words into views.
func (s *Store) widen() {
	words := s.words
	s.words, s.heads, s.valid = nil, make([]byte, viewBytes*len(words)), make([]uint64, (len(words)+63)/64)
	var b [8]byte
	for slot, w := range words {
		if w != 0 {
			binary.LittleEndian.PutUint64(b[:], w)
			s.put(slot, b[:wordLen(w)])
		}
	}
}

func (s *Store) put(slot int, b []byte) {
	s.valid[slot>>6] |= 1 << (slot & 63)
	h := s.heads[slot*viewBytes:][:viewBytes]
	clear(h)
	binary.LittleEndian.PutUint32(h, uint32(len(b)))
	if len(b) <= viewInline {
		copy(h[4:], b)
		return
	}
	last := len(s.arena) - 1
	if last < 0 || len(s.arena[last])+len(b) > cap(s.arena[last]) {
		s.arena = append(s.arena, make([]byte, 0, max(arenaBytes, len(b))))
		last++
	}
	copy(h[4:8], b)
	binary.LittleEndian.PutUint32(h[8:], uint32(last))
	binary.LittleEndian.PutUint32(h[12:], uint32(len(s.arena[last])))
	s.arena[last] = append(s.arena[last], b...)
}

// Strings views the column by slot. It is valid until the next Put.
func (s *Store) Strings() Strings {
	if s.heads == nil {
		return WordsOf(s.words)
	}
	if len(s.valid) == 0 {
		return Strings{}
	}
	return Strings{layout: views, n: len(s.heads) / viewBytes, data: s.heads, buffers: s.arena, valid: arrow.Uint64Traits.CastToBytes(s.valid)}
}

// WordsOf views texts that are words; 0 is null.
func WordsOf(words []uint64) Strings {
	if len(words) == 0 {
		return Strings{}
	}
	return Strings{layout: packed, n: len(words), words: words}
}

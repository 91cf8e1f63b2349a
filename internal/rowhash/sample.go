package rowhash

import (
	"encoding/binary"
	"math/bits"
)

func trailing(w uint64) int { return bits.TrailingZeros64(w) }

// SampleHasher computes H(m1|m2|...) of many rows. It has buffers: each goroutine has its own.
type SampleHasher struct {
	h     *Hasher
	buf   []byte
	null  [blockRows / 64]uint64
	lanes []lane
	rows  rows16
	x32   rows32
	md5   rowsMD5
}

// Sample makes the kernel.
func (h *Hasher) Sample() *SampleHasher { return &SampleHasher{h: h} }

// Hash joins rows 0 to n of members by '|' and hashes the result into out; a null member makes the result null.
func (s *SampleHasher) Hash(members []*Texts, n int, out *Texts) {
	out.reset(n, s.h.width)
	longest := 0
	for _, m := range members {
		longest += m.longest() + 1
	}
	if s.together(longest, out) {
		for from := 0; from < n; from += lanes16 {
			rows := min(lanes16, n-from)
			for i := range rows {
				s.rows.ends[i] = uint32(joinTexts(members, from+i, s.rows.row(i)))
			}
			s.hash16(from, rows, out)
		}
	} else {
		s.room(longest)
		for i := range n {
			out.put(s.h, i, s.buf[:joinTexts(members, i, s.buf)])
		}
	}
	for _, m := range members {
		if m.Nulls == 0 {
			continue
		}
		for i := range n {
			if m.IsNull(i) {
				out.null(i)
			}
		}
	}
}

// room makes the buffer hold texts of at most size bytes.
func (s *SampleHasher) room(size int) {
	if len(s.buf) < size+slack {
		s.buf = make([]byte, size+slack+256)
	}
}

// together reports whether texts of at most size bytes are hashed sixteen at a
// time.
func (s *SampleHasher) together(size int, out *Texts) bool {
	able := s.h.kind == kindMD5 || s.h.kind == kind32 && out.word
	return able && together() && s.rows.fit(size)
}

// hash16 stores the hashes of the first n buffers' texts as rows from on.
func (s *SampleHasher) hash16(from, n int, out *Texts) {
	if s.h.kind == kind32 {
		before := start32().words()
		s.x32.hash(&s.rows, n, 0, 0, &before, s.h.width, out.Words[from:from+n])
		return
	}
	s.md5.hash(&s.rows, n, 0, &headMD5{state: startMD5()})
	s.md5.put(s.h, from, n, out)
}

// joinTexts writes row i of the members joined by '|' to b and returns its end.
func joinTexts(members []*Texts, i int, b []byte) int {
	k := 0
	for _, m := range members {
		if m.word {
			binary.LittleEndian.PutUint64(b[k:], m.Words[i])
			k += wordLen(m.Words[i])
		} else {
			k += copy(b[k:], m.Bytes[m.Offsets[i]:m.Offsets[i+1]])
		}
		b[k] = '|'
		k++
	}
	return max(k-1, 0)
}

// HashStrings is Hash over stored columns.
func (s *SampleHasher) HashStrings(members []Strings, n int, out *Texts) {
	out.reset(n, s.h.width)
	if len(s.lanes) < len(members) {
		s.lanes = make([]lane, len(members))
	}
	for from := 0; from < n; from += blockRows {
		rows := min(blockRows, n-from)
		clear(s.null[:])
		longest := 0
		for m := range members {
			s.lanes[m].load(&members[m], from, rows)
			longest += s.lanes[m].longest + 1
			if s.lanes[m].any {
				for w, x := range s.lanes[m].null {
					s.null[w] |= x
				}
			}
		}
		s.block(members, from, rows, longest, out)
		for w, word := range s.null[:(rows+63)/64] {
			for ; word != 0; word &= word - 1 {
				out.null(from + 64*w + trailing(word))
			}
		}
	}
}

// block hashes the rows that the lanes hold.
func (s *SampleHasher) block(members []Strings, from, n, longest int, out *Texts) {
	if s.together(longest, out) {
		for done := 0; done < n; done += lanes16 {
			rows := min(lanes16, n-done)
			for i := range rows {
				s.rows.ends[i] = uint32(s.join(members, from, done+i, s.rows.row(i)))
			}
			s.hash16(from+done, rows, out)
		}
		return
	}
	s.room(longest)
	for i := range n {
		out.put(s.h, from+i, s.buf[:s.join(members, from, i, s.buf)])
	}
}

// join is joinTexts of row i of the block.
func (s *SampleHasher) join(members []Strings, from, i int, b []byte) int {
	k := 0
	for m := range members {
		l := &s.lanes[m]
		n := int(l.size[i])
		if binary.LittleEndian.PutUint64(b[k:], l.word[i]); n > 8 {
			copy(b[k:], members[m].Value(from+i))
		}
		k += n
		b[k] = '|'
		k++
	}
	return max(k-1, 0)
}

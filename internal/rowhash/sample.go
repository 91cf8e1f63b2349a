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
	md5   md5Rows
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
	switch {
	case out.word && len(members) == 1 && s.h.kind == kind32:
		s.single(members[0], n, out)
	case s.h.kind == kindMD5 && s.together(longest):
		for from := 0; from < n; from += md5Lanes {
			rows := min(md5Lanes, n-from)
			for i := range rows {
				s.md5.ends[i] = joinTexts(members, from+i, s.md5.row(i))
			}
			s.hash(from, rows, out)
		}
	default:
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

// together reports whether texts of at most size bytes are hashed many at once.
func (s *SampleHasher) together(size int) bool {
	_, ok := s.md5.fit(size)
	return ok
}

// hash stores the hashes of the texts in the first n buffers as rows from on.
func (s *SampleHasher) hash(from, n int, out *Texts) {
	s.md5.hash(n, 0, &md5Head{state: md5Start()})
	s.md5.put(s.h, from, n, out)
}

// single is one member: nearly always 8 bytes.
func (s *SampleHasher) single(m *Texts, n int, out *Texts) {
	words, width := out.Words[:n], s.h.width
	for i, w := range m.Words[:n] {
		var x uint32
		if w>>56 != 0 {
			x = xxh32of8(w)
		} else {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], w)
			x = xxh32(b[:wordLen(w)])
		}
		words[i] = cut(lead8of32(x), width)
	}
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
	if s.h.kind == kindMD5 && s.together(longest) {
		for done := 0; done < n; done += md5Lanes {
			rows := min(md5Lanes, n-done)
			for i := range rows {
				s.md5.ends[i] = s.join(members, from, done+i, s.md5.row(i))
			}
			s.hash(from+done, rows, out)
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

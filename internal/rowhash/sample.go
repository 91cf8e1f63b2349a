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
}

// Sample makes the kernel.
func (h *Hasher) Sample() *SampleHasher { return &SampleHasher{h: h} }

// Hash joins rows 0 to n of members by '|' and hashes the result into out; a null member makes the result null.
func (s *SampleHasher) Hash(members []*Texts, n int, out *Texts) {
	out.reset(n, s.h.width)
	switch {
	case out.word && len(members) == 1 && s.h.kind == kind32:
		s.single(members[0], n, out)
	case out.word:
		s.words(members, n, out)
	default:
		s.texts(members, n, out)
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

func (s *SampleHasher) words(members []*Texts, n int, out *Texts) {
	if need := 9*len(members) + slack; len(s.buf) < need {
		s.buf = make([]byte, need)
	}
	for i := range n {
		k := 0
		for _, m := range members {
			w := m.Words[i]
			binary.LittleEndian.PutUint64(s.buf[k:], w)
			k += wordLen(w)
			s.buf[k] = '|'
			k++
		}
		out.put(s.h, i, s.buf[:max(k-1, 0)])
	}
}

func (s *SampleHasher) texts(members []*Texts, n int, out *Texts) {
	for i := range n {
		b := s.buf[:0]
		for j, m := range members {
			if j > 0 {
				b = append(b, '|')
			}
			b = m.Append(b, i)
		}
		s.buf = b
		out.put(s.h, i, b)
	}
	s.buf = s.buf[:cap(s.buf)]
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
		for m := range members {
			s.lanes[m].load(&members[m], from, rows)
			if s.lanes[m].any {
				for w, x := range s.lanes[m].null {
					s.null[w] |= x
				}
			}
		}
		for i := range rows {
			out.put(s.h, from+i, s.text(members, from, i))
		}
		for w, word := range s.null[:(rows+63)/64] {
			for ; word != 0; word &= word - 1 {
				out.null(from + 64*w + trailing(word))
			}
		}
	}
}

func (s *SampleHasher) text(members []Strings, from, i int) []byte {
	b := s.buf[:0]
	for m := range members {
		if m > 0 {
			b = append(b, '|')
		}
		l := &s.lanes[m]
		if n := l.size[i]; n > 8 {
			b = append(b, members[m].Value(from+i)...)
		} else {
			b = binary.LittleEndian.AppendUint64(b, l.word[i])
			b = b[:len(b)-8+int(n)]
		}
	}
	s.buf = b[:cap(b)]
	return b
}

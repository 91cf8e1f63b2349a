package rowhash

import (
	"encoding/binary"
)

// md5Rows is MD5 over md5Lanes texts at once. Each has a buffer of its own; the
// buffers lie stride bytes apart, so that one pointer leads to all.
type md5Rows struct {
	buf    []byte
	stride int
	ends   [md5Lanes]int // where texts end in their buffers
	blocks [md5Lanes]int // how many blocks texts take with their padding
	state  [64]uint32
	sums   [64]uint32 // words a, b, c and d of all texts, one after another
}

// md5Lanes is the number of texts at once.
const md5Lanes = 16

// md5Longest is the longest buffer that is still hashed together: beyond it
// little is won and buffers leave the cache.
const md5Longest = 1 << 14

// md5Start is the state before the first block.
func md5Start() [4]uint32 { return [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476} }

// fit makes room for buffers in which texts end at size at most. It reports
// whether the buffers are new and whether there is room.
func (m *md5Rows) fit(size int) (fresh, ok bool) {
	if !md5Together() || size > md5Longest {
		return false, false
	}
	// Padding and the length take 9 bytes more, rounded to blocks from any
	// start. An odd number of cache lines spreads the buffers over the cache.
	if need := size + 9 + 64 + slack; need > m.stride {
		m.stride = ((need+63)/64 | 1) * 64
		m.buf = make([]byte, md5Lanes*m.stride)
		return true, true
	}
	return false, true
}

// md5Head is what texts begin with: the state after its whole blocks.
type md5Head struct {
	blocks int
	state  [4]uint32
}

// take hashes the whole blocks of a head.
func (d *md5Head) take(m *md5Rows, text []byte) {
	if len(text) < 64 {
		return
	}
	// One text in the place of all of them.
	for w, x := range d.state {
		m.state[w*md5Lanes] = x
	}
	d.blocks = len(text) / 64
	md5x16(&m.state, &text[0], 0, d.blocks)
	for w := range d.state {
		d.state[w] = m.state[w*md5Lanes]
	}
}

// row is the buffer of a text.
func (m *md5Rows) row(i int) []byte { return m.buf[i*m.stride:][:m.stride] }

// hash computes the sums of the first n buffers' texts, which begin with a head
// at start and end at ends.
func (m *md5Rows) hash(n, start int, d *md5Head) {
	least, most := m.pad(n, start, d.blocks)
	for w, x := range d.state {
		for i := range md5Lanes {
			m.state[w*md5Lanes+i] = x
		}
	}
	at := start + 64*d.blocks
	md5x16(&m.state, &m.buf[at], m.stride, least)
	m.sums = m.state
	for done := least; done < most; done++ {
		md5x16(&m.state, &m.buf[at+64*done], m.stride, 1)
		for i, blocks := range m.blocks[:n] {
			if blocks == done+1 {
				for w := 0; w < len(m.sums); w += md5Lanes {
					m.sums[w+i] = m.state[w+i]
				}
			}
		}
	}
}

// pad ends the texts as the algorithm wants it, with a bit, zeros and the
// length, and returns the least and the greatest number of blocks from whole on.
func (m *md5Rows) pad(n, start, whole int) (least, most int) {
	for i := range n {
		end := m.ends[i]
		blocks := (end-start+8)/64 + 1
		b := m.row(i)[end : start+64*blocks]
		binary.LittleEndian.PutUint64(b, 0x80)
		for z := 8; z+8 < len(b); z += 8 {
			binary.LittleEndian.PutUint64(b[z:], 0)
		}
		binary.LittleEndian.PutUint64(b[len(b)-8:], uint64(end-start)*8)
		blocks -= whole
		m.blocks[i] = blocks
		if most = max(most, blocks); i == 0 || blocks < least {
			least = blocks
		}
	}
	return least, most
}

// put stores the sums of n texts as rows from on.
func (m *md5Rows) put(h *Hasher, from, n int, out *Texts) {
	if out.word {
		words := out.Words[from : from+n]
		for i, a := range m.sums[:n] {
			words[i] = cut(hex8(a), h.width)
		}
		return
	}
	var sum [16]byte
	for i := range n {
		for w := range 4 {
			binary.LittleEndian.PutUint32(sum[4*w:], m.sums[w*md5Lanes+i])
		}
		out.digest(h, from+i, sum[:])
	}
}

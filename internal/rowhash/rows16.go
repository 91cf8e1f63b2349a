package rowhash

import (
	"encoding/binary"
	"math/bits"
)

// rows16 is texts that are hashed together. Each has a buffer of its own; the
// buffers lie stride bytes apart, so that one pointer leads to all.
type rows16 struct {
	buf    []byte
	stride int
	ends   [lanes16]uint32 // where texts end in their buffers
	fresh  bool            // the buffers hold no heads yet
}

// lanes16 is the number of texts at once.
const lanes16 = 16

// longest16 is the longest text that is still hashed together: beyond it little
// is won and buffers leave the cache.
const longest16 = 1 << 14

// fit makes room for texts that end at size at most and reports whether there
// is: not for very long ones.
func (r *rows16) fit(size int) bool {
	if size > longest16 {
		return false
	}
	// Padding and the length of MD5 take 9 bytes more, rounded to blocks from
	// any start. An odd number of cache lines spreads the buffers over the cache.
	if need := size + 9 + 64 + slack; need > r.stride {
		r.stride, r.fresh = ((need+63)/64|1)*64, true
		r.buf = make([]byte, lanes16*r.stride)
	}
	return true
}

// row is the buffer of a text.
func (r *rows16) row(i int) []byte { return r.buf[i*r.stride:][:r.stride] }

// rows32 is XXH32 over rows16.
type rows32 struct {
	state [64]uint32 // four of each row, in the order of place32
	sizes [lanes16]uint32
	words [lanes16]uint64
}

// place32 is where the assembly has the accumulators of a row.
func place32(i int) int { return 4 * (i&8 + 2*(i&3) + i>>2&1) }

// hash writes the words of the first n texts, which begin with skipped bytes of
// a head at start, to out. before is the state after those bytes.
func (m *rows32) hash(r *rows16, n, start, skipped int, before *[4]uint32, width int, out []uint64) {
	at := start + skipped
	for i := n; i < lanes16; i++ {
		r.ends[i] = uint32(at)
	}
	extra, done := xxh32stripes(&m.state, before, &r.buf[at], r.stride, &r.ends, uint32(at), &m.sizes)
	for extra &= 1<<n - 1; extra != 0; extra &= extra - 1 {
		i := bits.TrailingZeros32(extra)
		b := r.row(i)[at+16*int(done) : r.ends[i]]
		s := m.state[place32(i):][:4]
		acc := state32{s[0], s[1], s[2], s[3]}
		acc.stripes(b)
		s[0], s[1], s[2], s[3] = acc.a, acc.b, acc.c, acc.d
	}
	words := &m.words
	if n == lanes16 {
		words = (*[lanes16]uint64)(out)
	}
	short := xxh32finish(&m.state, &r.buf[at], r.stride, &m.sizes, uint32(skipped), words, cut(^uint64(0), width))
	if n < lanes16 {
		copy(out[:n], m.words[:])
	}
	for short &= 1<<n - 1; short != 0; short &= short - 1 {
		i := bits.TrailingZeros32(short)
		end := int(r.ends[i])
		acc := state32{before[0], before[1], before[2], before[3]}
		out[i] = cut(lead8of32(sum32(acc, r.row(i)[at:end], end-start)), width)
	}
}

// rowsMD5 is MD5 over rows16.
type rowsMD5 struct {
	blocks [lanes16]int // how many blocks texts take with their padding
	state  [64]uint32
	sums   [64]uint32 // words a, b, c and d of all texts, one after another
}

// startMD5 is the state before the first block.
func startMD5() [4]uint32 { return [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476} }

// headMD5 is what texts begin with: the state after its whole blocks.
type headMD5 struct {
	blocks int
	state  [4]uint32
}

// take hashes the whole blocks of a head.
func (d *headMD5) take(text []byte) {
	if len(text) < 64 {
		return
	}
	// One text in the place of all of them.
	var state [64]uint32
	for w, x := range d.state {
		state[w*lanes16] = x
	}
	d.blocks = len(text) / 64
	md5x16(&state, &text[0], 0, d.blocks)
	for w := range d.state {
		d.state[w] = state[w*lanes16]
	}
}

// hash computes the sums of the first n texts, which begin with a head at start.
func (m *rowsMD5) hash(r *rows16, n, start int, d *headMD5) {
	least, most := m.pad(r, n, start, d.blocks)
	for w, x := range d.state {
		for i := range lanes16 {
			m.state[w*lanes16+i] = x
		}
	}
	at := start + 64*d.blocks
	md5x16(&m.state, &r.buf[at], r.stride, least)
	m.sums = m.state
	for done := least; done < most; done++ {
		md5x16(&m.state, &r.buf[at+64*done], r.stride, 1)
		for i, blocks := range m.blocks[:n] {
			if blocks == done+1 {
				for w := 0; w < len(m.sums); w += lanes16 {
					m.sums[w+i] = m.state[w+i]
				}
			}
		}
	}
}

// pad ends the texts as the algorithm wants it, with a bit, zeros and the
// length, and returns the least and the greatest number of blocks from whole on.
func (m *rowsMD5) pad(r *rows16, n, start, whole int) (least, most int) {
	for i := range n {
		end := int(r.ends[i])
		blocks := (end-start+8)/64 + 1
		b := r.row(i)[end : start+64*blocks]
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
func (m *rowsMD5) put(h *Hasher, from, n int, out *Texts) {
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
			binary.LittleEndian.PutUint32(sum[4*w:], m.sums[w*lanes16+i])
		}
		out.digest(h, from+i, sum[:])
	}
}

// Package uuid reads and writes UUIDs in their usual form, 36 characters with
// small letters, many at once.
//
// A UUID is two words under a mask: lo has its last 8 bytes, hi its first 8,
// each with the earliest byte lowest. Nothing here allocates or fails but by
// saying that a text is no UUID. On amd64 sixteen digits are read or written at
// once; the build tag purego leaves that out.
package uuid

import "encoding/binary"

// Len is the length of the text.
const Len = 36

// Mask is what words are hidden under, lo first.
type Mask [2]uint64

// Parse reads texts that lie one behind another, one for each element of lo and
// hi. It reports whether all of them are UUIDs; otherwise lo and hi mean
// nothing.
func (m *Mask) Parse(text []byte, lo, hi []uint64) bool {
	if len(text) != Len*len(lo) || len(hi) != len(lo) {
		return false
	}
	if len(lo) > 0 && together() {
		return parse(&text[0], len(lo), &lo[0], &hi[0], (*[2]uint64)(m))
	}
	for i := range lo {
		var ok bool
		if lo[i], hi[i], ok = m.ParseOne(text[Len*i:][:Len]); !ok {
			return false
		}
	}
	return true
}

// ParseOne reads one text; false when it is none.
func (m *Mask) ParseOne(b []byte) (lo, hi uint64, ok bool) {
	if len(b) != Len || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return 0, 0, false
	}
	a, okA := nibbles(binary.LittleEndian.Uint64(b))
	c, okC := nibbles(uint64(binary.LittleEndian.Uint32(b[9:])) | uint64(binary.LittleEndian.Uint32(b[14:]))<<32)
	d, okD := nibbles(uint64(binary.LittleEndian.Uint32(b[19:])) | uint64(binary.LittleEndian.Uint32(b[24:]))<<32)
	e, okE := nibbles(binary.LittleEndian.Uint64(b[28:]))
	return (d | e<<32) ^ m[0], (a | c<<32) ^ m[1], okA && okC && okD && okE
}

// Format writes the texts of chosen pairs of words, lo and hi one behind the
// other, one behind another into dst. Slots are places of pairs.
func (m *Mask) Format(dst []byte, pairs []uint64, slots []int32) {
	dst = dst[:Len*len(slots)]
	if len(slots) > 0 && together() && within(slots, len(pairs)/2) {
		format(&dst[0], &slots[0], len(slots), &pairs[0], (*[2]uint64)(m))
		return
	}
	for i, slot := range slots {
		k := pairs[2*slot:][:2]
		m.formatOne(k[0], k[1], dst[Len*i:])
	}
}

// within reports whether all slots are below n.
func within(slots []int32, n int) bool {
	var most uint32
	for _, s := range slots {
		most = max(most, uint32(s))
	}
	return int(most) < n
}

func (m *Mask) formatOne(lo, hi uint64, dst []byte) {
	lo, hi, dst = lo^m[0], hi^m[1], dst[:Len]
	a, c, d, e := digits(hi), digits(hi>>32), digits(lo), digits(lo>>32)
	binary.LittleEndian.PutUint64(dst, a)
	binary.LittleEndian.PutUint32(dst[9:], uint32(c))
	binary.LittleEndian.PutUint32(dst[14:], uint32(c>>32))
	binary.LittleEndian.PutUint32(dst[19:], uint32(d))
	binary.LittleEndian.PutUint32(dst[24:], uint32(d>>32))
	binary.LittleEndian.PutUint64(dst[28:], e)
	dst[8], dst[13], dst[18], dst[23] = '-', '-', '-', '-'
}

const (
	ones    = 0x0101010101010101
	low     = 0x0f0f0f0f0f0f0f0f
	letters = 'a' - '9' - 1
)

// nibbles reads eight hexadecimal digits with small letters, all at once, the
// first in the lowest byte.
func nibbles(w uint64) (v uint64, ok bool) {
	n := w&low + 9*(w>>6&ones)
	if n&^low != 0 || hex(n) != w {
		return 0, false
	}
	n = (n<<4 | n>>8) & 0x00ff00ff00ff00ff
	n = (n | n>>8) & 0x0000ffff0000ffff
	return (n | n>>16) & 0xffffffff, true
}

// digits is what nibbles read.
func digits(v uint64) uint64 {
	n := v & 0xffffffff
	n = (n | n<<16) & 0x0000ffff0000ffff
	n = (n | n<<8) & 0x00ff00ff00ff00ff
	return hex(n>>4&low | (n&low)<<8)
}

// hex writes a digit for each byte, which is below 16.
func hex(n uint64) uint64 {
	return n + '0'*ones + (n+6*ones)>>4&ones*letters
}

package hashjoin

import (
	"encoding/binary"
	"math/rand/v2"
	"unsafe"
)

// A UUID in its usual form, 36 characters with small letters, is its 16 bytes
// and no hash, so that the text can be made from the key again. The words are
// those bytes under a mask that dies with the process, so that nobody can choose
// keys that collide with each other's places or with the hash of another text.

// uuidLen is the length of the text.
const uuidLen = 36

// mask is what the words of UUIDs are hidden under; the zero mask packs none.
type mask struct{ lo, hi uint64 }

func newMask() mask { return mask{rand.Uint64() | 1, rand.Uint64()} }

// pack makes words of a UUID; false for all other texts.
func (m mask) pack(s string) (lo, hi uint64, ok bool) {
	if len(s) != uuidLen || m.lo == 0 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return 0, 0, false
	}
	b := unsafe.Slice(unsafe.StringData(s), uuidLen)
	a, okA := nibbles(binary.LittleEndian.Uint64(b))
	c, okC := nibbles(uint64(binary.LittleEndian.Uint32(b[9:])) | uint64(binary.LittleEndian.Uint32(b[14:]))<<32)
	d, okD := nibbles(uint64(binary.LittleEndian.Uint32(b[19:])) | uint64(binary.LittleEndian.Uint32(b[24:]))<<32)
	e, okE := nibbles(binary.LittleEndian.Uint64(b[28:]))
	return (d | e<<32) ^ m.lo, (a | c<<32) ^ m.hi, okA && okC && okD && okE
}

// unpack writes the text of a packed UUID, 36 bytes.
func (m mask) unpack(lo, hi uint64, dst []byte) {
	lo, hi, dst = lo^m.lo, hi^m.hi, dst[:uuidLen]
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

// UUIDs writes the texts of keys that were packed as UUIDs ([Keys.UUIDs]), 36
// bytes each, into dst. Every slot must have such a key.
func (x *Index) UUIDs(slots []int32, dst []byte) {
	for i, slot := range slots {
		k := x.known[uint64(slot)<<1:]
		x.layout.mask.unpack(k[0], k[1], dst[uuidLen*i:])
	}
}

// Package snappy decodes blocks of Snappy.
//
// Columns of short texts become tags of a few bytes, literals and copies in no
// order that a processor could guess, so that a decoder that branches on them
// waits for each. The one here moves 16 bytes from either place and lets the next
// tag overwrite what was too much. It knows what is common; whatever else a block
// holds, damage above all, is decoded by the library, whose errors are given. It
// takes amd64; elsewhere, and with the build tag purego, the library does all.
package snappy

import (
	"encoding/binary"

	"github.com/klauspost/compress/s2"
)

// Decode returns what a block holds, in dst where it has the room. It writes
// nothing beyond the length that the block tells. An error is the library's.
func Decode(dst, src []byte) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	if err != nil || !fast || n < leastFast {
		return s2.Decode(dst, src)
	}
	out := dst
	if cap(out) < n {
		out = make([]byte, n)
	}
	out = out[:n]
	_, head := binary.Uvarint(src)
	if !tags(out, src, head) {
		return s2.Decode(dst, src)
	}
	return out, nil
}

// leastFast is the length from which blocks are not left to the library: some
// tags at the end are always taken one by one.
const leastFast = 512

// tags decodes the tags from ip on, and reports whether they fill dst and are of
// the usual kind.
func tags(dst, src []byte, ip int) bool {
	op := 0
	for ip < len(src) {
		op, ip = decode(&dst[0], len(dst), op, &src[0], len(src), ip, meanings)
		if op, ip = one(dst, src, op, ip); ip < 0 {
			return false
		}
	}
	return op == len(dst)
}

// one decodes the tag at ip; a negative ip says that it cannot be.
func one(dst, src []byte, op, ip int) (int, int) {
	if ip == len(src) {
		return op, ip
	}
	t, n, offset := src[ip], int(src[ip]>>2)+1, 0
	ip++
	extra := 0
	switch t & 3 {
	case 0:
		if n > 60 {
			extra = n - 60
		}
	case 1:
		n, extra, offset = int(t>>2&7)+4, 1, int(t>>5)<<8
	case 2:
		extra = 2
	default:
		extra = 4
	}
	if len(src)-ip < extra {
		return op, -1
	}
	v := 0
	for i, b := range src[ip : ip+extra] {
		v |= int(b) << (8 * i)
	}
	ip += extra
	if t&3 == 0 {
		if extra > 0 {
			n = v + 1
		}
		if n > len(src)-ip || n > len(dst)-op {
			return op, -1
		}
		copy(dst[op:], src[ip:ip+n])
		return op + n, ip + n
	}
	offset += v
	if offset <= 0 || offset > op || n > len(dst)-op {
		return op, -1
	}
	repeat(dst, op, offset, n)
	return op + n, ip
}

// repeat copies n bytes from offset bytes back, which may repeat what it writes.
func repeat(dst []byte, op, offset, n int) {
	end := op + n
	if len(dst)-end < 8 || offset >= n {
		for op < end {
			op += copy(dst[op:end], dst[op-offset:op])
		}
		return
	}
	if offset >= 8 {
		for ; op < end; op += 8 {
			binary.LittleEndian.PutUint64(dst[op:], binary.LittleEndian.Uint64(dst[op-offset:]))
		}
		return
	}
	var word [8]byte
	for i := range word {
		word[i] = dst[op-offset+i%offset]
	}
	for step := 8 - 8%offset; op < end; op += step {
		copy(dst[op:op+8], word[:])
	}
}

// table says what tags mean.
type table struct {
	// entries have the bytes that a tag gives, 0 where it is taken alone; 2
	// bytes further what is the offset of those behind the tag, and what comes to
	// it; and the least offset at which nothing repeats. A literal, which has no
	// offset, has one that is always allowed, but at the beginning.
	entries [256]uint64
	// steps are how long tags are with what belongs to them.
	steps [256]uint8
}

var meanings = meaningsOf()

func meaningsOf() *table {
	var t table
	for c := range 256 {
		n, mask, high, step := c>>2+1, 0, 0, 0
		switch c & 3 {
		case 0:
			if n > 60 {
				continue
			}
			high, step = 64, 1+n
		case 1:
			n, mask, high, step = c>>2&7+4, 0xff, c>>5<<8, 2
		case 2:
			mask, step = 0xffff, 3
		default:
			continue
		}
		t.entries[c] = uint64(n) | uint64(mask)<<16 | uint64(high)<<32 | uint64(min(n, 16))<<48
		t.steps[c] = uint8(step)
	}
	return &t
}

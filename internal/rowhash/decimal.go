package rowhash

import (
	"encoding/binary"
	"math/bits"
)

// digits8 is the decimal text of a number below 10^8 with leading zeros, as a little-endian word: four digits are cut into two pairs, both pairs
// into digits, all lanes of the word at once.
func digits8(x uint32) uint64 {
	fours := uint64(x/10000) | uint64(x%10000)<<32
	hundreds := fours * 10486 >> 20 & 0x0000007f0000007f
	twos := (fours-100*hundreds)<<16 + hundreds
	tens := twos * 103 >> 10 & 0x000f000f000f000f
	return (twos-10*tens)<<8 + tens + 0x3030303030303030
}

// lead8 is the text of the first 8 digits of x, fewer when x has fewer, as a zero-padded word.
func lead8(x uint64) uint64 {
	switch {
	case x >= 1e17:
		// Nearly every 64-bit hash: 18 to 20 digits, without a branch that depends on which.
		q := uint32(x / 1e10)
		first := q
		if y := q / 10; q >= 1e8 {
			first = y
		}
		if y := q / 100; q >= 1e9 {
			first = y
		}
		return digits8(first)
	case x >= 1e8:
		for x >= 1e16 {
			x /= 1e8
		}
		for x >= 1e8 {
			x /= 10
		}
		return digits8(uint32(x))
	}
	return short(uint32(x))
}

// lead8of32 is lead8 of a 32-bit number.
func lead8of32(x uint32) uint64 {
	if x < 1e8 {
		return short(x)
	}
	q := x / 10
	if y := x / 100; q >= 1e8 {
		q = y
	}
	return digits8(q)
}

// short is the text of a number below 10^8 without leading zeros.
func short(x uint32) uint64 {
	w := digits8(x)
	zeros := bits.TrailingZeros64(w^0x3030303030303030|1<<56) / 8
	return w >> (8 * zeros)
}

// appendDecimal appends the text of x.
func appendDecimal(dst []byte, x uint64) []byte {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], digits8(uint32(x/1e16)))
	binary.LittleEndian.PutUint64(b[8:], digits8(uint32(x/1e8%1e8)))
	binary.LittleEndian.PutUint64(b[16:], digits8(uint32(x%1e8)))
	from := 0
	for from < 23 && b[from] == '0' {
		from++
	}
	return append(dst, b[from:]...)
}

// hex8 is the text of 4 bytes (the first one lowest in x) as 8 hexadecimal digits in a word.
func hex8(x uint32) uint64 {
	w := uint64(x)
	w = (w | w<<16) & 0x0000ffff0000ffff
	w = (w | w<<8) & 0x00ff00ff00ff00ff
	w = w>>4&0x000f000f000f000f | w<<8&0x0f000f000f000f00
	// Digits above 9 are letters: add 'a' - '0' - 10 to them.
	letters := (w + 0x0606060606060606) >> 4 & 0x0101010101010101
	return w + 0x3030303030303030 + letters*0x27
}

// cut keeps the first n bytes of a text that is a word.
func cut(w uint64, n int) uint64 {
	if n >= 8 {
		return w
	}
	return w & (1<<(8*max(n, 0)) - 1)
}

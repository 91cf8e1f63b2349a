package rowhash

import (
	"encoding/binary"
	"math/bits"
)

const (
	wyp0 uint64 = 0xa0761d6478bd642f
	wyp1 uint64 = 0xe7037ed1a0b428db
	wyp2 uint64 = 0x8ebc6af09c88c6e3
	wyp3 uint64 = 0x589965cc75374cc3
	wyp4 uint64 = 0x1d8e4e27c47d124f
	wyp5 uint64 = 0xeb44accab455d165
)

func wymum(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// wyhash is version 1 (2019) with seed 0, which later versions do not agree with.
func wyhash(b []byte) uint64 {
	n := uint64(len(b))
	var s uint64
	u64 := binary.LittleEndian.Uint64
	for ; len(b) >= 32; b = b[32:] {
		s = wymum(s^wyp0, wymum(u64(b)^wyp1, u64(b[8:])^wyp2)^wymum(u64(b[16:])^wyp3, u64(b[24:])^wyp4))
	}
	s ^= wyp0
	switch {
	case len(b) == 0:
	case len(b) <= 8:
		s = wymum(s, wyread(b)^wyp1)
	case len(b) <= 16:
		s = wymum(wyswap(b)^s, wyread(b[8:])^wyp2)
	case len(b) <= 24:
		s = wymum(wyswap(b)^s, wyswap(b[8:])^wyp2) ^ wymum(s, wyread(b[16:])^wyp3)
	default:
		s = wymum(wyswap(b)^s, wyswap(b[8:])^wyp2) ^ wymum(wyswap(b[16:])^s, wyread(b[24:])^wyp4)
	}
	return wymum(s, n^wyp5)
}

// wyswap loads eight bytes as two words, the first one high.
func wyswap(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b))<<32 | uint64(binary.LittleEndian.Uint32(b[4:]))
}

// wyread loads one to eight bytes in wyhash's order.
func wyread(b []byte) uint64 {
	u32 := func() uint64 { return uint64(binary.LittleEndian.Uint32(b)) }
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(b[1])<<8 | uint64(b[0])
	case 3:
		return uint64(b[1])<<16 | uint64(b[0])<<8 | uint64(b[2])
	case 4:
		return u32()
	case 5:
		return u32()<<8 | uint64(b[4])
	case 6:
		return u32()<<16 | uint64(b[5])<<8 | uint64(b[4])
	case 7:
		return u32()<<24 | uint64(b[5])<<16 | uint64(b[4])<<8 | uint64(b[6])
	}
	return wyswap(b)
}

package rowhash

import (
	"encoding/binary"
	"math/bits"
)

const (
	prime32a uint32 = 2654435761
	prime32b uint32 = 2246822519
	prime32c uint32 = 3266489917
	prime32d uint32 = 668265263
	prime32e uint32 = 374761393
)

// state32 is XXH32 with seed 0 after some whole stripes of 16 bytes.
type state32 struct{ a, b, c, d uint32 }

// start32 is prime32a + prime32b, prime32b, 0 and -prime32a, modulo 2^32.
func start32() state32 { return state32{606290984, prime32b, 0, 1640531535} }

// words are the accumulators as the assembly takes them.
func (s state32) words() [4]uint32 { return [4]uint32{s.a, s.b, s.c, s.d} }

func round32(acc, lane uint32) uint32 {
	return bits.RotateLeft32(acc+lane*prime32b, 13) * prime32a
}

// stripes runs the whole stripes of b and returns how many bytes they are.
func (s *state32) stripes(b []byte) int {
	done := len(b) &^ 15
	for ; len(b) >= 16; b = b[16:] {
		s.a = round32(s.a, binary.LittleEndian.Uint32(b))
		s.b = round32(s.b, binary.LittleEndian.Uint32(b[4:]))
		s.c = round32(s.c, binary.LittleEndian.Uint32(b[8:]))
		s.d = round32(s.d, binary.LittleEndian.Uint32(b[12:]))
	}
	return done
}

// sum32 ends the hash of a text of total bytes, of which rest comes after the stripes of the state.
func sum32(s state32, rest []byte, total int) uint32 {
	h := prime32e
	if total >= 16 {
		va, vb, vc, vd := s.a, s.b, s.c, s.d
		for len(rest) >= 16 {
			r := rest[:16:16]
			x, y := binary.LittleEndian.Uint64(r), binary.LittleEndian.Uint64(r[8:])
			va = round32(va, uint32(x))
			vb = round32(vb, uint32(x>>32))
			vc = round32(vc, uint32(y))
			vd = round32(vd, uint32(y>>32))
			rest = rest[16:]
		}
		h = bits.RotateLeft32(va, 1) + bits.RotateLeft32(vb, 7) + bits.RotateLeft32(vc, 12) + bits.RotateLeft32(vd, 18)
	}
	h += uint32(total)
	for ; len(rest) >= 4; rest = rest[4:] {
		h += binary.LittleEndian.Uint32(rest) * prime32c
		h = bits.RotateLeft32(h, 17) * prime32d
	}
	for _, c := range rest {
		h += uint32(c) * prime32e
		h = bits.RotateLeft32(h, 11) * prime32a
	}
	return avalanche32(h)
}

func avalanche32(h uint32) uint32 {
	h ^= h >> 15
	h *= prime32b
	h ^= h >> 13
	h *= prime32c
	return h ^ h>>16
}

// xxh32 is XXH32 with seed 0.
func xxh32(b []byte) uint32 { return sum32(start32(), b, len(b)) }

const (
	prime64a uint64 = 0x9E3779B185EBCA87
	prime64b uint64 = 0xC2B2AE3D27D4EB4F
	prime64c uint64 = 0x165667B19E3779F9
	prime64d uint64 = 0x85EBCA77C2B2AE63
	prime64e uint64 = 0x27D4EB2F165667C5
)

// state64 is XXH64 with seed 0 after some whole stripes of 32 bytes.
type state64 struct{ a, b, c, d uint64 }

// start64 is prime64a + prime64b, prime64b, 0 and -prime64a, modulo 2^64.
func start64() state64 {
	return state64{0x60EA27EEADC0B5D6, prime64b, 0, 0x61C8864E7A143579}
}

func round64(acc, lane uint64) uint64 {
	return bits.RotateLeft64(acc+lane*prime64b, 31) * prime64a
}

// stripes runs the whole stripes of b and returns how many bytes they are.
func (s *state64) stripes(b []byte) int {
	done := len(b) &^ 31
	for ; len(b) >= 32; b = b[32:] {
		s.a = round64(s.a, binary.LittleEndian.Uint64(b))
		s.b = round64(s.b, binary.LittleEndian.Uint64(b[8:]))
		s.c = round64(s.c, binary.LittleEndian.Uint64(b[16:]))
		s.d = round64(s.d, binary.LittleEndian.Uint64(b[24:]))
	}
	return done
}

// sum64 ends the hash of a text of total bytes, of which rest comes after the stripes of the state.
func sum64(s state64, rest []byte, total int) uint64 {
	h := prime64e
	if total >= 32 {
		va, vb, vc, vd := s.a, s.b, s.c, s.d
		for len(rest) >= 32 {
			r := rest[:32:32]
			va = round64(va, binary.LittleEndian.Uint64(r))
			vb = round64(vb, binary.LittleEndian.Uint64(r[8:]))
			vc = round64(vc, binary.LittleEndian.Uint64(r[16:]))
			vd = round64(vd, binary.LittleEndian.Uint64(r[24:]))
			rest = rest[32:]
		}
		h = bits.RotateLeft64(va, 1) + bits.RotateLeft64(vb, 7) + bits.RotateLeft64(vc, 12) + bits.RotateLeft64(vd, 18)
		h = (h^round64(0, va))*prime64a + prime64d
		h = (h^round64(0, vb))*prime64a + prime64d
		h = (h^round64(0, vc))*prime64a + prime64d
		h = (h^round64(0, vd))*prime64a + prime64d
	}
	h += uint64(total)
	for ; len(rest) >= 8; rest = rest[8:] {
		h = bits.RotateLeft64(h^round64(0, binary.LittleEndian.Uint64(rest)), 27)*prime64a + prime64d
	}
	if len(rest) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(rest))*prime64a, 23)*prime64b + prime64c
		rest = rest[4:]
	}
	for _, c := range rest {
		h = bits.RotateLeft64(h^uint64(c)*prime64e, 11) * prime64a
	}
	h = (h ^ h>>33) * prime64b
	h = (h ^ h>>29) * prime64c
	return h ^ h>>32
}

// xxh64 is XXH64 with seed 0.
func xxh64(b []byte) uint64 { return sum64(start64(), b, len(b)) }

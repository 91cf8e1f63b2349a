// The asm command writes the assembly of package uuid. It is a module of its
// own, so that nobody who builds the program needs its tools:
//
//	go generate ./internal/uuid
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// none is what a shuffle writes as 0.
const none = 0x80

func main() {
	ConstraintExpr("!purego")
	parse()
	format()
	Generate()
}

// vector is a constant of 16 bytes.
func vector(name string, b [16]byte) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i, v := range b {
		DATA(i, U8(v))
	}
	return m
}

// filled has all bytes set to one.
func filled(b byte) (out [16]byte) {
	for i := range out {
		out[i] = b
	}
	return out
}

// only has b at some places and other elsewhere.
func only(b, other byte, places ...int) [16]byte {
	out := filled(other)
	for _, p := range places {
		out[p] = b
	}
	return out
}

// shuffle takes bytes from places, in order from byte at of the result on.
func shuffle(at int, places ...byte) [16]byte {
	out := filled(none)
	copy(out[at:], places)
	return out
}

func loaded(m Mem) reg.VecVirtual {
	x := XMM()
	MOVOU(m, x)
	return x
}

// parse reads texts of 36 bytes. Three loads cover one: bytes 0 to 15, 16 to 31
// and 20 to 35.
func parse() {
	TEXT("parse", NOSPLIT, "func(src *byte, rows int, lo, hi *uint64, mask *[2]uint64) bool")
	src, rows := Load(Param("src"), GP64()), Load(Param("rows"), GP64())
	lo, hi := Load(Param("lo"), GP64()), Load(Param("hi"), GP64())
	mask := XMM()
	MOVOU(Mem{Base: Load(Param("mask"), GP64())}, mask)
	PSHUFD(U8(0x4e), mask, mask) // the first bytes of a text are the word hi

	letters := vector("digits", [16]byte([]byte("0123456789abcdef")))
	low, six, nine := vector("low", filled(0x0f)), vector("six", filled(0x40)), vector("nine", filled(9))
	pairs := vector("pairs", [16]byte{16, 1, 16, 1, 16, 1, 16, 1, 16, 1, 16, 1, 16, 1, 16, 1})
	dash := loaded(vector("dash", filled('-')))
	// What need not be a dash.
	free0, free1 := loaded(vector("free0", only(0, 0xff, 8, 13))), loaded(vector("free1", only(0, 0xff, 2, 7)))
	a0, a1 := loaded(vector("a0", shuffle(0, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15))), loaded(vector("a1", shuffle(14, 0, 1)))
	b1, b2 := loaded(vector("b1", shuffle(0, 3))), loaded(vector("b2", shuffle(1, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)))
	good := loaded(vector("all", filled(0xff)))

	TESTQ(rows, rows)
	JZ(LabelRef("done"))
	Label("row")
	t0, t1, t2 := loaded(Mem{Base: src}), loaded(Mem{Base: src, Disp: 16}), loaded(Mem{Base: src, Disp: 20})
	for _, d := range []struct{ text, free reg.VecVirtual }{{t0, free0}, {t1, free1}} {
		x := XMM()
		MOVO(d.text, x)
		PCMPEQB(dash, x)
		POR(d.free, x)
		PAND(x, good)
	}
	// The digits, 16 and 16: their numbers, and whether these give the same text.
	number := func(of1, by1, of2, by2 reg.VecVirtual) reg.VecVirtual {
		d, x := XMM(), XMM()
		MOVO(of1, d)
		PSHUFB(by1, d)
		MOVO(of2, x)
		PSHUFB(by2, x)
		POR(x, d)
		n := XMM()
		MOVO(d, x)
		PAND(six, x)
		PCMPEQB(six, x)
		PAND(nine, x)
		MOVO(d, n)
		PAND(low, n)
		PADDB(x, n)
		MOVOU(letters, x)
		PSHUFB(n, x)
		PCMPEQB(d, x)
		PAND(x, good)
		PMADDUBSW(pairs, n)
		return n
	}
	first, second := number(t0, a0, t1, a1), number(t1, b1, t2, b2)
	PACKUSWB(second, first)
	PXOR(mask, first)
	MOVQ(first, Mem{Base: hi})
	MOVHPS(first, Mem{Base: lo})
	ADDQ(Imm(36), src)
	ADDQ(Imm(8), lo)
	ADDQ(Imm(8), hi)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	found := GP32()
	PMOVMSKB(good, found)
	CMPL(found, U32(0xffff))
	ok := GP8()
	SETEQ(ok)
	Store(ok, ReturnIndex(0))
	RET()
}

// format writes texts of 36 bytes in three stores: bytes 0 to 15, 16 to 31 and
// 20 to 35.
func format() {
	TEXT("format", NOSPLIT, "func(dst *byte, slots *int32, rows int, pairs *uint64, mask *[2]uint64)")
	dst, slots, rows := Load(Param("dst"), GP64()), Load(Param("slots"), GP64()), Load(Param("rows"), GP64())
	pairs := Load(Param("pairs"), GP64())
	mask := XMM()
	MOVOU(Mem{Base: Load(Param("mask"), GP64())}, mask)
	letters, low := loaded(vector("letters", [16]byte([]byte("0123456789abcdef")))), loaded(vector("nibble", filled(0x0f)))
	s0 := loaded(vector("s0", [16]byte{0, 1, 2, 3, 4, 5, 6, 7, none, 8, 9, 10, 11, none, 12, 13}))
	s1, s2 := loaded(vector("s1", shuffle(0, 14, 15))), loaded(vector("s2", [16]byte{none, none, none, 0, 1, 2, 3, none, 4, 5, 6, 7, 8, 9, 10, 11}))
	s3 := loaded(vector("s3", [16]byte{1, 2, 3, none, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}))
	dash0, dash1, dash2 := loaded(vector("dash0", only('-', 0, 8, 13))), loaded(vector("dash1", only('-', 0, 2, 7))), loaded(vector("dash2", only('-', 0, 3)))

	TESTQ(rows, rows)
	JZ(LabelRef("done"))
	Label("row")
	slot := GP64()
	MOVLQSX(Mem{Base: slots}, slot)
	SHLQ(Imm(4), slot)
	b, tens := XMM(), XMM()
	MOVOU(Mem{Base: pairs, Index: slot, Scale: 1}, b)
	PXOR(mask, b)
	PSHUFD(U8(0x4e), b, b)
	MOVO(b, tens)
	PSRLW(Imm(4), tens)
	PAND(low, tens)
	PAND(low, b)
	digits := func(interleave func(mx, x Op), to reg.VecVirtual) reg.VecVirtual {
		d := XMM()
		MOVO(letters, d)
		interleave(b, to)
		PSHUFB(to, d)
		return d
	}
	high := XMM()
	MOVO(tens, high)
	d0, d1 := digits(PUNPCKLBW, tens), digits(PUNPCKHBW, high)
	put := func(disp int, dashes reg.VecVirtual, from ...[2]reg.VecVirtual) {
		var out reg.VecVirtual
		for i, f := range from {
			x := XMM()
			MOVO(f[0], x)
			PSHUFB(f[1], x)
			if i == 0 {
				out = x
				continue
			}
			POR(x, out)
		}
		POR(dashes, out)
		MOVOU(out, Mem{Base: dst, Disp: disp})
	}
	put(0, dash0, [2]reg.VecVirtual{d0, s0})
	put(16, dash1, [2]reg.VecVirtual{d0, s1}, [2]reg.VecVirtual{d1, s2})
	put(20, dash2, [2]reg.VecVirtual{d1, s3})
	ADDQ(Imm(36), dst)
	ADDQ(Imm(4), slots)
	DECQ(rows)
	JNZ(LabelRef("row"))
	Label("done")
	RET()
}

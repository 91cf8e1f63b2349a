package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The primes of XXH32, in the order of its specification.
const (
	prime1 = 2654435761
	prime2 = 2246822519
	prime3 = 3266489917
	prime4 = 668265263
	prime5 = 374761393
)

// constant is a vector of the same number in every lane of so many bytes.
func constant(size int, x uint64) Mem {
	name := fmt.Sprintf("xxh32const%dx%x", size, x)
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, 24) // RODATA, NOPTR
	for at := 0; at < 32; at += size {
		switch size {
		case 2:
			DATA(at, U16(x))
		case 4:
			DATA(at, U32(x))
		case 8:
			DATA(at, U64(x))
		}
	}
	constants[name] = m
	return m
}

var constants = map[string]Mem{}

// vector is constant in a register.
func vector(size int, x uint64) reg.VecVirtual {
	y := YMM()
	VMOVDQU(constant(size, x), y)
	return y
}

// rotate turns the 32-bit lanes of y left.
func rotate(y reg.VecVirtual, n uint64) {
	t := YMM()
	VPSLLD(Imm(n), y, t)
	VPSRLD(Imm(32-n), y, y)
	VPOR(t, y, y)
}

// place is where row i of eight has its four accumulators: each register holds
// those of a row and of the fourth one after it, so that eight sums come out in
// order.
func place(i int) int { return 2*(i%4) + i/4 }

func xxh32stripes() {
	TEXT("xxh32stripes", NOSPLIT, "func(state *[64]uint32, before *[4]uint32, data *byte, stride int, ends *[16]uint32, at uint32, sizes *[16]uint32) (extra, count uint32)")
	Doc("xxh32stripes runs the stripes of 16 bytes that all of sixteen rows have, each stride bytes after the one before. state becomes theirs, before is the state at data, which is byte at of the first row. sizes become the bytes of rows from there to their ends. extra has a bit for each row that has more stripes than the count that were run.")
	r := newRows(Load(Param("stride"), GP64()))
	least, counts := YMM(), [2]reg.VecVirtual{YMM(), YMM()}
	ends := Load(Param("ends"), GP64())
	sizes := Load(Param("sizes"), GP64())
	at := XMM()
	VMOVD(Load(Param("at"), GP32()), at)
	VPBROADCASTD(at, least)
	for half, c := range counts {
		VMOVDQU(Mem{Base: ends, Disp: 32 * half}, c)
		VPSUBD(least, c, c)
		VMOVDQU(c, Mem{Base: sizes, Disp: 32 * half})
		VPSRLD(Imm(4), c, c)
	}
	VPMINUD(counts[0], counts[1], least)
	x := XMM()
	VEXTRACTI128(Imm(1), least, x)
	VPMINUD(least.AsX(), x, x)
	for _, order := range []uint64{0x4e, 0xb1} {
		t := XMM()
		VPSHUFD(Imm(order), x, t)
		VPMINUD(t, x, x)
	}
	count := GP32()
	VMOVD(x, count)
	Store(count, ReturnIndex(1))
	VPBROADCASTD(x, least)
	var masks [2]reg.GPVirtual
	for half, c := range counts {
		masks[half] = GP32()
		VPCMPEQD(least, c, c)
		VMOVMSKPS(c, masks[half])
	}
	SHLL(Imm(8), masks[1])
	ORL(masks[1], masks[0])
	XORL(U32(0xffff), masks[0])
	Store(masks[0], ReturnIndex(0))

	data := Load(Param("data"), GP64())
	half := GP64()
	LEAQ(Mem{Base: data, Index: r.stride, Scale: 8}, half)
	one, two := vector(4, prime1), vector(4, prime2)
	before := Load(Param("before"), GP64())
	var acc [8]reg.VecVirtual
	for i := range acc {
		acc[i] = YMM()
		VBROADCASTI128(Mem{Base: before}, acc[i])
	}
	TESTL(count, count)
	JZ(LabelRef("done"))
	Label("stripe")
	for i, a := range acc {
		base := data
		if i >= 4 {
			base = half
		}
		x := YMM()
		VBROADCASTI128(r.at(base, i%4, 0), x)
		VINSERTI128(Imm(1), r.at(base, i%4+4, 0), x, x)
		VPMULLD(two, x, x)
		VPADDD(x, a, a)
		rotate(a, 13)
		VPMULLD(one, a, a)
	}
	ADDQ(Imm(16), data)
	ADDQ(Imm(16), half)
	DECL(count)
	JNZ(LabelRef("stripe"))
	Label("done")
	state := Load(Param("state"), GP64())
	for i, a := range acc {
		VMOVDQU(a, Mem{Base: state, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}

func xxh32finish() {
	TEXT("xxh32finish", NOSPLIT, "func(state *[64]uint32, data *byte, stride int, sizes *[16]uint32, skipped uint32, words *[16]uint64, keep uint64) (short uint32)")
	Doc("xxh32finish ends the hashes of sixteen rows after their whole stripes and writes their first 8 decimal digits as words, of which it keeps the bits of keep. sizes are the bytes of rows behind data, skipped those before. short has a bit for each row whose hash has fewer than 9 digits, so that its word is wrong.")
	state := Load(Param("state"), GP64())
	data := Load(Param("data"), GP64())
	stride := Load(Param("stride"), GP64())
	sizes := Load(Param("sizes"), GP64())
	words := Load(Param("words"), GP64())
	skipped, keep, x := YMM(), YMM(), XMM()
	VMOVD(Load(Param("skipped"), GP32()), x)
	VPBROADCASTD(x, skipped)
	VMOVQ(Load(Param("keep"), GP64()), x)
	VPBROADCASTQ(x, keep)
	short := GP32()
	XORL(short, short)
	for half := range 2 {
		hash := finish(Mem{Base: state, Disp: 128 * half}, data, stride, Mem{Base: sizes, Disp: 32 * half}, skipped)
		// Unsigned: at most 10^8 - 1.
		few := YMM()
		VPMINUD(constant(4, 99999999), hash, few)
		VPCMPEQD(few, hash, few)
		bits := GP32()
		VMOVMSKPS(few, bits)
		if half == 1 {
			SHLL(Imm(8), bits)
		}
		ORL(bits, short)
		for part := range 2 {
			x := YMM()
			if part == 0 {
				VPMOVZXDQ(hash.AsX(), x)
			} else {
				high := XMM()
				VEXTRACTI128(Imm(1), hash, high)
				VPMOVZXDQ(high, x)
			}
			w := digits(x)
			VPAND(keep, w, w)
			VMOVDQU(w, Mem{Base: words, Disp: 64*half + 32*part})
		}
	}
	Store(short, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// finish is the hashes of eight rows; data ends at the buffer after them.
func finish(state Mem, data, stride reg.Register, sizes Mem, skipped reg.VecVirtual) reg.VecVirtual {
	// The accumulators become one sum a row.
	left, right := YMM(), YMM()
	VMOVDQU(lanes("xxh32left", 1, 7, 12, 18), left)
	VMOVDQU(lanes("xxh32right", 31, 25, 20, 14), right)
	var sums [4]reg.VecVirtual
	for i := range sums {
		a, t := YMM(), YMM()
		VMOVDQU(Mem{Base: state.Base, Disp: state.Disp + 32*i}, a)
		VPSLLVD(left, a, t)
		VPSRLVD(right, a, a)
		VPOR(t, a, a)
		sums[i] = a
	}
	VPHADDD(sums[1], sums[0], sums[0])
	VPHADDD(sums[3], sums[2], sums[2])
	h := YMM()
	VPHADDD(sums[2], sums[0], h)

	// The rest of each row is less than 16 bytes: words of all rows side by side.
	var rest [4]reg.VecVirtual
	for i := range 8 {
		at := GP64()
		MOVL(Mem{Base: sizes.Base, Disp: sizes.Disp + 4*i}, at.As32())
		ANDQ(I8(-16), at)
		if i < 4 {
			rest[i] = YMM()
			VBROADCASTI128(Mem{Base: data, Index: at, Scale: 1}, rest[i])
		} else {
			VINSERTI128(Imm(1), Mem{Base: data, Index: at, Scale: 1}, rest[i-4], rest[i-4])
		}
		ADDQ(stride, data)
	}
	w := transpose4(rest)

	size, total := YMM(), YMM()
	VMOVDQU(sizes, size)
	VPADDD(skipped, size, total)
	// Texts of less than a stripe have no accumulators.
	long := YMM()
	VPCMPGTD(constant(4, 15), total, long)
	VPBLENDVB(long, h, vector(4, prime5), h)
	VPADDD(total, h, h)

	count, bytes := YMM(), YMM()
	VPAND(constant(4, 15), size, count)
	VPAND(constant(4, 3), size, bytes)
	VPSRLD(Imm(2), count, count)
	last := w[0] // the word that is not whole
	for k := range 3 {
		more := YMM()
		if k == 0 {
			VPXOR(more, more, more)
			VPCMPGTD(more, count, more)
		} else {
			VPCMPGTD(constant(4, uint64(k)), count, more)
		}
		t := YMM()
		VPMULLD(constant(4, prime3), w[k], t)
		VPADDD(h, t, t)
		rotate(t, 17)
		VPMULLD(constant(4, prime4), t, t)
		VPBLENDVB(more, t, h, h)
		next := YMM()
		VPBLENDVB(more, w[k+1], last, next)
		last = next
	}
	for k := range 3 {
		more, t := YMM(), YMM()
		if k == 0 {
			VPXOR(more, more, more)
			VPCMPGTD(more, bytes, more)
			VPAND(constant(4, 255), last, t)
		} else {
			VPCMPGTD(constant(4, uint64(k)), bytes, more)
			VPSRLD(Imm(uint64(8*k)), last, t)
			VPAND(constant(4, 255), t, t)
		}
		VPMULLD(constant(4, prime5), t, t)
		VPADDD(h, t, t)
		rotate(t, 11)
		VPMULLD(constant(4, prime1), t, t)
		VPBLENDVB(more, t, h, h)
	}
	for _, s := range []struct{ shift, prime uint64 }{{15, prime2}, {13, prime3}, {16, 0}} {
		t := YMM()
		VPSRLD(Imm(s.shift), h, t)
		VPXOR(t, h, h)
		if s.prime != 0 {
			VPMULLD(constant(4, s.prime), h, h)
		}
	}
	return h
}

// lanes is a vector of four numbers, twice.
func lanes(name string, list ...uint64) Mem {
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, 24)
	for i := range 8 {
		DATA(4*i, U32(list[i%4]))
	}
	constants[name] = m
	return m
}

// transpose4 turns four rows of four words into four columns, in both halves.
func transpose4(rows [4]reg.VecVirtual) (out [4]reg.VecVirtual) {
	var pairs [4]reg.VecVirtual
	for i := range pairs {
		pairs[i], out[i] = YMM(), YMM()
	}
	VPUNPCKLDQ(rows[1], rows[0], pairs[0]) // words 0, 1 of rows 0, 1
	VPUNPCKHDQ(rows[1], rows[0], pairs[1]) // words 2, 3
	VPUNPCKLDQ(rows[3], rows[2], pairs[2])
	VPUNPCKHDQ(rows[3], rows[2], pairs[3])
	VPUNPCKLQDQ(pairs[2], pairs[0], out[0])
	VPUNPCKHQDQ(pairs[2], pairs[0], out[1])
	VPUNPCKLQDQ(pairs[3], pairs[1], out[2])
	VPUNPCKHQDQ(pairs[3], pairs[1], out[3])
	return out
}

// digits is the first 8 decimal digits of four 32-bit numbers of 9 or 10 digits,
// each in 64 bits.
func digits(x reg.VecVirtual) reg.VecVirtual {
	ten, hundred, large := YMM(), YMM(), YMM()
	VPMULUDQ(constant(8, 0xcccccccd), x, ten) // x / 10, as the next ones exact for 32 bits
	VPSRLQ(Imm(35), ten, ten)
	VPMULUDQ(constant(8, 0x51eb851f), x, hundred) // x / 100
	VPSRLQ(Imm(37), hundred, hundred)
	VPCMPGTQ(constant(8, 999999999), x, large)
	q := YMM()
	VPBLENDVB(large, hundred, ten, q)

	// Four digits in each half of the 64 bits, then two in each quarter, then one
	// in each byte.
	high, t := YMM(), YMM()
	VPMULUDQ(constant(8, 0xd1b71759), q, high) // q / 10000
	VPSRLQ(Imm(45), high, high)
	VPMULUDQ(constant(8, 10000), high, t)
	VPSUBQ(t, q, q)
	VPSLLQ(Imm(32), q, q)
	VPOR(high, q, q)
	hundreds := YMM()
	VPMADDWD(constant(4, 10486), q, hundreds)
	VPSRLD(Imm(20), hundreds, hundreds)
	VPMADDWD(constant(4, 100), hundreds, t)
	VPSUBD(t, q, q)
	VPSLLD(Imm(16), q, q)
	VPOR(hundreds, q, q)
	tens := YMM()
	VPMULLW(constant(2, 103), q, tens)
	VPSRLW(Imm(10), tens, tens)
	VPMULLW(constant(2, 10), tens, t)
	VPSUBW(t, q, q)
	VPSLLW(Imm(8), q, q)
	VPOR(tens, q, q)
	VPOR(constant(8, 0x3030303030303030), q, q)
	return q
}

package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// group is eight rows: their state, a word of each in a register.
type group struct{ a, b, c, d reg.VecVirtual }

// md5x16 is MD5 over sixteen rows as two groups of eight. The steps of a group
// wait for each other; those of the other group fill the gaps.
func md5x16() {
	TEXT("md5x16", 0, "func(state *[64]uint32, data *byte, stride, blocks int)")
	Doc("md5x16 runs blocks of 64 bytes of sixteen rows, each stride bytes after the one before, over their states: words a, b, c and d of all rows, one after another.")
	state := Load(Param("state"), GP64())
	data := Load(Param("data"), GP64())
	stride := Load(Param("stride"), GP64())
	blocks := Load(Param("blocks"), GP64())

	// words is the block with the same word of all rows side by side: word j of
	// row i at 64*j + 4*i. It begins at a cache line.
	words := GP64()
	LEAQ(AllocLocal(16*64+64), words)
	ADDQ(Imm(63), words)
	ANDQ(I8(-64), words)

	table := GP64()
	LEAQ(sines(), table)
	ones := YMM()
	VPCMPEQD(ones, ones, ones)

	r, half := newRows(stride), GP64()

	Label("block")
	for g := range 2 {
		base := data
		if g == 1 {
			LEAQ(Mem{Base: data, Index: stride, Scale: 8}, half)
			base = half
		}
		for part := range 2 {
			var list [8]Mem
			for i := range list {
				list[i] = r.at(base, i, 32*part)
			}
			transpose(list, func(j int) Mem { return Mem{Base: words, Disp: 64*(8*part+j) + 32*g} })
		}
	}
	at := func(word, g int) Mem { return Mem{Base: state, Disp: 64*word + 32*g} }
	var groups [2]group
	for g := range groups {
		groups[g] = group{YMM(), YMM(), YMM(), YMM()}
		for word, r := range groups[g].registers() {
			VMOVDQU(at(word, g), r)
		}
	}
	for step := range 64 {
		k := YMM()
		VPBROADCASTD(Mem{Base: table, Disp: 4 * step}, k)
		for g := range groups {
			groups[g].step(step, k, Mem{Base: words, Disp: 64*word(step) + 32*g}, ones)
		}
	}
	for g := range groups {
		for word, r := range groups[g].registers() {
			VPADDD(at(word, g), r, r)
			VMOVDQU(r, at(word, g))
		}
	}
	ADDQ(Imm(64), data)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

func (g *group) registers() []reg.VecVirtual { return []reg.VecVirtual{g.a, g.b, g.c, g.d} }

// word is the word of the block that a step takes (RFC 1321, 3.4).
func word(step int) int {
	return [4]int{step, 5*step + 1, 3*step + 5, 7 * step}[step/16] % 16
}

// turns is by how much a step rotates.
func turns(step int) uint64 {
	return [4][4]uint64{{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}[step/16][step%4]
}

// sines is the table of the steps' constants.
func sines() Mem {
	m := GLOBL("md5sines", 24) // RODATA, NOPTR
	for i := range 64 {
		DATA(4*i, U32(uint32(math.Floor(math.Abs(math.Sin(float64(i+1)))*(1<<32)))))
	}
	return m
}

// step is one operation of the algorithm. What does not need b, the word that
// the step before has made, comes first.
func (g *group) step(step int, k reg.VecVirtual, message Mem, ones reg.VecVirtual) {
	a, b, c, d := g.a, g.b, g.c, g.d
	t := YMM()
	VPADDD(k, a, a)
	VPADDD(message, a, a)
	switch step / 16 {
	case 0: // d ^ b & (c ^ d)
		VPXOR(c, d, t)
		VPAND(b, t, t)
		VPXOR(d, t, t)
	case 1: // b & d | c &^ d, whose bits are apart
		VPANDN(c, d, t)
		VPADDD(t, a, a)
		VPAND(b, d, t)
	case 2: // b ^ c ^ d
		VPXOR(c, d, t)
		VPXOR(b, t, t)
	case 3: // c ^ (b | ^d)
		VPXOR(d, ones, t)
		VPOR(b, t, t)
		VPXOR(c, t, t)
	}
	VPADDD(t, a, a)
	VPSLLD(Imm(turns(step)), a, t)
	VPSRLD(Imm(32-turns(step)), a, a)
	VPOR(t, a, a)
	VPADDD(b, a, a)
	g.a, g.b, g.c, g.d = d, a, b, c
}

// transpose stores the eight words of eight rows as eight columns.
func transpose(rows [8]Mem, column func(int) Mem) {
	var pairs, quads [8]reg.VecVirtual
	for i := 0; i < 8; i += 2 {
		x, y := YMM(), YMM()
		VMOVDQU(rows[i], x)
		VMOVDQU(rows[i+1], y)
		pairs[i], pairs[i+1] = YMM(), YMM()
		VPUNPCKLDQ(y, x, pairs[i])   // words 0, 1 | 4, 5 of two rows
		VPUNPCKHDQ(y, x, pairs[i+1]) // words 2, 3 | 6, 7
	}
	for i := range quads {
		// quads[0:4] are words 0 to 3 | 4 to 7 of the first four rows.
		quads[i] = YMM()
		x, y := pairs[i/4*4+i%4/2], pairs[i/4*4+i%4/2+2]
		if i%2 == 0 {
			VPUNPCKLQDQ(y, x, quads[i])
		} else {
			VPUNPCKHQDQ(y, x, quads[i])
		}
	}
	for i := range 4 {
		low, high := YMM(), YMM()
		VPERM2I128(Imm(0x20), quads[i+4], quads[i], low)
		VPERM2I128(Imm(0x31), quads[i+4], quads[i], high)
		VMOVDQU(low, column(i))
		VMOVDQU(high, column(i+4))
	}
}

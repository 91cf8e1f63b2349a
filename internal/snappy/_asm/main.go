// The asm command writes the assembly of package snappy. It is a module of its
// own, so that nobody who builds the program needs its tools:
//
//	go generate ./internal/snappy
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

func main() {
	ConstraintExpr("!purego")
	decode()
	Generate()
}

// room is how far a tag may write, and read of a literal.
const room = 64

// The table has two tables of 256 entries: of 8 bytes, what a tag means, and of
// one, how long it is with what belongs to it. fields says what lies where in an
// entry.
const (
	maskBits, highBits, needBits = 16, 32, 48
	steps                        = 256 * 8
)

// decode takes tags while they are short and plain. Literals and copies go the
// same way, since which comes next cannot be guessed: 16 bytes are moved from
// either place, and 64 where more are wanted.
func decode() {
	TEXT("decode", NOSPLIT, "func(dst *byte, size, op int, src *byte, length, ip int, table *byte) (nextOp, nextIp int)")
	base, from := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	opEnd, ipEnd := Load(Param("size"), GP64()), Load(Param("length"), GP64())
	op, ip := Load(Param("op"), GP64()), Load(Param("ip"), GP64())
	table := Load(Param("table"), GP64())
	ADDQ(base, op)
	ADDQ(from, ip)
	LEAQ(Mem{Base: base, Index: opEnd, Scale: 1, Disp: -room}, opEnd)
	LEAQ(Mem{Base: from, Index: ipEnd, Scale: 1, Disp: -room - 5}, ipEnd)
	tag, entry, length, offset, place, literal, step := GP64(), GP64(), GP64(), GP64(), GP64(), GP64(), GP64()
	x := XMM()

	Label("tag")
	CMPQ(ip, ipEnd)
	JA(LabelRef("done"))
	CMPQ(op, opEnd)
	JA(LabelRef("done"))
	MOVBQZX(Mem{Base: ip}, tag)
	MOVBQZX(Mem{Base: table, Index: tag, Scale: 1, Disp: steps}, step)
	MOVQ(Mem{Base: table, Index: tag, Scale: 8}, entry)
	MOVBQZX(entry.As8(), length)
	TESTQ(length, length)
	JZ(LabelRef("done"))
	// The offset: bytes behind the tag under a mask, and bits of the tag.
	MOVL(Mem{Base: ip, Disp: 1}, offset.As32())
	MOVQ(entry, place)
	SHRQ(Imm(maskBits), place)
	ANDL(place.As32(), offset.As32())
	MOVWLZX(offset.As16(), offset.As32())
	SHRQ(Imm(highBits-maskBits), place)
	MOVQ(place, literal)
	MOVWLZX(place.As16(), place.As32())
	ADDL(place.As32(), offset.As32())
	SHRQ(Imm(needBits-highBits), literal)
	CMPQ(offset, literal) // overlaps
	JB(LabelRef("done"))
	MOVQ(op, place)
	SUBQ(base, place)
	CMPQ(offset, place) // before the beginning
	JA(LabelRef("done"))
	MOVQ(op, place)
	SUBQ(offset, place)
	LEAQ(Mem{Base: ip, Disp: 1}, literal)
	TESTB(Imm(3), tag.As8())
	CMOVQEQ(literal, place)
	MOVOU(Mem{Base: place}, x)
	MOVOU(x, Mem{Base: op})
	CMPQ(length, Imm(16))
	JA(LabelRef("more"))
	Label("next")
	ADDQ(step, ip)
	ADDQ(length, op)
	JMP(LabelRef("tag"))

	Label("more")
	for at := 16; at < room; at += 16 {
		MOVOU(Mem{Base: place, Disp: at}, x)
		MOVOU(x, Mem{Base: op, Disp: at})
	}
	JMP(LabelRef("next"))

	Label("done")
	SUBQ(base, op)
	SUBQ(from, ip)
	Store(op, ReturnIndex(0))
	Store(ip, ReturnIndex(1))
	RET()
}

// The asm command writes the assembly of rowhash's kernels, one file each. It is
// a module of its own, so that nobody who builds the program needs its tools:
//
//	go generate ./internal/rowhash
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var kernel = flag.String("kernel", "", "md5 or xxh32")

func main() {
	flag.Parse()
	ConstraintExpr("!purego")
	switch *kernel {
	case "md5":
		md5x16()
	case "xxh32":
		xxh32stripes()
		xxh32finish()
	default:
		fmt.Fprintf(os.Stderr, "no kernel is called %q\n", *kernel)
		os.Exit(2)
	}
	Generate()
}

// rows addresses eight buffers that lie stride bytes apart.
type rows struct{ stride, s3, s5, s7 reg.GPVirtual }

func newRows(stride reg.Register) rows {
	r := rows{GP64(), GP64(), GP64(), GP64()}
	MOVQ(stride, r.stride)
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, r.s3)
	LEAQ(Mem{Base: stride, Index: stride, Scale: 4}, r.s5)
	LEAQ(Mem{Base: r.s3, Index: stride, Scale: 4}, r.s7)
	return r
}

// at is the byte at disp of buffer i behind base.
func (r rows) at(base reg.Register, i, disp int) Mem {
	m := Mem{Base: base, Disp: disp}
	switch i {
	case 1, 2, 4:
		m.Index, m.Scale = r.stride, uint8(i)
	case 3:
		m.Index, m.Scale = r.s3, 1
	case 5:
		m.Index, m.Scale = r.s5, 1
	case 6:
		m.Index, m.Scale = r.s3, 2
	case 7:
		m.Index, m.Scale = r.s7, 1
	}
	return m
}

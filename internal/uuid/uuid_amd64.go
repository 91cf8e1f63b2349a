//go:build !purego

package uuid

import "golang.org/x/sys/cpu"

//go:generate go run -C _asm . -out ../uuid_amd64.s

// together reports whether the processor has the instructions of the functions
// below.
func together() bool { return cpu.X86.HasSSSE3 }

// parse is Parse of rows texts.
//
//go:noescape
func parse(src *byte, rows int, lo, hi *uint64, mask *[2]uint64) bool

// format is Format of rows texts.
//
//go:noescape
func format(dst *byte, slots *int32, rows int, pairs *uint64, mask *[2]uint64)

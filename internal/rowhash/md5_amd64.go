//go:build !purego

package rowhash

import "golang.org/x/sys/cpu"

//go:generate go run -C _asm . -out ../md5_amd64.s

// md5x16 runs blocks of 64 bytes of sixteen rows, each stride bytes after the
// one before, over their states: words a, b, c and d of all rows, one after
// another. It takes at least one block.
//
//go:noescape
func md5x16(state *[64]uint32, data *byte, stride, blocks int)

// md5Together reports whether the processor has md5x16's instructions.
func md5Together() bool { return cpu.X86.HasAVX2 }

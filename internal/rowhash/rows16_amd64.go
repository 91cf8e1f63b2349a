//go:build !purego

package rowhash

import "golang.org/x/sys/cpu"

//go:generate go run -C _asm . -kernel md5 -out ../md5_amd64.s
//go:generate go run -C _asm . -kernel xxh32 -out ../xxh32_amd64.s

// together reports whether the processor has the instructions of the functions
// below.
func together() bool { return cpu.X86.HasAVX2 }

// md5x16 runs blocks of 64 bytes of sixteen rows, each stride bytes after the
// one before, over their states: words a, b, c and d of all rows, one after
// another. It takes at least one block.
//
//go:noescape
func md5x16(state *[64]uint32, data *byte, stride, blocks int)

// xxh32stripes runs the stripes of 16 bytes that all of sixteen rows have, each
// stride bytes after the one before. state becomes theirs, before is the state
// at data, which is byte at of the first row. sizes become the bytes of rows from
// there to their ends. extra has a bit for each row that has more stripes than
// the count that were run.
//
//go:noescape
func xxh32stripes(state *[64]uint32, before *[4]uint32, data *byte, stride int, ends *[16]uint32, at uint32, sizes *[16]uint32) (extra, count uint32)

// xxh32finish ends the hashes of sixteen rows after their whole stripes and
// writes their first 8 decimal digits as words, of which it keeps the bits of
// keep. sizes are the bytes of rows behind data, skipped those before. short has
// a bit for each row whose hash has fewer than 9 digits, so that its word is
// wrong. It reads up to 16 bytes behind a text.
//
//go:noescape
func xxh32finish(state *[64]uint32, data *byte, stride int, sizes *[16]uint32, skipped uint32, words *[16]uint64, keep uint64) (short uint32)

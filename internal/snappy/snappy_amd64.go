//go:build !purego

package snappy

//go:generate go run -C _asm . -out ../snappy_amd64.s

// fast reports whether decode does something.
const fast = true

// decode takes tags of src from ip on and writes what they give to dst from op
// on, until a tag is none of the common ones or too near to either end. It
// returns where it stopped.
//
//go:noescape
func decode(dst *byte, size, op int, src *byte, length, ip int, table *table) (nextOp, nextIp int)

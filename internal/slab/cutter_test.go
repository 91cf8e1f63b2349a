package slab_test

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/metaxy-delta/metaxy-delta/internal/slab"
)

// TestBuffersAreApart fills buffers of all sizes, each with a letter of its own:
// none of them writes into another, and Arrow finds them where it wants them.
func TestBuffersAreApart(t *testing.T) {
	var c slab.Cutter
	var all [][]byte
	for i, n := range []int{0, 1, 63, 64, 65, 1000, 70 << 10, 1, 3 << 20, 5 << 20, 17 << 20, 9, 100 << 10, 2 << 20} {
		b := c.Allocate(n)
		if len(b) != n {
			t.Fatalf("%d bytes, want %d", len(b), n)
		}
		if n > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(b)))%64 != 0 {
			t.Errorf("%d bytes do not begin at a line", n)
		}
		b = c.Reallocate(n+n/2, b)
		for k := range b {
			b[k] = byte('a' + i)
		}
		b = b[:cap(b)] // what Arrow may write, too
		for k := range b {
			b[k] = byte('a' + i)
		}
		all = append(all, b)
	}
	for i, b := range all {
		if bytes.Count(b, []byte{byte('a' + i)}) != len(b) {
			t.Errorf("buffer %d has bytes of another", i)
		}
	}
}

func TestReallocateKeepsBytes(t *testing.T) {
	var c slab.Cutter
	b := c.Allocate(3)
	copy(b, "abc")
	if b = c.Reallocate(500, b); string(b[:3]) != "abc" || len(b) != 500 {
		t.Errorf("%q of %d", b[:3], len(b))
	}
	if b = c.Reallocate(2, b); string(b) != "ab" {
		t.Errorf("%q", b)
	}
	c.Free(b)
}

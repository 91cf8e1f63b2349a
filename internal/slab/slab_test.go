package slab_test

import (
	"runtime"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/internal/slab"
)

func TestArraysAreZeroAndApart(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 1 << 20, 3 << 20} {
		var a slab.Arena
		x, y := slab.Make[uint64](&a, n), slab.Make[uint32](&a, n)
		if len(x) != n || len(y) != n {
			t.Fatalf("%d and %d, want %d", len(x), len(y), n)
		}
		for i := range x {
			if x[i] != 0 || y[i] != 0 {
				t.Fatal("not zero")
			}
			x[i] = uint64(i)
		}
		for i := range y {
			if y[i] != 0 || x[i] != uint64(i) {
				t.Fatal("two arrays share memory")
			}
		}
		a.Free()
		a.Free()
	}
	if n := len(slab.Make[int32](nil, 5)); n != 5 {
		t.Errorf("%d numbers of no arena", n)
	}
}

// The heap does not grow with arrays, and an arena out of reach is given back.
func TestHeapStaysSmall(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("arrays are ordinary slices here")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 4 {
		a := &slab.Arena{}
		x := slab.Make[uint64](a, 8<<20)
		x[len(x)-1] = 1
		runtime.KeepAlive(a)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

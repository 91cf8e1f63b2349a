// Package slab gives large arrays of numbers that lie outside the collected heap.
//
// The collector lets a heap grow to twice what is live before it cleans up. An
// array that lives through a whole resolve would cost its size twice that way,
// although nothing in it needs to be looked at. Arrays below a mebibyte, and all
// arrays on systems without anonymous memory maps, are ordinary slices.
package slab

import (
	"runtime"
	"sync"
	"unsafe"
)

// Arena is where arrays come from. They live until Free, or until the arena
// itself is out of reach, so whoever reads one keeps the arena. The zero value
// is ready to use; a nil arena gives ordinary slices. It is safe for concurrent
// use.
type Arena struct {
	mu    sync.Mutex
	owned *blocks
}

// blocks are the maps of an arena, apart from it so that they can be freed when
// nothing reaches it any more.
type blocks struct{ list [][]byte }

func (b *blocks) free() {
	for _, m := range b.list {
		unmap(m)
	}
	b.list = nil
}

// least is the size from which an array is worth a map of its own.
const least = 1 << 20

// Make returns n zeroes.
func Make[T int32 | uint32 | int64 | uint64](a *Arena, n int) []T {
	size := n * int(unsafe.Sizeof(T(0)))
	if a == nil || size < least {
		return make([]T, n)
	}
	m := reserve(size)
	if m == nil {
		return make([]T, n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.owned == nil {
		a.owned = &blocks{}
		runtime.AddCleanup(a, (*blocks).free, a.owned)
	}
	a.owned.list = append(a.owned.list, m)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(m))), n)
}

// Free gives all arrays back, which nobody may read any more.
func (a *Arena) Free() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.owned != nil {
		a.owned.free()
	}
}

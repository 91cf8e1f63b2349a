//go:build unix

package slab

import "syscall"

// reserve returns zeroed memory, nil where the system gives none.
func reserve(size int) []byte {
	m, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	if size >= leastHuge {
		advise(m)
	}
	return m
}

// leastHuge is the size from which an array is asked to lie in huge pages: what
// is read at random places then costs no walk through the tables of pages.
const leastHuge = 4 << 20

func unmap(m []byte) { _ = syscall.Munmap(m) }

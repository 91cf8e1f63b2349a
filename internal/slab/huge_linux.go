package slab

import "syscall"

// advise asks for huge pages. Without them everything works, only slower.
func advise(m []byte) { _ = syscall.Madvise(m, syscall.MADV_HUGEPAGE) }

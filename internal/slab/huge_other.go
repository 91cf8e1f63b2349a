//go:build unix && !linux

package slab

func advise([]byte) {}

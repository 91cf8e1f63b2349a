//go:build purego || !amd64

package uuid

// together reports that texts are read and written one by one.
func together() bool { return false }

func parse(*byte, int, *uint64, *uint64, *[2]uint64) bool { return false }

func format(*byte, *int32, int, *uint64, *[2]uint64) {}

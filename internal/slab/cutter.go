package slab

// leastHuge is the size from which an array is asked to lie in huge pages: what
// is read at random places then costs no walk through the tables of pages.
const leastHuge = 4 << 20

// Cutter is an allocator of Arrow memory for many buffers that are made one
// after another and kept: it cuts them from chunks of the collected heap that
// ask for huge pages. Memory that is touched for the first time then costs one
// fault for two mebibytes, and not one for every four kibibytes, which took a
// quarter of the processor time of a resolve.
//
// A chunk lives as long as one of its buffers. Bytes may have any content. The
// zero value is ready to use, by one goroutine at a time.
type Cutter struct {
	rest []byte
	size int // of the last chunk
}

// Chunks grow from the least to the most, so that small results stay small.
const (
	leastChunk = 64 << 10
	mostChunk  = 16 << 20
)

// lineBytes is how Arrow wants its buffers to lie.
const lineBytes = 64

// Allocate returns n bytes.
func (c *Cutter) Allocate(n int) []byte {
	padded := (n + lineBytes - 1) &^ (lineBytes - 1)
	if padded > mostChunk/4 {
		return Bytes(padded)[:n:padded]
	}
	if padded > len(c.rest) {
		c.size = min(max(2*c.size, leastChunk, padded), mostChunk)
		c.rest = Bytes(c.size)
	}
	b := c.rest[:n:padded]
	c.rest = c.rest[padded:]
	return b
}

// Reallocate returns n bytes that begin with those of b.
func (c *Cutter) Reallocate(n int, b []byte) []byte {
	if n <= cap(b) {
		return b[:n]
	}
	out := c.Allocate(n)
	copy(out, b)
	return out
}

// Free does nothing: the collector takes chunks.
func (c *Cutter) Free([]byte) {}

// Bytes returns n zeroes on the collected heap, in huge pages where they are
// many.
func Bytes(n int) []byte {
	b := make([]byte, n)
	if n >= leastHuge {
		advise(b)
	}
	return b
}

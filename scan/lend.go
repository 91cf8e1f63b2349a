package scan

import (
	"context"
	"iter"
	"sync"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// Lend is Read with blocks in memory that later blocks take once it is released,
// as frame.Lender says: it need not be cleared, and stays in the caches of the
// processor.
func (s *Scan) Lend(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		mem := &recycler{mem: s.mem}
		defer mem.close()
		s.readUnit(ctx, unit, rows, cols, mem, yield)
	}
}

// recycled is how many buffers wait for the next block: those of the columns of
// one.
const recycled = 32

// recycler is an allocator that gives again what came back, as it is. It is safe
// for concurrent use.
type recycler struct {
	mem    memory.Allocator
	mu     sync.Mutex
	out    map[*byte][]byte // what was given, as it came from mem
	free   [][]byte
	closed bool
}

// Allocate returns bytes of any content.
func (r *recycler) Allocate(size int) []byte {
	if size == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.waiting(size)
	if b == nil {
		b = r.mem.Allocate(size)
	}
	if r.out == nil {
		r.out = map[*byte][]byte{}
	}
	r.out[unsafe.SliceData(b)] = b
	return b[:size]
}

// waiting returns bytes that came back and are not much more than wanted, nil
// where there are none.
func (r *recycler) waiting(size int) []byte {
	for i, b := range r.free {
		if len(b) >= size && len(b) <= 2*size {
			last := len(r.free) - 1
			r.free[i] = r.free[last]
			r.free = r.free[:last]
			return b
		}
	}
	return nil
}

// Reallocate returns larger or smaller bytes that begin with those of b.
func (r *recycler) Reallocate(size int, b []byte) []byte {
	out := r.Allocate(size)
	copy(out, b)
	r.Free(b)
	return out
}

// Free takes bytes back.
func (r *recycler) Free(b []byte) {
	if cap(b) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	whole := r.out[unsafe.SliceData(b)]
	delete(r.out, unsafe.SliceData(b))
	if !r.closed && len(r.free) < recycled {
		r.free = append(r.free, whole)
	} else {
		r.mem.Free(whole)
	}
}

// close gives back what waits, and lets what is still out go when it comes.
func (r *recycler) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.free {
		r.mem.Free(b)
	}
	r.free, r.closed = nil, true
}

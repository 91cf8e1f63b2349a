package objstore

import (
	"cmp"
	"slices"
	"sync"
)

// Range is a part of an object.
type Range struct{ Offset, Length int64 }

func (r Range) end() int64 { return r.Offset + r.Length }

const (
	// prefetchGap is how many bytes between two ranges are fetched with them: a request costs more.
	prefetchGap = 128 << 10
	// prefetchBytes bounds what one Prefetch holds; ranges beyond it are read when they are asked for.
	prefetchBytes = 16 << 20
	// prefetchParallel is how many of its requests are under way at once.
	prefetchParallel = 4
)

// Prefetch fetches ranges of a reader of OpenObject that will be read soon, each by one ReadAt: ranges close to each other by one request, several
// requests at once, small objects whole. They are held until they are read; a failure is told by the read. It reports whether reads are requests at
// all: where a driver has random access it does nothing.
func Prefetch(r ReaderAtCloser, ranges []Range) bool {
	b, ok := r.(*boundReader)
	if !ok || b.open != nil {
		return false
	}
	if len(ranges) == 0 {
		return true
	}
	if b.size <= wholeBytes {
		var one [1]byte
		_, _ = b.read(one[:], ranges[0].Offset)
		return true
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, prefetchParallel)
	for _, g := range b.groups(ranges) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			data := make([]byte, g.Length)
			if _, err := b.fetch(data, g.Offset); err == nil {
				b.hold(block{offset: g.Offset, length: g.Length, data: data, wanted: g.ranges})
			}
		})
	}
	wg.Wait()
	return true
}

// group is ranges fetched by one request.
type group struct {
	Range
	ranges int
}

// groups joins ranges that lie close together, without those in memory already and those that reach past the object.
func (r *boundReader) groups(ranges []Range) (out []group) {
	ranges = slices.DeleteFunc(slices.Clone(ranges), func(g Range) bool {
		return g.Offset < 0 || g.Length <= 0 || g.Length > r.size || g.Offset > r.size-g.Length || r.covers(g.Offset, g.Length)
	})
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.Offset, b.Offset) })
	total := int64(0)
	for _, g := range ranges {
		last := len(out) - 1
		if last >= 0 && g.Offset-out[last].end() <= prefetchGap {
			more := max(0, g.end()-out[last].end())
			if total += more; total > prefetchBytes {
				return out
			}
			out[last].Length += more
			out[last].ranges++
			continue
		}
		if total += g.Length; total > prefetchBytes {
			return out
		}
		out = append(out, group{g, 1})
	}
	return out
}

package scan

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

const (
	// aheadBytes bounds what is fetched before it is wanted, aheadUnits for how
	// many units.
	aheadBytes = 64 << 20
	aheadUnits = 32
)

// ahead fetches the column chunks of units that are read next, while the
// present ones are decoded, so that the time that requests take is hidden.
type ahead struct {
	mu    sync.Mutex
	held  map[string]*early
	begun map[string]int // readers of what is not held any more
	bytes int64
	turn  int
}

// early is what was fetched of a unit, or is on its way.
type early struct {
	reader io.ReaderAt
	bytes  int64
	turn   int
	done   chan struct{}
}

// aheadKey names columns of a unit.
func aheadKey(u *unit, wants []want) string {
	names := make([]string, len(wants))
	for i, w := range wants {
		names[i] = w.name
	}
	return fmt.Sprintf("%d %q", u.index, strings.Join(names, pathSeparator+pathSeparator))
}

// begin notes a reader of columns of a unit and returns what has fetched them,
// nil when nothing has. It waits for what is on its way.
func (a *ahead) begin(ctx context.Context, key string) io.ReaderAt {
	a.mu.Lock()
	if a.begun == nil {
		a.begun, a.held = map[string]int{}, map[string]*early{}
	}
	a.begun[key]++
	e := a.held[key]
	if e != nil {
		delete(a.held, key)
		a.bytes -= e.bytes
	}
	a.mu.Unlock()
	if e == nil {
		return nil
	}
	select {
	case <-e.done:
		return e.reader
	case <-ctx.Done():
		return nil
	}
}

// end is called when a reader is closed.
func (a *ahead) end(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun[key]--; a.begun[key] == 0 {
		delete(a.begun, key)
	}
}

// reserve makes room for columns of a unit; nil where there is none, or where
// they are read or fetched already. What nobody took for long goes.
func (a *ahead) reserve(key string, bytes int64) *early {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn++
	for k, e := range a.held {
		if a.turn-e.turn > 64*aheadUnits {
			delete(a.held, k)
			a.bytes -= e.bytes
		}
	}
	if a.begun[key] > 0 || a.held[key] != nil || len(a.held) >= aheadUnits || a.bytes > 0 && a.bytes+bytes > aheadBytes {
		return nil
	}
	e := &early{bytes: bytes, turn: a.turn, done: make(chan struct{})}
	a.held[key] = e
	a.bytes += bytes
	return e
}

// fetchAhead begins to fetch wanted columns of the next units.
func (s *Scan) fetchAhead(ctx context.Context, next iter.Seq2[*unit, []want]) {
	n := 0
	for u, wants := range next {
		if n++; n > aheadUnits {
			return
		}
		ranges, bytes := s.chunks(u, wants)
		if len(ranges) == 0 {
			continue
		}
		e := s.ahead.reserve(aheadKey(u, wants), bytes)
		if e == nil {
			continue
		}
		go func() {
			defer close(e.done)
			h, err := u.file.handle(ctx, s)
			if err != nil {
				return // the reader will meet it
			}
			objstore.Prefetch(h.ReaderAtCloser, ranges)
			e.reader = h.ReaderAtCloser
		}()
	}
}

// chunks returns where the wanted columns of a unit lie.
func (s *Scan) chunks(u *unit, wants []want) (ranges []objstore.Range, bytes int64) {
	add := func(offset, length int64) {
		ranges = append(ranges, objstore.Range{Offset: offset, Length: length})
		bytes += length
	}
	for _, w := range wants {
		if len(u.file.columns[w.column].leaves) == 0 {
			continue
		}
		if tree := u.file.pageTree(s, u.group, w); tree != nil {
			tree.leaves(func(l *pqread.Leaf) {
				if !l.Null {
					add(l.Offset, l.Length)
				}
			})
			continue
		}
		for _, leaf := range u.file.leafIndices(s, w) {
			if from, length, err := chunkRange(u.file.meta, u.group, leaf); err == nil {
				add(from, length)
			}
		}
	}
	return ranges, bytes
}

// after returns the units behind one, with what is read of them.
func (s *Scan) after(u *unit, wants []want) iter.Seq2[*unit, []want] {
	return func(yield func(*unit, []want) bool) {
		for i := u.index + 1; i < len(s.units); i++ {
			all, err := s.filterWants(&s.units[i], wants)
			if err != nil || !yield(&s.units[i], all) {
				return
			}
		}
	}
}

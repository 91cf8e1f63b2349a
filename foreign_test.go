package metaxy_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// TestForeignUpstream: rows of an upstream feature in a store of another kind
// are read when a part is consumed, by the consumer's context, within the
// memory limit, and their memory and files are given back.
func TestForeignUpstream(t *testing.T) {
	const batches, each = 6, 2000
	read := 0
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	ids := make([][]int, batches)
	for i := range ids {
		for n := range each {
			ids[i] = append(ids[i], i*each+n)
		}
	}
	made := newBench(t, metaxy.Options{}, rootSpec)
	for _, part := range ids {
		made.samples("root", part...)
	}
	answer := func(*metaxy.ReadOptions) (*metaxy.Rows, error) {
		rows, err := made.store.Read(t.Context(), mustKey(t, "root"), nil)
		if err != nil {
			return nil, err
		}
		from := rows.Batches
		rows.Batches = func(yield func(arrow.RecordBatch, error) bool) {
			for b, err := range from {
				read++
				if !yield(b, err) {
					return
				}
			}
		}
		return rows, nil
	}
	open := func(o metaxy.Options) *metaxy.DeltaStore {
		o.Project, o.Graph, o.Allocator = "p", graphOf(t, true, rootSpec, leafSpec), checked
		o.Fallbacks = []metaxy.Fallback{{Name: "other", Store: foreignStore{read: answer}}}
		s, err := metaxy.Open(t.Context(), "mem://", &o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	resolved := func(s *metaxy.DeltaStore) *metaxy.Increment {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel() // what is consumed later has a context of its own
		read = 0
		inc, err := s.ResolveUpdate(ctx, mustKey(t, "leaf"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if read != 0 {
			t.Errorf("%d batches were read before anything was consumed", read)
		}
		return inc
	}
	count := func(ctx context.Context, inc *metaxy.Increment) (n int64, err error) {
		for b, err := range inc.New(ctx).Batches {
			if err != nil {
				return n, err
			}
			n += b.NumRows()
		}
		return n, nil
	}

	inc := resolved(open(metaxy.Options{}))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := count(ended, inc); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended consumer: %v", err)
	}
	for range 2 {
		if n, err := count(t.Context(), inc); n != batches*each || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
	}
	inc.Close()

	inc = resolved(open(metaxy.Options{MemoryLimit: 1 << 17}))
	var limit *hashjoin.LimitError
	if n, err := count(t.Context(), inc); !errors.As(err, &limit) {
		t.Errorf("beyond the limit without a folder: %d rows, %v", n, err)
	}
	inc.Close()

	dir := t.TempDir()
	inc = resolved(open(metaxy.Options{MemoryLimit: 1 << 21, SpillDir: dir}))
	if n, err := count(t.Context(), inc); n != batches*each || err != nil {
		t.Errorf("in a file: %d rows, %v", n, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) == 0 {
		t.Errorf("nothing lies in the folder (%v): this test wants rows in a file", err)
	}
	inc.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

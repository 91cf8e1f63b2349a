package metaxy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// filledBench has a root of so many rows and an empty leaf.
func filledBench(t *testing.T, mem memory.Allocator, rows int) *bench {
	t.Helper()
	b := newBench(t, metaxy.Options{Allocator: mem}, rootSpec, leafSpec)
	ids := make([]int, rows)
	for i := range ids {
		ids[i] = i
	}
	b.samples("root", ids...)
	return b
}

// TestCancelIsOfOneCall: a context that ended decides nothing for the next consumer.
func TestCancelIsOfOneCall(t *testing.T) {
	b := filledBench(t, nil, 100)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer inc.Close()
	snap, err := b.store.Table(mustKey(t, "root")).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, consume := range map[string]func(ctx context.Context) (int64, error){
		"increment": func(ctx context.Context) (n int64, err error) {
			for b, err := range inc.New(ctx).Batches {
				if err != nil {
					return n, err
				}
				n += b.NumRows()
			}
			return n, nil
		},
		"scan": func(ctx context.Context) (n int64, err error) {
			for b, err := range sc.Batches(ctx) {
				if err != nil {
					return n, err
				}
				n += b.NumRows()
			}
			return n, nil
		},
	} {
		if _, err := consume(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, ended: %v", name, err)
		}
		for range 2 {
			if n, err := consume(t.Context()); n != 100 || err != nil {
				t.Errorf("%s, fresh: %d rows, %v", name, n, err)
			}
		}
	}
}

// TestPanicInSamples: a panic of the producer is no empty answer to those who ask after it.
func TestPanicInSamples(t *testing.T) {
	b := filledBench(t, nil, 3)
	schema := frame(t, []string{"id int", byField + "{x}"}, "[]").Schema
	inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "root"), &metaxy.ResolveOptions{Samples: &metaxy.Rows{Schema: schema, Batches: func(func(arrow.RecordBatch, error) bool) { panic("boom") }}})
	if err != nil {
		t.Fatal(err)
	}
	defer inc.Close()
	consume := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		for _, err := range inc.New(t.Context()).Batches {
			if err != nil {
				return err
			}
		}
		return nil
	}
	for i := range 3 {
		if err := consume(); err == nil {
			t.Errorf("consumer %d was told that nothing is new", i)
		}
	}
	if err := inc.Count(t.Context()); err == nil {
		t.Errorf("a count says %+v", inc.Stats())
	}
}

// TestResolveGivesBackItsMemory: what an allocator gave comes back when an increment is closed, however it was consumed.
func TestResolveGivesBackItsMemory(t *testing.T) {
	for name, consume := range map[string]func(ctx context.Context, s *metaxy.DeltaStore, inc *metaxy.Increment) error{
		"nothing": func(context.Context, *metaxy.DeltaStore, *metaxy.Increment) error { return nil },
		"all": func(ctx context.Context, _ *metaxy.DeltaStore, inc *metaxy.Increment) error {
			for _, err := range inc.All(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"break": func(ctx context.Context, _ *metaxy.DeltaStore, inc *metaxy.Increment) error {
			for _, err := range inc.All(ctx) {
				return err
			}
			return nil
		},
		"new": func(ctx context.Context, _ *metaxy.DeltaStore, inc *metaxy.Increment) error {
			for _, err := range inc.New(ctx).Batches {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"count": func(ctx context.Context, _ *metaxy.DeltaStore, inc *metaxy.Increment) error { return inc.Count(ctx) },
		"status": func(ctx context.Context, s *metaxy.DeltaStore, _ *metaxy.Increment) error {
			key, err := feature.ParseKey("leaf")
			if err == nil {
				_, err = s.Status(ctx, key, nil)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer checked.AssertSize(t, 0)
			b := filledBench(t, checked, 2000)
			inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), &metaxy.ResolveOptions{NoRemember: true})
			if err != nil {
				t.Fatal(err)
			}
			if err := consume(t.Context(), b.store, inc); err != nil {
				t.Error(err)
			}
			inc.Close()
			inc.Close()
		})
	}
}

// TestSharedReaders: what is documented as shared is asked from several goroutines; the race detector judges.
func TestSharedReaders(t *testing.T) {
	b := filledBench(t, nil, 500)
	inc, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer inc.Close()
	snap, err := b.store.Table(mustKey(t, "root")).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			_, _, _ = inc.Stats(), inc.Warnings(), sc.Plan().String()
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	for _, err := range inc.New(t.Context()).Batches {
		if err != nil {
			t.Error(err)
		}
	}
	for _, err := range sc.Batches(t.Context()) {
		if err != nil {
			t.Error(err)
		}
	}
	close(done)
	<-watched
	if st := inc.Stats(); st.New != 500 {
		t.Errorf("%+v", st)
	}
}

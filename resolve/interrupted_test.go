package resolve_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

var errBroken = errors.New("the disk is on fire")

// trouble happens at one read of all tables together.
type trouble struct {
	reads atomic.Int64
	at    int64
	do    func() error
}

func (tr *trouble) step(int64) error {
	if tr.reads.Add(1) == tr.at {
		return tr.do()
	}
	return nil
}

// TestInterrupted calls a resolve off, or breaks a table, at any read: the
// error is that one, nothing is left in memory, on disk or running, and the
// next consumption gives the whole answer.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	before := runtime.NumGoroutine()
	hit := 0
	rapid.Check(t, func(t *rapid.T) {
		m := newMaker(t).request()
		want := m.answer()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		tr, cause := &trouble{at: rapid.Int64Range(1, 40).Draw(t, "read")}, context.Canceled
		tr.do = func() error { cancel(); return nil }
		if rapid.Bool().Draw(t, "breaks") {
			cause = errBroken
			tr.do = func() error { return errBroken }
		}
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		table := drawFiles(t, true)
		req := m.build(t, func(s *stored) frame.Table {
			f := table(s).(*files)
			f.mem, f.stop = mem, tr.step
			return f
		})
		req.Options = drawOptions(t, dir)
		req.Options.WithInput = m.progress
		inc, err := resolve.Update(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		err = drain(ctx, inc, rapid.Bool().Draw(t, "counts"))
		if tr.reads.Load() >= tr.at {
			hit++
			if !errors.Is(err, cause) {
				t.Fatalf("read %d: %v, want %v", tr.at, err, cause)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		tr.at = 0 // no trouble from here on
		if m.samples == nil {
			consume(t, inc, want)
			checkEnd(t, inc, want)
		}
		inc.Close()
		inc.Close()
		mem.AssertSize(t, 0)
		if err := drain(t.Context(), inc, false); err == nil {
			t.Fatal("a closed increment can be consumed")
		}
	})
	if hit == 0 {
		t.Error("nothing was interrupted")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v left in the spill directory (%v)", left, err)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	var stacks strings.Builder
	pprof.Lookup("goroutine").WriteTo(&stacks, 1)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, stacks.String())
}

func drain(ctx context.Context, inc *resolve.Increment, count bool) error {
	if count {
		return inc.Count(ctx)
	}
	for _, err := range inc.All(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

package calls_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// call is a prepared call: everything it needs stands, and it is the only thing that happens.
type call func(ctx context.Context) error

// row is what one exported call is run under.
type row struct {
	// fn is the function, or the method as an expression; it names the row.
	fn any
	// make prepares a call in a world. nil: the arguments are made by
	// reflection, and only a panic, a leak or a race is a fault.
	make func(w *world) call
	// quiet says why the code that the caller hands in (a callback, a stream, a
	// driver) is not run by this call; "" where it is run and ends in panics.
	quiet string
	// repeated tells errors that are right when the call is made again, or at once with itself.
	repeated func(error) bool
	// elsewhere: the caller's code runs in a goroutine of the call, so that its
	// end is an error of the call.
	elsewhere bool
	// alone says why the call is not made from several goroutines at once on one value.
	alone string
}

// name is that of the function as the compiler knows it, folder and name.
func (r row) name(t *testing.T) string {
	t.Helper()
	full := runtime.FuncForPC(reflect.ValueOf(r.fn).Pointer()).Name()
	full, ok := strings.CutPrefix(full, module)
	if !ok {
		t.Fatalf("%s is not of this module", full)
	}
	full = strings.NewReplacer("(*", "", ")", "", "[...]", "", ".func1", "").Replace(strings.TrimPrefix(full, "/"))
	return strings.TrimPrefix(full, ".")
}

const module = "github.com/metaxy-delta/metaxy-delta"

var errMine = errors.New("mine")

// world is what one call is made in: storage, memory and producers of its own.
type world struct {
	*testing.T
	mem    *memory.CheckedAllocator
	driver *objstoretest.Faulty
	dir    string
	// mid is called wherever code of the caller runs: in streams, callbacks, drivers.
	mid   func()
	calls atomic.Int64
	armed atomic.Bool
	// first makes consumers stop at the first element.
	first bool

	mu   sync.Mutex
	ends []func()
}

func newWorld(t *testing.T) *world {
	return &world{T: t, mem: memory.NewCheckedAllocator(memory.DefaultAllocator), driver: objstoretest.NewFaulty(objstore.NewMem(), 1)}
}

// inside is where the caller's code runs.
func (w *world) inside() {
	if !w.armed.Load() {
		return
	}
	w.calls.Add(1)
	if w.mid != nil {
		w.mid()
	}
}

func (w *world) end(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, f)
}

// close ends the world: what it made is closed, newest first, and the allocator
// has everything back.
func (w *world) close(what string) {
	w.Helper()
	w.armed.Store(false)
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
	if n := w.mem.CurrentAlloc(); n != 0 {
		w.mem.AssertSize(&named{w.T, what}, 0)
	}
}

// named puts the mode before what the allocator says.
type named struct {
	t    *testing.T
	what string
}

func (n *named) Errorf(format string, args ...any) { n.t.Errorf(n.what+": "+format, args...) }
func (n *named) Helper()                           {}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// hangs is how long a call may take before it counts as hanging: nothing here needs a second.
const hangs = 2 * time.Minute

// do makes a call in a goroutine of its own, so that one that exits or hangs is seen.
func do(w *world, c call, ctx context.Context) (err error, panicked any, exited bool) {
	w.Helper()
	exited = true
	done := make(chan struct{})
	w.armed.Store(true)
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = c(ctx)
		exited = false
	}()
	select {
	case <-done:
	case <-time.After(hangs):
		buf := make([]byte, 1<<20)
		w.Fatalf("hangs\n%s", buf[:runtime.Stack(buf, true)])
	}
	w.armed.Store(false)
	return err, panicked, exited && panicked == nil
}

// settled waits until no more goroutines run than before.
func settled(t *testing.T, what string, before int) {
	t.Helper()
	for range 2000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%s: %d goroutines, %d before\n%s", what, runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// counted is a context that ends when it has been asked so many times.
type counted struct {
	context.Context
	asked  atomic.Int64
	at     int64
	cancel context.CancelFunc
}

func countedContext(t *testing.T, at int64) *counted {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return &counted{Context: ctx, at: at, cancel: cancel}
}

func (c *counted) ask() {
	if c.asked.Add(1) == c.at {
		c.cancel()
	}
}

func (c *counted) Done() <-chan struct{} { c.ask(); return c.Context.Done() }
func (c *counted) Err() error            { c.ask(); return c.Context.Err() }

func (r row) allowed(err error) bool { return err == nil || r.repeated != nil && r.repeated(err) }

// plain runs the call to its end, and to the first element; it returns how
// often the context was asked, the caller's code ran, and requests came.
func (r row) plain(t *testing.T) (asked, inside int64, requests int) {
	for _, first := range []bool{true, false} {
		before := runtime.NumGoroutine()
		w := newWorld(t)
		w.first = first
		c := r.make(w)
		w.driver.Reset()
		ctx := countedContext(t, -1)
		err, panicked, exited := do(w, c, ctx)
		if err != nil || panicked != nil || exited {
			t.Errorf("plain: %v, panic %v, exit %v", err, panicked, exited)
		}
		asked, inside, requests = ctx.asked.Load(), w.calls.Load(), len(w.driver.Requests())
		w.close("plain")
		settled(t, "plain", before)
	}
	return asked, inside, requests
}

// cancelled ends the context at places chosen at random: the answer is right or
// context.Canceled, and the call can be repeated.
func (r row) cancelled(t *testing.T, rng *rand.Rand, asked int64, requests int) {
	try := func(what string, at int64, request int) {
		before := runtime.NumGoroutine()
		w := newWorld(t)
		c := r.make(w)
		ctx := countedContext(t, at)
		if request > 0 {
			w.driver.Add(objstoretest.Rule{Skip: request - 1, Times: 1, Fault: objstoretest.None, Do: func(objstoretest.Op, string) { ctx.cancel() }})
		}
		if at == 0 {
			ctx.cancel()
		}
		err, panicked, exited := do(w, c, ctx)
		if panicked != nil || exited || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, panic %v, exit %v", what, err, panicked, exited)
		}
		w.driver.Clear()
		if err, panicked, _ := do(w, c, t.Context()); !r.allowed(err) || panicked != nil {
			t.Errorf("%s: again: %v, panic %v", what, err, panicked)
		}
		w.close(what)
		settled(t, what, before)
	}
	try("cancelled before", 0, 0)
	for range min(3, asked) {
		at := 1 + rng.Int64N(asked)
		try(fmt.Sprintf("cancelled when asked for the %d. time of %d", at, asked), at, 0)
	}
	for range min(3, requests) {
		n := 1 + rng.IntN(requests)
		try(fmt.Sprintf("cancelled at request %d of %d", n, requests), -1, n)
	}
}

// ended panics, or exits, in the caller's own code: the panic reaches the
// caller as it was or as an error that is it, nothing is left, and the call can
// be repeated.
func (r row) ended(t *testing.T, rng *rand.Rand, inside int64) {
	for _, exit := range []bool{false, true} {
		for _, at := range []int64{1, 1 + rng.Int64N(inside)} {
			what := fmt.Sprintf("panic at call %d of %d of the caller's code", at, inside)
			if exit {
				what = fmt.Sprintf("exit at call %d of %d of the caller's code", at, inside)
			}
			before := runtime.NumGoroutine()
			w := newWorld(t)
			c := r.make(w)
			w.mid = func() {
				if w.calls.Load() != at {
					return
				}
				if exit {
					runtime.Goexit()
				}
				panic(errMine)
			}
			err, panicked, exited := do(w, c, t.Context())
			switch ran := w.calls.Load() >= at; {
			case !ran:
			case r.elsewhere && err != nil:
			case exit && !exited:
				t.Errorf("%s: the goroutine went on: %v, panic %v", what, err, panicked)
			case !exit && panicked != any(errMine) && !errors.Is(err, errMine):
				t.Errorf("%s: %v, panic %v", what, err, panicked)
			}
			w.mid = nil
			if err, panicked, _ := do(w, c, t.Context()); !r.allowed(err) || panicked != nil {
				t.Errorf("%s: again: %v, panic %v", what, err, panicked)
			}
			w.close(what)
			settled(t, what, before)
		}
	}
}

// atOnce makes the call from three goroutines: of one value where that is said
// to be safe, else of three, so that what they share in secret is a race.
func (r row) atOnce(t *testing.T, shared bool) {
	before := runtime.NumGoroutine()
	var worlds []*world
	var wg sync.WaitGroup
	calls := make([]call, 3)
	for i := range calls {
		if i == 0 || !shared {
			w := newWorld(t)
			w.armed.Store(true)
			worlds = append(worlds, w)
			calls[i] = r.make(w)
		} else {
			calls[i] = calls[0]
		}
	}
	for _, c := range calls {
		wg.Go(func() {
			if err := c(t.Context()); !r.allowed(err) {
				t.Errorf("at once: %v", err)
			}
		})
	}
	wg.Wait()
	for _, w := range worlds {
		w.close("at once")
	}
	settled(t, "at once", before)
}

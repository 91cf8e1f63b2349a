package resolve

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// PanicError is a panic of a table that was read beside others, in a goroutine
// of the resolve. Where Value is an error it is the cause.
type PanicError struct {
	Value any
	// Stack is that of the panic.
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic in a table: %v", e.Value) }

// Unwrap returns Value where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// apart runs do in a goroutine that is not the caller's. Tables are code of
// others: a panic is a *PanicError, and left is set where the goroutine was left,
// as t.FailNow does. The caller leaves its own then.
func apart(left *atomic.Bool, do func() error) (err error) {
	ended := false
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{Value: r, Stack: debug.Stack()}
		} else if !ended {
			left.Store(true)
		}
	}()
	err = do()
	ended = true
	return err
}

// eachOf runs do for 0 to n in ascending order, at most parallel at once; worker
// tells them apart. The first error cancels the others. Goroutines end as apart
// says.
func eachOf(ctx context.Context, n, parallel int, do func(ctx context.Context, worker, i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var left atomic.Bool
	parallel = workers(parallel)
	g, ctx := errgroup.WithContext(ctx)
	next := make(chan int)
	g.Go(func() error {
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for worker := range min(parallel, n) {
		g.Go(func() error {
			defer func() {
				if left.Load() {
					cancel()
				}
			}()
			return apart(&left, func() error {
				for i := range next {
					if err := do(ctx, worker, i); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	err := g.Wait()
	if left.Load() {
		runtime.Goexit()
	}
	return err
}

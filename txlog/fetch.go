package txlog

import "sync"

// fetchers is how many files of the log are in flight at once: requests, not decoding, cost the time on object stores.
const fetchers = 32

// inOrder runs fetch for 0..n-1 on several goroutines (workers), at most twice their number ahead, and use for each result in order on the caller's.
// It returns the first error of use, after the goroutines have ended.
func inOrder[T any](n, workers int, fetch func(i int) (T, error), use func(i int, v T, err error) error) error {
	type result struct {
		v   T
		err error
	}
	workers = min(n, workers)
	slots := make([]chan result, 2*max(workers, 1))
	for i := range slots {
		slots[i] = make(chan result, 1)
	}
	next := make(chan int, len(slots))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				v, err := fetch(i)
				slots[i%len(slots)] <- result{v, err}
			}
		})
	}
	sent := 0
	for ; sent < min(n, len(slots)); sent++ {
		next <- sent
	}
	var err error
	for i := 0; i < n && err == nil; i++ {
		res := <-slots[i%len(slots)]
		if err = use(i, res.v, res.err); err == nil && sent < n {
			next <- sent
			sent++
		}
	}
	close(next)
	wg.Wait() // slots are buffered and free for everything sent
	return err
}

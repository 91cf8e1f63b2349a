package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"
)

// retryAttempts, retryBase and retryTime bound how often and how long an idempotent call is tried again: no attempt begins after retryTime.
const (
	retryAttempts = 4
	retryBase     = 50 * time.Millisecond
	retryTime     = 2 * time.Minute
)

// Retryable marks errors of a driver that a second try may not meet (throttling, a dropped connection).
type Retryable interface {
	error
	Temporary() bool
}

// budget bounds the retries of all calls of a store together, so that a service that is down is not asked several times as often as one that is up.
// It starts full; a retry takes one from it, a call that succeeds puts a part back.
type budget struct {
	mu   sync.Mutex
	used int // in parts
}

const (
	budgetRetries = 200
	budgetParts   = 5 // calls that must succeed for one more retry
)

// take reports whether there is a retry left, and takes it.
func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > (budgetRetries-1)*budgetParts {
		return false
	}
	b.used += budgetParts
	return true
}

func (b *budget) refill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = max(0, b.used-1)
}

// retry runs an idempotent call again after errors that say they are temporary, with jittered exponential waits.
func (s *Store) retry(ctx context.Context, call func() error) error {
	deadline := time.NewTimer(retryTime)
	defer deadline.Stop()
	wait := retryBase
	for attempt := 1; ; attempt++ {
		err := call()
		if err == nil {
			s.budget.refill()
			return nil
		}
		if !temporary(err) {
			return err
		}
		if ctx.Err() != nil { // the caller asks what its context did, and the store's words say where
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		if attempt == retryAttempts || !s.budget.take() {
			return err
		}
		t := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-deadline.C:
			t.Stop()
			return err
		case <-t.C:
		}
		wait *= 4
	}
}

func temporary(err error) bool {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrExist), errors.Is(err, context.Canceled), errors.Is(err, ErrChanged):
		return false
	case errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	var t Retryable
	return errors.As(err, &t) && t.Temporary()
}

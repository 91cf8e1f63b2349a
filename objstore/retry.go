package objstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"time"
)

// retryAttempts and retryBase bound how often and how long an idempotent call is tried again.
const (
	retryAttempts = 4
	retryBase     = 50 * time.Millisecond
)

// Retryable marks errors of a driver that a second try may not meet (throttling, a dropped connection).
type Retryable interface {
	error
	Temporary() bool
}

// retry runs an idempotent call again after errors that say they are temporary, with jittered exponential waits.
func retry(ctx context.Context, call func() error) error {
	wait := retryBase
	for attempt := 1; ; attempt++ {
		err := call()
		if err == nil || attempt == retryAttempts || !temporary(err) || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
		wait *= 4
	}
}

func temporary(err error) bool {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrExist), errors.Is(err, context.Canceled):
		return false
	case errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	var t Retryable
	return errors.As(err, &t) && t.Temporary()
}

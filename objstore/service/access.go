package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// lookUpTime bounds a search for credentials: the machine's own service answers
// within a second, a program or a login within some.
const lookUpTime = 20 * time.Second

// LookUp runs a search for credentials, which may ask services that do not
// answer on this machine: it ends after 20 seconds also where the search does
// not heed its context. A failure is objstore.NoCredentials, unless it is an
// objstore.AccessError or the caller's context ended.
func LookUp[T any](ctx context.Context, find func(ctx context.Context) (T, error)) (T, error) {
	type found struct {
		value T
		err   error
	}
	inner, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	done := make(chan found, 1) // a search that goes on does not wait for us
	go func() {
		f := found{err: errors.New("the search ended its goroutine")}
		defer func() {
			if r := recover(); r != nil {
				f.err = fmt.Errorf("panic: %v", r)
			}
			done <- f
		}()
		f.value, f.err = find(inner)
	}()
	var f found
	select {
	case f = <-done:
	case <-inner.Done():
		f.err = errors.New("nothing was found within " + lookUpTime.String())
	}
	switch {
	case f.err == nil, errors.As(f.err, new(*objstore.AccessError)):
		return f.value, f.err
	case ctx.Err() != nil:
		return f.value, ctx.Err()
	}
	return f.value, &objstore.AccessError{Fault: objstore.NoCredentials, Err: f.err}
}

// unansweredError is a request of which nobody knows whether the service has seen it.
type unansweredError struct{ err error }

func (e *unansweredError) Error() string { return e.err.Error() }
func (e *unansweredError) Unwrap() error { return e.err }

// Unanswered is what objstore.Unanswered asks.
func (e *unansweredError) Unanswered() bool { return true }

// unanswered marks an error that no HTTP answer came with, unless nothing can have been sent.
func unanswered(err error) error {
	var op *net.OpError
	if errors.As(err, new(*objstore.AccessError)) || errors.As(err, new(*notOf)) || errors.As(err, &op) && op.Op == "dial" {
		return err
	}
	return &unansweredError{err}
}

// NotOf is an answer that a service does not give: of a proxy, a login page,
// the web interface of the service. Taken for one, a page would be an empty
// bucket. It is an answer: the request will not be carried out later.
func NotOf(service string) error { return &notOf{service} }

type notOf struct{ service string }

func (e *notOf) Error() string {
	return "the answer is not one of " + e.service + ": does the endpoint name its service?"
}

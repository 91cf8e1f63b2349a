package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// ErrIdle is a request on which nothing moved for a long time.
var ErrIdle = errors.New("the store stopped answering")

const (
	// requestIdle is how long a request may stand still.
	requestIdle = time.Minute
	// requestParallel is how many requests a client has under way at once by default.
	requestParallel = 64
)

// Transport bounds the requests of an HTTP client: so many at once (0 = 64), each from when it is sent until its body is closed, or until the answer begins
// where the body goes to a caller (Store.Reader), who may send others meanwhile. A request on which nothing moves in either direction, neither
// a byte of its body nor of the answer, ends in a temporary ErrIdle. Waiting for a turn is no standing still.
func Transport(base http.RoundTripper, parallel int) http.RoundTripper {
	if parallel <= 0 {
		parallel = requestParallel
	}
	if t, ok := base.(*http.Transport); ok && t.MaxIdleConnsPerHost < parallel { // else most connections are closed after one request
		t = t.Clone()
		t.MaxIdleConnsPerHost = parallel
		base = t
	}
	return &transport{base: base, turns: make(chan struct{}, parallel)}
}

type transport struct {
	base  http.RoundTripper
	turns chan struct{}
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	select {
	case t.turns <- struct{}{}:
	case <-req.Context().Done():
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, context.Cause(req.Context())
	}
	release := sync.OnceFunc(func() { <-t.turns })
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{ctx: ctx, cancel: cancel}
	w.timer = time.AfterFunc(requestIdle, func() { cancel(ErrIdle) })
	sent := req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		sent.Body = &watchedBody{watch: w, ReadCloser: req.Body, sending: true}
	}
	resp, err := t.base.RoundTrip(sent)
	w.answered.Store(true)
	w.timer.Stop()
	if err != nil {
		err = w.explain(err)
		release()
		cancel(nil)
		return nil, err
	}
	if objstore.Streamed(req.Context()) {
		release()
	}
	resp.Body = &watchedBody{watch: w, ReadCloser: resp.Body, end: func() {
		release()
		cancel(nil)
	}}
	return resp, nil
}

// CloseIdleConnections closes the connections that no request uses.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// watch cancels a request that stands still.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	// answered stops a body that is sent on after the answer began from starting the timer.
	answered atomic.Bool
}

func (w *watch) explain(err error) error {
	if errors.Is(context.Cause(w.ctx), ErrIdle) {
		return &temporaryError{fmt.Errorf("%w for %v", ErrIdle, requestIdle)}
	}
	if cert := (*tls.CertificateVerificationError)(nil); errors.As(err, &cert) {
		return &objstore.AccessError{Fault: objstore.BadCertificate, Err: err}
	}
	return err
}

// watchedBody is the body of a request, whose timer runs until the answer begins, or of an answer, whose timer runs while it is read.
type watchedBody struct {
	*watch
	io.ReadCloser
	sending bool
	end     func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	if b.sending {
		n, err := b.ReadCloser.Read(p)
		if !b.answered.Load() {
			b.timer.Reset(requestIdle)
		}
		return n, err
	}
	b.timer.Reset(requestIdle)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF {
		err = b.explain(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	if b.end != nil {
		b.timer.Stop()
		b.end()
	}
	return err
}

// Parallel is how many requests the settings allow at once, 0 = they say nothing. The name is delta-rs'.
func (s Settings) Parallel() (int, error) {
	text := s.Get("object_store_concurrency_limit", "concurrency_limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("storage option OBJECT_STORE_CONCURRENCY_LIMIT: %q is no positive number", text)
	}
	return n, nil
}

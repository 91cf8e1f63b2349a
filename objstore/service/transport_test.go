package service_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// drip gives a byte after each wait, n times, and then hangs until the context ends or is at its end.
type drip struct {
	ctx  context.Context
	n    int
	wait time.Duration
	hang bool
}

func (d *drip) Read(p []byte) (int, error) {
	if d.n == 0 {
		if !d.hang {
			return 0, io.EOF
		}
		<-d.ctx.Done()
		return 0, d.ctx.Err()
	}
	d.n--
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-time.After(d.wait):
	}
	p[0] = 'x'
	return 1, nil
}

func (d *drip) Close() error { return nil }

func send(ctx context.Context, rt http.RoundTripper, body io.Reader) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://host/", body)
	if err != nil {
		return 0, err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return len(got), err
}

// TestTransportIdle: a request ends when nothing moves for a minute, be it before the answer or in its body, and not while bytes come, however slowly.
func TestTransportIdle(t *testing.T) {
	slow := 50 * time.Second
	for name, c := range map[string]struct {
		answer func(r *http.Request) (*http.Response, error)
		body   func() io.Reader
		got    int
		idle   bool
	}{
		"no answer": {answer: func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, idle: true},
		"a body that stops": {answer: func(r *http.Request) (*http.Response, error) {
			return &http.Response{Body: &drip{r.Context(), 3, slow, true}}, nil
		}, idle: true, got: 3},
		"a slow body": {answer: func(r *http.Request) (*http.Response, error) {
			return &http.Response{Body: &drip{r.Context(), 10, slow, false}}, nil
		}, got: 10},
		"a slow upload": {answer: func(r *http.Request) (*http.Response, error) {
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n != 10 {
				return nil, errors.New("upload broke")
			}
			return &http.Response{Body: http.NoBody}, nil
		}, body: func() io.Reader { return &drip{context.Background(), 10, slow, false} }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var body io.Reader
				if c.body != nil {
					body = c.body()
				}
				n, err := send(t.Context(), service.Transport(roundTrip(c.answer), 0), body)
				var r objstore.Retryable
				if errors.Is(err, service.ErrIdle) != c.idle || errors.As(err, &r) != c.idle || (err != nil) != c.idle || n != c.got {
					t.Errorf("%d bytes, %v", n, err)
				}
				if c.idle && errors.Is(service.StatusError(0, err), service.ErrIdle) && !r.Temporary() {
					t.Error("an idle request is worth another try")
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // a caller that takes its time over a body is not the store's fault
		rt := service.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{Body: &drip{r.Context(), 2, time.Second, false}}, nil
		}), 0)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://host/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for range 2 {
			time.Sleep(time.Hour)
			if n, err := resp.Body.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
	})
}

// TestTransportParallel: no more requests at once than allowed, counted until their bodies are closed; a caller whose context ends does not wait.
func TestTransportParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most, total := 0, 0, 0
		rt := service.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			now++
			total++
			most = max(most, now)
			return &http.Response{Body: &counted{Reader: strings.NewReader("x"), end: func() {
				mu.Lock()
				defer mu.Unlock()
				now--
			}}}, nil
		}), 3)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := send(t.Context(), rt, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != 3 || total != 20 {
			t.Errorf("%d of %d requests at once, want 3", most, total)
		}
		var held []*http.Response
		for range 3 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://host/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, resp)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := send(ctx, rt, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's end", err)
		}
		for _, resp := range held {
			resp.Body.Close()
		}
	})
}

type counted struct {
	io.Reader
	end func()
}

func (c *counted) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return c.Reader.Read(p)
}

func (c *counted) Close() error {
	c.end()
	return nil
}

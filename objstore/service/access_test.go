package service_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// TestLookUp: a search for credentials that does not end, and does not heed its
// context, is given up after twenty seconds.
func TestLookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		begin := time.Now()
		_, err := service.LookUp(t.Context(), func(context.Context) (int, error) { <-end; return 1, nil })
		if !errors.Is(err, objstore.NoCredentials) || time.Since(begin) != 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := service.LookUp(ctx, func(context.Context) (int, error) { <-end; return 1, nil }); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, objstore.NoCredentials) {
			t.Errorf("%v", err)
		}
		close(end)
	})
	if v, err := service.LookUp(t.Context(), func(context.Context) (int, error) { return 1, nil }); v != 1 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	if _, err := service.LookUp(t.Context(), func(context.Context) (int, error) { return 0, io.EOF }); !errors.Is(err, objstore.NoCredentials) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
	if _, err := service.LookUp(t.Context(), func(context.Context) (int, error) {
		return 0, &objstore.AccessError{Fault: objstore.ExpiredCredentials}
	}); !errors.Is(err, objstore.ExpiredCredentials) || errors.Is(err, objstore.NoCredentials) {
		t.Errorf("%v", err)
	}
}

// TestUnanswered: only a request that may have been sent and was not answered
// may be carried out yet.
func TestUnanswered(t *testing.T) {
	for _, c := range []struct {
		status int
		err    error
		want   bool
	}{
		{0, io.EOF, true}, {0, context.Canceled, true}, {0, &net.OpError{Op: "read", Err: errors.New("reset")}, true},
		{0, &net.OpError{Op: "dial", Err: errors.New("refused")}, false}, {500, io.EOF, false}, {403, io.EOF, false},
	} {
		if got := objstore.Unanswered(service.StatusError(c.status, c.err)); got != c.want {
			t.Errorf("%d, %v: %v", c.status, c.err, got)
		}
	}
}

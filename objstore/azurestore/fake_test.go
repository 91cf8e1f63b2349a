package azurestore_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// server is a stand-in for the service whose answers a test may change.
type server struct {
	url  string
	hook atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
}

func start(t *testing.T, folders ...string) *server {
	f, fake := &server{}, servertest.NewAzureFake(nil, folders...)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := f.hook.Load(); h != nil {
			(*h)(w, r, fake)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	f.url = ts.URL + "/account"
	return f
}

func (f *server) set(h func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	f.hook.Store(&h)
}

package objstoretest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// Calls are what every store is asked, each with the requests that it makes.
func Calls(ctx context.Context, s *objstore.Store) map[string]func() error {
	return map[string]func() error{
		"list": func() error {
			for _, err := range s.List(ctx, objstore.ListOptions{Prefix: "a/"}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"stat":   func() error { _, err := s.Stat(ctx, "a/k"); return err },
		"read":   func() error { _, err := s.ReadAll(ctx, "a/k", 1<<20); return err },
		"put":    func() error { return s.Put(ctx, "a/k", strings.NewReader("body")) },
		"create": func() error { return s.PutIfAbsent(ctx, "a/new", []byte("body")) },
		"delete": func() error { return s.Delete(ctx, "a/k") },
	}
}

// Strangers are answers of somebody who is not the service.
func Strangers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<!DOCTYPE html><html><body>Log in</body></html>")
		},
		"text":       func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "it works") },
		"other JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"Contents": []}`) },
		"empty":      func(http.ResponseWriter, *http.Request) {},
	}
}

// NotTheService holds that a stranger's answer is an error of every call, and
// never an absence, a refusal or an object.
func NotTheService(t testing.TB, stranger string, calls map[string]func() error) {
	t.Helper()
	for call, do := range calls {
		if err := do(); err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrExist) {
			t.Errorf("%s, %s: %v", stranger, call, err)
		}
	}
}

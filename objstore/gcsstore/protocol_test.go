package gcsstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// TestAnswersThatAreNotGCS: an answer of somebody else is an error of every
// call, and never an absence, a refusal or an object.
func TestAnswersThatAreNotGCS(t *testing.T) {
	for name, lie := range objstoretest.Strangers() {
		s := start(t)
		store := objstore.New(s.open(t, "gs://bucket"))
		s.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { lie(w, r) })
		objstoretest.NotTheService(t, name, objstoretest.Calls(t.Context(), store))
	}
}

// TestListingsThatDoNotGoOn: no listing goes on for ever.
func TestListingsThatDoNotGoOn(t *testing.T) {
	for name, page := range map[string]string{
		"same token":  `{"kind":"storage#objects","nextPageToken":"t"}`,
		"empty pages": `{"kind":"storage#objects","nextPageToken":"t%d"}`,
	} {
		s := start(t)
		var n atomic.Int64
		s.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, strings.ReplaceAll(page, "%d", fmt.Sprint(n.Add(1))))
		})
		if err := objstoretest.Calls(t.Context(), objstore.New(s.open(t, "gs://bucket")))["list"](); err == nil || !strings.Contains(err.Error(), "not one of Google") {
			t.Errorf("%s: %v after %d pages", name, err, n.Load())
		}
	}
}

// TestAnswersAboutOthers: an answer about another body, range or version is no answer.
func TestAnswersAboutOthers(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "gs://bucket"))
	if err := store.Put(t.Context(), "a/k", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if ask := r.Header.Get("Range"); ask != "" {
			r.Header.Set("Range", "bytes=5-8")
		}
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"kind":"storage#object","name":"k","generation":"1","size":"0","crc32c":"AAAAAA=="}`)
			return
		}
		next.ServeHTTP(w, r)
	})
	for _, offset := range []int64{0, 2} {
		if r, err := store.Reader(t.Context(), "a/k", offset, 3); err == nil {
			t.Errorf("another range than from %d is given", offset)
			r.Close()
		}
	}
	if err := store.PutIfAbsent(t.Context(), "a/new", []byte("body")); err == nil || errors.Is(err, objstore.ErrExists) {
		t.Errorf("create: %v", err)
	}
	if err := store.Put(t.Context(), "a/new", strings.NewReader("body")); err == nil {
		t.Error("put: a body of no bytes was stored instead")
	}
}

// TestUploadsEnd: an upload whose requests fail for ever ends, small and large.
func TestUploadsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests} {
			transport, end := objstoretest.Wire(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"error":{"code":%d}}`, status)
			}))
			s, _ := servertest.Fake(t, "gcs", nil)
			d, err := gcsstore.Opener{Transport: transport}.Open(t.Context(), s.Store, s.Options)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{10, 20 << 20} {
				begin := time.Now()
				err := objstore.New(d).Put(t.Context(), "k", bytes.NewBuffer(make([]byte, size)))
				if took := time.Since(begin); err == nil || took > 5*time.Minute {
					t.Errorf("%d, %d bytes: %v after %v", status, size, err, took)
				}
			}
			d.Close()
			end()
		}
	})
}

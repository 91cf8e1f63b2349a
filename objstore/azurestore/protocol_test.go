package azurestore_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestAnswersThatAreNotAzure: an answer of somebody else is an error of every
// call, and never an absence, a refusal or an object.
func TestAnswersThatAreNotAzure(t *testing.T) {
	for name, lie := range objstoretest.Strangers() {
		s := start(t)
		store := objstore.New(s.open(t, "az://container"))
		s.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { lie(w, r) })
		objstoretest.NotTheService(t, name, objstoretest.Calls(t.Context(), store))
	}
}

// TestListingsThatDoNotGoOn: no listing goes on for ever.
func TestListingsThatDoNotGoOn(t *testing.T) {
	for name, page := range map[string]string{
		"same marker": `<EnumerationResults ContainerName="container"><Blobs/><NextMarker>t</NextMarker></EnumerationResults>`,
		"empty pages": `<EnumerationResults ContainerName="container"><Blobs/><NextMarker>t%d</NextMarker></EnumerationResults>`,
	} {
		s := start(t)
		var n atomic.Int64
		s.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprint(w, strings.ReplaceAll(page, "%d", fmt.Sprint(n.Add(1))))
		})
		if err := objstoretest.Calls(t.Context(), objstore.New(s.open(t, "az://container")))["list"](); err == nil || !strings.Contains(err.Error(), "not one of Azure") {
			t.Errorf("%s: %v after %d pages", name, err, n.Load())
		}
	}
}

// TestAnswersAboutOthers: an answer about another body, range or version is no answer.
func TestAnswersAboutOthers(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "az://container"))
	if err := store.Put(t.Context(), "a/k", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("X-Ms-Range") != "" {
			r.Header.Set("X-Ms-Range", "bytes=5-8")
		}
		if r.Method == http.MethodPut {
			w.Header().Set("ETag", `"0x1"`)
			w.Header().Set("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg==")
			w.WriteHeader(http.StatusCreated)
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

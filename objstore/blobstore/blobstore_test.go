package blobstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/blobstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

func TestConformance(t *testing.T) {
	for name, wrap := range map[string]func(*blob.Bucket) *blob.Bucket{
		"memory":   func(b *blob.Bucket) *blob.Bucket { return b },
		"prefixed": func(b *blob.Bucket) *blob.Bucket { return blob.PrefixedBucket(b, "some/prefix/") },
	} {
		t.Run(name, func(t *testing.T) {
			objstoretest.Run(t, func(*testing.T) objstore.Driver {
				return blobstore.New(wrap(memblob.OpenBucket(nil)), &blobstore.Options{Owned: true})
			}, nil)
		})
	}
}

// TestFilesAreForReading: a bucket of files can be read, and is refused for commits with the form of URL that works.
func TestFilesAreForReading(t *testing.T) {
	bucket, err := fileblob.OpenBucket(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	s := objstore.New(blobstore.New(bucket, &blobstore.Options{URL: "file:///x"}))
	if err := bucket.WriteAll(t.Context(), "k", []byte("body"), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ReadAll(t.Context(), "k", 10); err != nil || string(got) != "body" {
		t.Errorf("%q, %v", got, err)
	}
	for range 2 {
		if err := s.PutIfAbsent(t.Context(), "new", nil); !errors.Is(err, objstore.ErrNotAtomic) || !strings.Contains(err.Error(), "file:///folder") && !strings.Contains(err.Error(), "succeeded") {
			t.Errorf("%v", err)
		}
	}
	for o, err := range s.List(t.Context(), objstore.ListOptions{}) {
		if err != nil || o.Key != "k" {
			t.Errorf("left: %s, %v", o.Key, err)
		}
	}
}

// TestErrors: what a bucket refuses has the names of package objstore.
func TestErrors(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	s := objstore.New(blobstore.New(bucket, nil))
	if _, err := s.Stat(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := s.Put(t.Context(), "a\xff", bytes.NewReader(nil)); !errors.Is(err, objstore.ErrInvalidKey) {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if ok, err := bucket.IsAccessible(t.Context()); !ok || err != nil {
		t.Errorf("a bucket of the caller was closed: %v, %v", ok, err)
	}
	if err := bucket.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), "k"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a closed bucket: %v", err)
	}
}

// TestOpen: a URL goes to the provider that the program has for it.
func TestOpen(t *testing.T) {
	if !blobstore.Knows("mem") || blobstore.Knows("gopher") {
		t.Error("schemes")
	}
	d, err := blobstore.Open(t.Context(), "mem://?prefix=p/")
	if err != nil {
		t.Fatal(err)
	}
	s := objstore.New(d)
	if err := s.PutIfAbsent(t.Context(), "k", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if s.URL() != "mem:" && s.URL() != "mem://" {
		t.Errorf("URL %q", s.URL())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := blobstore.Open(t.Context(), "gopher://x"); err == nil {
		t.Error("an unknown scheme was opened")
	}
}

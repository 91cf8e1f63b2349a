package objstoretest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// testTags wants tags that are the same in every answer and another after each replacement, where the driver has them.
func testTags(t *testing.T, s *objstore.Store, _ Options) {
	var seen []string
	for _, body := range []string{"first", "other", ""} {
		put(t, s, "d/k", body)
		o, err := s.Stat(t.Context(), "d/k")
		if err != nil {
			t.Fatal(err)
		}
		for listed, err := range s.List(t.Context(), objstore.ListOptions{Prefix: "d/"}) {
			if err != nil {
				t.Fatal(err)
			}
			if listed.Tag != o.Tag {
				t.Errorf("tag %q in a listing, %q by itself", listed.Tag, o.Tag)
			}
		}
		if got, err := s.ReadObject(t.Context(), o, 10); err != nil || string(got) != body {
			t.Errorf("read %q, %v, want %q", got, err, body)
		}
		for _, old := range seen {
			if o.Tag == old && old != "" {
				t.Errorf("another body has the tag %q, too", old)
			}
		}
		seen = append(seen, o.Tag)
	}
}

// testReplacedBetween replaces an object between two reads by one reader: the second one gives the rest of the first body, or ErrChanged.
func testReplacedBetween(t *testing.T, s *objstore.Store, _ Options) {
	const half = 1 << 20
	first, second := bytes.Repeat([]byte("a"), 2*half), bytes.Repeat([]byte("b"), 2*half)
	for name, read := range map[string]func(key string) func() ([]byte, error){
		"at an offset": func(key string) func() ([]byte, error) {
			r, err := s.ReaderAt(t.Context(), key, 2*half)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() })
			at := int64(0)
			return func() ([]byte, error) {
				p := make([]byte, half)
				n, err := r.ReadAt(p, at)
				at += half
				return p[:n], err
			}
		},
		"as a stream": func(key string) func() ([]byte, error) {
			r, err := s.Reader(t.Context(), key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() })
			return func() ([]byte, error) {
				p := make([]byte, half)
				n, err := io.ReadFull(r, p)
				return p[:n], err
			}
		},
	} {
		put(t, s, name, string(first))
		next := read(name)
		got, err := next()
		if err != nil || !bytes.Equal(got, first[:half]) {
			t.Fatalf("%s: %d bytes, %v", name, len(got), err)
		}
		put(t, s, name, string(second))
		switch got, err = next(); {
		case errors.Is(err, objstore.ErrChanged):
		case err != nil:
			t.Errorf("%s: %v, want the rest or ErrChanged", name, err)
		case !bytes.Equal(got, first[half:]):
			t.Errorf("%s: the second half is of another body", name)
		}
	}
}

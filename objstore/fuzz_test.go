package objstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// FuzzKeys wants a key either refused by every store before anything happens, or held: by memory and, where the file system can have the name, by a
// directory, which then has nothing outside it, shows the key in its listing, and gives the body back.
func FuzzKeys(f *testing.F) {
	for _, k := range []string{
		"a", "a/b", "", "/", "..", "a/../b", "a/..", "./a", "a//b", "a\x00b", "a\nb", `a\b`, `..\a`, ".tmp-metaxy-1", "d/.tmp-metaxy-", ".hidden", "é", "e\u0301", "\xff", "a/", "~", "-", "a:b", "CON", "p=%2F..%2F/x", "%2e%2e/a",
		strings.Repeat("n", 256), strings.Repeat("d/", 100) + "x",
	} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, key string) {
		up := t.TempDir()
		d, err := objstore.NewLocal(filepath.Join(up, "root"))
		if err != nil {
			t.Fatal(err)
		}
		mem, disk := objstore.New(objstore.NewMem()), objstore.New(d)
		defer disk.Close()
		valid := objstore.ValidKey(key)
		for name, s := range map[string]*objstore.Store{"memory": mem, "disk": disk} {
			err := s.PutIfAbsent(t.Context(), key, []byte("body"))
			switch {
			case valid != nil && !errors.Is(err, objstore.ErrInvalidKey):
				t.Fatalf("%s: %q is no key (%v), and creating it says %v", name, key, valid, err)
			case valid == nil && err == nil:
				holds(t, name, s, key)
			case valid == nil && name == "memory":
				t.Fatalf("memory refuses %q: %v", key, err)
			}
		}
		entries, err := os.ReadDir(up)
		if err != nil || len(entries) > 1 || len(entries) == 1 && entries[0].Name() != "root" {
			t.Fatalf("%q left %v outside the root (%v)", key, entries, err)
		}
	})
}

func holds(t *testing.T, name string, s *objstore.Store, key string) {
	t.Helper()
	if got, err := s.ReadAll(t.Context(), key, 10); err != nil || string(got) != "body" {
		t.Fatalf("%s: %q holds %q, %v", name, key, got, err)
	}
	if err := s.PutIfAbsent(t.Context(), key, nil); !errors.Is(err, objstore.ErrExists) {
		t.Fatalf("%s: %q created twice: %v", name, key, err)
	}
	for _, opts := range []objstore.ListOptions{{Recursive: true}, {Prefix: key}, {Prefix: key[:strings.LastIndex(key, "/")+1]}} {
		if got := keys(t, s, opts); !slices.Equal(got, []string{key}) {
			t.Fatalf("%s: %+v lists %q, want %q", name, opts, got, key)
		}
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, s, objstore.ListOptions{Recursive: true}); len(got) > 0 {
		t.Fatalf("%s: deleting %q left %q", name, key, got)
	}
}

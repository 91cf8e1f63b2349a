package objstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// cachedStore is a store in memory whose requests are counted, with a cache.
func cachedStore(t *testing.T, o *objstore.CacheOptions) (*objstore.Store, *objstoretest.Faulty) {
	t.Helper()
	f := objstoretest.NewFaulty(objstore.NewMem(), 1)
	return objstore.New(f).WithCache(newCache(t, o)), f
}

func newCache(t *testing.T, o *objstore.CacheOptions) *objstore.Cache {
	t.Helper()
	c, err := objstore.NewCache(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func putString(t *testing.T, s *objstore.Store, key, body string) objstore.Object {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	o, err := s.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// reads is how many reads a call makes.
func reads(f *objstoretest.Faulty, call func()) int {
	f.Reset()
	call()
	return f.Counts()[objstoretest.OpRead]
}

func wantObject(t *testing.T, s *objstore.Store, o objstore.Object, want string) {
	t.Helper()
	if got, err := s.ReadObject(t.Context(), o, 1<<20); err != nil || string(got) != want {
		t.Fatalf("%s: %.40q, %v, want %.40q", o.Key, got, err, want)
	}
}

// wantRange reads a range by a new reader.
func wantRange(t *testing.T, s *objstore.Store, o objstore.Object, keep, off int64, want string) {
	t.Helper()
	r, err := s.OpenObject(t.Context(), o, keep)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, len(want))
	if _, err := r.ReadAt(got, off); err != nil || string(got) != want {
		t.Fatalf("%s at %d: %.40q, %v, want %.40q", o.Key, off, got, err, want)
	}
}

// TestCacheRequests: what is kept costs no request again, a new version costs one, and what is read by name is never kept.
func TestCacheRequests(t *testing.T) {
	s, f := cachedStore(t, nil)
	small, large := strings.Repeat("s", 1000), strings.Repeat("l", 1<<20)+strings.Repeat("e", 70<<10)
	a, b := putString(t, s, "log/a", small), putString(t, s, "data/b", large)
	end := int64(len(large)) - 8
	for _, c := range []struct {
		name string
		want int
		call func()
	}{
		{"the first read", 1, func() { wantObject(t, s, a, small) }},
		{"again", 0, func() { wantObject(t, s, a, small) }},
		{"through a store below", 0, func() {
			wantObject(t, s.Sub("log"), objstore.Object{Key: "a", Size: a.Size, Tag: a.Tag}, small)
		}},
		{"by name, as what changes is read", 1, func() {
			if _, err := s.ReadAll(t.Context(), "log/a", 1<<20); err != nil {
				t.Fatal(err)
			}
		}},
		{"the end of a large object, in pieces", 1, func() {
			r, err := s.OpenObject(t.Context(), b, 64<<10)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for _, off := range []int64{end, end - 100, b.Size - 64<<10} {
				if _, err := r.ReadAt(make([]byte, 8), off); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"its end again", 0, func() { wantRange(t, s, b, 64<<10, end, large[end:]) }},
		{"its middle, which is not kept", 1, func() { wantRange(t, s, b, 64<<10, 10, large[10:50]) }},
		{"its middle again", 1, func() { wantRange(t, s, b, 64<<10, 10, large[10:50]) }},
		{"a range of an object that is all kept", 1, func() { wantRange(t, s, b, b.Size, 20, large[20:50]) }},
		{"that range again", 0, func() { wantRange(t, s, b, b.Size, 20, large[20:50]) }},
		{"after it was replaced", 1, func() {
			a = putString(t, s, "log/a", "new")
			f.Reset()
			wantObject(t, s, a, "new")
		}},
	} {
		if got := reads(f, c.call); got != c.want {
			t.Errorf("%s: %d reads, want %d", c.name, got, c.want)
		}
	}
}

// TestCachePins: the rest of an object whose end came out of the cache is read in that version, or not at all.
func TestCachePins(t *testing.T) {
	s, _ := cachedStore(t, nil)
	body := func(c string) string { return strings.Repeat(c, 2<<20) }
	old := putString(t, s, "k", body("a"))
	wantRange(t, s, old, 100, old.Size-10, strings.Repeat("a", 10))
	putString(t, s, "k", body("b"))
	r, err := s.OpenObject(t.Context(), old, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := make([]byte, 10)
	if _, err := r.ReadAt(p, old.Size-10); err != nil || string(p) != strings.Repeat("a", 10) {
		t.Errorf("%q, %v", p, err)
	}
	if _, err := r.ReadAt(p, 0); !errors.Is(err, objstore.ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
}

// TestCacheLimit: the least recently used go first, and what is larger than a share of the limit is not kept.
func TestCacheLimit(t *testing.T) {
	s, f := cachedStore(t, &objstore.CacheOptions{MemoryLimit: 20_000})
	body := strings.Repeat("x", 2000)
	var all []objstore.Object
	for i := range 10 {
		all = append(all, putString(t, s, fmt.Sprint("k", i), body))
		wantObject(t, s, all[i], body)
		wantObject(t, s, all[0], body)
	}
	if n := reads(f, func() { wantObject(t, s, all[0], body); wantObject(t, s, all[9], body) }); n != 0 {
		t.Errorf("%d reads of what was used last", n)
	}
	if n := reads(f, func() { wantObject(t, s, all[1], body) }); n != 1 {
		t.Errorf("%d reads of what was used first", n)
	}
	large := putString(t, s, "large", strings.Repeat("y", 3000))
	if n := reads(f, func() {
		wantObject(t, s, large, strings.Repeat("y", 3000))
		wantObject(t, s, large, strings.Repeat("y", 3000))
	}); n != 2 {
		t.Errorf("%d reads of what is too large to be kept", n)
	}
}

// TestCacheModel compares reads through a cache with what was written, whatever the order.
func TestCacheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := objstore.NewMem()
		cache, err := objstore.NewCache(&objstore.CacheOptions{MemoryLimit: int64(rapid.IntRange(1, 5000).Draw(rt, "limit"))})
		if err != nil {
			rt.Fatal(err)
		}
		s := objstore.New(objstoretest.NewFaulty(mem, 1)).WithCache(cache)
		want := map[string]string{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			key := rapid.SampledFrom([]string{"a", "b", "c/d"}).Draw(rt, "key")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				want[key] = strings.Repeat(rapid.StringN(1, 3, -1).Draw(rt, "body"), rapid.IntRange(0, 100).Draw(rt, "times"))
				if err := s.Put(t.Context(), key, strings.NewReader(want[key])); err != nil {
					rt.Fatal(err)
				}
			case 1:
				delete(want, key)
				if err := s.Delete(t.Context(), key); err != nil {
					rt.Fatal(err)
				}
			default:
				o, err := s.Stat(t.Context(), key)
				body, there := want[key]
				if there != (err == nil) {
					rt.Fatalf("stat: %v", err)
				}
				if !there {
					continue
				}
				if got, err := s.ReadObject(t.Context(), o, 1000); err != nil || string(got) != body {
					rt.Fatalf("%q, %v, want %q", got, err, body)
				}
				keep := int64(rapid.IntRange(0, 400).Draw(rt, "keep"))
				from := rapid.IntRange(0, len(body)).Draw(rt, "from")
				r, err := s.OpenObject(t.Context(), o, keep)
				if err != nil {
					rt.Fatal(err)
				}
				p := make([]byte, rapid.IntRange(0, len(body)-from).Draw(rt, "length"))
				if n, err := r.ReadAt(p, int64(from)); err != nil || string(p[:n]) != body[from:from+len(p)] {
					rt.Fatalf("%d of %q, %v", n, p, err)
				}
			}
		}
	})
}

// TestCacheOnDisk: another process finds what was kept, and nobody else may look at it.
func TestCacheOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "cache")
	mem := objstoretest.NewFaulty(objstore.NewMem(), 1)
	first := objstore.New(mem).WithCache(newCache(t, &objstore.CacheOptions{Dir: dir}))
	o := putString(t, first, "log/a", "body")
	wantObject(t, first, o, "body")
	files := cacheFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("files %q, want one", files)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, files[0]: 0o600} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, st.Mode(), err, want)
		}
	}
	again := func() int {
		other := objstore.New(mem).WithCache(newCache(t, &objstore.CacheOptions{Dir: dir}))
		return reads(mem, func() { wantObject(t, other, o, "body") })
	}
	if n := again(); n != 0 {
		t.Errorf("%d reads by a process that finds the directory", n)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole { // every damage of one byte, and every cut
		for _, bad := range [][]byte{whole[:i], append(append(bytes.Clone(whole[:i]), whole[i]^1), whole[i+1:]...)} {
			if err := os.WriteFile(files[0], bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if n := again(); n != 1 {
				t.Fatalf("a damaged file, %d of %d bytes, cost %d reads, want 1", len(bad), len(whole), n)
			}
			if n := again(); n != 0 {
				t.Fatal("a damaged file is not replaced")
			}
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.NewCache(&objstore.CacheOptions{Dir: dir}); err == nil || !strings.Contains(err.Error(), "0700") {
		t.Errorf("a directory that others may enter: %v", err)
	}
}

func cacheFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestCacheOnDiskLimit: the directory stays within its limit, whoever filled it, and what is no part of the cache stays.
func TestCacheOnDiskLimit(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(mine, make([]byte, 50_000), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := cachedStore(t, &objstore.CacheOptions{Dir: dir, DirLimit: 20_000})
	for i := range 40 {
		o := putString(t, s, fmt.Sprint("k", i), strings.Repeat("x", 1000))
		wantObject(t, s, o, strings.Repeat("x", 1000))
	}
	total := int64(-50_000)
	for _, f := range cacheFiles(t, dir) {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		total += st.Size()
	}
	if total > 20_000 || total < 10_000 {
		t.Errorf("%d bytes on disk, want nearly 20,000", total)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

// TestCacheShared lets caches of one directory read and write the same things at once.
func TestCacheShared(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	mem := objstoretest.NewFaulty(objstore.NewMem(), 1)
	var all []objstore.Object
	for i := range 20 {
		all = append(all, putString(t, objstore.New(mem), fmt.Sprint("k", i), strings.Repeat(fmt.Sprint(i, ";"), 200)))
	}
	var wg sync.WaitGroup
	for g := range 6 {
		s := objstore.New(mem).WithCache(newCache(t, &objstore.CacheOptions{Dir: dir, MemoryLimit: 1, DirLimit: 12_000}))
		wg.Go(func() {
			for i := range 200 {
				n := (i*7 + g*3) % len(all)
				if got, err := s.ReadObject(t.Context(), all[n], 1<<20); err != nil || string(got) != strings.Repeat(fmt.Sprint(n, ";"), 200) {
					t.Errorf("%s: %.20q, %v", all[n].Key, got, err)
				}
			}
		})
	}
	wg.Wait()
	for _, f := range cacheFiles(t, dir) {
		if len(filepath.Base(f)) != 64 {
			t.Errorf("%s is left", f)
		}
	}
}

// TestCacheDirGone: a directory that cannot be used any more costs nothing but requests.
func TestCacheDirGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s, f := cachedStore(t, &objstore.CacheOptions{Dir: dir, MemoryLimit: 1})
	o := putString(t, s, "k", "body")
	wantObject(t, s, o, "body")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if n := reads(f, func() { wantObject(t, s, o, "body"); wantObject(t, s, o, "body") }); n != 2 {
		t.Errorf("%d reads", n)
	}
	if _, err := objstore.NewCache(&objstore.CacheOptions{MemoryLimit: -1}); err == nil {
		t.Error("a negative limit is taken")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.NewCache(&objstore.CacheOptions{Dir: file}); err == nil {
		t.Error("a file is taken for a directory")
	}
}

// TestResume: a stream that breaks goes on in the same version, and ends in ErrChanged when there is another.
func TestResume(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		mem := objstoretest.NewFaulty(objstore.NewMem(), 1)
		s := objstore.New(mem)
		body := strings.Repeat("0123456789", 1000)
		putString(t, s, "k", body)
		mem.Add(objstoretest.Rule{Op: objstoretest.OpRead, Times: 2, Fault: objstoretest.Short, Temporary: true})
		r, err := s.Reader(t.Context(), "k", 5, int64(len(body))-10)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if replaced {
			putString(t, s, "k", strings.Repeat("x", len(body)))
		}
		got, err := io.ReadAll(r)
		switch {
		case replaced && !errors.Is(err, objstore.ErrChanged):
			t.Errorf("replaced: %v after %d bytes, want ErrChanged", err, len(got))
		case !replaced && (err != nil || string(got) != body[5:len(body)-5]):
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if !replaced {
			if n := mem.Counts()[objstoretest.OpRead]; n != 3 {
				t.Errorf("%d requests, want 3", n)
			}
		}
	}
}

// TestRetryBudget: a service that is down is not asked much more often than one that is up.
func TestRetryBudget(t *testing.T) {
	f := objstoretest.NewFaulty(objstore.NewMem(), 1)
	f.Add(objstoretest.Rule{Fault: objstoretest.FailBefore, Temporary: true})
	s := objstore.New(f)
	const calls = 400
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			if _, err := s.Stat(t.Context(), "k"); !errors.Is(err, objstoretest.ErrInjected) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(f.Requests()); n != calls+200 {
		t.Errorf("%d requests for %d calls, want 200 more", n, calls)
	}
	f.Clear()
	for range 5 { // five that succeed pay for one retry
		if _, err := s.ReadAll(t.Context(), "none", 1); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if err := s.Put(t.Context(), "k", strings.NewReader("x")); err != nil {
			t.Error(err)
		}
	}
	f.Reset()
	f.Add(objstoretest.Rule{Fault: objstoretest.FailBefore, Temporary: true})
	if _, err := s.Stat(t.Context(), "k"); err == nil {
		t.Error("succeeded")
	}
	if n := len(f.Requests()); n != 2 {
		t.Errorf("%d requests, want one retry", n)
	}
}

// TestPrefetch: ranges close together are one request, and what was fetched is read without another.
func TestPrefetch(t *testing.T) {
	s, f := cachedStore(t, nil)
	body := make([]byte, 4<<20)
	for i := range body {
		body[i] = byte(i >> 8 * 31)
	}
	o := putString(t, s, "k", string(body))
	ranges := []objstore.Range{{Offset: 1 << 20, Length: 1000}, {Offset: 4, Length: 5000}, {Offset: 6000, Length: 10}, {Offset: 1<<20 + 50_000, Length: 70_000}, {Offset: 3 << 20, Length: 9}}
	r, err := s.OpenObject(t.Context(), o, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	hostile := []objstore.Range{{Offset: -1, Length: 5}, {Offset: 5, Length: -1}, {Offset: 1 << 62, Length: 1 << 62}, {Offset: o.Size - 1, Length: 2}}
	if n := reads(f, func() { objstore.Prefetch(r, append(hostile, ranges...)) }); n != 3 {
		t.Errorf("%d requests for three neighbourhoods", n)
	}
	n := reads(f, func() {
		for _, g := range ranges {
			p := make([]byte, g.Length)
			if _, err := r.ReadAt(p, g.Offset); err != nil || !bytes.Equal(p, body[g.Offset:g.Offset+g.Length]) {
				t.Errorf("%v: %v", g, err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%d requests for what was fetched", n)
	}
	if n := reads(f, func() { wantRange(t, s, o, 100, 4, string(body[4:104])) }); n != 1 {
		t.Errorf("%d requests", n)
	}
}

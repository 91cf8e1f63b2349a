// Package objstoretest proves that a driver keeps the promises of package objstore, and breaks drivers on purpose.
//
// Run is the conformance suite of drivers; what makes it more than a list of calls is that it races: many writers create the same key
// and exactly one may win. Faulty wraps a driver and fails, delays and counts its calls. No shipping file imports this package; its
// failures are reported through testing.T.
package objstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// Options fit the suite to a driver; the zero value is the whole of it.
type Options struct {
	// RaceRounds is the number of keys that writers race for: 0 = 2,000, or 200 under -short.
	RaceRounds int
	// LargeBytes is the size of the largest body: 0 = 20 MiB, or 1 MiB under -short.
	LargeBytes int
	// SkipKeys are keys that a stand-in for the real service cannot hold.
	SkipKeys []string
}

func (o *Options) fill() Options {
	out := Options{RaceRounds: 2000, LargeBytes: 20 << 20}
	if testing.Short() {
		out.RaceRounds, out.LargeBytes = 200, 1<<20
	}
	if o != nil {
		if o.RaceRounds > 0 {
			out.RaceRounds = o.RaceRounds
		}
		if o.LargeBytes > 0 {
			out.LargeBytes = o.LargeBytes
		}
		out.SkipKeys = o.SkipKeys
	}
	return out
}

// Run tests a driver. newDriver returns one over storage that is empty and that no other caller sees; the suite closes it. Its tests run
// in parallel, when the caller's test has returned.
func Run(t *testing.T, newDriver func(t *testing.T) objstore.Driver, opts *Options) {
	o := opts.fill()
	for _, c := range []struct {
		name string
		test func(*testing.T, *objstore.Store, Options)
	}{
		{"missing", testMissing},
		{"bodies", testBodies},
		{"broken body", testBrokenBody},
		{"create", testCreate},
		{"race", testRace},
		{"replace while reading", testReplaceWhileReading},
		{"replaced between", testReplacedBetween},
		{"tags", testTags},
		{"ranges", testRanges},
		{"random access", testRandomAccess},
		{"list", testList},
		{"list many", testListMany},
		{"list rapid", testListModel},
		{"odd keys", testOddKeys},
		{"invalid keys", testInvalidKeys},
		{"delete", testDelete},
		{"cancelled", testCancelled},
		{"sub", testSub},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := objstore.New(newDriver(t))
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.test(t, s, o)
		})
	}
}

func put(t *testing.T, s *objstore.Store, key, body string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
}

func wantBody(t *testing.T, s *objstore.Store, key, want string) {
	t.Helper()
	got, err := s.ReadAll(t.Context(), key, int64(len(want))+1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatalf("%s holds %.60q (%d bytes), want %.60q (%d bytes)", key, got, len(got), want, len(want))
	}
}

func wantIs(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func testMissing(t *testing.T, s *objstore.Store, _ Options) {
	ctx := t.Context()
	for range 2 {
		for _, key := range []string{"none", "dir/none", "there/below"} {
			_, err := s.Stat(ctx, key)
			wantIs(t, "stat of "+key, err, fs.ErrNotExist)
			_, err = s.ReadAll(ctx, key, 10)
			wantIs(t, "read of "+key, err, fs.ErrNotExist)
			if r, err := s.ReaderAt(ctx, key, 10); err == nil {
				_, err = r.ReadAt(make([]byte, 10), 0)
				wantIs(t, "range of "+key, err, fs.ErrNotExist)
				r.Close()
			} else {
				wantIs(t, "opening "+key, err, fs.ErrNotExist)
			}
			if err := s.Delete(ctx, key); err != nil {
				t.Errorf("delete of %s: %v", key, err)
			}
		}
		var e *objstore.Error
		if _, err := s.Stat(ctx, "none"); !errors.As(err, &e) || e.Key != "none" || e.Op == "" {
			t.Errorf("stat: %#v, want an *objstore.Error that names the key", err)
		}
		for o, err := range s.List(ctx, objstore.ListOptions{Prefix: "dir/", Recursive: true}) {
			t.Errorf("an empty store lists %v, %v", o, err)
		}
		put(t, s, "there", "x") // the second time the store is not empty
	}
}

func testBodies(t *testing.T, s *objstore.Store, o Options) {
	large := make([]byte, o.LargeBytes)
	for i := range large {
		large[i] = byte(i * 7 >> 3)
	}
	for _, n := range []int{0, 1, 4096, 1<<16 + 1, o.LargeBytes} {
		for name, body := range map[string]io.Reader{
			"seekable":       bytes.NewReader(large[:n]),
			"unknown length": io.MultiReader(bytes.NewReader(large[:n/2]), iotest.DataErrReader(bytes.NewReader(large[n/2:n]))),
		} {
			key := fmt.Sprintf("d/%d %s", n, name)
			if err := s.Put(t.Context(), key, body); err != nil {
				t.Fatal(err)
			}
			wantBody(t, s, key, string(large[:n]))
			st, err := s.Stat(t.Context(), key)
			if err != nil || st.Size != int64(n) || st.Key != key || st.ModTime.IsZero() {
				t.Errorf("stat: %+v, %v, want %d bytes", st, err, n)
			}
			if n > 0 {
				_, err = s.ReadAll(t.Context(), key, int64(n)-1)
				wantIs(t, "a limit below the size", err, objstore.ErrTooLarge)
			}
			if _, err = s.ReadAll(t.Context(), key, int64(n)); err != nil {
				t.Errorf("a limit of the size: %v", err)
			}
		}
	}
	put(t, s, "r", "a longer first body")
	put(t, s, "r", "second")
	wantBody(t, s, "r", "second")
	r, err := s.Reader(t.Context(), "r", 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "eco" {
		t.Errorf("streamed %q, %v", got, err)
	}
}

func testBrokenBody(t *testing.T, s *objstore.Store, o Options) {
	broken := errors.New("broken")
	body := func(n int) io.Reader {
		return io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(broken))
	}
	put(t, s, "old", "old")
	for _, n := range []int{0, 10, o.LargeBytes} {
		wantIs(t, "put of a broken body", s.Put(t.Context(), "new", body(n)), broken)
		_, err := s.Stat(t.Context(), "new")
		wantIs(t, "after a broken body", err, fs.ErrNotExist)
		wantIs(t, "put of a broken body", s.Put(t.Context(), "old", body(n)), broken)
		wantBody(t, s, "old", "old")
	}
	if got := list(t, s, objstore.ListOptions{Recursive: true}); !slices.Equal(got, []string{"old"}) {
		t.Errorf("broken bodies left %q", got)
	}
}

func testCreate(t *testing.T, s *objstore.Store, _ Options) {
	ctx := t.Context()
	for _, key := range []string{"a", "b/c/d"} {
		if err := s.PutIfAbsent(ctx, key, []byte("first")); err != nil {
			t.Fatal(err)
		}
		wantIs(t, "second create", s.PutIfAbsent(ctx, key, []byte("second")), objstore.ErrExists)
		wantBody(t, s, key, "first")
		put(t, s, key, "third")
		wantIs(t, "create after put", s.PutIfAbsent(ctx, key, nil), objstore.ErrExists)
		wantBody(t, s, key, "third")
		if err := s.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		if err := s.PutIfAbsent(ctx, key, nil); err != nil {
			t.Fatalf("create after delete: %v", err)
		}
		wantBody(t, s, key, "")
		wantIs(t, "create over an empty object", s.PutIfAbsent(ctx, key, []byte("x")), objstore.ErrExists)
	}
	body := []byte("kept")
	if err := s.PutIfAbsent(ctx, "mine", body); err != nil {
		t.Fatal(err)
	}
	copy(body, "lost")
	wantBody(t, s, "mine", "kept")
}

func testDelete(t *testing.T, s *objstore.Store, _ Options) {
	var keys []string
	for i := range 1100 {
		keys = append(keys, fmt.Sprintf("d/%d", i))
	}
	for _, k := range slices.Concat(keys[:20], keys[1080:]) {
		put(t, s, k, k)
	}
	put(t, s, "d2", "beside")
	if err := s.Delete(t.Context(), "d"); err != nil { // a directory, where there are any, is no object
		t.Error(err)
	}
	wantBody(t, s, "d/3", "d/3")
	if err := s.Delete(t.Context(), keys...); err != nil { // most were never there
		t.Fatal(err)
	}
	if got := list(t, s, objstore.ListOptions{Recursive: true}); !slices.Equal(got, []string{"d2"}) {
		t.Errorf("left %q", got)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Error(err)
	}
}

func testCancelled(t *testing.T, s *objstore.Store, _ Options) {
	put(t, s, "there", "x")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.ReaderAt(ctx, "there", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	_, err = r.ReadAt(make([]byte, 1), 0)
	wantIs(t, "range", err, context.Canceled)
	_, err = s.Stat(ctx, "there")
	wantIs(t, "stat", err, context.Canceled)
	_, err = s.ReadAll(ctx, "there", 10)
	wantIs(t, "read", err, context.Canceled)
	wantIs(t, "put", s.Put(ctx, "new", strings.NewReader("x")), context.Canceled)
	wantIs(t, "create", s.PutIfAbsent(ctx, "new", nil), context.Canceled)
	wantIs(t, "delete", s.Delete(ctx, "there"), context.Canceled)
	var last error
	for _, err := range s.List(ctx, objstore.ListOptions{}) {
		last = err
	}
	wantIs(t, "list", last, context.Canceled)
	wantBody(t, s, "there", "x")
	_, err = s.Stat(t.Context(), "new")
	wantIs(t, "what a cancelled call wrote", err, fs.ErrNotExist)
}

func testSub(t *testing.T, s *objstore.Store, _ Options) {
	sub := s.Sub("a").Sub("/b/")
	put(t, sub, "c", "deep")
	put(t, s, "a/z", "beside")
	wantBody(t, s, "a/b/c", "deep")
	wantBody(t, s.Sub(""), "a/b/c", "deep")
	if got := list(t, sub, objstore.ListOptions{}); !slices.Equal(got, []string{"c"}) {
		t.Errorf("listed %q", got)
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	wantBody(t, sub, "c", "deep")
	_, err := s.Sub("a/../..").Stat(t.Context(), "c")
	wantIs(t, "a prefix that leads out", err, objstore.ErrInvalidKey)
}

func testRanges(t *testing.T, s *objstore.Store, _ Options) {
	const body = "0123456789"
	put(t, s, "k", body)
	ctx := t.Context()
	r, err := s.ReaderAt(ctx, "k", 10)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for off := range int64(12) {
		for n := range 12 {
			want := body[min(off, 10):min(off+int64(n), 10)]
			p := make([]byte, n)
			got, err := r.ReadAt(p, off)
			if string(p[:got]) != want || (err == io.EOF) != (len(want) < n) || err != nil && err != io.EOF {
				t.Errorf("ReadAt(%d bytes, %d) = %q, %v, want %q", n, off, p[:got], err, want)
			}
			body, err := s.Reader(ctx, "k", off, int64(n))
			if err != nil {
				t.Errorf("Reader(%d, %d): %v", off, n, err)
				continue
			}
			if streamed, err := io.ReadAll(body); err != nil || string(streamed) != want {
				t.Errorf("Reader(%d, %d) = %q, %v, want %q", off, n, streamed, err, want)
			}
			body.Close()
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("read from a negative offset")
	}
	long, err := s.ReaderAt(ctx, "k", 20)
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	if n, err := long.ReadAt(make([]byte, 10), 5); !errors.Is(err, io.ErrUnexpectedEOF) || n != 5 {
		t.Errorf("an object shorter than its claimed size: %d, %v", n, err)
	}
	put(t, s, "empty", "")
	none, err := s.ReaderAt(ctx, "empty", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if n, err := none.ReadAt(make([]byte, 4), 0); n != 0 || err != io.EOF {
		t.Errorf("an empty object: %d, %v", n, err)
	}
}

func testRandomAccess(t *testing.T, s *objstore.Store, _ Options) {
	body := make([]byte, 1<<18)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	put(t, s, "k", string(body))
	r, err := s.ReaderAt(t.Context(), "k", int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	together(t, 8, func(g int) error {
		rng := rand.New(rand.NewPCG(3, uint64(g)))
		for range 20 {
			off := rng.IntN(len(body))
			p := make([]byte, rng.IntN(len(body)-off)+1)
			if _, err := r.ReadAt(p, int64(off)); err != nil {
				return err
			}
			if !bytes.Equal(p, body[off:off+len(p)]) {
				return fmt.Errorf("range %d+%d differs", off, len(p))
			}
		}
		return nil
	})
}

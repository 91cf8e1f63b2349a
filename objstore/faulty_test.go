package objstore_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

func faulty(t *testing.T) (*objstore.Store, *objstoretest.Faulty) {
	f := objstoretest.NewFaulty(objstore.NewMem(), 1)
	s := objstore.New(f)
	if err := s.Put(t.Context(), "k", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	f.Reset()
	return s, f
}

func TestRetries(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		name  string
		op    objstoretest.Op
		call  func(s *objstore.Store) error
		retry bool
	}{
		{"stat", objstoretest.OpStat, func(s *objstore.Store) error { _, err := s.Stat(ctx, "k"); return err }, true},
		{"read", objstoretest.OpRead, func(s *objstore.Store) error { _, err := s.ReadAll(ctx, "k", 10); return err }, true},
		{"range", objstoretest.OpRead, func(s *objstore.Store) error {
			r, err := s.ReaderAt(ctx, "k", 10)
			if err == nil {
				_, err = r.ReadAt(make([]byte, 4), 3)
			}
			return err
		}, true},
		{"put", objstoretest.OpPut, func(s *objstore.Store) error { return s.Put(ctx, "k", strings.NewReader("new")) }, true},
		{"put stream", objstoretest.OpPut, func(s *objstore.Store) error { return s.Put(ctx, "k", io.MultiReader(strings.NewReader("new"))) }, false},
		{"create", objstoretest.OpCreate, func(s *objstore.Store) error { return s.PutIfAbsent(ctx, "new", nil) }, false},
		{"delete", objstoretest.OpDelete, func(s *objstore.Store) error { return s.Delete(ctx, "k") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := faulty(t)
			f.Add(objstoretest.Rule{Op: c.op, Times: 2, Temporary: true})
			err := c.call(s)
			switch n := f.Counts()[c.op]; {
			case c.retry && (err != nil || n != 3):
				t.Errorf("two temporary faults: %v after %d calls, want success after 3", err, n)
			case !c.retry && (!errors.Is(err, objstoretest.ErrInjected) || n != 1):
				t.Errorf("a fault of a call that must not be repeated: %v after %d calls", err, n)
			}
			s, f = faulty(t)
			f.Add(objstoretest.Rule{Op: c.op})
			if err := c.call(s); !errors.Is(err, objstoretest.ErrInjected) || f.Counts()[c.op] != 1 {
				t.Errorf("a lasting fault: %v after %d calls, want it after 1", err, f.Counts()[c.op])
			}
			s, f = faulty(t)
			f.Add(objstoretest.Rule{Op: c.op, Err: fs.ErrPermission, Temporary: true})
			var e *objstore.Error
			if err := c.call(s); !errors.Is(err, fs.ErrPermission) || !errors.As(err, &e) || f.Counts()[c.op] != 1 {
				t.Errorf("refused: %v after %d calls, want an *Error after 1", err, f.Counts()[c.op])
			}
		})
	}
}

func TestShortRange(t *testing.T) {
	s, f := faulty(t)
	long := strings.Repeat("0123456789", 200_000) // too long to be fetched as a whole
	if err := s.Put(t.Context(), "k", strings.NewReader(long)); err != nil {
		t.Fatal(err)
	}
	f.Reset()
	r, err := s.ReaderAt(t.Context(), "k", int64(len(long)))
	if err != nil {
		t.Fatal(err)
	}
	f.Add(objstoretest.Rule{Op: objstoretest.OpRead, Fault: objstoretest.Short, Times: 1, Err: io.EOF})
	p := make([]byte, 8)
	if _, err := r.ReadAt(p, 1); err != nil || string(p) != "12345678" {
		t.Errorf("after a short body: %q, %v", p, err)
	}
	want := []objstoretest.Request{{Op: objstoretest.OpRead, Key: "k", Offset: 1, Length: 8}, {Op: objstoretest.OpRead, Key: "k", Offset: 5, Length: 4}}
	if got := f.Requests(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("requests %v, want %v: the second from where the first ended", got, want)
	}
	f.Clear()
	f.Add(objstoretest.Rule{Op: objstoretest.OpRead, Fault: objstoretest.Short, Err: io.EOF})
	if _, err := r.ReadAt(p, 1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("always short: %v, want an unexpected end", err)
	}
}

// TestSmallObject wants one request for all ranges of a small object, and the bytes that are there of one that is cut.
func TestSmallObject(t *testing.T) {
	s, f := faulty(t)
	r, err := s.ReaderAt(t.Context(), "k", 10)
	if err != nil {
		t.Fatal(err)
	}
	for off := range int64(10) {
		p := make([]byte, 1)
		if _, err := r.ReadAt(p, off); err != nil || p[0] != byte('0'+off) {
			t.Errorf("byte %d: %q, %v", off, p, err)
		}
	}
	if got := f.Requests(); len(got) != 1 || got[0].Length != 10 {
		t.Errorf("requests %v, want one for the whole object", got)
	}
	f.Add(objstoretest.Rule{Op: objstoretest.OpRead, Times: 1})
	if r, err = s.ReaderAt(t.Context(), "k", 10); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 3)
	if _, err := r.ReadAt(p, 1); !errors.Is(err, objstoretest.ErrInjected) {
		t.Errorf("a failed request: %v", err)
	}
	if _, err := r.ReadAt(p, 1); err != nil || string(p) != "123" {
		t.Errorf("after a failed request: %q, %v", p, err)
	}
}

func TestFaults(t *testing.T) {
	ctx := t.Context()
	t.Run("land then fail", func(t *testing.T) {
		s, f := faulty(t)
		f.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.LandThenFail, Times: 1})
		if err := s.PutIfAbsent(ctx, "new", []byte("x")); !errors.Is(err, objstoretest.ErrInjected) || errors.Is(err, objstore.ErrExists) {
			t.Errorf("create: %v", err)
		}
		if b, err := s.ReadAll(ctx, "new", 10); err != nil || string(b) != "x" {
			t.Errorf("did not land: %q, %v", b, err)
		}
		if err := s.PutIfAbsent(ctx, "new", nil); !errors.Is(err, objstore.ErrExists) {
			t.Error(err)
		}
		if f.Hits() != 1 {
			t.Errorf("%d hits", f.Hits())
		}
	})
	t.Run("fail before", func(t *testing.T) {
		s, f := faulty(t)
		f.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Skip: 1, Times: 1})
		for i, want := range []error{nil, objstoretest.ErrInjected, nil} {
			if err := s.PutIfAbsent(ctx, string(rune('a'+i)), nil); !errors.Is(err, want) {
				t.Errorf("create %d: %v, want %v", i, err, want)
			}
		}
		if _, err := s.Stat(ctx, "b"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("landed: %v", err)
		}
	})
	t.Run("slow", func(t *testing.T) {
		s, f := faulty(t)
		f.Add(objstoretest.Rule{Fault: objstoretest.Slow, Delay: time.Hour})
		ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if _, err := s.Stat(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		s, f := faulty(t)
		f.Add(objstoretest.Rule{Fault: objstoretest.Cancelled})
		if _, err := s.Stat(ctx, "k"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("competitor", func(t *testing.T) {
		s, f := faulty(t)
		f.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Key: "log/1", Times: 1, Fault: objstoretest.None, Do: func(_ objstoretest.Op, key string) {
			if err := s.PutIfAbsent(ctx, key, []byte("theirs")); err != nil {
				t.Error(err)
			}
		}})
		if err := s.PutIfAbsent(ctx, "log/1", []byte("ours")); !errors.Is(err, objstore.ErrExists) {
			t.Error(err)
		}
	})
	t.Run("listing", func(t *testing.T) {
		s, f := faulty(t)
		for _, k := range []string{"a", "b", "c"} {
			if err := s.PutIfAbsent(ctx, k, nil); err != nil {
				t.Fatal(err)
			}
		}
		f.Add(objstoretest.Rule{Op: objstoretest.OpList, Fault: objstoretest.Short, Times: 1})
		var got []string
		var failed error
		for o, err := range s.List(ctx, objstore.ListOptions{}) {
			got, failed = append(got, o.Key), err
		}
		if len(got) != 3 || !errors.Is(failed, objstoretest.ErrInjected) {
			t.Errorf("half a listing: %q, %v", got, failed)
		}
		f.Clear()
		f.Add(objstoretest.Rule{Op: objstoretest.OpList, Fault: objstoretest.Stale})
		if err := s.PutIfAbsent(ctx, "d", nil); err != nil {
			t.Fatal(err)
		}
		if got := keys(t, s, objstore.ListOptions{}); strings.Join(got, "") != "abck" {
			t.Errorf("stale listing %q", got)
		}
	})
}

// TestHostileListing feeds a store what a wrong or hostile server may answer.
func TestHostileListing(t *testing.T) {
	list := func(keys ...string) ([]string, error) {
		var got []string
		for o, err := range objstore.New(lister{objstore.NewMem(), keys}).Sub("t").List(t.Context(), objstore.ListOptions{After: "b", Recursive: true}) {
			if err != nil {
				return got, err
			}
			got = append(got, o.Key)
		}
		return got, nil
	}
	got, err := list("s/x", "t/", "t/a", "t/b", "t/c", "t/c//x", "t/d/", "t/d/../../e", "t/e", "u")
	if err != nil || strings.Join(got, " ") != "c e" {
		t.Errorf("listed %q, %v, want c and e", got, err)
	}
	if got, err := list("t/d", "t/c"); err == nil {
		t.Errorf("out of order: listed %q", got)
	}
	if got, err := list("t/d", "t/d"); err == nil {
		t.Errorf("twice: listed %q", got)
	}
}

type lister struct {
	objstore.Driver
	keys []string
}

func (l lister) List(context.Context, objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		for _, k := range l.keys {
			if !yield(objstore.Object{Key: k}, nil) {
				return
			}
		}
	}
}

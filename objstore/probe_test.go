package objstore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// doubtful is a driver of a service that is not known to honour the condition of a create; broken ones ignore it, or overwrite and complain.
type doubtful struct {
	objstore.Driver
	ignores, overwrites bool
	creates             int
}

func (*doubtful) Unproven() bool { return true }

func (d *doubtful) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	d.creates++
	err := d.Driver.PutIfAbsent(ctx, key, body)
	if errors.Is(err, objstore.ErrExists) && (d.ignores || d.overwrites) {
		if perr := d.Put(ctx, key, strings.NewReader(string(body))); perr != nil || d.ignores {
			return perr
		}
	}
	return err
}

func TestFirstCreateIsProven(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		name string
		d    doubtful
		err  error
	}{{"good", doubtful{}, nil}, {"ignores", doubtful{ignores: true}, objstore.ErrNotAtomic}, {"overwrites", doubtful{overwrites: true}, objstore.ErrNotAtomic}} {
		t.Run(c.name, func(t *testing.T) {
			d := c.d
			d.Driver = objstore.NewMem()
			root := objstore.New(&d)
			a, b := root.Sub("a"), root.Sub("b")
			for i, s := range []*objstore.Store{a, b, a} {
				if err := s.PutIfAbsent(ctx, []string{"x", "y", "z"}[i], nil); !errors.Is(err, c.err) {
					t.Errorf("create %d: %v, want %v", i, err, c.err)
				}
			}
			want := 5 // two for the proof, once for all stores of a driver
			if c.err != nil {
				want = 2
			}
			if d.creates != want {
				t.Errorf("%d creates reached the driver, want %d", d.creates, want)
			}
			for o, err := range root.List(ctx, objstore.ListOptions{Recursive: true}) {
				if err != nil || c.err != nil || strings.Contains(o.Key, "probe") {
					t.Errorf("left %q, %v", o.Key, err)
				}
			}
			_, err := objstore.Probe(ctx, root)
			if !errors.Is(err, c.err) {
				t.Errorf("probe: %v, want %v", err, c.err)
			}
		})
	}
}

// TestProofFaults: while it is unknown what the store does nothing is created, and the next create asks again.
func TestProofFaults(t *testing.T) {
	ctx := t.Context()
	for n := 1; ; n++ {
		f := objstoretest.NewFaulty(objstore.NewMem(), 1)
		s := objstore.New(&doubtful{Driver: f})
		f.Add(objstoretest.Rule{Skip: n - 1, Times: 1, Fault: objstoretest.FailBefore})
		err := s.PutIfAbsent(ctx, "k", []byte("x"))
		hit := f.Hits() > 0
		f.Clear()
		_, statErr := s.Stat(ctx, "k")
		switch {
		case err == nil && statErr != nil:
			t.Errorf("call %d: created, but %v", n, statErr)
		case err != nil && !errors.Is(statErr, fs.ErrNotExist):
			t.Errorf("call %d: %v, but the object is there (%v)", n, err, statErr)
		case err != nil:
			if errors.Is(err, objstore.ErrNotAtomic) {
				t.Errorf("call %d: a fault is taken for a verdict: %v", n, err)
			}
			if err := s.PutIfAbsent(ctx, "k", nil); err != nil {
				t.Errorf("call %d: again: %v", n, err)
			}
		}
		if !hit {
			if n != 6 {
				t.Errorf("a first create makes %d calls, want 5", n-1)
			}
			return
		}
	}
}

func TestProbe(t *testing.T) {
	ctx := t.Context()
	f := objstoretest.NewFaulty(objstore.NewMem(), 1)
	s := objstore.New(f).Sub("below")
	r, err := objstore.Probe(ctx, s)
	if err != nil || r.ServerTime.IsZero() || r.Left != nil || r.LeftErr != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if n := len(f.Requests()); n != 8 {
		t.Errorf("%d calls", n)
	}
	f.Add(objstoretest.Rule{Op: objstoretest.OpDelete, Err: fs.ErrPermission})
	if r, err = objstore.Probe(ctx, s); err != nil || len(r.Left) != 2 || !errors.Is(r.LeftErr, fs.ErrPermission) {
		t.Errorf("nothing may be deleted: %+v, %v", r, err)
	}
	f.Clear()
	f.Add(objstoretest.Rule{Op: objstoretest.OpList, Fault: objstoretest.Stale})
	if _, err = objstore.Probe(ctx, s); err == nil || !strings.Contains(err.Error(), "listing") {
		t.Errorf("a stale listing: %v", err)
	}
	f.Clear()
	f.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Err: fs.ErrPermission})
	if _, err = objstore.Probe(ctx, s); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a bucket that may only be read: %v", err)
	}
}

// TestLocalWithoutLinks: a file system that has no hard links is found out by the create, which leaves nothing and says what to do; NewLocalUnsafe, which that
// names, creates there.
func TestLocalWithoutLinks(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOTSUP, syscall.ENOSYS, syscall.EMLINK} {
		dir := t.TempDir()
		without := func(d objstore.Driver, err error) *objstore.Store {
			if err != nil {
				t.Fatal(err)
			}
			objstore.Watch(d, func(op, name, to string, do func() error) error {
				if op == "link" {
					return &os.LinkError{Op: "linkat", Old: name, New: to, Err: errno}
				}
				return do()
			})
			return objstore.New(d)
		}
		s := without(objstore.NewLocal(dir))
		err := s.PutIfAbsent(t.Context(), "a/k", []byte("x"))
		if !errors.Is(err, objstore.ErrNoLinks) || !errors.Is(err, objstore.ErrNotAtomic) || !strings.Contains(err.Error(), "ALLOW_UNSAFE_RENAME") {
			t.Errorf("%v: %v", errno, err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "a")); err != nil || len(left) != 0 {
			t.Errorf("%v: left %v, %v", errno, left, err)
		}
		if err := s.Put(t.Context(), "a/data", strings.NewReader("x")); err != nil {
			t.Errorf("%v: a data file: %v", errno, err)
		}
		if err := without(objstore.NewLocalUnsafe(dir)).PutIfAbsent(t.Context(), "a/k", []byte("x")); err != nil {
			t.Errorf("%v: unsafe: %v", errno, err)
		}
	}
}

func TestLocalUnsafe(t *testing.T) {
	d, err := objstore.NewLocalUnsafe(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := objstore.New(d)
	if err := s.PutIfAbsent(t.Context(), "a/k", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := s.PutIfAbsent(t.Context(), "a/k", []byte("y")); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("there already: %v", err)
	}
	if got, err := s.ReadAll(t.Context(), "a/k", 9); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}

package outdir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/internal/outdir"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// dirs are a folder and a bucket.
func dirs(t *testing.T) map[string]outdir.Dir {
	t.Helper()
	folder, err := outdir.Local(filepath.Join(t.TempDir(), "new", "folder"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]outdir.Dir{"folder": folder, "bucket": outdir.Bucket(objstore.New(objstore.NewMem()).Sub("some/prefix"))}
}

// begin writes a file that waits.
func begin(t *testing.T, d outdir.Dir, name, text string) outdir.File {
	t.Helper()
	f, err := d.Create(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFilesAppear: nothing is there before its commit, and all of it after.
func TestFilesAppear(t *testing.T) {
	for kind, d := range dirs(t) {
		if names, err := d.Names(t.Context()); err != nil || len(names) > 0 {
			t.Errorf("%s: %v, %v before anything was written", kind, names, err)
		}
		if _, err := d.Read(t.Context(), "a", 10); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a missing file: %v", kind, err)
		}
		a, b := begin(t, d, "a", "one"), begin(t, d, "b", "two")
		if _, err := d.Read(t.Context(), "a", 10); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file before its commit: %v", kind, err)
		}
		b.Discard()
		if err := a.Commit(t.Context()); err != nil {
			t.Error(kind, err)
		}
		a.Discard()
		if names, err := d.Names(t.Context()); err != nil || !slices.Equal(names, []string{"a"}) {
			t.Errorf("%s: %v, %v", kind, names, err)
		}
		if err := begin(t, d, "a", "three").Commit(t.Context()); err != nil {
			t.Error(kind, err)
		}
		if text, err := d.Read(t.Context(), "a", 10); err != nil || string(text) != "three" {
			t.Errorf("%s: %q, %v", kind, text, err)
		}
		if _, err := d.Read(t.Context(), "a", 2); !errors.Is(err, objstore.ErrTooLarge) {
			t.Errorf("%s: a file beyond the limit: %v", kind, err)
		}
		if err := errors.Join(d.Remove(t.Context(), "a", "none"), d.Remove(t.Context()), d.Close()); err != nil {
			t.Error(kind, err)
		}
		if names, err := d.Names(t.Context()); err != nil || len(names) > 0 {
			t.Errorf("%s: %v, %v after all was removed", kind, names, err)
		}
	}
}

// TestNothingIsLeft: what was not committed is gone, of files that wait for a bucket too.
func TestNothingIsLeft(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	faulty := objstoretest.NewFaulty(objstore.NewMem(), 1)
	d := outdir.Bucket(objstore.New(faulty))
	a, b := begin(t, d, "a", "one"), begin(t, d, "b", "two")
	begin(t, d, "c", "three")
	if err := a.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	faulty.Add(objstoretest.Rule{Op: objstoretest.OpPut, Err: refused})
	if err := b.Commit(t.Context()); !errors.Is(err, refused) {
		t.Errorf("a refused commit: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if names, err := d.Names(t.Context()); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("%v, %v", names, err)
	}
}

// TestNoFolder: a path that is a file is refused at once.
func TestNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := outdir.Local(path); err == nil {
		t.Error("a file is taken for a folder")
	}
}

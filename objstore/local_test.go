package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func local(t *testing.T, dir string) *objstore.Store {
	t.Helper()
	d, err := objstore.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := objstore.New(d)
	t.Cleanup(func() { s.Close() })
	return s
}

func keys(t *testing.T, s *objstore.Store, opts objstore.ListOptions) []string {
	t.Helper()
	var out []string
	for o, err := range s.List(t.Context(), opts) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Key)
	}
	return out
}

func TestLocalLinks(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	for _, dir := range []string{"root/in", "out"} {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range map[string]string{"root/in/real": "inside", "out/secret": "outside"} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"near": "in/real", "up": "../out/secret", "abs": filepath.Join(base, "out/secret"), "dir": "../out", "indir": "in", "loop": "loop", "dangling": "nothing",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := local(t, root)
	ctx := t.Context()
	if b, err := s.ReadAll(ctx, "near", 100); err != nil || string(b) != "inside" {
		t.Errorf("link inside: %q, %v", b, err)
	}
	for _, key := range []string{"up", "abs", "dir/secret"} {
		_, rerr := s.ReadAll(ctx, key, 100)
		_, serr := s.Stat(ctx, key)
		_, aerr := s.ReaderAt(ctx, key, 7)
		for op, err := range map[string]error{"read": rerr, "stat": serr, "readerat": aerr} {
			if !errors.Is(err, objstore.ErrOutside) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of %s: %v, want ErrOutside", op, key, err)
			}
		}
	}
	for _, err := range []error{s.Put(ctx, "dir/new", bytes.NewReader(nil)), s.PutIfAbsent(ctx, "dir/new", nil), s.Delete(ctx, "dir/secret")} {
		if !errors.Is(err, objstore.ErrOutside) {
			t.Errorf("writing through a link that leads out: %v, want ErrOutside", err)
		}
	}
	if _, err := s.ReadAll(ctx, "dangling", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dangling link: %v", err)
	}
	if _, err := s.ReadAll(ctx, "loop", 100); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("loop: %v", err)
	}
	if err := s.Put(ctx, "up", bytes.NewReader([]byte("mine"))); err != nil {
		t.Errorf("replacing a link: %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(base, "out/secret")); string(b) != "outside" {
		t.Errorf("a write went through a link: %q", b)
	}
	want := []string{"abs", "dangling", "dir", "in/real", "loop", "near", "up"}
	if got := keys(t, s, objstore.ListOptions{Recursive: true}); !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func TestLocalNoHangOnPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	s := local(t, dir)
	if _, err := s.ReadAll(t.Context(), "pipe", 10); err == nil || !strings.Contains(err.Error(), "no regular file") || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading a pipe: %v, want no regular file", err)
	}
}

func TestLocalMissingRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := local(t, dir)
	if got := keys(t, s, objstore.ListOptions{Recursive: true}); len(got) != 0 {
		t.Errorf("a missing root lists %q", got)
	}
	if _, err := s.Stat(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
	if err := s.Delete(t.Context(), "x"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made the root: %v", err)
	}
	for range 2 { // the second time the root was removed under an open store
		if err := s.PutIfAbsent(t.Context(), "c/x", []byte("1")); err != nil {
			t.Fatal(err)
		}
		if b, err := s.ReadAll(t.Context(), "c/x", 10); err != nil || string(b) != "1" {
			t.Fatalf("%q, %v", b, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadAll(t.Context(), "c/x", 10); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func TestLocalRootIsFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.NewLocal(name); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("opening a file as a store: %v", err)
	}
}

func TestLocalDirectoriesAreNoObjects(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := local(t, dir)
	if _, err := s.ReadAll(t.Context(), "empty", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read: %v", err)
	}
	if err := s.Delete(t.Context(), "empty"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "empty")); err != nil {
		t.Errorf("delete removed a directory: %v", err)
	}
	if err := s.PutIfAbsent(t.Context(), "f", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), "f/below"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path through a file: %v", err)
	}
	if err := s.PutIfAbsent(t.Context(), "f/below", nil); err == nil {
		t.Error("wrote below a file")
	}
}

func TestLocalLeavesNoTemporaries(t *testing.T) {
	dir := t.TempDir()
	s := local(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	bad := io.MultiReader(bytes.NewReader(make([]byte, 1<<16)), readFunc(func([]byte) (int, error) { cancel(); return 1, nil }))
	if err := s.Put(ctx, "d/x", bad); !errors.Is(err, context.Canceled) {
		t.Errorf("put with a context that ends: %v", err)
	}
	if err := s.PutIfAbsent(t.Context(), "d/y", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.PutIfAbsent(t.Context(), "d/y", []byte("2")); !errors.Is(err, objstore.ErrExists) {
		t.Error(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "d"))
	if err != nil || len(left) != 1 || left[0].Name() != "y" {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d", ".tmp-metaxy-crashed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, s, objstore.ListOptions{Prefix: "d/"}); !slices.Equal(got, []string{"d/y"}) {
		t.Errorf("listed %q", got)
	}
}

func TestLocalPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	s := local(t, dir)
	if err := s.PutIfAbsent(t.Context(), "d/x", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "d"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(dir, "d"), 0o755)
	if _, err := s.ReadAll(t.Context(), "d/x", 10); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("read: %v", err)
	}
	for _, err := range s.List(t.Context(), objstore.ListOptions{Prefix: "d/"}) {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("list: %v", err)
		}
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

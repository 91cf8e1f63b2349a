//go:build unix

package atomicfile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
)

// content reads a file, failing the test where it cannot.
func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// alone fails where a directory holds more than the given names.
func alone(t *testing.T, dir string, names ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range list {
		have = append(have, e.Name())
	}
	if strings.Join(have, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, have, names)
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		umask     int
		old, want fs.FileMode // old 0: there is no file
	}{
		{0o022, 0, 0o644}, {0o077, 0, 0o600}, {0o002, 0, 0o664}, {0, 0, 0o666},
		{0o022, 0o600, 0o600}, {0o077, 0o644, 0o644}, {0o022, 0o664, 0o664}, {0o022, 0o755, 0o755},
	} {
		t.Run(fmt.Sprintf("umask %03o over %03o", c.umask, c.old), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			if c.old != 0 {
				if err := os.WriteFile(path, []byte("old and longer"), c.old); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, c.old); err != nil {
					t.Fatal(err)
				}
			}
			defer syscall.Umask(syscall.Umask(c.umask))
			if err := atomicfile.WriteFile(t.Context(), path, []byte("new")); err != nil {
				t.Fatal(err)
			}
			st, err := os.Stat(path)
			if err != nil || st.Mode().Perm() != c.want {
				t.Errorf("mode %v, %v, want %v", st.Mode(), err, c.want)
			}
			if got := content(t, path); got != "new" {
				t.Errorf("content %q", got)
			}
			alone(t, filepath.Dir(path), "x")
		})
	}
}

func TestDiscardLeavesWhatWasThere(t *testing.T) {
	for _, old := range []string{"", "old"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "x")
		if old != "" {
			if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f, err := atomicfile.Create(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, "half"); err != nil {
			t.Fatal(err)
		}
		f.Discard()
		f.Discard()
		if err := f.Commit(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("commit after discard: %v", err)
		}
		if old == "" {
			alone(t, dir)
			continue
		}
		alone(t, dir, "x")
		if got := content(t, path); got != old {
			t.Errorf("content %q", got)
		}
	}
}

func TestLinksAreFollowed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, sub := range []string{"real", "links"} {
		if err := os.Mkdir(at(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(at("real/there"), []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"links/relative": "../real/there", "links/absolute": at("real/there"), "links/twice": "relative",
		"links/dangling": "../real/made", "links/loop": "loop", "links/nowhere": "../none/file", "links/dir": "../real",
	} {
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"links/relative": "real/there", "links/absolute": "real/there", "links/twice": "real/there",
		"links/dangling": "real/made", "links/dir/there": "real/there", "links/dir/new": "real/new",
	} {
		if err := atomicfile.WriteFile(t.Context(), at(name), []byte(name)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := content(t, at(target)); got != name {
			t.Errorf("%s: the target holds %q", name, got)
		}
		if st, err := os.Lstat(at(name)); strings.Count(name, "/") == 1 && (err != nil || st.Mode().Type() != fs.ModeSymlink) {
			t.Errorf("%s is no link any more: %v, %v", name, st.Mode(), err)
		}
	}
	for name, want := range map[string]error{"links/loop": syscall.ELOOP, "links/nowhere": fs.ErrNotExist, "links/dir": syscall.EISDIR, "real": syscall.EISDIR, "none/x": fs.ErrNotExist, "real/there/x": syscall.ENOTDIR} {
		if err := atomicfile.WriteFile(t.Context(), at(name), nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	alone(t, at("real"), "made", "new", "there")
	if st, err := os.Stat(at("real/there")); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestPipeIsWrittenInPlace(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("fifo", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, link} {
		read := make(chan string)
		go func() {
			data, err := os.ReadFile(fifo)
			read <- fmt.Sprintf("%s %v", data, err)
		}()
		big := strings.Repeat("x", 1<<20) // more than a pipe holds
		if err := atomicfile.WriteFile(t.Context(), path, []byte(big)); err != nil {
			t.Fatal(err)
		}
		if got := <-read; got != big+" <nil>" {
			t.Errorf("%s: the reader got %d bytes", path, len(got))
		}
		if st, err := os.Stat(fifo); err != nil || st.Mode().Type() != fs.ModeNamedPipe {
			t.Errorf("the pipe is %v, %v", st.Mode(), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := atomicfile.Create(ctx, fifo); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody reads: %v", err)
	}
	alone(t, dir, "fifo", "link")
}

func TestDeviceIsWrittenInPlace(t *testing.T) {
	dir := t.TempDir()
	for name, minor := range map[string]int{"null": 3, "full": 7} {
		path := filepath.Join(dir, name)
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|minor); err != nil {
			t.Skip("no devices can be made here:", err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Skip("devices cannot be opened here:", err)
		}
		f.Close()
		err = atomicfile.WriteFile(t.Context(), path, []byte("text"))
		if name == "null" && err != nil || name == "full" && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", name, err)
		}
		if st, err := os.Lstat(path); err != nil || st.Mode().Type() != fs.ModeDevice|fs.ModeCharDevice {
			t.Errorf("%s is %v, %v", name, st.Mode(), err)
		}
	}
	alone(t, dir, "full", "null")
}

// TestDescriptor: what the shell has redirected goes on where it stands.
func TestDescriptor(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path := fmt.Sprintf("/dev/fd/%d", f.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skip("descriptors have no names here:", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ path, text string }{{"", "head "}, {path, "body "}, {link, "more "}, {"", "tail"}} {
		if step.path == "" {
			_, err = f.WriteString(step.text)
		} else {
			err = atomicfile.WriteFile(t.Context(), step.path, []byte(step.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := content(t, f.Name()); got != "head body more tail" {
		t.Errorf("the file holds %q", got)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := atomicfile.WriteFile(t.Context(), fmt.Sprintf("/dev/fd/%d", w.Fd()), []byte("through")); err != nil {
		t.Error(err)
	}
	w.Close()
	if data, err := io.ReadAll(r); string(data) != "through" || err != nil {
		t.Errorf("pipe: %q, %v", data, err)
	}
	if err := atomicfile.WriteFile(t.Context(), "/dev/fd/999", nil); err == nil {
		t.Error("wrote to a descriptor that is not open")
	}
}

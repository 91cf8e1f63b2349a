// Package deltatest finds the conformance data and builds table states for tests; no shipping file imports it.
//
// Data lies in the folder that METAXY_SHARED names, else in ../shared beside the module, else packed in testdata of the module
// (vectors, scenarios and tables/spark only). What is in none of them skips the test with one line.
package deltatest

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Data returns the directory of a part of the conformance data, such as "vectors", "scenarios" or "tables/spark".
func Data(t testing.TB, part string) string {
	t.Helper()
	root := ModuleRoot()
	shared := os.Getenv("METAXY_SHARED")
	if shared == "" {
		shared = filepath.Join(root, "..", "shared")
	}
	dir := filepath.Join(shared, filepath.FromSlash(part))
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return dir
	}
	top := part
	for ; top != "."; top = filepath.ToSlash(filepath.Dir(top)) {
		packed := filepath.Join(root, "testdata", strings.ReplaceAll(top, "/", "-")+".tar.gz")
		if _, err := os.Stat(packed); err == nil {
			out := t.TempDir()
			if err := unpack(packed, out); err != nil {
				t.Fatalf("unpack %s: %v", packed, err)
			}
			return filepath.Join(out, filepath.FromSlash(part))
		}
	}
	t.Skipf("no conformance data %q: set METAXY_SHARED to the folder that holds it", part)
	return ""
}

// ModuleRoot is the directory of go.mod.
func ModuleRoot() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.FromSlash(strings.TrimPrefix(h.Name, "./"))
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		case tar.TypeReg:
			err = writeFile(root, name, r)
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := root.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

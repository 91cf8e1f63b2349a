//go:build unix

package objstore_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// TestLocalModes: files and directories have what the umask leaves, so that a group that shares a folder can write all of it.
func TestLocalModes(t *testing.T) {
	for _, umask := range []int{0o022, 0o002, 0o077, 0} {
		t.Run(fmt.Sprintf("%03o", umask), func(t *testing.T) {
			base := t.TempDir()
			defer syscall.Umask(syscall.Umask(umask))
			s := local(t, filepath.Join(base, "deep", "root"))
			if err := s.PutIfAbsent(t.Context(), "a/b/created", []byte("1")); err != nil {
				t.Fatal(err)
			}
			if err := s.Put(t.Context(), "a/c/put", bytes.NewReader([]byte("1"))); err != nil {
				t.Fatal(err)
			}
			d, err := objstore.NewLocalUnsafe(filepath.Join(base, "deep", "root"))
			if err != nil {
				t.Fatal(err)
			}
			if err := objstore.New(d).PutIfAbsent(t.Context(), "a/d/renamed", []byte("1")); err != nil {
				t.Fatal(err)
			}
			seen := 0
			err = filepath.WalkDir(filepath.Join(base, "deep"), func(path string, e fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				st, err := e.Info()
				want := fs.FileMode(0o666 &^ umask)
				if e.IsDir() {
					want = fs.FileMode(0o777 &^ umask)
				}
				if err == nil && st.Mode().Perm() != want {
					t.Errorf("%s has %v, want %v", path, st.Mode().Perm(), want)
				}
				seen++
				return err
			})
			if err != nil || seen != 9 {
				t.Errorf("%d names, %v", seen, err)
			}
		})
	}
}

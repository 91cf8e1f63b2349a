package objstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

func (d *localDriver) Put(ctx context.Context, key string, body io.Reader) error {
	return d.write(ctx, key, body, func(root *os.Root, temp, name string) error { return root.Rename(temp, name) })
}

func (d *localDriver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return d.write(ctx, key, bytes.NewReader(body), func(root *os.Root, temp, name string) error {
		err := root.Link(temp, name)
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EMLINK) {
			return fmt.Errorf("%w (%v)", ErrNoLinks, err)
		}
		return err
	})
}

// write fills a temporary file beside the final name, syncs it, publishes it and syncs the directory. What it leaves on failure is nothing, or
// after a crash a file whose name listings skip.
func (d *localDriver) write(ctx context.Context, key string, body io.Reader, publish func(root *os.Root, temp, name string) error) error {
	if strings.HasPrefix(path.Base(key), tempPrefix) {
		return fmt.Errorf("%w %q: such names are those of files being written", ErrInvalidKey, key)
	}
	name := filepath.FromSlash(key)
	dir := filepath.Dir(name)
	var root *os.Root
	var f *os.File
	var temp string
	err := d.do(ctx, true, func(r *os.Root) (err error) {
		root = r
		f, temp, err = createTemp(r, dir)
		return err
	})
	if err != nil {
		return err
	}
	defer root.Remove(temp) // after a rename there is nothing left to remove
	_, err = io.Copy(f, contextReader{ctx, body})
	if err == nil {
		err = syncFile(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = publish(root, temp, name)
	}
	if err == nil {
		err = syncDir(root, dir)
	}
	return localError(root, err)
}

// createTemp makes a file of a new name in dir, and dir itself where it is missing.
func createTemp(root *os.Root, dir string) (*os.File, string, error) {
	var id [12]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, "", err
	}
	temp := filepath.Join(dir, tempPrefix+hex.EncodeToString(id[:]))
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		if err = mkdirAll(root, dir); err == nil {
			f, err = root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		}
	}
	return f, temp, err
}

// mkdirAll makes dir and its missing parents, each synced into the directory above it, so that a synced file in them survives a crash.
func mkdirAll(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if _, err := root.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	up := filepath.Dir(dir)
	if err := mkdirAll(root, up); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(root, up)
}

// makeDirs is mkdirAll for the root directory itself, which lies in no root.
func makeDirs(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	up := filepath.Dir(dir)
	if err := makeDirs(up); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(up)
	if err != nil {
		return nil // a parent that may be written but not read cannot be synced
	}
	defer f.Close()
	return syncFile(f)
}

// contextReader ends a copy when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncFile(f)
}

// syncFile forces a file to disk; some file systems cannot sync directories or anything, which is no failure of the write.
func syncFile(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

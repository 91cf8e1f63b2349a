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
	return d.write(ctx, key, body, "rename", (*os.Root).Rename)
}

func (d *localDriver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if d.unsafe {
		return d.write(ctx, key, bytes.NewReader(body), "rename", renameIfAbsent)
	}
	return d.write(ctx, key, bytes.NewReader(body), "link", (*os.Root).Link)
}

// noLinks names what a file system says that has no hard links.
func noLinks(err error) error {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EMLINK) {
		return fmt.Errorf("%w (%v)", ErrNoLinks, err)
	}
	return err
}

// renameIfAbsent looks and then renames; another writer between the two would lose its file.
func renameIfAbsent(root *os.Root, temp, name string) error {
	_, err := root.Lstat(name)
	switch {
	case err == nil:
		return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return root.Rename(temp, name)
}

// write fills a temporary file beside the final name, syncs it, publishes it and syncs the directory. What it leaves on failure is nothing, or
// after a crash a file whose name listings skip.
func (d *localDriver) write(ctx context.Context, key string, body io.Reader, op string, publish func(root *os.Root, temp, name string) error) error {
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
		f, temp, err = d.createTemp(r, dir)
		return err
	})
	if err != nil {
		return err
	}
	defer root.Remove(temp) // after a rename there is nothing left to remove
	_, err = io.Copy(f, contextReader{ctx, body})
	if err == nil {
		err = d.step("sync", temp, "", func() error { return syncFile(f) })
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = d.step(op, temp, name, func() error { return publish(root, temp, name) })
		if op == "link" {
			err = noLinks(err)
		}
	}
	if err == nil {
		err = d.syncDir(root, dir)
	}
	return localError(root, err)
}

// step does one thing to the disk. Tests watch the steps to learn what a loss of power could undo.
func (d *localDriver) step(op, name, to string, do func() error) error {
	if d.watch == nil {
		return do()
	}
	return d.watch(op, name, to, do)
}

// createTemp makes a file of a new name in dir, and dir itself where it is missing.
func (d *localDriver) createTemp(root *os.Root, dir string) (*os.File, string, error) {
	var id [12]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, "", err
	}
	if err := d.ensureDir(root, dir); err != nil {
		return nil, "", err
	}
	temp := filepath.Join(dir, tempPrefix+hex.EncodeToString(id[:]))
	var f *os.File
	create := func() (err error) {
		f, err = root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	}
	err := d.step("create", temp, "", create)
	if errors.Is(err, fs.ErrNotExist) { // somebody removed the directory since
		d.mu.Lock()
		clear(d.durable)
		d.mu.Unlock()
		if err = d.ensureDir(root, dir); err == nil {
			err = d.step("create", temp, "", create)
		}
	}
	return f, temp, err
}

// ensureDir makes dir and its missing parents. Each is synced into the directory above it before something in it is promised to be stored, also one
// that another process made, which may not have come to that yet. Memory: the names of the directories that were written to.
func (d *localDriver) ensureDir(root *os.Root, dir string) error {
	d.mu.Lock()
	known := d.durable[dir]
	d.mu.Unlock()
	if known {
		return nil
	}
	if err := d.makeDir(root, dir); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable[dir] = true
	return nil
}

func (d *localDriver) makeDir(root *os.Root, dir string) error {
	if dir == "." {
		return syncAbove(d.dir)
	}
	up := filepath.Dir(dir)
	if err := d.ensureDir(root, up); err != nil {
		return err
	}
	err := d.step("mkdir", dir, "", func() error { return root.Mkdir(dir, 0o777) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.syncDir(root, up); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // a directory that may be written but not read cannot be synced
}

// makeDirs makes the root directory, which lies in no root; the caller syncs it into the one above.
func makeDirs(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	up := filepath.Dir(dir)
	if err := makeDirs(up); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncAbove(up)
}

// syncAbove syncs the directory that holds dir; one that may be written but not read cannot be synced.
func syncAbove(dir string) error {
	f, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return nil
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

func (d *localDriver) syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.step("syncdir", dir, "", func() error { return syncFile(f) })
}

// syncFile forces a file to disk; some file systems cannot sync directories or anything, which is no failure of the write.
func syncFile(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

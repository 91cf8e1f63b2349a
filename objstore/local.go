package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// tempPrefix starts the names of files that are being written; listings leave them out.
const tempPrefix = ".tmp-metaxy-"

// ErrNoLinks is a file system without hard links, on which creating a file that must not exist cannot be made safe.
// It is ErrNotAtomic; the storage option ALLOW_UNSAFE_RENAME=true creates all the same, which only one writer at a time may do.
var ErrNoLinks = fmt.Errorf("%w: the file system has no hard links; where there is only ever one writer at a time, set the storage option ALLOW_UNSAFE_RENAME to true", ErrNotAtomic)

// localDriver keeps objects as files below a directory. Every access goes through os.Root, which refuses links that lead out of it.
type localDriver struct {
	dir    string
	unsafe bool // create by looking and renaming

	mu      sync.Mutex
	root    *os.Root        // opened when the directory exists
	durable map[string]bool // directories whose names are known to be on disk

	watch func(op, name, to string, do func() error) error // of tests; nil otherwise
}

// NewLocal opens a directory, which need not exist until something is written. An object is a regular file; what is being written
// has a hidden name beside it. Links inside the directory are followed, one that leads out of it is ErrOutside.
func NewLocal(dir string) (Driver, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(abs); err == nil && !st.IsDir() {
		return nil, fmt.Errorf("%s is not a directory: %w", abs, fs.ErrInvalid)
	}
	return &localDriver{dir: abs, durable: map[string]bool{}}, nil
}

// NewLocalUnsafe is NewLocal for a file system without hard links and a directory that only ever has one writer at a time: a create looks whether the
// file is there and then renames.
func NewLocalUnsafe(dir string) (Driver, error) {
	d, err := NewLocal(dir)
	if err != nil {
		return nil, err
	}
	d.(*localDriver).unsafe = true
	return d, nil
}

func (d *localDriver) URL() string { return d.dir }

// open returns the root, making the directory when create is set.
func (d *localDriver) open(create bool) (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root != nil {
		return d.root, nil
	}
	if create {
		if err := makeDirs(d.dir); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, err
	}
	d.root = root
	return root, nil
}

// do runs an operation on the root. A missing file under a root that was itself removed or replaced since it was opened says nothing,
// so the operation runs once more on a fresh one.
func (d *localDriver) do(ctx context.Context, create bool, op func(root *os.Root) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for again := false; ; again = true {
		root, err := d.open(create)
		if err != nil {
			return localError(nil, err)
		}
		err = op(root)
		if err == nil || again || !errors.Is(err, fs.ErrNotExist) || !d.forget(root) {
			return localError(root, err)
		}
	}
}

// forget drops a root that its path no longer names and reports whether it did.
func (d *localDriver) forget(root *os.Root) bool {
	have, err := root.Stat(".")
	if err != nil {
		return false
	}
	now, err := os.Stat(d.dir)
	if err == nil && os.SameFile(have, now) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == root {
		d.root = nil
		clear(d.durable)
		root.Close()
	}
	return true
}

// localError gives errors of the system the names of this package: a path through a file is missing, one that leaves the root is ErrOutside.
func localError(root *os.Root, err error) error {
	var pe *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%v: %w", err, fs.ErrNotExist)
	case root != nil && errors.As(err, &pe):
		// The system library keeps its error for a path that escapes to itself; ask the root for one to compare with.
		var escape *fs.PathError
		if _, e := root.Lstat(".."); errors.As(e, &escape) && pe.Err == escape.Err {
			return fmt.Errorf("%w (%v)", ErrOutside, err)
		}
	}
	return err
}

// openFile opens a regular file for reading. It does not block on what is none, such as a pipe that nobody writes to.
func (d *localDriver) openFile(ctx context.Context, key string) (f *os.File, size int64, err error) {
	err = d.do(ctx, false, func(root *os.Root) error {
		f, err = root.OpenFile(filepath.FromSlash(key), os.O_RDONLY|nonblock, 0)
		if err != nil {
			return err
		}
		st, err := f.Stat()
		if err == nil {
			size, err = st.Size(), regular(st)
		}
		if err != nil {
			f.Close()
		}
		return err
	})
	return f, size, err
}

// regular reports why a file is no object.
func regular(st fs.FileInfo) error {
	switch {
	case st.IsDir():
		return fmt.Errorf("is a directory: %w", fs.ErrNotExist)
	case !st.Mode().IsRegular():
		return fmt.Errorf("is no regular file (%v)", st.Mode().Type())
	}
	return nil
}

func (d *localDriver) Stat(ctx context.Context, key string) (o Object, err error) {
	err = d.do(ctx, false, func(root *os.Root) error {
		st, err := root.Stat(filepath.FromSlash(key))
		if err == nil {
			err = regular(st)
		}
		if err == nil {
			o = Object{Key: key, Size: st.Size(), ModTime: st.ModTime()}
		}
		return err
	})
	return o, err
}

// localBody is a part of an open file; Size is its length.
type localBody struct {
	*io.SectionReader
	io.Closer
}

func (d *localDriver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	f, size, err := d.openFile(ctx, key)
	if err != nil {
		return nil, err
	}
	rest := max(0, size-offset)
	if length < 0 || length > rest {
		length = rest
	}
	return localBody{io.NewSectionReader(f, offset, length), f}, nil
}

// OpenReaderAt keeps the file open, so that many ranges cost one open.
func (d *localDriver) OpenReaderAt(ctx context.Context, key string) (ReaderAtCloser, error) {
	f, _, err := d.openFile(ctx, key)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d *localDriver) Delete(ctx context.Context, keys []string) error {
	if _, err := os.Stat(d.dir); errors.Is(err, fs.ErrNotExist) {
		return ctx.Err()
	}
	for _, key := range keys {
		err := d.do(ctx, false, func(root *os.Root) error {
			name := filepath.FromSlash(key)
			if st, err := root.Lstat(name); err != nil || st.IsDir() {
				return err // a directory is no object, so there is nothing to delete
			}
			return root.Remove(name)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *localDriver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root == nil {
		return nil
	}
	err := d.root.Close()
	d.root = nil
	return err
}

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
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// tempPrefix starts the names of files that are being written; listings leave them out.
const tempPrefix = ".tmp-metaxy-"

// ErrNoLinks is a file system without hard links, on which creating a file that must not exist cannot be made safe.
var ErrNoLinks = errors.New("the file system has no hard links: atomic create is not possible")

// localDriver keeps objects as files below a directory. Every access goes through os.Root, which refuses links that lead out of it.
type localDriver struct {
	dir string

	mu   sync.Mutex
	root *os.Root // opened when the directory exists
}

// NewLocal opens a directory (which need not exist until something is written).
func NewLocal(dir string) (Driver, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(abs); err == nil && !st.IsDir() {
		return nil, fmt.Errorf("%s is not a directory: %w", abs, fs.ErrInvalid)
	}
	return &localDriver{dir: abs}, nil
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
		if err := os.MkdirAll(d.dir, 0o755); err != nil {
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

func (d *localDriver) openFile(ctx context.Context, key string) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	root, err := d.open(false)
	if err != nil {
		return nil, err
	}
	return root.Open(filepath.FromSlash(key))
}

func (d *localDriver) Stat(ctx context.Context, key string) (Object, error) {
	if err := ctx.Err(); err != nil {
		return Object{}, err
	}
	root, err := d.open(false)
	if err != nil {
		return Object{}, err
	}
	st, err := root.Stat(filepath.FromSlash(key))
	if err != nil {
		return Object{}, notDirIsMissing(err)
	}
	if st.IsDir() {
		return Object{}, fmt.Errorf("is a directory: %w", fs.ErrNotExist)
	}
	return Object{Key: key, Size: st.Size(), ModTime: st.ModTime()}, nil
}

// notDirIsMissing says fs.ErrNotExist for a path through a file, as object stores have it.
func notDirIsMissing(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%v: %w", err, fs.ErrNotExist)
	}
	return err
}

func (d *localDriver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	f, err := d.openFile(ctx, key)
	if err != nil {
		return nil, notDirIsMissing(err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = fmt.Errorf("is a directory: %w", fs.ErrNotExist)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if length < 0 {
		length = max(0, st.Size()-offset)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, offset, length), f}, nil
}

// OpenReaderAt keeps the file open, so that many ranges cost one open.
func (d *localDriver) OpenReaderAt(ctx context.Context, key string) (ReaderAtCloser, error) {
	f, err := d.openFile(ctx, key)
	return f, notDirIsMissing(err)
}

func (d *localDriver) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		root, err := d.open(false)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Object{}, err)
			return
		}
		l := lister{ctx: ctx, root: root, opts: opts, yield: yield}
		dir, _ := path.Split(opts.Prefix)
		if err := l.dir(dir); err != nil && !errors.Is(err, errStop) {
			yield(Object{}, err)
		}
	}
}

// errStop ends a listing that its caller broke off.
var errStop = errors.New("stop")

type lister struct {
	ctx   context.Context
	root  *os.Root
	opts  ListOptions
	yield func(Object, error) bool
}

// dir lists a directory (its key ends in a slash, or is empty) in byte order of the full keys: a directory sorts as its name with a slash.
func (l *lister) dir(dir string) error {
	entries, err := l.read(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		key := dir + e.name
		switch {
		case e.dir && l.opts.Recursive && l.inside(key):
			if err := l.dir(key); err != nil {
				return err
			}
		case !e.dir && strings.HasPrefix(key, l.opts.Prefix) && key > l.opts.After:
			st, err := l.root.Lstat(filepath.FromSlash(key))
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed since the directory was read
			}
			if err != nil {
				return err
			}
			if !l.yield(Object{Key: key, Size: st.Size(), ModTime: st.ModTime()}, nil) {
				return errStop
			}
		}
	}
	return nil
}

// inside reports whether keys below dir (ending in a slash) can match the options.
func (l *lister) inside(dir string) bool {
	if !strings.HasPrefix(dir, l.opts.Prefix) && !strings.HasPrefix(l.opts.Prefix, dir) {
		return false
	}
	return dir > l.opts.After || strings.HasPrefix(l.opts.After, dir)
}

type entry struct {
	name string // a directory's ends in a slash
	dir  bool
}

func (l *lister) read(dir string) ([]entry, error) {
	f, err := l.root.Open(filepath.FromSlash(path.Clean("./" + dir)))
	if err != nil {
		if err = notDirIsMissing(err); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	out := make([]entry, 0, len(list))
	for _, e := range list {
		switch {
		case strings.HasPrefix(e.Name(), tempPrefix):
		case e.IsDir():
			out = append(out, entry{e.Name() + "/", true})
		default:
			out = append(out, entry{e.Name(), false})
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

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

// write fills a temporary file beside the final name, syncs it, publishes it and syncs the directory. What it leaves on failure is nothing, or after a crash
// a file whose name listings skip.
func (d *localDriver) write(ctx context.Context, key string, body io.Reader, publish func(root *os.Root, temp, name string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	root, err := d.open(true)
	if err != nil {
		return err
	}
	name := filepath.FromSlash(key)
	dir := filepath.Dir(name)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var id [12]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	temp := filepath.Join(dir, tempPrefix+hex.EncodeToString(id[:]))
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
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
		err = publish(root, temp, name)
	}
	if err != nil {
		return err
	}
	return syncDir(root, dir)
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

func (d *localDriver) Delete(ctx context.Context, keys []string) error {
	root, err := d.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := root.Remove(filepath.FromSlash(key)); err != nil && !errors.Is(notDirIsMissing(err), fs.ErrNotExist) {
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

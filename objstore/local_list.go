package objstore

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// List reads one directory at a time and holds its names. Links to files are listed with the size of what they name, links that lead
// nowhere or out of the root with their own, so that reading them says what is wrong; links to directories are not followed.
func (d *localDriver) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		err := d.do(ctx, false, func(root *os.Root) error {
			l := lister{ctx: ctx, root: root, opts: opts, yield: yield}
			dir, _ := path.Split(opts.Prefix)
			err := l.dir(root, dir)
			if l.yielded && errors.Is(err, fs.ErrNotExist) {
				err = &fs.PathError{Op: "list", Path: dir, Err: errVanished} // what was listed must not be listed twice
			}
			return err
		})
		if err != nil && !errors.Is(err, errStop) && !errors.Is(err, fs.ErrNotExist) {
			yield(Object{}, err)
		}
	}
}

var (
	// errStop ends a listing that its caller broke off.
	errStop = errors.New("stop")
	// errVanished is a directory that was removed while it was being listed.
	errVanished = errors.New("directory vanished while it was being listed")
)

type lister struct {
	ctx     context.Context
	root    *os.Root
	opts    ListOptions
	yield   func(Object, error) bool
	yielded bool
}

// dir lists a directory below parent (its key ends in a slash, or is empty) in byte order of the full keys: a directory sorts as its name
// with a slash.
func (l *lister) dir(parent *os.Root, dir string) error {
	name := dir
	if parent != l.root {
		name = path.Base(dir)
	}
	name = filepath.FromSlash(path.Clean("./" + name))
	here, err := parent.OpenRoot(name)
	if err != nil {
		if st, serr := parent.Stat(name); errors.Is(err, syscall.ENOTDIR) || serr == nil && !st.IsDir() {
			return fs.ErrNotExist
		}
		return err
	}
	defer here.Close()
	entries, err := l.read(here)
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
			if err := l.dir(here, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case !e.dir && strings.HasPrefix(key, l.opts.Prefix) && key > l.opts.After:
			if err := l.object(here, key, e.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// object yields a file, unless it was removed since the directory was read or is none.
func (l *lister) object(here *os.Root, key, name string) error {
	st, err := here.Lstat(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if st.Mode().Type() == fs.ModeSymlink {
		if target, err := l.root.Stat(filepath.FromSlash(key)); err == nil {
			st = target
		}
	}
	if st.IsDir() {
		return nil
	}
	l.yielded = true
	if !l.yield(Object{Key: key, Size: st.Size(), ModTime: st.ModTime()}, nil) {
		return errStop
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

func (l *lister) read(dir *os.Root) ([]entry, error) {
	f, err := dir.Open(".")
	if err != nil {
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

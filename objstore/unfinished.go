package objstore

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// UnfinishedWrite is what a write left that never came to its end: a file that was being filled, the parts of an upload. No reader sees it.
type UnfinishedWrite struct {
	// Key is the object that was to be, or the file that was filled; ID tells several of a key apart.
	Key, ID string
	// Size is 0 where it is not known.
	Size  int64
	Began time.Time
}

// unfinished is implemented by drivers on which a killed writer leaves something that listings do not show.
type unfinished interface {
	// UnfinishedWrites gives what is left below a prefix that ends in a slash or is empty, also of writers that are still at work.
	UnfinishedWrites(ctx context.Context, prefix string) iter.Seq2[UnfinishedWrite, error]
	// Abandon removes one. Its writer, if there is one, fails; a missing one is not an error.
	Abandon(ctx context.Context, w UnfinishedWrite) error
}

// UnfinishedWrites gives what writers left that never came to their end, also that of writers at work; nothing where the driver cannot tell.
func (s *Store) UnfinishedWrites(ctx context.Context) iter.Seq2[UnfinishedWrite, error] {
	return func(yield func(UnfinishedWrite, error) bool) {
		u, ok := s.driver.(unfinished)
		if !ok {
			return
		}
		for w, err := range u.UnfinishedWrites(ctx, s.prefix) {
			if err != nil {
				yield(w, s.fail("list unfinished writes", "", err))
				return
			}
			w.Key = strings.TrimPrefix(w.Key, s.prefix)
			if !yield(w, nil) {
				return
			}
		}
	}
}

// Abandon removes an unfinished write.
func (s *Store) Abandon(ctx context.Context, w UnfinishedWrite) error {
	u, ok := s.driver.(unfinished)
	if !ok {
		return nil
	}
	if err := s.checkWrite(w.Key); err != nil {
		return s.fail("abandon", w.Key, err)
	}
	w.Key = s.prefix + w.Key
	return s.fail("abandon", w.Key, s.retry(ctx, func() error { return u.Abandon(ctx, w) }))
}

func (d *belowDriver) UnfinishedWrites(ctx context.Context, prefix string) iter.Seq2[UnfinishedWrite, error] {
	return func(yield func(UnfinishedWrite, error) bool) {
		u, ok := d.driver.(unfinished)
		if !ok {
			return
		}
		for w, err := range u.UnfinishedWrites(ctx, d.prefix+prefix) {
			w.Key = strings.TrimPrefix(w.Key, d.prefix)
			if !yield(w, err) {
				return
			}
		}
	}
}

func (d *belowDriver) Abandon(ctx context.Context, w UnfinishedWrite) error {
	u, ok := d.driver.(unfinished)
	if !ok {
		return nil
	}
	w.Key = d.prefix + w.Key
	return u.Abandon(ctx, w)
}

// UnfinishedWrites are the hidden files that writes fill; links are not followed.
func (d *localDriver) UnfinishedWrites(ctx context.Context, prefix string) iter.Seq2[UnfinishedWrite, error] {
	return func(yield func(UnfinishedWrite, error) bool) {
		err := d.do(ctx, false, func(root *os.Root) error {
			start := filepath.FromSlash(path.Clean("./" + prefix))
			return fs.WalkDir(root.FS(), filepath.ToSlash(start), func(name string, e fs.DirEntry, err error) error {
				switch {
				case err != nil:
					return err
				case ctx.Err() != nil:
					return ctx.Err()
				case !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), tempPrefix):
					return nil
				}
				st, err := e.Info()
				if err != nil {
					return nil // its writer came to its end
				}
				if !yield(UnfinishedWrite{Key: name, Size: st.Size(), Began: st.ModTime()}, nil) {
					return fs.SkipAll
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(UnfinishedWrite{}, err)
		}
	}
}

// Abandon removes the hidden file of a write.
func (d *localDriver) Abandon(ctx context.Context, w UnfinishedWrite) error {
	if !strings.HasPrefix(path.Base(w.Key), tempPrefix) {
		return &fs.PathError{Op: "abandon", Path: w.Key, Err: ErrInvalidKey}
	}
	return d.Delete(ctx, []string{w.Key})
}

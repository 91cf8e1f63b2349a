// Package outdir writes files into a folder or below a prefix of a bucket, so
// that they appear when all of them are complete.
//
// Until then the files of a folder are temporary ones beside their places, and
// those of a bucket lie in the system's directory for temporary files. Each
// file appears whole or not at all; the last one that is committed says that
// the set is complete. A name is that of a file directly in the folder.
package outdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// Dir is where files go.
type Dir interface {
	// Names returns the files that are there; none where the folder is not there yet.
	Names(ctx context.Context) ([]string, error)
	// Read returns a file of at most limit bytes; a missing one is fs.ErrNotExist.
	Read(ctx context.Context, name string, limit int64) ([]byte, error)
	// Create begins a file. The folder is made when it is missing.
	Create(ctx context.Context, name string) (File, error)
	// Remove removes files; a missing one is no error.
	Remove(ctx context.Context, names ...string) error
	// Path is the place of a file, for people.
	Path(name string) string
	// Close gives back what is held; what was not committed is gone.
	Close() error
}

// File is a file on its way. Close ends the writing, Commit makes it appear,
// Discard after Commit does nothing.
type File interface {
	io.Writer
	Close() error
	Commit(ctx context.Context) error
	Discard()
}

// Local returns the folder at a path.
func Local(path string) (Dir, error) {
	st, err := os.Stat(path)
	if err == nil && !st.IsDir() {
		return nil, &fs.PathError{Op: "create", Path: path, Err: errors.New("is a file: want a folder")}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return local(path), nil
}

type local string

func (d local) Names(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (d local) Read(_ context.Context, name string, limit int64) ([]byte, error) {
	f, err := os.Open(d.Path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: %w", f.Name(), objstore.ErrTooLarge)
	}
	return data, err
}

func (d local) Create(ctx context.Context, name string) (File, error) {
	if err := os.MkdirAll(string(d), 0o777); err != nil {
		return nil, err
	}
	f, err := atomicfile.Create(ctx, d.Path(name))
	if err != nil {
		return nil, err
	}
	return localFile{f}, nil
}

func (d local) Remove(_ context.Context, names ...string) error {
	for _, name := range names {
		if err := os.Remove(d.Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d local) Path(name string) string { return filepath.Join(string(d), name) }
func (d local) Close() error            { return nil }

type localFile struct{ *atomicfile.File }

func (f localFile) Commit(context.Context) error { return f.File.Commit() }

// Bucket returns the files below the root of a store, which is not closed.
func Bucket(objects *objstore.Store) Dir { return &bucket{objects: objects} }

type bucket struct {
	objects *objstore.Store
	temp    string // where files are kept until they are sent; "" = none was
}

func (d *bucket) Names(ctx context.Context) ([]string, error) {
	var names []string
	for o, err := range d.objects.List(ctx, objstore.ListOptions{}) {
		if err != nil {
			return nil, err
		}
		names = append(names, o.Key)
	}
	return names, nil
}

func (d *bucket) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	return d.objects.ReadAll(ctx, name, limit)
}

func (d *bucket) Create(_ context.Context, name string) (File, error) {
	if d.temp == "" {
		temp, err := os.MkdirTemp("", ".tmp-metaxy-*")
		if err != nil {
			return nil, err
		}
		d.temp = temp
	}
	f, err := os.CreateTemp(d.temp, "*")
	if err != nil {
		return nil, err
	}
	return &sent{File: f, objects: d.objects, name: name}, nil
}

func (d *bucket) Remove(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	return d.objects.Delete(ctx, names...)
}

func (d *bucket) Path(name string) string { return d.objects.URL() + "/" + name }

func (d *bucket) Close() error {
	if d.temp == "" {
		return nil
	}
	return os.RemoveAll(d.temp)
}

// sent is a file that waits to be sent.
type sent struct {
	*os.File
	objects *objstore.Store
	name    string
	closed  bool
}

func (f *sent) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	return f.File.Close()
}

func (f *sent) Commit(ctx context.Context) error {
	if err := f.Close(); err != nil {
		return err
	}
	in, err := os.Open(f.Name())
	if err != nil {
		return err
	}
	defer in.Close()
	if err := f.objects.Put(ctx, f.name, in); err != nil {
		return err
	}
	return os.Remove(f.Name())
}

func (f *sent) Discard() {
	f.Close()
	os.Remove(f.Name())
}

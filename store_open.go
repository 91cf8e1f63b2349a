package metaxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// Open opens the store at url: a path, file://, local://, mem://, or a scheme that one of opts.Openers serves. Nothing is read or created.
// Options that make no sense are ErrInvalid, all at once; so are faults of opts.Graph and fallback stores of another hash algorithm.
func Open(ctx context.Context, url string, opts *Options) (*DeltaStore, error) {
	if opts != nil {
		if err := opts.Validate(); err != nil {
			return nil, err
		}
	}
	o := opts.withDefaults(url)
	if o.Graph != nil {
		if err := o.Graph.Check(); err != nil {
			return nil, fmt.Errorf("%w: definitions: %w", ErrInvalid, err)
		}
		if err := o.sameTruncation(o.Graph, "Options.Graph"); err != nil {
			return nil, err
		}
	}
	for _, f := range o.Fallbacks {
		if f.Store == nil {
			return nil, fmt.Errorf("%w: fallback store %q is nil", ErrInvalid, f.Name)
		}
		if d, ok := f.Store.(*DeltaStore); ok && d.opts.HashTruncation != o.HashTruncation {
			return nil, fmt.Errorf("%w: fallback store %s has versions of %d characters, this store of %d: versions of the one mean nothing to the other", ErrInvalid, f.Name, d.opts.HashTruncation, o.HashTruncation)
		}
		if d, ok := f.Store.(*DeltaStore); ok && d.opts.HashAlgorithm != o.HashAlgorithm {
			return nil, fmt.Errorf("%w: fallback store %s uses the hash algorithm %s, this store %s: versions of the one mean nothing to the other", ErrInvalid, f.Name, d.opts.HashAlgorithm, o.HashAlgorithm)
		}
	}
	driver, root, err := openDriver(ctx, url, &o)
	if err != nil {
		return nil, err
	}
	objects, err := cached(driver, &o)
	if err != nil {
		return nil, err
	}
	if o.ReadOnly {
		objects = objects.ReadOnly()
	}
	return &DeltaStore{core: &core{name: o.Name, url: root, objects: objects, opts: o, fallbacks: o.Fallbacks}}, nil
}

// cached is the store of a driver with the cache of the options.
func cached(driver objstore.Driver, o *Options) (*objstore.Store, error) {
	cache := o.Cache
	if cache == nil {
		var err error
		if cache, err = objstore.NewCache(nil); err != nil {
			return nil, err
		}
	}
	return objstore.New(driver).WithCache(cache), nil
}

// openDriver returns the driver of url and the root as Metaxy displays it.
func openDriver(ctx context.Context, url string, o *Options) (objstore.Driver, string, error) {
	if url == "" {
		return nil, "", fmt.Errorf("%w: the store's URL is empty", ErrInvalid)
	}
	scheme, err := objstore.Scheme(url)
	if err != nil {
		return nil, "", err
	}
	path := url
	switch scheme {
	case "":
		return openLocal(path, o)
	case "file":
		if path, err = objstore.FilePath(url); err != nil {
			return nil, "", err
		}
		return openLocal(path, o)
	case "local":
		return openLocal(url[len("local://"):], o)
	}
	for _, op := range o.Openers {
		if !slices.Contains(op.Schemes(), scheme) {
			continue
		}
		d, err := op.Open(ctx, url, o.StorageOptions)
		return d, strings.TrimRight(url, "/"), wrongOption(ctx, err)
	}
	if scheme == "mem" {
		return objstore.NewMem(), url, nil
	}
	if scheme == "http" || scheme == "https" {
		return nil, "", fmt.Errorf("%w: no store is named by %s: its buckets are s3://bucket/prefix (a service of its own by AWS_ENDPOINT_URL), gs://bucket/prefix, az://container/prefix", ErrInvalid, scheme)
	}
	return nil, "", fmt.Errorf("%w: no opener for store scheme %q", ErrInvalid, scheme)
}

// openLocal opens a directory.
func openLocal(path string, o *Options) (objstore.Driver, string, error) {
	if path == "" {
		return nil, "", fmt.Errorf("%w: the store's path is empty", ErrInvalid)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, "", fmt.Errorf("open store %q: %w", path, err)
	}
	unsafe, err := objstore.NewSettings(o.StorageOptions, nil, "").Bool("allow_unsafe_rename", "mount_allow_unsafe_rename")
	if err != nil {
		return nil, "", fmt.Errorf("open store %q: %w: %w", path, ErrInvalid, err)
	}
	create := objstore.NewLocal
	if unsafe {
		create = objstore.NewLocalUnsafe
	}
	d, err := create(abs)
	return d, abs, err
}

// wrongOption makes ErrInvalid of what an opener says, which does no more than read a URL and options: unless it is what a search for credentials found, a file that is
// missing, or something that the program has not.
func wrongOption(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, ErrInvalid), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.As(err, new(*objstore.AccessError)), errors.Is(err, errors.ErrUnsupported):
		return err
	}
	return &invalidOption{err}
}

// invalidOption is ErrInvalid in the words of what found it.
type invalidOption struct{ err error }

func (e *invalidOption) Error() string   { return e.err.Error() }
func (e *invalidOption) Unwrap() []error { return []error{ErrInvalid, e.err} }

package metaxy

import (
	"context"
	"fmt"
	"path/filepath"
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
	}
	for _, f := range o.Fallbacks {
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
	scheme, rest, found := strings.Cut(url, "://")
	if !found || scheme == "file" || scheme == "local" {
		path := url
		if found {
			path = rest
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, "", fmt.Errorf("open store %q: %w", url, err)
		}
		unsafe, err := objstore.NewSettings(o.StorageOptions, nil, "").Bool("allow_unsafe_rename", "mount_allow_unsafe_rename")
		if err != nil {
			return nil, "", fmt.Errorf("open store %q: %w: %w", url, ErrInvalid, err)
		}
		create := objstore.NewLocal
		if unsafe {
			create = objstore.NewLocalUnsafe
		}
		d, err := create(abs)
		return d, abs, err
	}
	scheme = strings.ToLower(scheme)
	for _, op := range o.Openers {
		for _, s := range op.Schemes() {
			if s == scheme {
				d, err := op.Open(ctx, url, o.StorageOptions)
				return d, strings.TrimRight(url, "/"), err
			}
		}
	}
	if scheme == "mem" {
		return objstore.NewMem(), url, nil
	}
	return nil, "", fmt.Errorf("%w: no opener for store scheme %q", ErrInvalid, scheme)
}

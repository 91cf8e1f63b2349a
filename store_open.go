package metaxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/blobstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// Open opens the store at url: a path, file://, local://, mem://, a scheme that one of opts.Openers serves, or one for which the program imports a provider of gocloud.dev/blob. Nothing is read or created.
// Options that make no sense are ErrInvalid, all at once; so are faults of opts.Graph and fallback stores of another hash algorithm.
func Open(ctx context.Context, url string, opts *Options) (*DeltaStore, error) {
	o, err := checked(url, opts)
	if err != nil {
		return nil, err
	}
	driver, root, err := openDriver(ctx, url, &o)
	if err != nil {
		return nil, err
	}
	return newStore(driver, root, &o)
}

// checked are the options with their defaults.
func checked(url string, opts *Options) (Options, error) {
	if opts != nil {
		if err := opts.Validate(); err != nil {
			return Options{}, err
		}
	}
	o := opts.withDefaults(url)
	if o.Graph != nil {
		check := o.Graph.Check
		if o.IncompleteGraph {
			check = o.Graph.CheckKnown
		}
		if err := check(); err != nil {
			return Options{}, fmt.Errorf("%w: definitions: %w", ErrInvalid, err)
		}
		if err := o.sameTruncation(o.Graph, "Options.Graph"); err != nil {
			return Options{}, err
		}
	}
	for _, f := range o.Fallbacks {
		if f.Store == nil {
			return Options{}, fmt.Errorf("%w: fallback store %q is nil", ErrInvalid, f.Name)
		}
		if d, ok := f.Store.(*DeltaStore); ok && d.opts.HashTruncation != o.HashTruncation {
			return Options{}, fmt.Errorf("%w: fallback store %s has versions of %d characters, this store of %d: versions of the one mean nothing to the other", ErrInvalid, f.Name, d.opts.HashTruncation, o.HashTruncation)
		}
		if d, ok := f.Store.(*DeltaStore); ok && d.opts.HashAlgorithm != o.HashAlgorithm {
			return Options{}, fmt.Errorf("%w: fallback store %s uses the hash algorithm %s, this store %s: versions of the one mean nothing to the other", ErrInvalid, f.Name, d.opts.HashAlgorithm, o.HashAlgorithm)
		}
	}
	return o, nil
}

// OpenDriver opens the store whose root is that of a driver of package objstore, which Close closes. Of the options, Openers and StorageOptions have nothing to do. The driver
// must keep what objstore.Driver promises; objstoretest.Run finds out. A method URL() string of it is the store's URL.
func OpenDriver(ctx context.Context, driver objstore.Driver, opts *Options) (*DeltaStore, error) {
	if driver == nil {
		return nil, fmt.Errorf("%w: the driver is nil", ErrInvalid)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	root := objstore.New(driver).URL()
	o, err := checked(root, opts)
	if err != nil {
		return nil, err
	}
	return newStore(driver, root, &o)
}

// OpenBucket opens the store whose root is that of a bucket of gocloud.dev/blob, which the caller closes after the store; blob.PrefixedBucket gives one below a folder. The bucket's create is proven before the first commit: a
// bucket that does not create atomically, such as fileblob's, can only be read, and writes to it are objstore.ErrNotAtomic. Some providers escape keys, so that other programs see tables with odd characters in their paths under other
// names; s3://, gs:// and az:// stores do not.
func OpenBucket(ctx context.Context, bucket *blob.Bucket, opts *Options) (*DeltaStore, error) {
	if bucket == nil {
		return nil, fmt.Errorf("%w: the bucket is nil", ErrInvalid)
	}
	return OpenDriver(ctx, blobstore.New(bucket, nil), opts)
}

// newStore is the store of a driver.
func newStore(driver objstore.Driver, root string, o *Options) (*DeltaStore, error) {
	objects, err := cached(driver, o)
	if err != nil {
		return nil, errors.Join(err, driver.Close())
	}
	if o.ReadOnly {
		objects = objects.ReadOnly()
	}
	return &DeltaStore{core: &core{name: o.Name, url: root, objects: objects, opts: *o, fallbacks: o.Fallbacks}}, nil
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
	return objstore.New(observed(driver, o)).WithCache(cache), nil
}

// openDriver returns the driver of url and the root as Metaxy displays it.
func openDriver(ctx context.Context, url string, o *Options) (objstore.Driver, string, error) {
	if url == "" {
		return nil, "", fmt.Errorf("%w: the store's URL is empty", ErrInvalid)
	}
	scheme, err := service.Scheme(url)
	if err != nil {
		return nil, "", err
	}
	path := url
	switch scheme {
	case "":
		return openLocal(path, o)
	case "file":
		if path, err = service.FilePath(url); err != nil {
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
	if blobstore.Knows(scheme) {
		d, err := blobstore.Open(ctx, url)
		return d, strings.TrimRight(url, "/"), wrongOption(ctx, err)
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
	unsafe, err := service.NewSettings(o.StorageOptions, nil, "").Bool("allow_unsafe_rename", "mount_allow_unsafe_rename")
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

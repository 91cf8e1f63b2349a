// Package blobstore is a driver of package objstore over any bucket of
// gocloud.dev/blob: one in memory, wrapped, prefixed, or of a provider that has
// no adapter here.
//
// Conditional creation is WriterOptions.IfNotExist, which a provider may do by
// looking first. So the driver proves it before the first create, by racing:
// a bucket that does not create atomically is objstore.ErrNotAtomic, and can be
// read. Providers may escape keys on the way (s3blob, azureblob and gcsblob do
// with some characters), which only their own clients undo; the adapters beside
// this package keep keys byte for byte. Bodies are not told apart by a tag, so
// nothing of them is cached.
package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// deleteParallel is how many deletes are under way at once; a bucket has no call
// for many keys.
const deleteParallel = 16

// Options of a driver; nil = a bucket that the caller closes.
type Options struct {
	// URL names the bucket in messages; "" = blob://.
	URL string
	// Owned buckets are closed with the driver.
	Owned bool
}

type driver struct {
	bucket *blob.Bucket
	url    string
	owned  bool

	mu     sync.Mutex // of the proof
	proven bool
	proof  error
}

// New returns a driver whose root is that of the bucket.
func New(bucket *blob.Bucket, opts *Options) objstore.Driver {
	d := &driver{bucket: bucket, url: "blob://"}
	if opts != nil {
		d.owned = opts.Owned
		if opts.URL != "" {
			d.url = opts.URL
		}
	}
	return d
}

// Knows reports whether the program has a provider for a URL scheme: one whose
// package it imports.
func Knows(scheme string) bool { return blob.DefaultURLMux().ValidBucketScheme(scheme) }

// Open opens the bucket of a URL as its provider understands it; the query
// parameter prefix is a folder in it. What it cannot read is fs.ErrInvalid.
func Open(ctx context.Context, url string) (objstore.Driver, error) {
	bucket, err := blob.OpenBucket(ctx, url)
	if err != nil {
		return nil, service.Redact(fmt.Errorf("open %s: %w", url, err))
	}
	shown, _, _ := strings.Cut(url, "?")
	return New(bucket, &Options{URL: strings.TrimSuffix(shown, "/"), Owned: true}), nil
}

func (d *driver) URL() string { return d.url }

// fail names an error of a provider. about is what cannot be found: an object,
// or the bucket itself.
func fail(err error, about error) error {
	switch code := gcerrors.Code(err); {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case code == gcerrors.NotFound && errors.Is(about, fs.ErrNotExist):
		return named(fs.ErrNotExist, err)
	case code == gcerrors.NotFound:
		return &objstore.AccessError{Fault: objstore.NoBucket, Err: err}
	case code == gcerrors.PermissionDenied:
		return named(fs.ErrPermission, err)
	case code == gcerrors.ResourceExhausted, code == gcerrors.Internal, code == gcerrors.Unknown:
		return service.Temporary(err)
	}
	return err
}

// namedError is an error of a provider under a name of the standard library.
type namedError struct{ name, err error }

func (e *namedError) Error() string   { return e.err.Error() }
func (e *namedError) Unwrap() []error { return []error{e.name, e.err} }

func named(name, err error) error { return &namedError{name, err} }

// check refuses keys that buckets do not take, and calls whose context ended,
// which some providers never look at.
func check(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, key := range keys {
		if !utf8.ValidString(key) {
			return fmt.Errorf("%w %q: not UTF-8", objstore.ErrInvalidKey, key)
		}
	}
	return nil
}

func (d *driver) Stat(ctx context.Context, key string) (objstore.Object, error) {
	if err := check(ctx, key); err != nil {
		return objstore.Object{}, err
	}
	a, err := d.bucket.Attributes(ctx, key)
	if err != nil {
		return objstore.Object{}, fail(err, fs.ErrNotExist)
	}
	return objstore.Object{Key: key, Size: a.Size, ModTime: a.ModTime}, nil
}

func (d *driver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, _, err := d.ReadTagged(ctx, key, "", offset, length)
	return body, err
}

// Origin is "": nothing is kept of a bucket that may be any.
func (d *driver) Origin() string { return "" }

// ReadTagged tells versions apart by date and size, which every reader has, and
// by the ETag where dates are whole seconds, for one more request. They are no
// tags of Stat and List, whose dates may be of another precision.
func (d *driver) ReadTagged(ctx context.Context, key, want string, offset, length int64) (io.ReadCloser, string, error) {
	if err := check(ctx, key); err != nil {
		return nil, "", err
	}
	r, err := d.bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		if gcerrors.Code(err) != gcerrors.NotFound && offset > 0 { // some providers refuse what begins behind the end
			if a, aerr := d.bucket.Attributes(ctx, key); aerr == nil && offset >= a.Size {
				return io.NopCloser(strings.NewReader("")), want, nil
			}
		}
		return nil, "", fail(err, fs.ErrNotExist)
	}
	found := fmt.Sprintf("%x-%x", r.ModTime().UnixNano(), r.Size())
	if r.ModTime().Nanosecond() == 0 {
		a, err := d.bucket.Attributes(ctx, key)
		if err != nil {
			r.Close()
			return nil, "", fail(err, fs.ErrNotExist)
		}
		found += "-" + a.ETag
	}
	if want != "" && found != want {
		r.Close()
		return nil, "", objstore.ErrChanged
	}
	return service.TemporaryBody(r), found, nil
}

// List goes through what lies under the prefix and leaves out what opts.After
// leaves out: buckets cannot begin at a key.
func (d *driver) List(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		list, err := d.list(ctx, opts)
		for _, o := range list {
			if !yield(o, nil) {
				return
			}
		}
		if err != nil {
			yield(objstore.Object{}, err)
		}
	}
}

// list holds the whole listing: a provider that keeps keys under other names, as
// Azure's does for keys with unusual characters, lists them in the order of
// those.
func (d *driver) list(ctx context.Context, opts objstore.ListOptions) ([]objstore.Object, error) {
	o := &blob.ListOptions{Prefix: opts.Prefix}
	if !opts.Recursive {
		o.Delimiter = "/"
	}
	var out []objstore.Object
	for it := d.bucket.List(o); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			slices.SortFunc(out, func(a, b objstore.Object) int { return strings.Compare(a.Key, b.Key) })
			return out, nil
		}
		if err != nil {
			return nil, fail(err, nil)
		}
		if !found.IsDir && found.Key > opts.After {
			out = append(out, objstore.Object{Key: found.Key, Size: found.Size, ModTime: found.ModTime})
		}
	}
}

func (d *driver) Put(ctx context.Context, key string, body io.Reader) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	return d.write(ctx, key, body, false)
}

// write fills an object. A body that fails leaves nothing. It goes by Upload,
// since writing to a writer of Azure's, and closing it when that failed, can
// panic (gocloud.dev 0.47).
func (d *driver) write(ctx context.Context, key string, body io.Reader, create bool) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := &errorReader{r: body, failed: cancel}
	err := d.bucket.Upload(inner, key, watched, &blob.WriterOptions{ContentType: "application/octet-stream", DisableContentTypeDetection: true, IfNotExist: create})
	switch {
	case watched.err != nil:
		return watched.err
	case err != nil:
		return fail(err, nil)
	}
	return nil
}

// errorReader remembers the error of a body, so that it is not mistaken for one
// of the bucket, and tells of it at once, so that what was sent is given up.
type errorReader struct {
	r      io.Reader
	err    error
	failed func()
}

func (r *errorReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
		r.failed()
	}
	return n, err
}

func (d *driver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := d.prove(ctx); err != nil {
		return err
	}
	return d.create(ctx, key, body)
}

func (d *driver) create(ctx context.Context, key string, body []byte) error {
	err := d.write(ctx, key, bytes.NewReader(body), true)
	switch gcerrors.Code(err) {
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		// Providers repeat requests whose answer was lost, and meet their own
		// object then.
		if have, rerr := d.bucket.ReadAll(ctx, key); rerr != nil || bytes.Equal(have, body) {
			return fmt.Errorf("the object is there, perhaps by this call (%w)", errors.Join(errors.New(err.Error()), rerr))
		}
		return service.ExistsError(err)
	case gcerrors.Unimplemented:
		return fmt.Errorf("%w: the bucket's provider does not know the condition of a create: %w", objstore.ErrNotAtomic, err)
	}
	return err
}

func (d *driver) Delete(ctx context.Context, keys []string) error {
	if err := check(ctx, keys...); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deleteParallel)
	for _, key := range keys {
		g.Go(func() error {
			err := d.bucket.Delete(ctx, key)
			if gcerrors.Code(err) == gcerrors.NotFound {
				return nil
			}
			return fail(err, fs.ErrNotExist)
		})
	}
	return g.Wait()
}

// Close closes the bucket where the driver owns it.
func (d *driver) Close() error {
	if !d.owned {
		return nil
	}
	return d.bucket.Close()
}

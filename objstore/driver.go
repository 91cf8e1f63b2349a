package objstore

import (
	"context"
	"io"
	"iter"
	"time"
)

// Object is one stored object. Key is slash-separated, relative to the store, never starting with a slash.
type Object struct {
	Key     string
	Size    int64
	ModTime time.Time
	// Tag is another after each replacement of the object: an ETag, a generation. "" where the storage tells none.
	Tag string
}

// ListOptions selects what List returns. Keys come in ascending byte order.
type ListOptions struct {
	// Prefix limits to keys that start with it. A driver with directories treats the part up to the last slash as one.
	Prefix string
	// After limits to keys strictly greater than it ("" = all).
	After string
	// Recursive descends below slashes after Prefix; otherwise only objects directly at that level are returned.
	Recursive bool
}

// Driver is what a kind of storage implements. Keys are valid (see ValidKey) and relative to the driver's root.
// Errors: a missing object satisfies errors.Is(err, fs.ErrNotExist), a refused one fs.ErrPermission.
type Driver interface {
	// Stat returns size and modification time.
	Stat(ctx context.Context, key string) (Object, error)
	// ReadRange returns length bytes from offset; length < 0 reads to the end, 0 does not come. A range past the end is short, not an error.
	ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	// List returns objects in ascending byte order of their keys.
	List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error]
	// Put creates or replaces an object; readers see the old or the new body, never a part. The body is consumed once.
	Put(ctx context.Context, key string, body io.Reader) error
	// PutIfAbsent creates an object that must not exist. nil: created by this call. ErrExists: it was there.
	// Any other error means that the object may or may not be there.
	PutIfAbsent(ctx context.Context, key string, body []byte) error
	// Delete removes objects; a missing one is not an error.
	Delete(ctx context.Context, keys []string) error
	// Close releases the driver.
	Close() error
}

// Tagged is implemented by drivers whose storage tells the versions of an object apart. Their Stat and List fill Object.Tag.
type Tagged interface {
	// Origin tells the service, account and bucket from all others, without credentials: the same key and tag there are the same bytes.
	// "" = nothing may be kept of what is read.
	Origin() string
	// ReadTagged is ReadRange that returns the tag of what it reads. With a tag given it reads that version only, and gives ErrChanged when the
	// object is another now.
	ReadTagged(ctx context.Context, key, tag string, offset, length int64) (body io.ReadCloser, found string, err error)
}

// Opener opens stores of one URL scheme. Options are delta-rs storage_options, which each adapter translates.
type Opener interface {
	// Schemes are the URL schemes served, in lower case, such as "s3", "s3a".
	Schemes() []string
	// Open returns a driver whose root is the URL's path. It does no I/O beyond what credentials need.
	Open(ctx context.Context, url string, options map[string]string) (Driver, error)
}

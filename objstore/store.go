// Package objstore is bytes at slash-separated keys with range reads, ordered listing and atomic create.
//
// Store is what the rooms above use; Driver is what a kind of storage implements. Store checks keys, retries reads and
// plain puts, and wraps every failure as *Error{Op, Key, Err}. A missing object is fs.ErrNotExist, a create that lost is
// ErrExists, a refused one fs.ErrPermission.
package objstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
)

// ErrExists is what PutIfAbsent returns when the object was already there. It is fs.ErrExist.
var ErrExists = fs.ErrExist

// Error is a failed operation on a key.
type Error struct {
	Op, Key string
	Err     error
}

func (e *Error) Error() string { return "objstore: " + e.Op + " " + e.Key + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Store is a checked view of a Driver below a prefix. It is safe for concurrent use.
type Store struct {
	driver Driver
	prefix string
}

// New returns the store of a driver's root.
func New(d Driver) *Store { return &Store{driver: d} }

// Sub returns the store below prefix (slash-separated, no leading slash). Closing it closes nothing.
func (s *Store) Sub(prefix string) *Store {
	return &Store{driver: s.driver, prefix: s.prefix + prefix + "/"}
}

// URL is where the store's root is, for messages, without credentials.
func (s *Store) URL() string { return s.prefix }

// Stat returns size and modification time of an object.
func (s *Store) Stat(ctx context.Context, key string) (Object, error) {
	return Object{}, errors.ErrUnsupported
}

// ReadAll returns a whole object of at most limit bytes (a larger one is an error before memory is taken).
func (s *Store) ReadAll(ctx context.Context, key string, limit int64) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// ReaderAt returns random access to an object of the given size. Calls are safe for concurrent use; each is one range
// read, bound to ctx. A body shorter than size is io.ErrUnexpectedEOF.
func (s *Store) ReaderAt(ctx context.Context, key string, size int64) io.ReaderAt { return nil }

// List returns objects in ascending byte order; keys are relative to the store.
func (s *Store) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] { return nil }

// Put creates or replaces an object from a stream (a failing body leaves nothing behind).
func (s *Store) Put(ctx context.Context, key string, body io.Reader) error {
	return errors.ErrUnsupported
}

// PutIfAbsent creates an object. nil: created now. ErrExists: it was there. Anything else: it may or may not be there.
func (s *Store) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return errors.ErrUnsupported
}

// Delete removes objects; a missing one is not an error.
func (s *Store) Delete(ctx context.Context, keys ...string) error { return errors.ErrUnsupported }

// Close closes the driver.
func (s *Store) Close() error { return s.driver.Close() }

// NewLocal opens a directory (which need not exist until something is written).
func NewLocal(dir string) (Driver, error) { return nil, errors.ErrUnsupported }

// NewMem returns an empty store in memory.
func NewMem() Driver { return nil }

// Package objstore is bytes at slash-separated keys with range reads, ordered listing and atomic create.
//
// Store is what the rooms above use; Driver is what a kind of storage implements. Store checks keys, retries reads and
// plain puts, and wraps every failure as *Error{Op, Key, Err}. A missing object is fs.ErrNotExist, a create that lost is
// ErrExists, a refused one fs.ErrPermission.
package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
)

// ErrExists is what PutIfAbsent returns when the object was already there. It is fs.ErrExist.
var ErrExists = fs.ErrExist

// ErrInvalidKey is a key that no store can hold: empty, rooted, with empty or dot parts, with a NUL.
var ErrInvalidKey = errors.New("invalid key")

// ErrTooLarge is an object above the limit of a ReadAll.
var ErrTooLarge = errors.New("object is larger than allowed")

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
	prefix string // "" or ends in a slash
	sub    bool
}

// New returns the store of a driver's root.
func New(d Driver) *Store { return &Store{driver: d} }

// Sub returns the store below prefix (slash-separated, no leading slash). Closing it closes nothing.
func (s *Store) Sub(prefix string) *Store {
	return &Store{driver: s.driver, prefix: s.prefix + strings.Trim(prefix, "/") + "/", sub: true}
}

// URL is where the store's root is, for messages, without credentials.
func (s *Store) URL() string {
	base := ""
	if u, ok := s.driver.(interface{ URL() string }); ok {
		base = strings.TrimSuffix(u.URL(), "/")
	}
	return strings.TrimSuffix(base+"/"+s.prefix, "/")
}

// ValidKey reports why a key cannot be used, nil when it can.
func ValidKey(key string) error {
	if key == "" || strings.HasPrefix(key, "/") || strings.ContainsRune(key, 0) || path.Clean(key) != key || key == ".." || strings.HasPrefix(key, "../") || key == "." {
		return fmt.Errorf("%w %q", ErrInvalidKey, key)
	}
	return nil
}

func (s *Store) fail(op, key string, err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &Error{Op: op, Key: s.prefix + key, Err: err}
}

// Stat returns size and modification time of an object.
func (s *Store) Stat(ctx context.Context, key string) (Object, error) {
	if err := ValidKey(key); err != nil {
		return Object{}, s.fail("stat", key, err)
	}
	var o Object
	err := retry(ctx, func() (err error) {
		o, err = s.driver.Stat(ctx, s.prefix+key)
		return err
	})
	o.Key = key
	return o, s.fail("stat", key, err)
}

// ReadAll returns a whole object of at most limit bytes (a larger one is ErrTooLarge before memory is taken).
func (s *Store) ReadAll(ctx context.Context, key string, limit int64) ([]byte, error) {
	if err := ValidKey(key); err != nil {
		return nil, s.fail("read", key, err)
	}
	var data []byte
	err := retry(ctx, func() error {
		body, err := s.driver.ReadRange(ctx, s.prefix+key, 0, -1)
		if err != nil {
			return err
		}
		defer body.Close()
		data, err = io.ReadAll(io.LimitReader(body, limit+1))
		if err == nil && int64(len(data)) > limit {
			return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
		}
		return err
	})
	if err != nil {
		return nil, s.fail("read", key, err)
	}
	return data, nil
}

// List returns objects in ascending byte order; keys are relative to the store.
func (s *Store) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		full := opts
		full.Prefix = s.prefix + opts.Prefix
		if opts.After != "" {
			full.After = s.prefix + opts.After
		}
		last := ""
		for o, err := range s.driver.List(ctx, full) {
			if err != nil {
				yield(Object{}, s.fail("list", opts.Prefix, err))
				return
			}
			key, ok := strings.CutPrefix(o.Key, s.prefix)
			if !ok || !strings.HasPrefix(key, opts.Prefix) || key <= opts.After {
				continue // a server that ignores After or Prefix
			}
			if last != "" && key <= last {
				yield(Object{}, s.fail("list", opts.Prefix, fmt.Errorf("keys out of order: %q after %q", key, last)))
				return
			}
			last, o.Key = key, key
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Put creates or replaces an object from a stream (a failing body leaves nothing behind).
func (s *Store) Put(ctx context.Context, key string, body io.Reader) error {
	if err := ValidKey(key); err != nil {
		return s.fail("put", key, err)
	}
	return s.fail("put", key, s.driver.Put(ctx, s.prefix+key, body))
}

// PutIfAbsent creates an object. nil: created now. ErrExists: it was there. Anything else: it may or may not be there.
func (s *Store) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if err := ValidKey(key); err != nil {
		return s.fail("create", key, err)
	}
	return s.fail("create", key, s.driver.PutIfAbsent(ctx, s.prefix+key, body))
}

// Delete removes objects; a missing one is not an error.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, key := range keys {
		if err := ValidKey(key); err != nil {
			return s.fail("delete", key, err)
		}
		full[i] = s.prefix + key
	}
	if len(full) == 0 {
		return nil
	}
	return s.fail("delete", keys[0], retry(ctx, func() error { return s.driver.Delete(ctx, full) }))
}

// Close closes the driver; on a Sub store it does nothing.
func (s *Store) Close() error {
	if s.sub {
		return nil
	}
	return s.driver.Close()
}

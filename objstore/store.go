// Package objstore is bytes at slash-separated keys with range reads, ordered listing and atomic create.
//
// Store is what the rooms above use; Driver is what a kind of storage implements. Store checks keys, retries reads and
// plain puts, and wraps every failure as *Error{Op, Key, Err}. A missing object is fs.ErrNotExist, a create that lost is
// ErrExists, a refused one fs.ErrPermission.
package objstore

import (
	"bytes"
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

// ErrOutside is a key whose path leads out of the store's root, through a symbolic link or dot parts. It is never fs.ErrNotExist.
var ErrOutside = errors.New("path leads out of the store")

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
	proof  *proof
	budget *budget
	cache  *Cache
	// readOnly refuses what changes the store.
	readOnly bool
}

// New returns the store of a driver's root.
func New(d Driver) *Store { return &Store{driver: d, proof: &proof{}, budget: &budget{}} }

// WithCache returns the same store with a cache for what ReadObject and OpenObject read. The caller closes the cache after the store.
func (s *Store) WithCache(c *Cache) *Store {
	cached := *s
	cached.cache = c
	return &cached
}

// ReadOnly returns the same store without what changes it: Put, PutIfAbsent, Delete and Abandon are fs.ErrPermission. Rehearse works.
func (s *Store) ReadOnly() *Store {
	only := *s
	only.readOnly = true
	return &only
}

// checkWrite is check, for what changes the store.
func (s *Store) checkWrite(key string) error {
	if s.readOnly {
		return fmt.Errorf("%w: the store is opened for reading only", fs.ErrPermission)
	}
	return s.check(key)
}

// Sub returns the store below prefix (slash-separated; "" is the same root). Closing it closes nothing. A prefix that is no valid key
// makes every operation of the result fail with ErrInvalidKey.
func (s *Store) Sub(prefix string) *Store {
	sub := &Store{driver: s.driver, prefix: s.prefix, sub: true, proof: s.proof, budget: s.budget, cache: s.cache, readOnly: s.readOnly}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		sub.prefix += prefix + "/"
	}
	return sub
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

// check validates a key together with the prefix of its store.
func (s *Store) check(key string) error {
	if err := ValidKey(key); err != nil {
		return err
	}
	return ValidKey(s.prefix + key)
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
	if err := s.check(key); err != nil {
		return Object{}, s.fail("stat", key, err)
	}
	var o Object
	err := s.retry(ctx, func() (err error) {
		o, err = s.driver.Stat(ctx, s.prefix+key)
		return err
	})
	o.Key = key
	return o, s.fail("stat", key, err)
}

// contradiction is a store that lists an object and does not give it.
type contradiction struct{ err error }

func (e *contradiction) Error() string {
	return "the store lists the object and says that it is not there: " + e.err.Error()
}

// Temporary is true: a store that is consistent in the end will give it.
func (e *contradiction) Temporary() bool { return true }

// Absent judges an error that says that an object is not there which ought to
// be: where a listing shows it, the store contradicts itself, and the result is
// another error, which is no fs.ErrNotExist. One request, none for other
// errors.
func (s *Store) Absent(ctx context.Context, key string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	full := s.prefix + key
	for o, lerr := range s.driver.List(ctx, ListOptions{Prefix: full, Recursive: true}) {
		if lerr == nil && o.Key == full {
			return s.fail("read", key, &contradiction{errors.New(err.Error())})
		}
		break // what is not there does not begin a listing of its name
	}
	return err
}

// ReadAll returns a whole object of at most limit bytes. A larger one is ErrTooLarge; no more than limit bytes are held.
func (s *Store) ReadAll(ctx context.Context, key string, limit int64) ([]byte, error) {
	data, _, err := s.readAll(ctx, Object{Key: key, Size: -1}, limit)
	return data, err
}

// ReadObject is ReadAll of an object as Stat or List told it: out of the store's cache where that version of it is there. A body of another size than
// the version had is an error.
func (s *Store) ReadObject(ctx context.Context, o Object, limit int64) ([]byte, error) {
	id := s.rangeID(o.Key, o.Tag, 0, o.Size)
	if data, ok := s.recall(id); ok && int64(len(data)) == o.Size && o.Size <= limit {
		return data, nil
	}
	data, found, err := s.readAll(ctx, o, limit)
	if err == nil && found == o.Tag {
		s.remember(id, data)
	}
	return data, err
}

// readAll returns a whole object and its tag, "" where the storage has none. A body that is shorter or longer than the object's size is asked for again,
// unless its tag is another.
func (s *Store) readAll(ctx context.Context, o Object, limit int64) (data []byte, found string, err error) {
	if err := s.check(o.Key); err != nil {
		return nil, "", s.fail("read", o.Key, err)
	}
	err = s.retry(ctx, func() error {
		var body io.ReadCloser
		body, found, err = readTagged(ctx, s.driver, s.prefix+o.Key, "", 0, -1)
		if err != nil && o.Size >= 0 { // it was listed
			return s.Absent(ctx, o.Key, err)
		}
		if err != nil {
			return err
		}
		defer body.Close()
		data, err = readLimited(body, limit)
		if err == nil && (found == o.Tag || found == "") && o.Size >= 0 && int64(len(data)) != o.Size {
			err = fmt.Errorf("got %d bytes of an object of %d: %w", len(data), o.Size, io.ErrUnexpectedEOF)
		}
		return err
	})
	if err != nil {
		return nil, "", s.fail("read", o.Key, err)
	}
	return data, found, nil
}

// rangeID names a range in the cache.
func (s *Store) rangeID(key, tag string, off, length int64) rangeID {
	if s.cache == nil {
		return rangeID{}
	}
	return rangeID{origin: origin(s.driver), key: s.prefix + key, tag: tag, offset: off, length: length}
}

// keepable reports whether a range can be told from all others: it has a version, of a store that is not like another.
func (id rangeID) keepable() bool { return id.origin != "" && id.tag != "" }

// recall gives a range out of the cache.
func (s *Store) recall(id rangeID) ([]byte, bool) {
	if s.cache == nil || !id.keepable() {
		return nil, false
	}
	return s.cache.get(id)
}

// remember puts a range into the cache.
func (s *Store) remember(id rangeID, data []byte) {
	if s.cache != nil && id.keepable() {
		s.cache.put(id, data)
	}
}

// sized is implemented by bodies that know how many bytes are left in them.
type sized interface{ Size() int64 }

func readLimited(body io.Reader, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	if b, ok := body.(sized); ok {
		if b.Size() > limit {
			return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, b.Size(), limit)
		}
		buf.Grow(int(b.Size()) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(body, limit)); err != nil {
		return nil, err
	}
	if int64(buf.Len()) == limit {
		var one [1]byte
		n, err := io.ReadFull(body, one[:])
		if n > 0 {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
	}
	return buf.Bytes(), nil
}

// Reader streams length bytes of an object from offset; length < 0 reads to the end, a range past the end is short. Where the body breaks for a while and
// the storage tells versions apart, it goes on with the rest of the same version, or ends in ErrChanged. The caller closes it.
func (s *Store) Reader(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	err := s.check(key)
	if err == nil && offset < 0 {
		err = fmt.Errorf("negative offset %d", offset)
	}
	var body io.ReadCloser
	var tag string
	if err == nil {
		err = s.retry(ctx, func() (err error) {
			body, tag, err = readTagged(context.WithValue(ctx, streamed{}, true), s.driver, s.prefix+key, "", offset, length)
			return err
		})
	}
	if err != nil {
		return nil, s.fail("read", key, err)
	}
	if tag == "" {
		return body, nil
	}
	return &stream{ctx: ctx, store: s, key: key, tag: tag, at: offset, left: length, body: body}, nil
}

// List returns objects in ascending byte order; keys are relative to the store. Objects whose keys no call could name, such as the
// markers that some tools keep for directories, are left out. A listing that is not ascending ends in an error.
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
			if !opts.Recursive && strings.Contains(key[len(opts.Prefix):], "/") || ValidKey(key) != nil {
				continue
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

// Put creates or replaces an object from a stream of any length; a failing body leaves nothing behind. A body that can seek is sent
// again after errors that say they are temporary.
func (s *Store) Put(ctx context.Context, key string, body io.Reader) error {
	if err := s.checkWrite(key); err != nil {
		return s.fail("put", key, err)
	}
	seeker, ok := body.(io.Seeker)
	if !ok {
		return s.fail("put", key, s.driver.Put(ctx, s.prefix+key, body))
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil { // such as a pipe, which is a file but cannot seek
		return s.fail("put", key, s.driver.Put(ctx, s.prefix+key, body))
	}
	err = s.retry(ctx, func() error {
		if _, err := seeker.Seek(start, io.SeekStart); err != nil {
			return err
		}
		return s.driver.Put(ctx, s.prefix+key, body)
	})
	return s.fail("put", key, err)
}

// PutIfAbsent creates an object. nil: created now. ErrExists: it was there. Anything else: it may or may not be there. The first one on a driver
// that is Unproven is preceded by a proof, and ErrNotAtomic when that fails.
func (s *Store) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if err := s.checkWrite(key); err != nil {
		return s.fail("create", key, err)
	}
	if err := s.prove(ctx); err != nil {
		return s.fail("create", key, err)
	}
	return s.fail("create", key, s.driver.PutIfAbsent(ctx, s.prefix+key, body))
}

// Delete removes objects; a missing one is not an error.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, key := range keys {
		if err := s.checkWrite(key); err != nil {
			return s.fail("delete", key, err)
		}
		full[i] = s.prefix + key
	}
	if len(full) == 0 {
		return nil
	}
	return s.fail("delete", keys[0], s.retry(ctx, func() error { return s.driver.Delete(ctx, full) }))
}

// Close closes the driver; on a Sub store it does nothing.
func (s *Store) Close() error {
	if s.sub {
		return nil
	}
	return s.driver.Close()
}

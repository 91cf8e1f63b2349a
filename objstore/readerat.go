package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// RandomReader is implemented by drivers that can keep an object open for many range reads, such as a local file.
type RandomReader interface {
	// OpenReaderAt returns random access to an object; the caller closes it.
	OpenReaderAt(ctx context.Context, key string) (ReaderAtCloser, error)
}

// ReaderAtCloser is random access that holds a resource.
type ReaderAtCloser interface {
	io.ReaderAt
	io.Closer
}

// wholeBytes is the size up to which an object without a RandomReader is fetched at once: a request costs more than such a body.
const wholeBytes = 1 << 20

// ReaderAt returns random access to an object of the given size. Calls are safe for concurrent use; each is one range
// read, bound to ctx, but of an object of at most 1 MiB the first call fetches all and keeps it. A body shorter than size is
// io.ErrUnexpectedEOF. Close releases what a driver keeps open.
func (s *Store) ReaderAt(ctx context.Context, key string, size int64) (ReaderAtCloser, error) {
	if err := s.check(key); err != nil {
		return nil, s.fail("read", key, err)
	}
	if r, ok := s.driver.(RandomReader); ok {
		f, err := r.OpenReaderAt(ctx, s.prefix+key)
		if err != nil {
			return nil, s.fail("read", key, err)
		}
		return &boundReader{ctx: ctx, store: s, key: key, size: size, open: f}, nil
	}
	return &boundReader{ctx: ctx, store: s, key: key, size: size}, nil
}

type boundReader struct {
	ctx   context.Context
	store *Store
	key   string
	size  int64
	open  ReaderAtCloser

	mu    sync.Mutex
	whole []byte // the object, where it is small and was fetched
}

func (r *boundReader) Close() error {
	if r.open == nil {
		return nil
	}
	return r.open.Close()
}

func (r *boundReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, r.store.fail("read", r.key, fmt.Errorf("negative offset %d", off))
	}
	want := min(int64(len(p)), max(0, r.size-off))
	n, err := r.read(p[:want], off)
	switch {
	case err != nil:
		return n, r.store.fail("read", r.key, err)
	case int64(n) < int64(len(p)):
		return n, io.EOF
	}
	return n, nil
}

func (r *boundReader) read(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.open != nil {
		n, err := r.open.ReadAt(p, off)
		return n, short(n, len(p), err)
	}
	if r.size > wholeBytes {
		return r.fetchRange(p, off)
	}
	whole, err := r.fetch()
	if err != nil {
		return 0, err
	}
	n := copy(p, whole[min(off, int64(len(whole))):])
	return n, short(n, len(p), nil)
}

// fetch returns the whole object, or what there is of it when it is shorter than it should be.
func (r *boundReader) fetch() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.whole == nil {
		data := make([]byte, r.size)
		n, err := r.fetchRange(data, 0)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		r.whole = data[:n]
	}
	return r.whole, nil
}

func (r *boundReader) fetchRange(p []byte, off int64) (int, error) {
	n := 0
	err := retry(r.ctx, func() error {
		body, err := r.store.driver.ReadRange(r.ctx, r.store.prefix+r.key, off+int64(n), int64(len(p)-n))
		if err != nil {
			return err
		}
		defer body.Close()
		got, err := io.ReadFull(body, p[n:])
		n += got
		return short(n, len(p), err)
	})
	return n, err
}

// short turns an early end into io.ErrUnexpectedEOF.
func short(n, want int, err error) error {
	if n == want {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("got %d of %d bytes: %w", n, want, io.ErrUnexpectedEOF)
	}
	return err
}

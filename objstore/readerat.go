package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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

const (
	// wholeBytes is the size up to which an object without a RandomReader is fetched at once: a request costs more than such a body.
	wholeBytes = 1 << 20
	// endBytes is what is fetched of the end of a larger one, where formats keep their tables of contents.
	endBytes = 64 << 10
)

// ReaderAt returns random access to an object of the given size. Calls are safe for concurrent use; each is one range
// read, bound to ctx, but of an object of at most 1 MiB the first call fetches all and keeps it. A body shorter than size is
// io.ErrUnexpectedEOF. All calls read one version of the object, the one that the first call met: ErrChanged when it was replaced since, where the
// storage tells versions apart. Close releases what a driver keeps open.
func (s *Store) ReaderAt(ctx context.Context, key string, size int64) (ReaderAtCloser, error) {
	return s.OpenObject(ctx, Object{Key: key, Size: size}, 0)
}

// OpenObject is ReaderAt of an object as Stat or List told it, in that version where it has a tag. keep is how many bytes of its end the store's
// cache may keep, and the first read of the last 64 KiB of them fetches those at once; keep >= size means all of an object that nobody replaces.
func (s *Store) OpenObject(ctx context.Context, o Object, keep int64) (ReaderAtCloser, error) {
	if err := s.check(o.Key); err != nil {
		return nil, s.fail("read", o.Key, err)
	}
	r := &boundReader{ctx: ctx, store: s, key: o.Key, size: o.Size, keep: keep, tag: o.Tag}
	if random, ok := s.driver.(RandomReader); ok {
		f, err := random.OpenReaderAt(ctx, s.prefix+o.Key)
		if err != nil {
			return nil, s.fail("read", o.Key, err)
		}
		r.open = f
	}
	return r, nil
}

type boundReader struct {
	ctx   context.Context
	store *Store
	key   string
	size  int64
	keep  int64
	open  ReaderAtCloser

	fetching sync.Mutex // held while a block is fetched, so that callers who want the same one wait for it

	mu     sync.Mutex
	tag    string // "" = the next answer decides
	met    bool   // bytes of the tag's version were given or are held
	blocks []block
}

// block is a part of the object in memory; data is shorter than length when the object is. wanted are the reads that it was fetched for: it goes with
// the last of them, 0 = it stays.
type block struct {
	offset, length int64
	data           []byte
	wanted         int
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
	if n, ok := r.held(p, off); ok {
		return n, short(n, len(p), nil)
	}
	if r.size > wholeBytes && off < r.end() {
		return r.pass(p, off)
	}
	if err := r.load(p, off); err != nil {
		return 0, err
	}
	n, _ := r.held(p, off)
	return n, short(n, len(p), nil)
}

// end is where the part begins that is fetched and kept as one: the whole of a small object that may be kept, else the last bytes.
func (r *boundReader) end() int64 {
	switch {
	case r.keep == 0:
		return r.size
	case r.size <= wholeBytes && r.keep >= r.size:
		return 0
	}
	return max(0, r.size-min(r.keep, endBytes))
}

// held copies from what is in memory.
func (r *boundReader) held(p []byte, off int64) (int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.blocks {
		b := &r.blocks[i]
		if !b.covers(off, int64(len(p))) {
			continue
		}
		n := copy(p, b.data[min(off-b.offset, int64(len(b.data))):])
		if b.wanted > 0 {
			if b.wanted--; b.wanted == 0 {
				r.blocks = append(r.blocks[:i], r.blocks[i+1:]...)
			}
		}
		return n, true
	}
	return 0, false
}

func (b *block) covers(off, length int64) bool {
	return off >= b.offset && off+length <= b.offset+b.length
}

func (r *boundReader) covers(off, length int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.blocks, func(b block) bool { return b.covers(off, length) })
}

func (r *boundReader) hold(b block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks = append(r.blocks, b)
}

// load brings the block that a read needs into memory: from the cache, or from the store.
func (r *boundReader) load(p []byte, off int64) error {
	r.fetching.Lock()
	defer r.fetching.Unlock()
	if r.covers(off, int64(len(p))) {
		return nil
	}
	end := r.end()
	if off >= end {
		if data, ok := r.cached(end, r.size-end); ok {
			r.hold(block{offset: end, length: r.size - end, data: data})
			return nil
		}
	}
	from := end
	if r.size <= wholeBytes {
		from = 0
	}
	data := make([]byte, r.size-from)
	n, err := r.fetch(data, from)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	r.hold(block{offset: from, length: r.size - from, data: data[:n]})
	if n == len(data) && end < r.size {
		r.store.remember(r.id(end, r.size-end), data[end-from:])
	}
	return nil
}

// pass reads one range, through the cache where it may be kept.
func (r *boundReader) pass(p []byte, off int64) (int, error) {
	if off < r.size-r.keep {
		return r.fetch(p, off)
	}
	if data, ok := r.cached(off, int64(len(p))); ok {
		return copy(p, data), nil
	}
	n, err := r.fetch(p, off)
	if err == nil {
		r.store.remember(r.id(off, int64(len(p))), p)
	}
	return n, err
}

// id names a range of the version that is read.
func (r *boundReader) id(off, length int64) rangeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store.rangeID(r.key, r.tag, off, length)
}

// cached gives a range out of the cache, and binds the reader to its version.
func (r *boundReader) cached(off, length int64) ([]byte, bool) {
	data, ok := r.store.recall(r.id(off, length))
	if !ok || int64(len(data)) != length {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.met = true
	return data, true
}

// fetch reads a range from the store. Where a body breaks it goes on after what came.
func (r *boundReader) fetch(p []byte, off int64) (int, error) {
	n := 0
	err := r.store.retry(r.ctx, func() error {
		body, err := r.ask(off+int64(n), int64(len(p)-n))
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

// ask opens a range of the version that is read; the first answer says which that is.
func (r *boundReader) ask(off, length int64) (io.ReadCloser, error) {
	r.mu.Lock()
	tag, met := r.tag, r.met
	r.mu.Unlock()
	body, found, err := readTagged(r.ctx, r.store.driver, r.store.prefix+r.key, tag, off, length)
	if errors.Is(err, ErrChanged) && !met && r.keep >= r.size && r.keep > 0 {
		// Nothing of the listed version was seen, and the object is one that nobody replaces: the listing may know its tag by another spelling.
		tag = ""
		body, found, err = readTagged(r.ctx, r.store.driver, r.store.prefix+r.key, tag, off, length)
	}
	if err != nil {
		return nil, r.store.Absent(r.ctx, r.key, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case found == "": // the storage tells no versions apart
	case r.met && found != r.tag, tag != "" && found != tag:
		body.Close()
		return nil, ErrChanged
	default:
		r.met, r.tag = true, found
	}
	return body, nil
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

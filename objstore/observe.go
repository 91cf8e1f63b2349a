package objstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"sync"
	"time"
)

// Request is what one call of a driver did.
type Request struct {
	// Op is stat, read, list, put, create or delete; Key is the object, of a
	// listing the prefix, of a delete the first key.
	Op, Key string
	// Bytes of bodies that were read or sent.
	Bytes int64
	// Took lasts until the answer, of a read until its body was closed.
	Took time.Duration
	// Attempt is 1, and more where the same call failed for a while before.
	Attempt int
	Err     error
}

// Observe returns a driver that tells of each call when it is over, from the
// goroutine that made it: tell must be safe for concurrent use and return soon.
func Observe(d Driver, now func() time.Time, tell func(Request)) Driver {
	o := &observed{Driver: d, now: now, tell: tell, failed: map[string]int{}}
	if r, ok := d.(RandomReader); ok {
		return &observedRandom{o, r}
	}
	return o
}

type observed struct {
	Driver
	now  func() time.Time
	tell func(Request)

	mu     sync.Mutex
	failed map[string]int // calls by op and key that may be tried again, and how often they failed
}

// begin starts a call; what it returns ends it.
func (o *observed) begin(op, key string) func(bytes int64, err error) {
	start, name := o.now(), op+" "+key
	return func(bytes int64, err error) {
		o.mu.Lock()
		attempt := o.failed[name] + 1
		if err != nil && temporary(err) {
			o.failed[name] = attempt
		} else {
			delete(o.failed, name)
		}
		o.mu.Unlock()
		o.tell(Request{Op: op, Key: key, Bytes: bytes, Took: o.now().Sub(start), Attempt: attempt, Err: err})
	}
}

func (o *observed) URL() string {
	if u, ok := o.Driver.(interface{ URL() string }); ok {
		return u.URL()
	}
	return ""
}

func (o *observed) Unproven() bool {
	u, ok := o.Driver.(Unproven)
	return ok && u.Unproven()
}

func (o *observed) Origin() string { return origin(o.Driver) }

func (o *observed) Stat(ctx context.Context, key string) (Object, error) {
	end := o.begin("stat", key)
	found, err := o.Driver.Stat(ctx, key)
	end(0, err)
	return found, err
}

func (o *observed) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, _, err := o.ReadTagged(ctx, key, "", offset, length)
	return body, err
}

func (o *observed) ReadTagged(ctx context.Context, key, tag string, offset, length int64) (io.ReadCloser, string, error) {
	end := o.begin("read", key)
	body, found, err := readTagged(ctx, o.Driver, key, tag, offset, length)
	if err != nil {
		end(0, err)
		return nil, found, err
	}
	c := &countedBody{ReadCloser: body, end: end}
	if b, ok := body.(sized); ok {
		return &sizedBody{c, b}, found, nil
	}
	return c, found, nil
}

// countedBody tells of its call when it is closed.
type countedBody struct {
	io.ReadCloser
	end  func(int64, error)
	n    int64
	err  error
	once sync.Once
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *countedBody) Close() error {
	err := c.ReadCloser.Close()
	c.once.Do(func() { c.end(c.n, c.err) })
	return err
}

// sizedBody is a body that knows how many bytes are left in it.
type sizedBody struct {
	*countedBody
	sized
}

func (o *observed) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		var failed error
		end := o.begin("list", opts.Prefix)
		defer func() { end(0, failed) }()
		for found, err := range o.Driver.List(ctx, opts) {
			failed = err
			if !yield(found, err) || err != nil {
				return
			}
		}
	}
}

func (o *observed) Put(ctx context.Context, key string, body io.Reader) error {
	end := o.begin("put", key)
	counted := &countedReader{r: body}
	err := o.Driver.Put(ctx, key, counted)
	end(counted.n, err)
	return err
}

type countedReader struct {
	r io.Reader
	n int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (o *observed) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	end := o.begin("create", key)
	err := o.Driver.PutIfAbsent(ctx, key, body)
	sent := int64(len(body))
	if errors.Is(err, fs.ErrExist) {
		sent = 0
	}
	end(sent, err)
	return err
}

func (o *observed) Delete(ctx context.Context, keys []string) error {
	end := o.begin("delete", keys[0])
	err := o.Driver.Delete(ctx, keys)
	end(0, err)
	return err
}

func (o *observed) UnfinishedWrites(ctx context.Context, prefix string) iter.Seq2[UnfinishedWrite, error] {
	if u, ok := o.Driver.(unfinished); ok {
		return u.UnfinishedWrites(ctx, prefix)
	}
	return func(func(UnfinishedWrite, error) bool) {}
}

func (o *observed) Abandon(ctx context.Context, w UnfinishedWrite) error {
	if u, ok := o.Driver.(unfinished); ok {
		return u.Abandon(ctx, w)
	}
	return nil
}

// observedRandom is observed of a driver that keeps objects open.
type observedRandom struct {
	*observed
	random RandomReader
}

func (o *observedRandom) OpenReaderAt(ctx context.Context, key string) (ReaderAtCloser, error) {
	end := o.begin("read", key)
	r, err := o.random.OpenReaderAt(ctx, key)
	if err != nil {
		end(0, err)
		return nil, err
	}
	return &countedReaderAt{ReaderAtCloser: r, end: end}, nil
}

// countedReaderAt tells of all that was read of an object when it is closed.
type countedReaderAt struct {
	ReaderAtCloser
	end func(int64, error)

	mu  sync.Mutex
	n   int64
	err error
}

func (c *countedReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAtCloser.ReadAt(p, off)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (c *countedReaderAt) Close() error {
	err := c.ReaderAtCloser.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		c.end(c.n, c.err)
		c.end = nil
	}
	return err
}

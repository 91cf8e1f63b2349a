package objstore

import (
	"context"
	"errors"
	"io"
	"strings"
)

// ErrChanged is an object that was replaced while it was read. Reading it anew gives the other one.
var ErrChanged = errors.New("the object was replaced while it was read")

// origin is Tagged.Origin, "" for a driver that is not Tagged.
func origin(d Driver) string {
	if t, ok := d.(Tagged); ok {
		return t.Origin()
	}
	return ""
}

// readTagged is Tagged.ReadTagged, and ReadRange without a tag for a driver that is not Tagged. No bytes are asked for by Stat: services have no empty ranges.
func readTagged(ctx context.Context, d Driver, key, tag string, offset, length int64) (io.ReadCloser, string, error) {
	if length == 0 {
		o, err := d.Stat(ctx, key)
		if err == nil && tag != "" && o.Tag != tag {
			err = ErrChanged
		}
		return io.NopCloser(strings.NewReader("")), o.Tag, err
	}
	if t, ok := d.(Tagged); ok {
		return t.ReadTagged(ctx, key, tag, offset, length)
	}
	body, err := d.ReadRange(ctx, key, offset, length)
	return body, "", err
}

// stream is the body of a tagged object. Where it breaks for a while, it goes on with the rest of the same version.
type stream struct {
	ctx   context.Context
	store *Store
	key   string
	tag   string
	at    int64
	left  int64 // negative = to the end
	body  io.ReadCloser
	tries int // since bytes came last
}

func (b *stream) Read(p []byte) (int, error) {
	for {
		n, err := b.body.Read(p)
		b.at += int64(n)
		if b.left >= 0 {
			b.left -= int64(n)
		}
		if n > 0 {
			b.tries = 0
		}
		if err == nil || err == io.EOF {
			return n, err
		}
		if b.tries++; !temporary(err) || b.tries == retryAttempts || b.left == 0 {
			return n, b.store.fail("read", b.key, err)
		}
		if rerr := b.reopen(); rerr != nil {
			return n, b.store.fail("read", b.key, rerr)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// reopen asks for the rest.
func (b *stream) reopen() error {
	b.body.Close() // it is broken; what it says now is no news
	return b.store.retry(b.ctx, func() (err error) {
		b.body, _, err = readTagged(context.WithValue(b.ctx, streamed{}, true), b.store.driver, b.store.prefix+b.key, b.tag, b.at, b.left)
		if err != nil {
			b.body = io.NopCloser(brokenBody{err})
		}
		return err
	})
}

func (b *stream) Close() error { return b.body.Close() }

// brokenBody stands for a body that could not be opened.
type brokenBody struct{ err error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }

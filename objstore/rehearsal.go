package objstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// Rehearse returns a store that shows the same objects and changes none of them, for dry runs of whatever writes through a Store. What is created with
// PutIfAbsent is held in memory and seen by later reads, so that commits follow each other as they would; bodies of Put are read to their end and forgotten,
// and nothing is deleted. Closing it closes nothing.
func (s *Store) Rehearse() *Store {
	return &Store{driver: &rehearsal{base: s.driver, created: map[string][]byte{}}, prefix: s.prefix, sub: s.sub, proof: &proof{}, budget: s.budget, cache: s.cache}
}

// rehearsal lays what was created over a driver.
type rehearsal struct {
	base Driver

	mu      sync.Mutex
	created map[string][]byte
}

func (d *rehearsal) URL() string {
	if u, ok := d.base.(interface{ URL() string }); ok {
		return u.URL()
	}
	return ""
}

func (d *rehearsal) get(key string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, ok := d.created[key]
	return body, ok
}

func (d *rehearsal) Stat(ctx context.Context, key string) (Object, error) {
	if body, ok := d.get(key); ok {
		return createdObject(key, body), nil
	}
	return d.base.Stat(ctx, key)
}

// createdObject is newer than what any real store holds, as it would be.
func createdObject(key string, body []byte) Object {
	return Object{Key: key, Size: int64(len(body)), ModTime: time.Unix(1<<33, 0).UTC()}
}

func (d *rehearsal) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, ok := d.get(key)
	if !ok {
		return d.base.ReadRange(ctx, key, offset, length)
	}
	body = body[min(offset, int64(len(body))):]
	if length >= 0 {
		body = body[:min(length, int64(len(body)))]
	}
	return io.NopCloser(bytes.NewReader(body)), nil
}

func (d *rehearsal) Origin() string { return origin(d.base) }

func (d *rehearsal) ReadTagged(ctx context.Context, key, tag string, offset, length int64) (io.ReadCloser, string, error) {
	if _, ok := d.get(key); !ok {
		return readTagged(ctx, d.base, key, tag, offset, length)
	}
	body, err := d.ReadRange(ctx, key, offset, length)
	return body, "", err
}

func (d *rehearsal) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		mine := d.listed(opts)
		for o, err := range d.base.List(ctx, opts) {
			for err == nil && len(mine) > 0 && mine[0].Key < o.Key {
				if !yield(mine[0], nil) {
					return
				}
				mine = mine[1:]
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
		for _, o := range mine {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// listed are the created objects that a listing gives, in order.
func (d *rehearsal) listed(opts ListOptions) []Object {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Object
	for key, body := range d.created {
		rest, ok := strings.CutPrefix(key, opts.Prefix)
		if ok && key > opts.After && (opts.Recursive || !strings.Contains(rest, "/")) {
			out = append(out, createdObject(key, body))
		}
	}
	slices.SortFunc(out, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func (d *rehearsal) Put(ctx context.Context, _ string, body io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, body)
	return err
}

func (d *rehearsal) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	switch _, err := d.base.Stat(ctx, key); {
	case err == nil:
		return ErrExists
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.created[key]; ok {
		return ErrExists
	}
	d.created[key] = bytes.Clone(body)
	return nil
}

func (d *rehearsal) Delete(ctx context.Context, _ []string) error { return ctx.Err() }

func (d *rehearsal) Close() error { return nil }

package objstore

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memDriver keeps objects in a map. The clock of modification times is a counter of milliseconds, so that it needs no real one.
type memDriver struct {
	mu      sync.RWMutex
	objects map[string]memObject
	ticks   int64
}

type memObject struct {
	body []byte
	at   time.Time
}

// tag is the time, which no two bodies share.
func (o memObject) tag() string { return strconv.FormatInt(o.at.UnixMilli(), 10) }

// NewMem returns an empty store in memory. Modification times are strictly increasing from the Unix epoch, not wall time.
func NewMem() Driver { return &memDriver{objects: map[string]memObject{}} }

func (d *memDriver) URL() string { return "mem://" }

func (d *memDriver) get(key string) (memObject, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	o, ok := d.objects[key]
	if !ok {
		return memObject{}, fs.ErrNotExist
	}
	return o, nil
}

func (d *memDriver) Stat(ctx context.Context, key string) (Object, error) {
	if err := ctx.Err(); err != nil {
		return Object{}, err
	}
	o, err := d.get(key)
	if err != nil {
		return Object{}, err
	}
	return Object{Key: key, Size: int64(len(o.body)), ModTime: o.at, Tag: o.tag()}, nil
}

func (d *memDriver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, _, err := d.ReadTagged(ctx, key, "", offset, length)
	return body, err
}

// Origin is none: another store in memory has the same keys and tags.
func (d *memDriver) Origin() string { return "" }

func (d *memDriver) ReadTagged(ctx context.Context, key, tag string, offset, length int64) (io.ReadCloser, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	o, err := d.get(key)
	switch {
	case err != nil:
		return nil, "", err
	case tag != "" && tag != o.tag():
		return nil, "", ErrChanged
	}
	body := o.body[min(offset, int64(len(o.body))):]
	if length >= 0 {
		body = body[:min(length, int64(len(body)))]
	}
	return io.NopCloser(bytes.NewReader(body)), o.tag(), nil
}

func (d *memDriver) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		d.mu.RLock()
		var found []Object
		for key, o := range d.objects {
			rest, ok := strings.CutPrefix(key, opts.Prefix)
			if !ok || key <= opts.After || !opts.Recursive && strings.Contains(rest, "/") {
				continue
			}
			found = append(found, Object{Key: key, Size: int64(len(o.body)), ModTime: o.at, Tag: o.tag()})
		}
		d.mu.RUnlock()
		slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
		for _, o := range found {
			if err := ctx.Err(); err != nil {
				yield(Object{}, err)
				return
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (d *memDriver) Put(ctx context.Context, key string, body io.Reader) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	return d.store(ctx, key, data, true)
}

func (d *memDriver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return d.store(ctx, key, bytes.Clone(body), false)
}

func (d *memDriver) store(ctx context.Context, key string, body []byte, replace bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.objects[key]; ok && !replace {
		return ErrExists
	}
	d.ticks++
	d.objects[key] = memObject{body: body, at: time.UnixMilli(d.ticks).UTC()}
	return nil
}

func (d *memDriver) Delete(ctx context.Context, keys []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range keys {
		delete(d.objects, key)
	}
	return nil
}

func (d *memDriver) Close() error { return nil }

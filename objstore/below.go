package objstore

import (
	"context"
	"io"
	"iter"
	"strings"
)

// Below returns a driver whose root is a prefix of another's. Closing it closes the other.
func Below(d Driver, prefix string) Driver {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return d
	}
	return &belowDriver{driver: d, prefix: prefix + "/"}
}

type belowDriver struct {
	driver Driver
	prefix string
}

func (d *belowDriver) URL() string {
	if u, ok := d.driver.(interface{ URL() string }); ok {
		return strings.TrimSuffix(u.URL(), "/") + "/" + strings.TrimSuffix(d.prefix, "/")
	}
	return d.prefix
}

func (d *belowDriver) Unproven() bool {
	u, ok := d.driver.(Unproven)
	return ok && u.Unproven()
}

func (d *belowDriver) Stat(ctx context.Context, key string) (Object, error) {
	o, err := d.driver.Stat(ctx, d.prefix+key)
	o.Key = key
	return o, err
}

func (d *belowDriver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	return d.driver.ReadRange(ctx, d.prefix+key, offset, length)
}

func (d *belowDriver) Origin() string {
	o := origin(d.driver)
	if o == "" {
		return ""
	}
	return o + "/" + d.prefix
}

func (d *belowDriver) ReadTagged(ctx context.Context, key, tag string, offset, length int64) (io.ReadCloser, string, error) {
	return readTagged(ctx, d.driver, d.prefix+key, tag, offset, length)
}

func (d *belowDriver) List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		opts.Prefix = d.prefix + opts.Prefix
		if opts.After != "" {
			opts.After = d.prefix + opts.After
		}
		for o, err := range d.driver.List(ctx, opts) {
			key, ok := strings.CutPrefix(o.Key, d.prefix)
			if err == nil && !ok {
				continue
			}
			o.Key = key
			if !yield(o, err) {
				return
			}
		}
	}
}

func (d *belowDriver) Put(ctx context.Context, key string, body io.Reader) error {
	return d.driver.Put(ctx, d.prefix+key, body)
}

func (d *belowDriver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return d.driver.PutIfAbsent(ctx, d.prefix+key, body)
}

func (d *belowDriver) Delete(ctx context.Context, keys []string) error {
	full := make([]string, len(keys))
	for i, k := range keys {
		full[i] = d.prefix + k
	}
	return d.driver.Delete(ctx, full)
}

func (d *belowDriver) Close() error { return d.driver.Close() }

package bench

import (
	"context"
	"io"
	"strings"
	"sync/atomic"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// countingScheme is the scheme of local stores whose reads are counted.
const countingScheme = "counted"

// countingOpener opens local directories and counts what is read of them.
type countingOpener struct{ bytes, reads atomic.Int64 }

func (c *countingOpener) openers() []objstore.Opener { return []objstore.Opener{c} }

func (c *countingOpener) Schemes() []string { return []string{countingScheme} }

func (c *countingOpener) Open(_ context.Context, url string, _ map[string]string) (objstore.Driver, error) {
	d, err := objstore.NewLocal(strings.TrimPrefix(url, countingScheme+"://"))
	if err != nil {
		return nil, err
	}
	return &countingDriver{Driver: d, counter: c}, nil
}

type countingDriver struct {
	objstore.Driver
	counter *countingOpener
}

func (d *countingDriver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, err := d.Driver.ReadRange(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	d.counter.reads.Add(1)
	return &countingBody{ReadCloser: body, counter: d.counter}, nil
}

type countingBody struct {
	io.ReadCloser
	counter *countingOpener
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.counter.bytes.Add(int64(n))
	return n, err
}

// OpenReaderAt keeps the local driver's random access.
func (d *countingDriver) OpenReaderAt(ctx context.Context, key string) (objstore.ReaderAtCloser, error) {
	r, err := d.Driver.(objstore.RandomReader).OpenReaderAt(ctx, key)
	if err != nil {
		return nil, err
	}
	return &countingReaderAt{ReaderAtCloser: r, counter: d.counter}, nil
}

type countingReaderAt struct {
	objstore.ReaderAtCloser
	counter *countingOpener
}

func (r *countingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAtCloser.ReadAt(p, off)
	r.counter.reads.Add(1)
	r.counter.bytes.Add(int64(n))
	return n, err
}

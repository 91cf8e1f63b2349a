package gcsstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"net/http"
	"strconv"
	"sync/atomic"

	"cloud.google.com/go/storage"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

const (
	// deleteParallel is how many deletes are under way at once; the service has no call for many keys.
	deleteParallel = 16
	// pageSize is how many objects a page of a listing has, which is what the service gives at most.
	pageSize = 1000
)

// errProtocol is an answer that the service does not give.
var errProtocol = service.NotOf("Google Cloud Storage")

type driver struct {
	client   *storage.Client
	bucket   *storage.BucketHandle
	endpoint string // "" = Google's own
	name     string
	secrets  []string
	idle     func() // closes idle connections
}

func (d *driver) URL() string { return "gs://" + d.name }

func status(err error) int {
	var ae *googleapi.Error
	switch {
	case errors.As(err, &ae):
		return ae.Code
	case errors.Is(err, storage.ErrObjectNotExist), errors.Is(err, storage.ErrBucketNotExist):
		return http.StatusNotFound
	}
	return 0
}

// fail names an error of the SDK and hides credentials in it.
func (d *driver) fail(err error) error {
	if fault := accessFault(err, false); fault != nil {
		err = fault
	}
	return service.Redact(service.StatusError(status(err), err), d.secrets...)
}

func (d *driver) Stat(ctx context.Context, key string) (objstore.Object, error) {
	a, err := d.bucket.Object(key).Attrs(ctx)
	if err != nil {
		return objstore.Object{}, d.fail(err)
	}
	if a.Generation <= 0 {
		return objstore.Object{}, fmt.Errorf("%w (an object without a generation)", errProtocol)
	}
	return objstore.Object{Key: key, Size: a.Size, ModTime: a.Updated, Tag: tag(a.Generation)}, nil
}

func (d *driver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, _, err := d.ReadTagged(ctx, key, "", offset, length)
	return body, err
}

// Origin is the endpoint, as far as it is not Google's own, and the bucket.
func (d *driver) Origin() string { return "gs " + d.endpoint + " " + d.name }

// tag is an object's generation.
func tag(generation int64) string { return strconv.FormatInt(generation, 10) }

func (d *driver) ReadTagged(ctx context.Context, key, want string, offset, length int64) (body io.ReadCloser, found string, err error) {
	object := d.bucket.Object(key)
	if want != "" {
		generation, err := strconv.ParseInt(want, 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("%w: no object of this service has the tag %q", objstore.ErrChanged, want)
		}
		object = object.If(storage.Conditions{GenerationMatch: generation})
	}
	r, err := object.ReadCompressed(true).NewRangeReader(ctx, offset, length)
	switch status(err) {
	case http.StatusRequestedRangeNotSatisfiable:
		return http.NoBody, want, nil
	case http.StatusPreconditionFailed:
		return nil, "", objstore.ErrChanged
	}
	if err != nil {
		return nil, "", d.fail(err)
	}
	found = tag(r.Attrs.Generation)
	switch {
	case r.Attrs.Generation <= 0:
		err = fmt.Errorf("%w (an object without a generation)", errProtocol)
	case r.Attrs.StartOffset != offset, length > 0 && r.Remain() > length:
		err = fmt.Errorf("%w (asked for %d bytes from %d, got %d from %d)", errProtocol, length, offset, r.Remain(), r.Attrs.StartOffset)
	case want != "" && found != want: // the server ignored the condition
		err = objstore.ErrChanged
	}
	if err != nil {
		r.Close()
		return nil, "", err
	}
	return service.TemporaryBody(r), found, nil
}

func (d *driver) List(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		q := &storage.Query{Prefix: opts.Prefix, StartOffset: opts.After} // which includes the key itself
		if !opts.Recursive {
			q.Delimiter = "/"
		}
		if err := q.SetAttrSelection([]string{"Name", "Size", "Updated", "Generation"}); err != nil {
			yield(objstore.Object{}, err)
			return
		}
		asked := &listing{}
		pager := iterator.NewPager(d.bucket.Objects(context.WithValue(ctx, listing{}, asked), q), pageSize, "")
		for {
			var page []*storage.ObjectAttrs
			asked.pages = 0
			next, err := pager.NextPage(&page)
			if err != nil {
				yield(objstore.Object{}, d.fail(err))
				return
			}
			for _, a := range page {
				if a.Name == "" || a.Name <= opts.After { // a directory, or the key to start after
					continue
				}
				if !yield(objstore.Object{Key: a.Name, Size: a.Size, ModTime: a.Updated, Tag: tag(a.Generation)}, nil) {
					return
				}
			}
			if next == "" {
				return
			}
		}
	}
}

func (d *driver) Put(ctx context.Context, key string, body io.Reader) error {
	ctx, cancel := context.WithCancel(ctx) // ends an upload whose body fails, which then leaves nothing
	defer cancel()
	w := d.bucket.Object(key).Retryer(always()...).NewWriter(ctx)
	watched := service.NewBody(body)
	if _, err := io.Copy(w, watched); err != nil {
		cancel()
		w.Close()
		if watched.Err != nil {
			return watched.Err
		}
		return d.failCreate(err)
	}
	return d.failCreate(closeAs(w, watched.N, watched.CRC32C))
}

// closeAs ends an upload and holds the answer against what was sent.
func closeAs(w *storage.Writer, size int64, sum uint32) error {
	if err := w.Close(); err != nil {
		return err
	}
	if a := w.Attrs(); a.Size != size || a.CRC32C != sum {
		return fmt.Errorf("%w (an upload of %d bytes answered as one of %d, or of others)", errProtocol, size, a.Size)
	}
	return nil
}

// failCreate is fail for calls that make an object.
func (d *driver) failCreate(err error) error {
	if fault := accessFault(err, true); fault != nil {
		err = fault
	}
	return d.fail(err)
}

// callTries bounds how often the requests of one call are repeated: the client
// would go on for ever with those that begin an upload.
const callTries = 12

// always repeats the requests of one call, which do no harm twice, also where
// the connection was closed before an answer, which the client does not count
// as worth repeating. It keeps a chunk of a body in memory for that.
func always() []storage.RetryOption {
	var failed atomic.Int64
	return []storage.RetryOption{storage.WithPolicy(storage.RetryAlways), storage.WithErrorFunc(func(err error) bool {
		return (errors.Is(err, io.EOF) || storage.ShouldRetry(err)) && failed.Add(1) < callTries
	})}
}

// PutIfAbsent sends one request and never repeats it: a repeated one would meet the object that the first one left.
func (d *driver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := d.bucket.Object(key).If(storage.Conditions{DoesNotExist: true}).Retryer(storage.WithPolicy(storage.RetryNever)).NewWriter(ctx)
	w.ChunkSize = 0 // one request instead of a resumable upload
	_, err := w.Write(body)
	if cerr := closeAs(w, int64(len(body)), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))); err == nil || cerr != nil {
		err = cerr
	}
	if status(err) == http.StatusPreconditionFailed {
		return service.Redact(service.ExistsError(err), d.secrets...)
	}
	return d.failCreate(err)
}

func (d *driver) Delete(ctx context.Context, keys []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deleteParallel)
	for _, key := range keys {
		g.Go(func() error {
			err := d.bucket.Object(key).Retryer(always()...).Delete(ctx)
			if errors.Is(err, storage.ErrObjectNotExist) {
				return nil
			}
			return d.fail(err)
		})
	}
	return g.Wait()
}

// Close closes the connections that no request uses, too.
func (d *driver) Close() error {
	err := d.client.Close()
	d.idle()
	return err
}

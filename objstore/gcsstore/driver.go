package gcsstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"

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

// errProtocol is an answer that the service does not give: of a proxy, a login page.
var errProtocol = errors.New("the answer is not one of Google Cloud Storage: does the endpoint name its service?")

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
	if want != "" && found != want { // the server ignored the condition
		r.Close()
		return nil, "", objstore.ErrChanged
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
		pager := iterator.NewPager(d.bucket.Objects(ctx, q), pageSize, "")
		for last := ""; ; {
			var page []*storage.ObjectAttrs
			next, err := pager.NextPage(&page)
			if err == nil && next != "" && next == last {
				err = fmt.Errorf("%w (a listing goes on where it was)", errProtocol)
			}
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
			last = next
		}
	}
}

func (d *driver) Put(ctx context.Context, key string, body io.Reader) error {
	ctx, cancel := context.WithCancel(ctx) // ends an upload whose body fails, which then leaves nothing
	defer cancel()
	w := d.bucket.Object(key).Retryer(always()...).NewWriter(ctx)
	body = &errorReader{r: body}
	if _, err := io.Copy(w, body); err != nil {
		cancel()
		w.Close()
		if own := body.(*errorReader).err; own != nil {
			return own
		}
		return d.failCreate(err)
	}
	return d.failCreate(w.Close())
}

// failCreate is fail for calls that make an object.
func (d *driver) failCreate(err error) error {
	if fault := accessFault(err, true); fault != nil {
		err = fault
	}
	return d.fail(err)
}

// always repeats a request that does no harm twice, also where the connection was closed before an answer, which the client does not count as
// worth repeating. It keeps a chunk of a body in memory for that.
func always() []storage.RetryOption {
	return []storage.RetryOption{storage.WithPolicy(storage.RetryAlways), storage.WithErrorFunc(func(err error) bool { return errors.Is(err, io.EOF) || storage.ShouldRetry(err) })}
}

// errorReader remembers the error of a body, so that it is not mistaken for one of the service.
type errorReader struct {
	r   io.Reader
	err error
}

func (r *errorReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// PutIfAbsent sends one request and never repeats it: a repeated one would meet the object that the first one left.
func (d *driver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := d.bucket.Object(key).If(storage.Conditions{DoesNotExist: true}).Retryer(storage.WithPolicy(storage.RetryNever)).NewWriter(ctx)
	w.ChunkSize = 0 // one request instead of a resumable upload
	_, err := w.Write(body)
	if cerr := w.Close(); err == nil || cerr != nil {
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

package azurestore

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"golang.org/x/sync/errgroup"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

const (
	// blockBytes and blockParallel bound what an upload of unknown length holds: 4 x 8 MiB.
	blockBytes    = 8 << 20
	blockParallel = 4
	// deleteParallel is how many deletes are under way at once.
	deleteParallel = 16
)

type driver struct {
	client             *container.Client
	service, container string
	secrets            []string
	idle               func() // closes idle connections
}

func (d *driver) URL() string { return "az://" + d.container }

func status(err error) int {
	if re := (*azcore.ResponseError)(nil); errors.As(err, &re) {
		return re.StatusCode
	}
	return 0
}

// fail names an error of the SDK and hides credentials in it.
func (d *driver) fail(err error) error {
	if fault := accessFault(err); fault != nil {
		err = fault
	}
	return service.Redact(service.StatusError(status(err), err), d.secrets...)
}

// failBucket is fail for calls whose object cannot be missing: where the service finds nothing, it is the container, or no such service.
func (d *driver) failBucket(err error) error {
	failed := d.fail(err)
	if errors.Is(failed, fs.ErrNotExist) {
		return service.Redact(&objstore.AccessError{Fault: objstore.NoBucket, Err: err}, d.secrets...)
	}
	return failed
}

// check refuses a key that the service would change: it makes a slash of every backslash, so that two keys would be one object.
func check(keys ...string) error {
	for _, key := range keys {
		if strings.Contains(key, `\`) {
			return fmt.Errorf("%w: Azure makes a slash of the backslash in %q", objstore.ErrInvalidKey, key)
		}
	}
	return nil
}

func (d *driver) Stat(ctx context.Context, key string) (objstore.Object, error) {
	if err := check(key); err != nil {
		return objstore.Object{}, err
	}
	p, err := d.client.NewBlobClient(key).GetProperties(ctx, nil)
	if err != nil {
		return objstore.Object{}, d.fail(err)
	}
	if p.ContentLength == nil || tag(p.ETag) == "" {
		return objstore.Object{}, fmt.Errorf("%w (a blob without its length or ETag)", errProtocol)
	}
	return objstore.Object{Key: key, Size: value(p.ContentLength), ModTime: value(p.LastModified), Tag: tag(p.ETag)}, nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (d *driver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, _, err := d.ReadTagged(ctx, key, "", offset, length)
	return body, err
}

// Origin is the service, which is an account's own, and the container.
func (d *driver) Origin() string { return "az " + d.service + " " + d.container }

// tag is an ETag without its quotes, which listings leave out.
func tag(etag *azcore.ETag) string { return strings.Trim(string(value(etag)), `"`) }

func (d *driver) ReadTagged(ctx context.Context, key, want string, offset, length int64) (body io.ReadCloser, found string, err error) {
	if err := check(key); err != nil {
		return nil, "", err
	}
	opts := &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: offset, Count: max(0, length)}}
	if want != "" {
		etag := azcore.ETag(`"` + want + `"`)
		opts.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &etag}}
	}
	out, err := d.client.NewBlobClient(key).DownloadStream(ctx, opts)
	switch status(err) {
	case http.StatusRequestedRangeNotSatisfiable:
		return http.NoBody, want, nil
	case http.StatusPreconditionFailed:
		return nil, "", objstore.ErrChanged
	}
	if err != nil {
		return nil, "", d.fail(err)
	}
	found = tag(out.ETag)
	switch {
	case found == "":
		err = fmt.Errorf("%w (a blob without an ETag)", errProtocol)
	case (offset > 0 || length > 0) && !service.BeginsAt(value(out.ContentRange), offset):
		err = fmt.Errorf("%w (asked for a range from %d, got %q)", errProtocol, offset, value(out.ContentRange))
	case want != "" && found != want: // the server ignored the condition
		err = objstore.ErrChanged
	}
	if err != nil {
		out.Body.Close()
		return nil, "", err
	}
	return service.TemporaryBody(out.Body), found, nil
}

// List sorts recursive listings before the first object comes, because accounts with real directories list those depth first; they hold
// all keys of the listing in memory. After is compared here: the service's own parameter for it means different things in accounts with
// and without a hierarchy, and a commit that a listing misses would be worse than a page too many.
func (d *driver) List(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		var all []objstore.Object
		for o, err := range d.pages(ctx, opts) {
			switch {
			case err != nil:
				yield(objstore.Object{}, d.failBucket(err))
				return
			case o.Key <= opts.After:
			case opts.Recursive:
				all = append(all, o)
			case !yield(o, nil):
				return
			}
		}
		slices.SortFunc(all, func(a, b objstore.Object) int { return strings.Compare(a.Key, b.Key) })
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// pages yields objects as the service lists them, without its directories.
func (d *driver) pages(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	include := container.ListBlobsInclude{Metadata: true}
	emit := func(items []*container.BlobItem, yield func(objstore.Object, error) bool) bool {
		for _, b := range items {
			if b.Properties == nil || isDirectory(b) {
				continue
			}
			if !yield(objstore.Object{Key: value(b.Name), Size: value(b.Properties.ContentLength), ModTime: value(b.Properties.LastModified), Tag: tag(b.Properties.ETag)}, nil) {
				return false
			}
		}
		return true
	}
	return func(yield func(objstore.Object, error) bool) {
		if opts.Recursive {
			seen := service.Pages{}
			for p := d.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &opts.Prefix, Include: include}); p.More(); {
				page, err := p.NextPage(ctx)
				if err == nil {
					err = checkPage(page.ContainerName, page.ServiceEndpoint, value(page.NextMarker), flat(page.Segment), &seen)
				}
				if err != nil {
					yield(objstore.Object{}, err)
					return
				}
				if page.Segment != nil && !emit(page.Segment.BlobItems, yield) {
					return
				}
			}
			return
		}
		seen := service.Pages{}
		for p := d.client.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &opts.Prefix, Include: include}); p.More(); {
			page, err := p.NextPage(ctx)
			if err == nil {
				err = checkPage(page.ContainerName, page.ServiceEndpoint, value(page.NextMarker), held(page.Segment), &seen)
			}
			if err != nil {
				yield(objstore.Object{}, err)
				return
			}
			if page.Segment != nil && !emit(page.Segment.BlobItems, yield) {
				return
			}
		}
	}
}

// errProtocol is an answer that the service does not give.
var errProtocol = service.NotOf("Azure Blob Storage")

// checkPage reports why a page of a listing comes from something else, which the client would take for an empty one, or does not lead to another.
func checkPage(name, endpoint *string, marker string, n int, seen *service.Pages) error {
	switch {
	case value(name) == "" && value(endpoint) == "":
		return fmt.Errorf("%w (a listing that names no container)", errProtocol)
	case marker == "":
		return nil
	}
	return seen.Next(marker, n, errProtocol)
}

// flat and held are how many things a page has.
func flat(s *container.BlobFlatListSegment) int {
	if s == nil {
		return 0
	}
	return len(s.BlobItems)
}

func held(s *container.BlobHierarchyListSegment) int {
	if s == nil {
		return 0
	}
	return len(s.BlobItems) + len(s.BlobPrefixes)
}

// isDirectory recognises the empty blobs that stand for directories in accounts with a hierarchy.
func isDirectory(b *container.BlobItem) bool {
	for name, v := range b.Metadata {
		if strings.EqualFold(name, "hdi_isfolder") && strings.EqualFold(value(v), "true") {
			return true
		}
	}
	return false
}

func (d *driver) Put(ctx context.Context, key string, body io.Reader) error {
	if err := check(key); err != nil {
		return err
	}
	watched := service.NewBody(body)
	out, err := d.client.NewBlockBlobClient(key).UploadStream(ctx, watched, &blockblob.UploadStreamOptions{BlockSize: blockBytes, Concurrency: blockParallel})
	if watched.Err != nil { // the body's own error, which says more and must not be tried again
		return watched.Err
	}
	if err == nil {
		sum := watched.MD5()
		if watched.N >= blockBytes { // it came in blocks, and what is told is the sum of their list
			sum = nil
		}
		err = checkStored(out.ETag, out.ContentMD5, sum)
	}
	return d.failBucket(err)
}

// checkStored reports why the answer to an upload is not about its body. The
// service tells the MD5 of what came in one request.
func checkStored(etag *azcore.ETag, said, sum []byte) error {
	if tag(etag) == "" || said != nil && sum != nil && !bytes.Equal(said, sum) {
		return fmt.Errorf("%w (an upload answered without its ETag, or with the MD5 of another)", errProtocol)
	}
	return nil
}

// PutIfAbsent sends one request and never repeats it: a repeated one would meet the object that the first one left.
func (d *driver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	if err := check(key); err != nil {
		return err
	}
	any := azcore.ETagAny
	ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1})
	out, err := d.client.NewBlockBlobClient(key).Upload(ctx, streaming.NopCloser(bytes.NewReader(body)), &blockblob.UploadOptions{
		AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &any}},
	})
	if sum := md5.Sum(body); err == nil { // reading it back will tell
		err = checkStored(out.ETag, out.ContentMD5, sum[:])
	}
	if re := (*azcore.ResponseError)(nil); errors.As(err, &re) && (re.ErrorCode == "BlobAlreadyExists" || re.StatusCode == http.StatusPreconditionFailed) {
		return service.Redact(service.ExistsError(err), d.secrets...)
	}
	return d.failBucket(err)
}

func (d *driver) Delete(ctx context.Context, keys []string) error {
	if err := check(keys...); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deleteParallel)
	for _, key := range keys {
		g.Go(func() error {
			_, err := d.client.NewBlobClient(key).Delete(ctx, nil)
			if re := (*azcore.ResponseError)(nil); errors.As(err, &re) && re.ErrorCode == "BlobNotFound" {
				return nil
			}
			return d.fail(err)
		})
	}
	return g.Wait()
}

// Close closes the connections that no request uses.
func (d *driver) Close() error {
	d.idle()
	return nil
}

// fixedToken is a token that the options gave and nobody renews.
type fixedToken string

func (t fixedToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Unix(1<<40, 0)}, nil
}

package s3store

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// deleteBatch is how many keys one DeleteObjects takes.
const deleteBatch = 1000

type driver struct {
	client      *s3.Client
	upload      *transfermanager.Client
	endpoint    string // "" = Amazon's own
	bucket      string
	sse, kmsKey string
	checksum    string
	bucketKey   bool // encrypt with the bucket's data key
	oneByOne    bool // the service has no call that deletes many
	secrets     []string
	unproven    bool
	idle        func() // closes idle connections
}

// Unproven is true of services other than Amazon's own: some of them ignore If-None-Match.
func (d *driver) Unproven() bool { return d.unproven }

func (d *driver) URL() string { return "s3://" + d.bucket }

// fail names an error of the SDK and hides credentials in it.
func (d *driver) fail(err error) error {
	if err == nil {
		return nil
	}
	status := httpStatus(err)
	if fault := accessFault(err, d.client.Options().Region); fault != nil {
		err = fault
	}
	return service.Redact(service.StatusError(status, err), d.secrets...)
}

// failBucket is fail for calls whose object cannot be missing: where the service finds nothing, it is the bucket, or no such service.
func (d *driver) failBucket(err error) error {
	failed := d.fail(err)
	if errors.Is(failed, fs.ErrNotExist) {
		return service.Redact(&objstore.AccessError{Fault: objstore.NoBucket, Err: err}, d.secrets...)
	}
	return failed
}

// httpStatus is the status of an answer that the SDK made an error of, 0 for any other error and none.
func httpStatus(err error) int {
	if re := (*awshttp.ResponseError)(nil); errors.As(err, &re) {
		return re.HTTPStatusCode()
	}
	return 0
}

func (d *driver) Stat(ctx context.Context, key string) (objstore.Object, error) {
	out, err := d.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &d.bucket, Key: &key})
	if err != nil {
		return objstore.Object{}, d.fail(err)
	}
	o := objstore.Object{Key: key, Size: aws.ToInt64(out.ContentLength), ModTime: aws.ToTime(out.LastModified), Tag: tag(out.ETag)}
	if out.ContentLength == nil { // a proxy that compresses leaves it out
		o.Size, err = d.size(ctx, key)
	}
	return o, err
}

// size asks for a byte of an object to learn how many it has.
func (d *driver) size(ctx context.Context, key string) (int64, error) {
	out, err := d.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &d.bucket, Key: &key, Range: aws.String("bytes=0-0")})
	if httpStatus(err) == http.StatusRequestedRangeNotSatisfiable {
		return 0, nil
	}
	if err != nil {
		return 0, d.fail(err)
	}
	defer out.Body.Close()
	_, total, ok := strings.Cut(aws.ToString(out.ContentRange), "/")
	if n, err := strconv.ParseInt(total, 10, 64); ok && err == nil && n >= 0 {
		return n, nil
	}
	return 0, fmt.Errorf("%w (an object without its length)", errProtocol)
}

func (d *driver) ReadRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	body, _, err := d.ReadTagged(ctx, key, "", offset, length)
	return body, err
}

// Origin is the endpoint, as far as it is not Amazon's own, and the bucket.
func (d *driver) Origin() string { return "s3 " + d.endpoint + " " + d.bucket }

// tag is an ETag without its quotes, which some services leave out of listings. A weak one, as of a proxy that changes bodies on the way, cannot be asked for
// and is none.
func tag(etag *string) string {
	if strings.HasPrefix(aws.ToString(etag), "W/") {
		return ""
	}
	return strings.Trim(aws.ToString(etag), `"`)
}

func (d *driver) ReadTagged(ctx context.Context, key, want string, offset, length int64) (body io.ReadCloser, found string, err error) {
	in := &s3.GetObjectInput{Bucket: &d.bucket, Key: &key}
	switch {
	case length > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	if want != "" {
		in.IfMatch = aws.String(`"` + want + `"`)
	}
	out, err := d.client.GetObject(ctx, in)
	switch httpStatus(err) {
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
	case in.Range != nil && out.ContentRange == nil:
		err = fmt.Errorf("the server ignored the range %s", *in.Range)
	case in.Range != nil && !service.BeginsAt(*out.ContentRange, offset):
		err = fmt.Errorf("%w (asked for the range %s, got %s)", errProtocol, *in.Range, *out.ContentRange)
	case want != "" && found != "" && found != want: // the server ignored the condition
		err = objstore.ErrChanged
	default:
		return service.TemporaryBody(out.Body), found, nil
	}
	out.Body.Close()
	return nil, "", err
}

func (d *driver) List(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &d.bucket, Prefix: &opts.Prefix}
		if opts.After != "" {
			in.StartAfter = &opts.After
		}
		if !opts.Recursive {
			in.Delimiter = aws.String("/")
		}
		for seen := (service.Pages{}); ; {
			page, err := d.client.ListObjectsV2(ctx, in)
			if err != nil {
				yield(objstore.Object{}, d.failBucket(err))
				return
			}
			for _, o := range page.Contents {
				if !yield(objstore.Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ModTime: aws.ToTime(o.LastModified), Tag: tag(o.ETag)}, nil) {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) {
				return
			}
			if err := seen.Next(aws.ToString(page.NextContinuationToken), len(page.Contents)+len(page.CommonPrefixes), errProtocol); err != nil {
				yield(objstore.Object{}, d.fail(err))
				return
			}
			in.ContinuationToken = page.NextContinuationToken
		}
	}
}

func (d *driver) Put(ctx context.Context, key string, body io.Reader) error {
	watched := service.NewBody(body)
	in := &transfermanager.UploadObjectInput{Bucket: &d.bucket, Key: &key, Body: watched}
	if d.sse != "" {
		in.ServerSideEncryption = tmtypes.ServerSideEncryption(d.sse)
	}
	if d.kmsKey != "" {
		in.SSEKMSKeyID = &d.kmsKey
	}
	if d.bucketKey {
		in.BucketKeyEnabled = aws.Bool(true)
	}
	in.ChecksumAlgorithm = tmtypes.ChecksumAlgorithm(d.checksum)
	out, err := d.upload.UploadObject(ctx, in)
	if watched.Err != nil { // the body's own error, which says more and must not be tried again
		return watched.Err
	}
	if err == nil && !isOf(out.ETag, string(out.ServerSideEncryption), watched.MD5()) {
		return d.stored(ctx, key, watched.N)
	}
	return d.failBucket(err)
}

// plainMD5 is the ETag of a body that came in one request, unless it is
// encrypted with a key of the key service.
var plainMD5 = regexp.MustCompile(`^"?[0-9a-f]{32}"?$`)

// isOf reports whether the ETag of an upload's answer may be that of a body:
// there is one, and it is not the MD5 of another. sum may be nil.
func isOf(etag *string, encryption string, sum []byte) bool {
	e := aws.ToString(etag)
	if e == "" {
		return false
	}
	return sum == nil || !plainMD5.MatchString(e) || strings.HasPrefix(encryption, "aws:kms") || strings.Trim(e, `"`) == hex.EncodeToString(sum)
}

// stored makes sure of an upload whose answer has nothing that only a store
// could say of this body.
func (d *driver) stored(ctx context.Context, key string, size int64) error {
	o, err := d.Stat(ctx, key)
	if err == nil && o.Size == size {
		return nil
	}
	return fmt.Errorf("%w (an upload of %d bytes answered without its ETag, after which the object is not there: %v)", errProtocol, size, err)
}

// PutIfAbsent sends one request and never repeats it: a repeated one would meet the object that the first one left.
func (d *driver) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	in := &s3.PutObjectInput{Bucket: &d.bucket, Key: &key, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), IfNoneMatch: aws.String("*")}
	if d.sse != "" {
		in.ServerSideEncryption = types.ServerSideEncryption(d.sse)
	}
	if d.kmsKey != "" {
		in.SSEKMSKeyId = &d.kmsKey
	}
	if d.bucketKey {
		in.BucketKeyEnabled = aws.Bool(true)
	}
	in.ChecksumAlgorithm = types.ChecksumAlgorithm(d.checksum)
	out, err := d.client.PutObject(ctx, in, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	if sum := md5.Sum(body); err == nil && !isOf(out.ETag, string(out.ServerSideEncryption), sum[:]) { // reading it back will tell
		return fmt.Errorf("%w (a create answered without the ETag of its body)", errProtocol)
	}
	switch httpStatus(err) {
	case http.StatusPreconditionFailed:
		return service.Redact(service.ExistsError(err), d.secrets...)
	case http.StatusNotImplemented: // a second request would be answered alike
		return service.Redact(fmt.Errorf("%w: the service does not know the condition of a create: %w", objstore.ErrNotAtomic, err), d.secrets...)
	}
	return d.failBucket(err)
}

func (d *driver) Delete(ctx context.Context, keys []string) error {
	if len(keys) == 1 || d.oneByOne {
		for i := range keys {
			_, err := d.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &d.bucket, Key: &keys[i]})
			if err = d.fail(err); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	for batch := range slices.Chunk(keys, deleteBatch) {
		ids := make([]types.ObjectIdentifier, len(batch))
		for i := range batch {
			ids[i].Key = &batch[i]
		}
		out, err := d.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &d.bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)}})
		if err != nil {
			return d.fail(err)
		}
		for _, e := range out.Errors {
			if err := deleteError(e); err != nil {
				return service.Redact(err, d.secrets...)
			}
		}
	}
	return nil
}

// deleteError is what a service says of one key of many.
func deleteError(e types.Error) error {
	err := fmt.Errorf("delete %s: %s: %s", aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message))
	switch aws.ToString(e.Code) {
	case "NoSuchKey":
		return nil
	case "AccessDenied":
		return service.StatusError(http.StatusForbidden, err)
	case "InternalError", "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "TooManyRequests", "Throttling", "ThrottlingException", "RequestTimeout", "OperationAborted":
		return service.Temporary(err)
	}
	return err
}

// Close closes the connections that no request uses.
func (d *driver) Close() error {
	d.idle()
	return nil
}

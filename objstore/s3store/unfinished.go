package s3store

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// UnfinishedWrites are the multipart uploads that were neither completed nor aborted; their parts are stored, and paid for, until they are.
func (d *driver) UnfinishedWrites(ctx context.Context, prefix string) iter.Seq2[objstore.UnfinishedWrite, error] {
	return func(yield func(objstore.UnfinishedWrite, error) bool) {
		in := &s3.ListMultipartUploadsInput{Bucket: &d.bucket, Prefix: &prefix}
		for seen := (service.Pages{}); ; {
			page, err := d.client.ListMultipartUploads(ctx, in)
			if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorCode() == "NoSuchUpload" {
				return // how some services say that there are none
			}
			if err != nil {
				yield(objstore.UnfinishedWrite{}, d.failBucket(err))
				return
			}
			for _, u := range page.Uploads {
				if !yield(objstore.UnfinishedWrite{Key: aws.ToString(u.Key), ID: aws.ToString(u.UploadId), Began: aws.ToTime(u.Initiated)}, nil) {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) {
				return
			}
			token := aws.ToString(page.NextKeyMarker)
			if id := aws.ToString(page.NextUploadIdMarker); id != "" {
				token += "\x00" + id
			}
			if err := seen.Next(token, len(page.Uploads), errProtocol); err != nil {
				yield(objstore.UnfinishedWrite{}, d.fail(err))
				return
			}
			in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
		}
	}
}

// Abandon aborts an upload.
func (d *driver) Abandon(ctx context.Context, w objstore.UnfinishedWrite) error {
	_, err := d.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &d.bucket, Key: &w.Key, UploadId: &w.ID})
	if err = d.fail(err); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

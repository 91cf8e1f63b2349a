package servertest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcp"
	"google.golang.org/api/option"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/blobstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// bucketOf is the bucket of a server as gocloud.dev opens it.
func bucketOf(t *testing.T, s *servertest.Server) *blob.Bucket {
	t.Helper()
	ctx := t.Context()
	var b *blob.Bucket
	var err error
	switch scheme, _, _ := strings.Cut(s.Store, ":"); scheme {
	case "s3":
		client := s3.New(s3.Options{BaseEndpoint: aws.String(s.URL), UsePathStyle: true, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(s.Options["AWS_ACCESS_KEY_ID"], s.Options["AWS_SECRET_ACCESS_KEY"], "")})
		b, err = s3blob.OpenBucket(ctx, client, "bucket", nil)
	case "gs":
		b, err = gcsblob.OpenBucket(ctx, gcp.NewAnonymousHTTPClient(http.DefaultTransport), "bucket", &gcsblob.Options{ClientOptions: []option.ClientOption{option.WithEndpoint(s.URL + "/storage/v1/")}})
	case "az":
		var cred *container.SharedKeyCredential
		if cred, err = container.NewSharedKeyCredential("devstoreaccount1", servertest.EmulatorKey); err != nil {
			t.Fatal(err)
		}
		var client *container.Client
		o := &container.ClientOptions{ClientOptions: azcore.ClientOptions{InsecureAllowCredentialWithHTTP: true}}
		if client, err = container.NewClientWithSharedKeyCredential(s.Options["AZURE_STORAGE_ENDPOINT"]+"/bucket", cred, o); err == nil {
			b, err = azureblob.OpenBucket(ctx, client, nil)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBuckets runs the conformance suite over the buckets of gocloud.dev's own providers, on the servers that there are.
func TestBuckets(t *testing.T) {
	rounds := 50
	if *long {
		rounds = 2000
	}
	servertest.All(t, func(t *testing.T, s *servertest.Server) {
		var n atomic.Int64
		objstoretest.Run(t, func(t *testing.T) objstore.Driver {
			prefix := fmt.Sprintf("bucket-%d/", n.Add(1))
			return blobstore.New(blob.PrefixedBucket(bucketOf(t, s), prefix), &blobstore.Options{Owned: true})
		}, &objstoretest.Options{RaceRounds: rounds})
	})
}

// TestClientOfABucket: a program that has a bucket of s3blob gets every promise
// of the adapter with the client in it, keys that the bucket would escape
// included.
func TestClientOfABucket(t *testing.T) {
	s := servertest.S3(t)
	var client *s3.Client
	if !bucketOf(t, s).As(&client) {
		t.Fatal("the bucket has no client")
	}
	var n atomic.Int64
	objstoretest.Run(t, func(t *testing.T) objstore.Driver {
		return s3store.New(client, "bucket", fmt.Sprintf("client-%d", n.Add(1)))
	}, &objstoretest.Options{RaceRounds: 20, LargeBytes: 6 << 20})
}

// bucketOpener serves stores in one bucket: bucket://prefix. They share a
// driver, since each proves its creates by racing.
type bucketOpener struct{ driver objstore.Driver }

func openerOf(b *blob.Bucket) bucketOpener { return bucketOpener{blobstore.New(b, nil)} }

func (bucketOpener) Schemes() []string { return []string{"bucket"} }

func (o bucketOpener) Open(_ context.Context, raw string, _ map[string]string) (objstore.Driver, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	return objstore.Below(o.driver, u.Host+u.Path), nil
}

// TestScenariosInBuckets runs the recorded scenarios with their stores in
// buckets of gocloud.dev: in memory, and of its own providers on the servers
// that there are.
func TestScenariosInBuckets(t *testing.T) {
	root := deltatest.ModuleRoot()
	listed := scenariotest.ReadListed(t, filepath.Join(root, "testdata", "gaps.txt"), filepath.Join(root, "testdata", "decisions.txt"))
	replay := func(t *testing.T, only []string, opener bucketOpener) {
		if *long {
			only = nil
		}
		scenariotest.Run(t, &scenariotest.Options{Only: only, Listed: listed, Store: metaxy.Options{Openers: []objstore.Opener{opener}},
			Upload: copies("bucket://", func(t *testing.T, place string) objstore.Driver {
				d, err := opener.Open(t.Context(), place, nil)
				if err != nil {
					t.Fatal(err)
				}
				return d
			})})
	}
	t.Run("memory", func(t *testing.T) { replay(t, few, openerOf(memblob.OpenBucket(nil))) })
	servertest.All(t, func(t *testing.T, s *servertest.Server) { replay(t, few[:1], openerOf(bucketOf(t, s))) })
}

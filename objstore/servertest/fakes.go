package servertest

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

// Services are the names of Fake.
func Services() []string { return []string{"s3", "gcs", "azure"} }

// Fake is a stand-in for a service that holds objects in its bucket and does
// not listen: the handler answers what is sent to Server.URL.
func Fake(t testing.TB, service string, objects map[string][]byte) (*Server, http.Handler) {
	t.Helper()
	switch service {
	case "s3":
		s := &Server{URL: "http://s3.test", Store: "s3://bucket", Opener: s3store.Opener{}, endpoint: "AWS_ENDPOINT_URL"}
		s.Options = map[string]string{"AWS_ENDPOINT_URL": s.URL, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1"}
		return s, s3Fake(t, objects)
	case "gcs":
		s := &Server{URL: "http://gcs.test", Store: "gs://bucket", Opener: gcsstore.Opener{}, endpoint: "GOOGLE_BASE_URL"}
		s.Options = map[string]string{"GOOGLE_BASE_URL": s.URL, "GOOGLE_SKIP_SIGNATURE": "true"}
		return s, gcsFake(t, s.URL, objects)
	case "azure":
		s := &Server{URL: "http://azure.test", Store: "az://bucket", Opener: azurestore.Opener{}, endpoint: "AZURE_STORAGE_ENDPOINT"}
		s.Options = map[string]string{"AZURE_STORAGE_ENDPOINT": s.URL + "/devstoreaccount1", "AZURE_ALLOW_HTTP": "true", "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1", "AZURE_STORAGE_ACCOUNT_KEY": EmulatorKey}
		return s, NewAzureFake(objects)
	}
	t.Fatalf("no service is called %q", service)
	return nil, nil
}

// s3Fake is gofakes3 with one bucket.
func s3Fake(t testing.TB, objects map[string][]byte) http.Handler {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	for key, body := range objects {
		if _, err := backend.PutObject("bucket", key, map[string]string{}, bytes.NewReader(body), int64(len(body)), nil); err != nil {
			t.Fatal(err)
		}
	}
	return gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server()
}

// gcsFake is fake-gcs-server with one bucket, as it answers at a URL.
func gcsFake(t testing.TB, url string, objects map[string][]byte) http.Handler {
	t.Helper()
	o := fakestorage.Options{NoListener: true, Scheme: "http", PublicHost: strings.TrimPrefix(url, "http://"), ExternalURL: url, Writer: io.Discard}
	for key, body := range objects {
		o.InitialObjects = append(o.InitialObjects, fakestorage.Object{ObjectAttrs: fakestorage.ObjectAttrs{BucketName: "bucket", Name: key}, Content: body})
	}
	gcs, err := fakestorage.NewServerWithOptions(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gcs.Stop)
	gcs.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "bucket"})
	return gcs.HTTPHandler()
}

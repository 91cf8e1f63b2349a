package s3store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

// client is one that a program has made from its own configuration.
func (s *server) client() *s3.Client {
	cfg := aws.Config{Region: "eu-west-1", BaseEndpoint: aws.String(s.url), Credentials: credentials.NewStaticCredentialsProvider("id", secret, "")}
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

// TestClientConformance: a driver over a caller's client keeps every promise.
func TestClientConformance(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix"} {
		t.Run(prefix, func(t *testing.T) {
			objstoretest.Run(t, func(t *testing.T) objstore.Driver { return s3store.New(start(t).client(), "bucket", prefix) }, &objstoretest.Options{RaceRounds: 50, LargeBytes: 6 << 20})
		})
	}
}

// TestClientOfAnything: answers are looked at, a create is sent once and proven
// first, and the caller's client stays as it was.
func TestClientOfAnything(t *testing.T) {
	s := start(t)
	client := s.client()
	before := len(client.Options().APIOptions)
	store := objstore.New(s3store.New(client, "bucket", "p"))
	var creates atomic.Int64
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("If-None-Match") != "" {
			creates.Add(1)
			r.Header.Del("If-None-Match")
		}
		next.ServeHTTP(w, r)
	})
	if err := store.PutIfAbsent(t.Context(), "k", nil); !errors.Is(err, objstore.ErrNotAtomic) || creates.Load() != 2 {
		t.Errorf("%v after %d creates", err, creates.Load())
	}
	s.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html>")
	})
	for call, do := range calls(t, store) {
		if err := do(); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if store.Close() != nil || len(client.Options().APIOptions) != before {
		t.Error("the caller's client was changed")
	}
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) })
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("own"), Body: strings.NewReader("x")}); err != nil {
		t.Errorf("after the store was closed: %v", err)
	}
}

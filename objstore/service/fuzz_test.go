package service_test

import (
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// FuzzLocation wants a store URL refused without its credentials, or read into
// a bucket and a prefix that is a key.
func FuzzLocation(f *testing.F) {
	for _, u := range []string{"s3://bucket/a/b?region=x", "bucket/prefix", "@bucket", "abfss://c@account.host/p", "s3://b/../a", "://", "s3:///x", "S3://B//a//", "s3://bu%zzcket", "gs://b/%2e%2e/x", "s3://b/a?%zz", "file:///etc", "s3://b\x00"} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if !strings.Contains(raw, "secret77") {
			if _, err := service.ParseLocation("s3://id:secret77@" + raw); err == nil || strings.Contains(err.Error(), "secret77") {
				t.Fatalf("a password before %q: %v", raw, err)
			}
		}
		l, err := service.ParseLocation(raw)
		if err != nil {
			return
		}
		if l.Bucket == "" || l.Scheme != strings.ToLower(l.Scheme) {
			t.Fatalf("%q is %+v", raw, l)
		}
		if l.Prefix != "" && objstore.ValidKey(l.Prefix) != nil {
			t.Fatalf("%q has the prefix %q, which is no key", raw, l.Prefix)
		}
	})
}

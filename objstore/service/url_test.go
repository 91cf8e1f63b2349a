package service_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// TestScheme: what looks like a URL is one or is refused, and never a folder of this machine.
func TestScheme(t *testing.T) {
	const refused = "refused"
	for raw, want := range map[string]string{
		"s3://b/t": "s3", "S3://b": "s3", "FILE:///x": "file", "file:/x/t": "file", "file:///x": "file", "mem://": "mem", "my-scheme://x": "my-scheme",
		"s3:/b/t": refused, "s3:b/t": refused, "gs:/b": refused, "az:c/t": refused, "abfss:c@a/t": refused, "dbfs:/x": refused, "unheard-of:/x": refused, "file:x": refused, "S3:/b": refused, "mem:x": refused,
		"": "", "/x": "", "x/y": "", "./s3:/b": "", "data:v1/t": "", "a b:c": "", `C:\x`: "", "C:/x": "", "1s3:/b": "", "~/x": "", ":/x": "",
	} {
		got, err := service.Scheme(raw)
		if want == refused {
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("%q: %q, %v", raw, got, err)
			}
		} else if got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", raw, got, err, want)
		}
	}
}

// TestFilePath: the answers are delta-rs', which decodes percent signs and refuses other machines.
func TestFilePath(t *testing.T) {
	for raw, want := range map[string]string{
		"file:///x/t": "/x/t", "file:/x/t": "/x/t", "file://localhost/x/t": "/x/t", "FILE:///x": "/x", "file:///x/a%20b/t": "/x/a b/t", "file:///x/a b": "/x/a b", "file:///": "/",
		"file:///x/%23%3F%25": "/x/#?%", "file:///x/ü": "/x/ü", "file:///x/a+b": "/x/a+b",
		"file://x/t": "", "file://~/x": "", "file://./x": "", "file://": "", "file:///x#y": "", "file:///x?y": "", "file:///x?": "", "file:///a%2Fb": "", "file:///a%00": "", "file:///a%zz": "", "file://u:p@h/x": "", "file:///x#": "",
	} {
		got, err := service.FilePath(raw)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %q, %v, want %q", raw, got, err, want)
		}
	}
}

// TestPrefixThatIsNoText: services take a key that is no UTF-8 once, and fail
// to list it ever after.
func TestPrefixThatIsNoText(t *testing.T) {
	for raw, ok := range map[string]bool{"s3://b/%E4%BD/t": false, "gs://b/%FF": false, "az://b/t/%C3%28": false, "s3://b/%E4%BD%A0/t": true, "s3://b/你/t": true} {
		if _, err := service.ParseLocation(raw); (err == nil) != ok || !ok && !errors.Is(err, objstore.ErrInvalidKey) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

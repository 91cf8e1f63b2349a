package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"GET https://h/c?sv=1&sig=abc%3D&x=2: refused":      "GET https://h/c?sv=1&sig=REDACTED&x=2: refused",
		`open "s3://AKIA:SECRET@bkt/p": no`:                 `open "s3://REDACTED@bkt/p": no`,
		"abfss://container@account.dfs.core.windows.net/x":  "abfss://container@account.dfs.core.windows.net/x",
		"?X-Amz-Credential=K/2020&x-amz-signature=deadbeef": "?X-Amz-Credential=REDACTED&x-amz-signature=REDACTED",
		"the key hunter22 and hunter22":                     "the key REDACTED and REDACTED",
		"İsig=x":                                            "İsig=REDACTED",
		"nothing to hide":                                   "nothing to hide",
		"sig=":                                              "sig=REDACTED",
		"://":                                               "://",
	} {
		if got := service.RedactText(in, "hunter22", ""); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	err := service.Redact(fmt.Errorf("read hunter22: %w", fs.ErrPermission), "hunter22")
	if !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("%v", err)
	}
	if service.Redact(nil, "x") != nil {
		t.Error("no error became one")
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("https://u:p@h?sig=a", "p")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := service.RedactText(text, secret)
		if len(secret) >= 4 && !strings.Contains("REDACTED", secret) && strings.Contains(got, secret) && !strings.Contains(secret, "REDACTED") && !overlaps(secret) {
			t.Errorf("%q still shows %q", got, secret)
		}
	})
}

// overlaps reports whether a secret can arise where a replacement meets the text around it.
func overlaps(secret string) bool {
	for i := 1; i < len(secret); i++ {
		if strings.HasSuffix("REDACTED", secret[:i]) || strings.HasPrefix("REDACTED", secret[i:]) {
			return true
		}
	}
	return false
}

func TestStatusError(t *testing.T) {
	cause := errors.New("cause")
	for status, want := range map[int]error{404: fs.ErrNotExist, 401: fs.ErrPermission, 403: fs.ErrPermission} {
		if err := service.StatusError(status, cause); !errors.Is(err, want) || !errors.Is(err, cause) {
			t.Errorf("%d: %v", status, err)
		}
	}
	for status, want := range map[int]bool{0: false, 400: false, 404: false, 408: true, 409: false, 412: false, 429: true, 500: true, 503: true} {
		var r objstore.Retryable
		if got := errors.As(service.StatusError(status, cause), &r); got != want {
			t.Errorf("%d is temporary: %v, want %v", status, got, want)
		}
	}
	var r objstore.Retryable
	if errors.As(service.StatusError(0, context.Canceled), &r) || !errors.As(service.StatusError(0, io.ErrUnexpectedEOF), &r) {
		t.Error("a broken connection is temporary, a cancelled call is not")
	}
}

func TestParseLocation(t *testing.T) {
	for raw, want := range map[string]service.Location{
		"s3://bucket":             {Scheme: "s3", Bucket: "bucket"},
		"S3://bucket/a%20b/c/":    {Scheme: "s3", Bucket: "bucket", Prefix: "a b/c"},
		"s3://bucket/a b":         {Scheme: "s3", Bucket: "bucket", Prefix: "a b"},
		"abfss://c@acc.dfs.x.y/p": {Scheme: "abfss", User: "c", Bucket: "acc.dfs.x.y", Prefix: "p"},
	} {
		got, err := service.ParseLocation(raw)
		if err != nil || got.Scheme != want.Scheme || got.User != want.User || got.Bucket != want.Bucket || got.Prefix != want.Prefix {
			t.Errorf("%s: %+v, %v, want %+v", raw, got, err, want)
		}
	}
}

package s3store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

// calls are what a store is asked, each with the request that it makes.
func calls(t *testing.T, s *objstore.Store) map[string]func() error {
	ctx := t.Context()
	out := objstoretest.Calls(ctx, s)
	delete(out, "delete") // of which any answer of 204 is one
	out["uploads"] = func() error {
		for _, err := range s.UnfinishedWrites(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	out["put stream"] = func() error { return s.Put(ctx, "a/k", bytes.NewBufferString("body")) }
	out["put large"] = func() error { return s.Put(ctx, "a/k", bytes.NewReader(make([]byte, 20<<20))) }
	out["delete many"] = func() error { return s.Delete(ctx, "a/k", "a/l") }
	return out
}

// TestAnswersThatAreNotS3: a page of somebody else is an error of every call,
// and never an absence, a refusal or an object.
func TestAnswersThatAreNotS3(t *testing.T) {
	strangers := objstoretest.Strangers()
	strangers["XML"] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<?xml version="1.0"?><Other/>`) }
	strangers["204"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	strangers["cut XML"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"x"`)
		fmt.Fprint(w, `<ListBucketResult><Contents><Key>a/k`)
	}
	for name, lie := range strangers {
		s := start(t)
		store := objstore.New(s.open(t, "s3://bucket"))
		s.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { lie(w, r) })
		asked := calls(t, store)
		if name == "cut XML" { // any bytes with an ETag are an object
			maps.DeleteFunc(asked, func(call string, _ func() error) bool {
				return !slices.Contains([]string{"list", "uploads", "delete many", "put large"}, call)
			})
		}
		objstoretest.NotTheService(t, name, asked)
	}
}

// TestListingsThatDoNotGoOn: a listing that is cut off and does not say where it goes on is an error, and none goes on for ever.
func TestListingsThatDoNotGoOn(t *testing.T) {
	for name, page := range map[string]string{
		"no token":     `<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a/%04d</Key></Contents></ListBucketResult>`,
		"same token":   `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>`,
		"empty pages":  `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t%d</NextContinuationToken></ListBucketResult>`,
		"no markers":   `<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><Upload><Key>a/k</Key><UploadId>%d</UploadId></Upload></ListMultipartUploadsResult>`,
		"same markers": `<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a/k</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker></ListMultipartUploadsResult>`,
	} {
		s := start(t)
		store := objstore.New(s.open(t, "s3://bucket"))
		var n atomic.Int64
		s.set(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			i := n.Add(1)
			if strings.Contains(page, "%") {
				fmt.Fprintf(w, page, i)
			} else {
				fmt.Fprint(w, page)
			}
		})
		call := "list"
		if strings.Contains(page, "Multipart") {
			call = "uploads"
		}
		if err := calls(t, store)[call](); err == nil || !strings.Contains(err.Error(), "not one of S3") {
			t.Errorf("%s: %v after %d pages", name, err, n.Load())
		}
	}
}

// TestAnswersAboutOthers: an answer about another body or range is no answer,
// and a delete is no delete without a word of the service.
func TestAnswersAboutOthers(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "s3://bucket"))
	if err := store.Put(t.Context(), "a/k", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch r.Method {
		case http.MethodPut:
			w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`) // of no bytes
			return
		case http.MethodDelete:
			return
		}
		if r.Header.Get("Range") != "" {
			r.Header.Set("Range", "bytes=5-8")
		}
		next.ServeHTTP(w, r)
	})
	for _, offset := range []int64{0, 2} {
		if r, err := store.Reader(t.Context(), "a/k", offset, 3); err == nil {
			t.Errorf("another range than from %d is given", offset)
			r.Close()
		}
	}
	if err := store.PutIfAbsent(t.Context(), "a/new", []byte("body")); err == nil || errors.Is(err, objstore.ErrExists) || objstore.Unanswered(err) {
		t.Errorf("create: %v", err)
	}
	if err := store.Put(t.Context(), "a/new", strings.NewReader("body")); err == nil {
		t.Error("put: a body of no bytes was stored instead")
	}
	if err := store.Delete(t.Context(), "a/k"); err == nil {
		t.Error("delete: it is said to be deleted, and is not")
	}
}

// TestTooManyRequests: a 429 is met by another try, whatever it calls itself.
func TestTooManyRequests(t *testing.T) {
	for _, code := range []string{"TooManyRequests", "SlowDownRead", ""} {
		for call := range calls(t, nil) {
			s := start(t)
			store := objstore.New(s.open(t, "s3://bucket"))
			if err := store.Put(t.Context(), "a/k", strings.NewReader("body")); err != nil {
				t.Fatal(err)
			}
			var refused atomic.Bool
			s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if refused.Swap(true) {
					next.ServeHTTP(w, r)
					return
				}
				w.WriteHeader(http.StatusTooManyRequests)
				if code == "" {
					fmt.Fprint(w, "<html>slow down</html>")
				} else {
					fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
				}
			})
			switch err := calls(t, store)[call](); {
			case call == "create": // is sent once; the log reads it back
				if err == nil || errors.Is(err, fs.ErrExist) {
					t.Errorf("%s, create: %v", code, err)
				}
			case err != nil:
				t.Errorf("%s, %s: %v", code, call, err)
			}
		}
	}
}

// TestStatWithoutLength: a length that a HEAD leaves out is asked for.
func TestStatWithoutLength(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "s3://bucket"))
	for _, body := range []string{"three bytes and more", ""} {
		if err := store.Put(t.Context(), "k", strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method != http.MethodHead {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			rec.Header().Del("Content-Length")
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.Header()["Content-Length"] = nil
			w.WriteHeader(rec.Code)
		})
		o, err := store.Stat(t.Context(), "k")
		if err != nil || o.Size != int64(len(body)) {
			t.Errorf("%d bytes: %+v, %v", len(body), o, err)
		}
	}
}

// TestRegionInAHeader: the right region is told where only a header has it.
func TestRegionInAHeader(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "s3://bucket"))
	s.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("X-Amz-Bucket-Region", "us-west-2")
		w.WriteHeader(http.StatusBadRequest)
		if r.Method != http.MethodHead {
			fmt.Fprint(w, "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed</Message></Error>")
		}
	})
	for _, call := range []string{"stat", "list", "read", "create"} {
		var access *objstore.AccessError
		if err := calls(t, store)[call](); !errors.As(err, &access) || access.Fault != objstore.WrongRegion || access.Detail != "us-west-2" {
			t.Errorf("%s: %v", call, err)
		}
	}
}

// TestCreateThatIsNotImplemented: a service without conditional creates is named as one, at once.
func TestCreateThatIsNotImplemented(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "s3://bucket"))
	var n atomic.Int64
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("If-None-Match") == "" {
			next.ServeHTTP(w, r)
			return
		}
		n.Add(1)
		w.WriteHeader(http.StatusNotImplemented)
		fmt.Fprint(w, "<Error><Code>NotImplemented</Code></Error>")
	})
	begin := time.Now()
	var again objstore.Retryable
	if err := store.PutIfAbsent(t.Context(), "k", nil); !errors.Is(err, objstore.ErrNotAtomic) || errors.As(err, &again) && again.Temporary() || n.Load() != 1 {
		t.Errorf("%v after %d requests and %v", err, n.Load(), time.Since(begin))
	}
}

// TestCertificateIsNotTriedAgain: no wait makes a certificate a good one.
func TestCertificateIsNotTriedAgain(t *testing.T) {
	var n atomic.Int64
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ts.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			n.Add(1)
		}
	}
	ts.Config.ErrorLog = log.New(io.Discard, "", 0)
	ts.StartTLS()
	defer ts.Close()
	s := &server{url: ts.URL}
	var access *objstore.AccessError
	err := calls(t, objstore.New(s.open(t, "s3://bucket")))["list"]()
	if !errors.As(err, &access) || access.Fault != objstore.BadCertificate || errors.Is(err, fs.ErrPermission) || n.Load() != 1 {
		t.Errorf("%v after %d connections", err, n.Load())
	}
}

// TestOptionsThatChoose: a value that is not served is refused by name.
func TestOptionsThatChoose(t *testing.T) {
	s := start(t)
	for option, values := range map[string]map[string]bool{
		"AWS_SERVER_SIDE_ENCRYPTION": {"AES256": true, "aws:kms": true, "sse-c": false, "x": false},
		"AWS_CHECKSUM_ALGORITHM":     {"SHA256": true, "sha256": true, "x": false},
	} {
		for value, ok := range values {
			o := s.options()
			o[option] = value
			_, err := openWith(t, "s3://bucket", o)
			if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), option) {
				t.Errorf("%s=%s: %v", option, value, err)
			}
		}
	}
	for _, url := range []string{"s3://dir--usw2-az1--x-s3/p", "s3://arn:aws:s3:us-west-2:123456789012:accesspoint/x/p"} {
		if _, err := openWith(t, url, s.options()); err == nil || !strings.Contains(err.Error(), "bucket") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// openWith opens a URL with options.
func openWith(t *testing.T, url string, options map[string]string) (objstore.Driver, error) {
	return s3store.Opener{}.Open(t.Context(), url, options)
}

// TestRefusedInTheEnvironment: what is refused as an option is not ignored as a variable.
func TestRefusedInTheEnvironment(t *testing.T) {
	s := start(t)
	for name, refused := range map[string]bool{"AWS_REQUEST_PAYER": true, "AWS_SSE_CUSTOMER_KEY_BASE64": true, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": false, "AWS_REQUEST_CHECKSUM_CALCULATION": false, "AWS_ENDPOINT_URL_STS": false} {
		_, err := s3store.Opener{Getenv: func(n string) string { return map[string]string{name: "1"}[n] }}.Open(t.Context(), "s3://bucket", s.options())
		if (err != nil) != refused || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestChecksumsAreSent: a bucket that wants checksums gets them.
func TestChecksumsAreSent(t *testing.T) {
	s := start(t)
	o := s.options()
	o["AWS_CHECKSUM_ALGORITHM"] = "SHA256"
	d, err := openWith(t, "s3://bucket", o)
	if err != nil {
		t.Fatal(err)
	}
	var without atomic.Int64
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPut && r.Header.Get("X-Amz-Checksum-Sha256") == "" && !strings.Contains(strings.ToLower(r.Header.Get("X-Amz-Trailer")), "sha256") {
			without.Add(1)
		}
		next.ServeHTTP(w, r)
	})
	store := objstore.New(d)
	for call, do := range map[string]func() error{"put": calls(t, store)["put"], "create": func() error { return store.PutIfAbsent(t.Context(), "new", []byte("x")) }} {
		if err := do(); err != nil || without.Load() != 0 {
			t.Errorf("%s: %v, %d uploads without a checksum", call, err, without.Load())
		}
	}
}

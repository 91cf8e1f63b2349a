package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

const secret = "CANARY-secret-key"

// server is a stand-in for S3 whose answers a test may change; the bucket is "bucket".
type server struct {
	url  string
	hook atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
}

func start(t *testing.T) *server {
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server()
	s := &server{}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.hook.Load(); h != nil {
			(*h)(w, r, fake)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	s.url = ts.URL
	return s
}

func (s *server) set(h func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	s.hook.Store(&h)
}

func (s *server) options() map[string]string {
	return map[string]string{"AWS_ENDPOINT_URL": s.url, "aws_allow_http": "true", "AWS_ACCESS_KEY_ID": "CANARY-id", "aws_secret_access_key": secret, "AWS_REGION": "eu-west-1",
		"AWS_S3_ALLOW_UNSAFE_RENAME": "true"} // leaves out the proof that a first create is conditional, for TestBucketIgnoresConditions
}

func (s *server) open(t *testing.T, url string) objstore.Driver {
	t.Helper()
	d, err := s3store.Opener{}.Open(t.Context(), url, s.options())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	for _, url := range []string{"s3://bucket", "s3://bucket/some/prefix/"} {
		t.Run(url, func(t *testing.T) {
			objstoretest.Run(t, func(t *testing.T) objstore.Driver { return start(t).open(t, url) }, &objstoretest.Options{RaceRounds: 300})
		})
	}
}

// answer makes the server say one thing.
func answer(status int, code string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no %s</Message></Error>", code, secret)
		}
	}
}

func TestErrors(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		status int
		code   string
		create error // what PutIfAbsent says, nil = anything that is no name
		read   error
	}{
		{403, "AccessDenied", fs.ErrPermission, fs.ErrPermission},
		{404, "NoSuchKey", objstore.NoBucket, fs.ErrNotExist}, // what is created or listed cannot be missing
		{404, "NoSuchBucket", objstore.NoBucket, objstore.NoBucket},
		{403, "InvalidAccessKeyId", objstore.BadCredentials, objstore.BadCredentials},
		{403, "SignatureDoesNotMatch", objstore.BadCredentials, objstore.BadCredentials},
		{400, "ExpiredToken", objstore.ExpiredCredentials, objstore.ExpiredCredentials},
		{403, "RequestTimeTooSkewed", objstore.ClockSkew, objstore.ClockSkew},
		{301, "PermanentRedirect", objstore.WrongRegion, objstore.WrongRegion},
		{409, "ConditionalRequestConflict", nil, nil},
		{412, "PreconditionFailed", objstore.ErrExists, nil},
		{400, "InvalidRequest", nil, nil},
		{501, "NotImplemented", nil, nil},
	} {
		s := start(t)
		d := s.open(t, "s3://bucket")
		s.set(answer(c.status, c.code))
		store := objstore.New(d)
		check := func(op string, err, want error) {
			t.Helper()
			if err == nil || want != nil && !errors.Is(err, want) || want == objstore.NoBucket && errors.Is(err, fs.ErrNotExist) || want == nil && (errors.Is(err, objstore.ErrExists) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
				t.Errorf("%d: %s: %v, want %v", c.status, op, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%d: %s shows a credential: %v", c.status, op, err)
			}
		}
		check("create", store.PutIfAbsent(ctx, "k", []byte("x")), c.create)
		if c.status == 501 {
			continue // the reads below would be tried again
		}
		_, err := store.ReadAll(ctx, "k", 10)
		check("read", err, c.read)
		_, err = store.Stat(ctx, "k") // whose answer has no body, so that there is only the status
		switch c.status {
		case 404:
			check("stat", err, fs.ErrNotExist)
		case 400, 403:
			check("stat", err, map[int]error{403: fs.ErrPermission}[c.status])
		default:
			check("stat", err, c.read)
		}
		for _, err := range store.List(ctx, objstore.ListOptions{}) {
			if c.create == objstore.NoBucket {
				check("list", err, objstore.NoBucket)
			} else {
				check("list", err, c.read)
			}
		}
	}
}

// TestCreateIsSentOnce lets the first answer of a stored object get lost: a repeated request would call our own object another's.
func TestCreateIsSentOnce(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "s3://bucket"))
	for _, lose := range []func(w http.ResponseWriter){
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		var sent atomic.Int32
		s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method != http.MethodPut {
				next.ServeHTTP(w, r)
				return
			}
			sent.Add(1)
			next.ServeHTTP(httptest.NewRecorder(), r)
			lose(w)
		})
		key := fmt.Sprintf("k%p", lose)
		if err := store.PutIfAbsent(t.Context(), key, []byte("mine")); err == nil || errors.Is(err, objstore.ErrExists) || sent.Load() != 1 {
			t.Errorf("a lost answer: %v after %d requests, want an ambiguous error after 1", err, sent.Load())
		}
		if got, err := store.ReadAll(t.Context(), key, 10); err != nil || string(got) != "mine" {
			t.Errorf("reading back: %q, %v", got, err)
		}
		if err := store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTruncatedBody(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "s3://bucket"))
	body := bytes.Repeat([]byte("0123456789"), 5000)
	if err := store.Put(t.Context(), "k", bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	var gets atomic.Int32
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet || gets.Add(1) > 2 {
			next.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes()[:rec.Body.Len()/3])
		panic(http.ErrAbortHandler)
	})
	r, err := store.ReaderAt(t.Context(), "k", int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(body))
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, body) || gets.Load() != 3 {
		t.Errorf("ranges cut twice: %v after %d requests, equal %v", err, gets.Load(), bytes.Equal(got, body))
	}
}

func TestListStartsAfter(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "s3://bucket/table"))
	for i := range 30 {
		if err := store.PutIfAbsent(t.Context(), fmt.Sprintf("_delta_log/%020d.json", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	var after string
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		after = r.URL.Query().Get("start-after")
		next.ServeHTTP(w, r)
	})
	n := 0
	for _, err := range store.List(t.Context(), objstore.ListOptions{Prefix: "_delta_log/", After: "_delta_log/00000000000000000019.json"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 10 || after != "table/_delta_log/00000000000000000019.json" {
		t.Errorf("%d keys, asked for those after %q", n, after)
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		url     string
		options map[string]string
		want    string
	}{
		"plain":       {"s3://bucket", map[string]string{"AWS_ENDPOINT_URL": "http://localhost:1"}, "AWS_ALLOW_HTTP"},
		"lock":        {"s3://bucket", map[string]string{"AWS_S3_LOCKING_PROVIDER": "dynamodb"}, "LOCKING_PROVIDER"},
		"conditional": {"s3://bucket", map[string]string{"aws_conditional_put": "dynamo:table"}, "only etag"},
		"half":        {"s3://bucket", map[string]string{"aws_access_key_id": "CANARY-id"}, "belong together"},
		"bool":        {"s3://bucket", map[string]string{"AWS_SKIP_SIGNATURE": "maybe"}, "neither true nor false"},
		"endpoint":    {"s3://bucket", map[string]string{"endpoint_url": "localhost"}, "http://host:port"},
		"user":        {"s3://CANARY-id:CANARY-secret@bucket/p", nil, "credentials do not belong"},
		"parameter":   {"s3://bucket?wrong=1", nil, "wrong"},
		"bad URL":     {"s3://CANARY-id:CANARY-secret@bu%zzcket", nil, "store URL"},
		"no bucket":   {"s3:///prefix", nil, "scheme://bucket"},
		"dots":        {"s3://bucket/a/../b", nil, "invalid key"},
	} {
		_, err := s3store.Opener{}.Open(t.Context(), c.url, c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v, want %q and no credential", name, err, c.want)
		}
	}
	env := map[string]string{"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_ALLOW_HTTP": "1"}
	if _, err := (s3store.Opener{Getenv: func(k string) string { return env[k] }}).Open(t.Context(), "s3://bucket", nil); err != nil {
		t.Errorf("settings from the environment: %v", err)
	}
}

// TestQuietCredentials checks that an unreachable server does not make the driver show what it signed with.
func TestQuietCredentials(t *testing.T) {
	opts := map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "CANARY-id", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "CANARY-token"}
	d, err := s3store.Opener{}.Open(t.Context(), "s3://bucket", opts)
	if err != nil {
		t.Fatal(err)
	}
	err = d.PutIfAbsent(t.Context(), "k", nil)
	if err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.ReadRange(ctx, "k", 0, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := d.Put(t.Context(), "k", io.MultiReader(iotestErr{})); !errors.Is(err, errBody) {
		t.Errorf("%v", err)
	}
}

var errBody = errors.New("body")

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errBody }

// TestBucketIgnoresConditions: a service that ignores If-None-Match is found out before anything is created.
func TestBucketIgnoresConditions(t *testing.T) {
	srv := start(t)
	options := srv.options()
	delete(options, "AWS_S3_ALLOW_UNSAFE_RENAME")
	for _, ignores := range []bool{true, false} {
		srv.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if ignores {
				r.Header.Del("If-None-Match")
			}
			next.ServeHTTP(w, r)
		})
		d, err := s3store.Opener{}.Open(t.Context(), "s3://bucket/below", options)
		if err != nil {
			t.Fatal(err)
		}
		s := objstore.New(d).Sub("table")
		err = s.PutIfAbsent(t.Context(), "k", []byte("x"))
		_, statErr := s.Stat(t.Context(), "k")
		if ignores && (!errors.Is(err, objstore.ErrNotAtomic) || !errors.Is(statErr, fs.ErrNotExist)) || !ignores && (err != nil || statErr != nil) {
			t.Errorf("conditions ignored: %v: create %v, stat %v", ignores, err, statErr)
		}
	}
}

// TestTagsOfProxies: a condition that the server ignores is noticed by the tag of what it sends; a tag that cannot be asked for again pins nothing.
func TestTagsOfProxies(t *testing.T) {
	srv := start(t)
	d := srv.open(t, "s3://bucket").(objstore.Tagged)
	store := objstore.New(srv.open(t, "s3://bucket"))
	for _, body := range []string{"first", "second"} {
		if err := store.Put(t.Context(), "k", strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	body, found, err := d.ReadTagged(t.Context(), "k", "", 0, -1)
	if err != nil || found == "" {
		t.Fatalf("tag %q, %v", found, err)
	}
	body.Close()
	if _, _, err := d.ReadTagged(t.Context(), "k", "0123", 0, -1); !errors.Is(err, objstore.ErrChanged) {
		t.Errorf("another tag: %v", err)
	}
	srv.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Del("If-Match")
		next.ServeHTTP(w, r)
	})
	if _, _, err := d.ReadTagged(t.Context(), "k", "0123", 0, -1); !errors.Is(err, objstore.ErrChanged) {
		t.Errorf("another tag, and a server that does not look: %v", err)
	}
	srv.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(weak{w}, r)
		if etag := w.Header().Get("ETag"); !strings.HasPrefix(etag, "W/") { // an answer without a body
			w.Header().Set("ETag", "W/"+etag)
		}
	})
	if body, again, err := d.ReadTagged(t.Context(), "k", found, 0, -1); err != nil || again != "" {
		t.Errorf("a weak tag: %q, %v", again, err)
	} else {
		body.Close()
	}
	if o, err := store.Stat(t.Context(), "k"); err != nil || o.Tag != "" {
		t.Errorf("a weak tag: %+v, %v", o, err)
	}
}

// weak makes every ETag a weak one, as proxies do that compress.
type weak struct{ http.ResponseWriter }

func (w weak) WriteHeader(status int) {
	if etag := w.Header().Get("ETag"); etag != "" && !strings.HasPrefix(etag, "W/") {
		w.Header().Set("ETag", "W/"+etag)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w weak) Write(p []byte) (int, error) {
	if etag := w.Header().Get("ETag"); !strings.HasPrefix(etag, "W/") {
		w.Header().Set("ETag", "W/"+etag)
	}
	return w.ResponseWriter.Write(p)
}

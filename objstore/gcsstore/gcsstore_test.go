package gcsstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// server is a stand-in for GCS whose answers a test may change; the bucket is "bucket".
type server struct {
	url  string
	hook atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
}

func start(t *testing.T) *server {
	s := &server{}
	var fake http.Handler
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.hook.Load(); h != nil {
			(*h)(w, r, fake)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	s.url = ts.URL
	host := strings.TrimPrefix(ts.URL, "http://")
	gcs, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, Scheme: "http", PublicHost: host, ExternalURL: ts.URL, Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gcs.Stop)
	gcs.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "bucket"})
	fake = gcs.HTTPHandler()
	return s
}

func (s *server) set(h func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	s.hook.Store(&h)
}

func (s *server) open(t *testing.T, url string) objstore.Driver {
	t.Helper()
	d, err := gcsstore.Opener{}.Open(t.Context(), url, map[string]string{"google_base_url": s.url, "GOOGLE_SKIP_SIGNATURE": "true"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	for _, url := range []string{"gs://bucket", "gs://bucket/some/prefix"} {
		t.Run(url, func(t *testing.T) {
			objstoretest.Run(t, func(t *testing.T) objstore.Driver { return start(t).open(t, url) }, &objstoretest.Options{RaceRounds: 200})
		})
	}
}

func TestErrors(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		status             int
		create, read, list error // nil = anything that is no name
	}{
		{403, fs.ErrPermission, fs.ErrPermission, fs.ErrPermission},
		{401, objstore.BadCredentials, objstore.BadCredentials, objstore.BadCredentials},
		{404, objstore.NoBucket, fs.ErrNotExist, objstore.NoBucket}, // what is created or listed cannot be missing
		{409, nil, nil, nil},
		{412, objstore.ErrExists, nil, nil},
		{400, nil, nil, nil},
	} {
		s := start(t)
		store := objstore.New(s.open(t, "gs://bucket"))
		s.set(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			fmt.Fprintf(w, `{"error":{"code":%d,"message":"see https://host/o?X-Goog-Signature=CANARY&a=b"}}`, c.status)
		})
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
		_, err := store.ReadAll(ctx, "k", 10)
		check("read", err, c.read)
		_, err = store.Stat(ctx, "k")
		check("stat", err, c.read)
		for _, err := range store.List(ctx, objstore.ListOptions{}) {
			check("list", err, c.list)
		}
	}
}

// TestCreateIsSentOnce lets the first answer of a stored object get lost: a repeated request would call our own object another's.
func TestCreateIsSentOnce(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "gs://bucket"))
	for i, lose := range []func(w http.ResponseWriter){
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
	} {
		var sent atomic.Int32
		s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method != http.MethodPost && r.Method != http.MethodPut {
				next.ServeHTTP(w, r)
				return
			}
			sent.Add(1)
			next.ServeHTTP(httptest.NewRecorder(), r)
			lose(w)
		})
		key := fmt.Sprintf("k%d", i)
		if err := store.PutIfAbsent(t.Context(), key, []byte("mine")); err == nil || errors.Is(err, objstore.ErrExists) || sent.Load() != 1 {
			t.Errorf("a lost answer: %v after %d requests, want an ambiguous error after 1", err, sent.Load())
		}
		if got, err := store.ReadAll(t.Context(), key, 10); err != nil || string(got) != "mine" {
			t.Errorf("reading back: %q, %v", got, err)
		}
	}
}

func TestListStartsAt(t *testing.T) {
	s := start(t)
	store := objstore.New(s.open(t, "gs://bucket/table"))
	for i := range 30 {
		if err := store.Put(t.Context(), fmt.Sprintf("_delta_log/%020d.json", i), bytes.NewReader(nil)); err != nil {
			t.Fatal(err)
		}
	}
	var after string
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		after = r.URL.Query().Get("startOffset")
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
		t.Errorf("%d keys, asked for those from %q", n, after)
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		url     string
		options map[string]string
		want    string
	}{
		"both":      {"gs://bucket", map[string]string{"GOOGLE_SERVICE_ACCOUNT": "x", "GOOGLE_SERVICE_ACCOUNT_KEY": "{}"}, "exclude each other"},
		"no file":   {"gs://bucket", map[string]string{"google_service_account": "/does/not/exist.json"}, "GOOGLE_SERVICE_ACCOUNT"},
		"no JSON":   {"gs://bucket", map[string]string{"google_service_account_key": "CANARY not json"}, "no JSON"},
		"type":      {"gs://bucket", map[string]string{"google_service_account_key": `{"type":"external_account","token_url":"http://evil"}`}, "not served"},
		"bad key":   {"gs://bucket", map[string]string{"google_service_account_key": `{"type":"service_account","private_key":"CANARY"}`}, ""},
		"bool":      {"gs://bucket", map[string]string{"skip_signature": "2"}, "neither true nor false"},
		"parameter": {"gs://bucket?grpc=true", map[string]string{"skip_signature": "1"}, "grpc"},
		"endpoint":  {"gs://bucket", map[string]string{"skip_signature": "1", "google_base_url": "http://user@host"}, "http://host"},
	} {
		d, err := gcsstore.Opener{}.Open(t.Context(), c.url, c.options)
		if err == nil && c.want == "" { // credentials may be refused by the first call only
			err = d.PutIfAbsent(t.Context(), "k", nil)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v, want %q and no credential", name, err, c.want)
		}
	}
	s := start(t)
	key := fmt.Sprintf(`{"gcs_base_url":%q,"disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}`, s.url)
	for name, open := range map[string]func() (objstore.Driver, error){
		"key file's own endpoint": func() (objstore.Driver, error) {
			return gcsstore.Opener{}.Open(t.Context(), "gs://bucket", map[string]string{"GOOGLE_SERVICE_ACCOUNT_KEY": key})
		},
		"emulator": func() (objstore.Driver, error) {
			env := map[string]string{"STORAGE_EMULATOR_HOST": strings.TrimPrefix(s.url, "http://")}
			return gcsstore.Opener{Getenv: func(k string) string { return env[k] }}.Open(t.Context(), "gs://bucket", nil)
		},
	} {
		d, err := open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := d.Put(t.Context(), "k", strings.NewReader("x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

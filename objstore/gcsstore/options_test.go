package gcsstore_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
)

// documented are the options that the documentation of delta-rs and of the object_store library below it names for GCS.
const documented = `
google_service_account service_account google_service_account_path service_account_path google_service_account_key service_account_key
google_bucket google_bucket_name bucket bucket_name google_application_credentials application_credentials google_skip_signature skip_signature
google_base_url base_url google_bearer_token bearer_token allow_http timeout connect_timeout proxy_url user_agent pool_idle_timeout OBJECT_STORE_CONCURRENCY_LIMIT max_retries`

// TestDocumentedOptions: every documented option is known: it opens a store, or is refused with a reason that is not its name.
func TestDocumentedOptions(t *testing.T) {
	for _, name := range strings.Fields(documented) {
		options := map[string]string{"google_skip_signature": "1", "google_base_url": "http://127.0.0.1:1"}
		options[name] = "1"
		if _, err := (gcsstore.Opener{}).Open(t.Context(), "gs://bucket/prefix", options); err != nil && strings.Contains(err.Error(), "not known") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"google_sevice_account", "aws_region", "project"} {
		if _, err := (gcsstore.Opener{}).Open(t.Context(), "gs://bucket", map[string]string{name: "CANARY"}); err == nil || !strings.Contains(err.Error(), strings.ToUpper(name)) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBearerToken sends a token that the options give, and the prefix of the URL.
func TestBearerToken(t *testing.T) {
	s := start(t)
	var sent atomic.Pointer[string]
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		said := r.Header.Get("Authorization") + " " + r.URL.Path
		sent.Store(&said)
		next.ServeHTTP(w, r)
	})
	d, err := gcsstore.Opener{}.Open(t.Context(), "gs://bucket/some/prefix/", map[string]string{"google_base_url": s.url, "GOOGLE_BEARER_TOKEN": "CANARY"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Stat(t.Context(), "k")
	if err == nil || strings.Contains(err.Error(), "CANARY") || *sent.Load() != "Bearer CANARY /storage/v1/b/bucket/o/some/prefix/k" {
		t.Errorf("sent %q: %v", *sent.Load(), err)
	}
}

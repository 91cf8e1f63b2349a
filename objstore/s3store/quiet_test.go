package s3store_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

// The clients that look for credentials write warnings to stderr when the machine's metadata service says no; nobody asked for them.
func TestLookingForCredentialsPrintsNothing(t *testing.T) {
	asked := 0
	imds := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(http.StatusForbidden)
	}))
	defer imds.Close()
	for _, name := range os.Environ() {
		if name, _, _ := strings.Cut(name, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.URL)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = w
	d, err := s3store.Opener{}.Open(t.Context(), "s3://bucket", map[string]string{"aws_region": "eu-west-1"})
	if err == nil {
		_, err = d.Stat(t.Context(), "key")
	}
	os.Stderr = stderr
	w.Close()
	printed, _ := io.ReadAll(r)
	if err == nil || asked == 0 {
		t.Errorf("error %v after %d questions to the metadata service, want an error after some", err, asked)
	}
	if len(printed) > 0 {
		t.Errorf("printed %q", printed)
	}
}

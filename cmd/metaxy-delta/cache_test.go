package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// TestCacheDir reads a store by processes that share cache_dir: the answers are the same, the second one asks the server for less, and no credential is in
// the directory, which nobody else may enter.
func TestCacheDir(t *testing.T) {
	s := servertest.S3(t)
	proxy, err := objstoretest.NewProxy(s.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(proxy)
	defer front.Close()
	p := newPlace(t).with(s.Through(front.URL))
	dir := filepath.Join(p.dir, "kept", "here")
	writeFile(t, filepath.Join(p.dir, "metaxy.toml"), []byte(`project = "p"
[stores.s]
type = "metaxy.ext.metadata_stores.delta.DeltaMetadataStore"
[stores.s.config]
root_path = "`+s.Store+`/cached"
[ext.metaxy_delta]
definitions = ["definitions.toml"]
cache_dir = "kept/here"
cache_limit = "10MB"
`))
	p.must("push", "--store", "s")
	for range 5 {
		p.must("write", "a/root", "rows.csv", "--store", "s")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	first := p.must("read", "a/root", "--store", "s", "--json")
	cold := len(proxy.Requests())
	proxy.Reset()
	second := p.must("read", "a/root", "--store", "s", "--json")
	warm := len(proxy.Requests())
	if first != second || warm+7 > cold { // five commits, the data files, the definitions
		t.Errorf("%d requests, then %d; answers the same: %v", cold, warm, first == second)
	}
	t.Logf("%d requests, then %d", cold, warm)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{s.Options["AWS_SECRET_ACCESS_KEY"], s.Options["AWS_ENDPOINT_URL"]} {
			if bytes.Contains(data, []byte(secret)) || strings.Contains(f, secret) {
				t.Errorf("%s holds %q", f, secret)
			}
		}
	}
	p.must("write", "a/root", "rows.csv", "--store", "s") // and what changed since is read
	if third := p.must("read", "a/root", "--store", "s", "--json", "--with-sample-history"); strings.Count(third, "metaxy_created_at") <= strings.Count(second, "metaxy_created_at") {
		t.Errorf("after a write: %s", third)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if o := p.run("read", "a/root", "--store", "s"); o.code != exitUsage || !strings.Contains(o.stderr, "cache_dir") || !strings.Contains(o.stderr, "0700") {
		t.Errorf("a directory that others may enter: exit %d, %s", o.code, o.stderr)
	}
}

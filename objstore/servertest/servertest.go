// Package servertest starts the servers of object stores for tests: the real ones where `make servers` has put them into bin/, and
// otherwise stand-ins in the same process.
//
// A Server has one empty bucket and everything that is needed to open it: the URL of the store, storage options, which are environment
// variables of the command as well, and the adapter. Servers listen on a free loopback port, end with their test, and are killed when the
// test's process dies. No shipping file imports this package; failures are reported through testing.T.
package servertest

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/azurestore"
	"github.com/metaxy-delta/metaxy-delta/objstore/gcsstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
)

// Server is a running server with one empty bucket.
type Server struct {
	// URL is where it listens, http://127.0.0.1:port.
	URL string
	// Store is the URL of the bucket, such as s3://bucket.
	Store string
	// Options open it: storage options that are environment variables, too.
	Options map[string]string
	// Opener is the adapter.
	Opener objstore.Opener
	// Real is false for a stand-in in this process.
	Real bool

	endpoint string // the option that holds URL
}

// Through returns the options of the server behind another address, such as that of an objstoretest.Proxy.
func (s *Server) Through(url string) map[string]string {
	o := maps.Clone(s.Options)
	o[s.endpoint] = strings.Replace(o[s.endpoint], s.URL, url, 1)
	return o
}

// Open opens a prefix of the bucket. The driver is closed with the test.
func (s *Server) Open(t testing.TB, prefix string) objstore.Driver {
	t.Helper()
	d, err := s.Opener.Open(t.Context(), s.Store+"/"+prefix, s.Options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// The credentials of the servers. They open nothing else.
const (
	keyID  = "servertest"
	secret = "servertest-secret"
)

// S3 starts versitygw, or gofakes3 in this process.
func S3(t testing.TB) *Server {
	t.Helper()
	s := &Server{Store: "s3://bucket", Opener: s3store.Opener{}, endpoint: "AWS_ENDPOINT_URL"}
	if bin := find("versitygw"); bin != "" {
		dir := t.TempDir()
		for _, sub := range []string{"root/bucket", "meta"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		port := freePort(t)
		s.URL, s.Real = "http://"+port, true
		run(t, port, []string{"ROOT_ACCESS_KEY=" + keyID, "ROOT_SECRET_KEY=" + secret}, bin, "--quiet", "--port", port, "posix", filepath.Join(dir, "root"))
	} else {
		s.serve(t, s3Fake(t, nil))
	}
	s.Options = map[string]string{"AWS_ENDPOINT_URL": s.URL, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1"}
	return s
}

// GCS starts fake-gcs-server as a process of its own, or in this one.
func GCS(t testing.TB) *Server {
	t.Helper()
	s := &Server{Store: "gs://bucket", Opener: gcsstore.Opener{}, endpoint: "GOOGLE_BASE_URL"}
	if bin := find("fake-gcs-server"); bin != "" {
		address := freePort(t)
		host, port, _ := net.SplitHostPort(address)
		s.URL, s.Real = "http://"+address, true
		run(t, address, nil, bin, "-backend", "memory", "-scheme", "http", "-host", host, "-port", port, "-public-host", address, "-external-url", s.URL, "-log-level", "error")
	} else {
		var fake http.Handler
		s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fake.ServeHTTP(w, r) }))
		fake = gcsFake(t, s.URL, nil)
		s.Options = map[string]string{"GOOGLE_BASE_URL": s.URL, "GOOGLE_SKIP_SIGNATURE": "true"}
		return s
	}
	resp, err := http.Post(s.URL+"/storage/v1/b?project=p", "application/json", strings.NewReader(`{"name":"bucket"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("making the bucket: %s", resp.Status)
	}
	s.Options = map[string]string{"GOOGLE_BASE_URL": s.URL, "GOOGLE_SKIP_SIGNATURE": "true"}
	return s
}

// serve listens for a stand-in.
func (s *Server) serve(t testing.TB, fake http.Handler) {
	ts := httptest.NewServer(fake)
	t.Cleanup(ts.Close)
	s.URL = ts.URL
}

// Azure starts Azurite, or an AzureFake in this process.
func Azure(t testing.TB) *Server {
	t.Helper()
	bin := find(".azurite/node_modules/.bin/azurite-blob")
	if bin == "" {
		s := &Server{Store: "az://bucket", Opener: azurestore.Opener{}, endpoint: "AZURE_STORAGE_ENDPOINT"}
		fake := NewAzureFake(nil)
		fake.Container = "bucket"
		s.serve(t, fake)
		s.Options = map[string]string{"AZURE_STORAGE_ENDPOINT": s.URL + "/devstoreaccount1", "AZURE_STORAGE_USE_EMULATOR": "true"}
		return s
	}
	address := freePort(t)
	host, port, _ := net.SplitHostPort(address)
	run(t, address, nil, bin, "--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--blobHost", host, "--blobPort", port)
	s := &Server{URL: "http://" + address, Store: "az://bucket", Opener: azurestore.Opener{}, Real: true, endpoint: "AZURE_STORAGE_ENDPOINT"}
	s.Options = map[string]string{"AZURE_STORAGE_ENDPOINT": s.URL + "/devstoreaccount1", "AZURE_STORAGE_USE_EMULATOR": "true"}
	if err := makeContainer(t.Context(), s.Options["AZURE_STORAGE_ENDPOINT"]+"/bucket"); err != nil {
		t.Fatal(err)
	}
	return s
}

// All starts every server that there is, by the name of its service.
func All(t *testing.T, test func(t *testing.T, s *Server)) {
	for name, start := range map[string]func(testing.TB) *Server{"s3": S3, "gcs": GCS, "azure": Azure} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// find returns the path of a program in bin/ of the module, "" when it is not there.
func find(name string) string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			path := filepath.Join(dir, "bin", name)
			if st, err := os.Stat(path); err == nil && !st.IsDir() {
				return path
			}
			return ""
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
	return ""
}

// freePort is a loopback address on which nobody listens.
func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run starts a server and waits until it accepts connections. A shell between kills it as soon as its input ends, which is when the test
// does or its process dies; some servers are slow to end when asked.
func run(t testing.TB, address string, env []string, bin string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", `"$@" </dev/null & p=$!; cat >/dev/null; kill -9 $p; wait $p 2>/dev/null`, "sh", bin}, args...)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), dir, out, out
	life, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		life.Close()
		cmd.Wait() // it was killed, so there is nothing to learn from its end
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(out.Name())
			t.Fatal(fmt.Errorf("%s does not listen on %s: %s", bin, address, said))
		}
	}
}

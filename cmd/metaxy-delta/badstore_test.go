package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/s3store"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// place is a directory from which the command runs as a process of its own, with an environment that holds nothing but what is given.
type place struct {
	t   *testing.T
	dir string
	env map[string]string
}

// outcome is what a run left. Failure is the object on stderr of runs with --json.
type outcome struct {
	code           int
	stdout, stderr string
	failure        struct {
		Error     string
		Message   string
		Hint      string
		Retryable bool
		Details   map[string]any
	}
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), env: map[string]string{"HOME": "/nonexistent", "PATH": os.Getenv("PATH"), "AWS_EC2_METADATA_DISABLED": "true"}}
	writeFile(t, filepath.Join(p.dir, "definitions.toml"), []byte(`project = "p"
[[features]]
key = "a/root"
id_columns = ["id"]
fields = [{ key = "x", code_version = "1" }]
[[features]]
key = "a/leaf"
id_columns = ["id"]
fields = [{ key = "y", code_version = "1" }]
deps = [{ feature = "a/root" }]
`))
	writeFile(t, filepath.Join(p.dir, "rows.csv"), []byte("id,metaxy_provenance_by_field.x\n1,a\n2,b\n"))
	writeFile(t, filepath.Join(p.dir, "table.jsonl"), []byte(`{"id": 1, "part": "a"}`+"\n"))
	return p
}

// with is the place with more variables.
func (p *place) with(env map[string]string) *place {
	q := *p
	q.env = maps.Clone(p.env)
	maps.Copy(q.env, env)
	return &q
}

// command is the test binary under the program's name, as TestMain knows it.
func (p *place) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(p.t.Context(), self)
	cmd.Args, cmd.Dir, cmd.Env = append([]string{"metaxy-delta"}, args...), p.dir, []string{}
	for k, v := range p.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

func (p *place) run(args ...string) outcome {
	p.t.Helper()
	var o outcome
	var stdout, stderr bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		p.t.Fatal(err)
	}
	o.code, o.stdout, o.stderr = cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	for line := range strings.Lines(o.stderr) {
		if strings.HasPrefix(line, `{"details"`) && json.Unmarshal([]byte(line), &o.failure) != nil {
			p.t.Errorf("%q is no JSON", line)
		}
	}
	return o
}

func (p *place) must(args ...string) string {
	p.t.Helper()
	o := p.run(args...)
	if o.code != exitOK {
		p.t.Fatalf("%s: exit %d\n%s%s", strings.Join(args, " "), o.code, o.stdout, o.stderr)
	}
	return o.stdout
}

// fails runs a command that must fail with an exit code and an error code, say what is wrong and what to do.
func (p *place) fails(exit int, code, hint string, args ...string) {
	p.t.Helper()
	begin := time.Now()
	o := p.run(append(args, "--json")...)
	if o.code != exit || o.failure.Error != code || o.failure.Message == "" || !strings.Contains(o.failure.Hint, hint) || o.failure.Hint == "" || o.stdout != "" {
		p.t.Errorf("%s: exit %d, want %d %s, hint %q\n%s%s", strings.Join(args, " "), o.code, exit, code, hint, o.stdout, o.stderr)
	}
	if took := time.Since(begin); took > time.Minute {
		p.t.Errorf("%s took %v", strings.Join(args, " "), took)
	}
}

// examines runs doctor, which must give a check a status.
func (p *place) examines(store, check, status, text string) {
	p.t.Helper()
	o := p.run("doctor", "--store", store, "--json")
	var report struct {
		Checks []finding
		OK     bool
	}
	if err := json.Unmarshal([]byte(o.stdout), &report); err != nil {
		p.t.Fatalf("doctor: exit %d, %v\n%s%s", o.code, err, o.stdout, o.stderr)
	}
	i := slices.IndexFunc(report.Checks, func(f finding) bool { return f.Check == check })
	if i < 0 || report.Checks[i].Status != status || !strings.Contains(report.Checks[i].Message, text) || (o.code == exitOK) != report.OK {
		p.t.Errorf("doctor: exit %d, want %s to be %s and say %q\n%s%s", o.code, check, status, text, o.stdout, o.stderr)
	}
}

// verbs are calls of what reads and writes a store.
func verbs(store string) map[string][]string {
	return map[string][]string{
		"read": {"read", "a/root", "--store", store}, "resolve": {"resolve", "a/leaf", "--store", store, "--definitions", "definitions.toml"},
		"push": {"push", "--store", store, "--definitions", "definitions.toml"}, "status": {"status", "a/leaf", "--store", store, "--definitions", "definitions.toml"},
		"write": {"write", "a/root", "rows.csv", "--store", store, "--definitions", "definitions.toml", "--project", "p"},
		"info":  {"table", "info", store + "/table"}, "table write": {"table", "write", store + "/table", "table.jsonl"},
	}
}

// fill makes a store with two features and a table beside it.
func (p *place) fill(store string) {
	p.t.Helper()
	p.must("push", "--store", store, "--definitions", "definitions.toml")
	p.must("write", "a/root", "rows.csv", "--store", store, "--project", "p")
	p.must("table", "write", store+"/table", "table.jsonl")
	p.must("table", "write", store+"/table", "table.jsonl")
}

// TestServers runs what needs a server of every cloud.
func TestServers(t *testing.T) {
	servertest.All(t, func(t *testing.T, s *servertest.Server) {
		t.Run("no bucket", func(t *testing.T) { noBucket(t, s) })
		t.Run("may not", func(t *testing.T) { mayNot(t, s) })
		t.Run("odd keys", func(t *testing.T) { oddKeys(t, newPlace(t).with(s.Options), s.Store+"/odd%20table%20%231/50%25%20é") })
	})
}

// noBucket: a bucket that does not exist is told by every verb, and never taken for an empty store.
func noBucket(t *testing.T, s *servertest.Server) {
	p := newPlace(t).with(s.Options)
	scheme, _, _ := strings.Cut(s.Store, ":")
	store := scheme + "://no-such-bucket/prefix"
	for _, args := range verbs(store) {
		p.fails(exitNotFound, "BUCKET_NOT_FOUND", "AWS_ENDPOINT_URL", args...)
	}
	p.examines(store, "access", "failed", "the bucket does not exist")
}

// refusing is a service that gives every request the same answer.
func refusing(t *testing.T, status int, body string, header ...string) string {
	t.Helper()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			fmt.Fprint(w, body)
		}
	}))
	t.Cleanup(ts.Close)
	return ts.URL
}

// TestRefused: what a service says of credentials, clocks and regions, which servers for tests do not all say.
func TestRefused(t *testing.T) {
	s3 := func(status int, code, message string, header ...string) map[string]string {
		url := refusing(t, status, fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message></Error>", code, message), header...)
		return map[string]string{"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
	}
	azure := func(status int, code, message string) map[string]string {
		url := refusing(t, status, fmt.Sprintf("<Error><Code>%s</Code><Message>%s</Message></Error>", code, message), "x-ms-error-code", code, "Content-Type", "application/xml")
		return map[string]string{"AZURE_STORAGE_ENDPOINT": url + "/account", "AZURE_ALLOW_HTTP": "true", "AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5a2V5"}
	}
	google := func(status int, message string) map[string]string {
		url := refusing(t, status, fmt.Sprintf(`{"error":{"code":%d,"message":%q}}`, status, message), "Content-Type", "application/json")
		return map[string]string{"GOOGLE_BASE_URL": url, "GOOGLE_SKIP_SIGNATURE": "true"}
	}
	for _, c := range []struct {
		name, store string
		env         map[string]string
		exit        int
		code, hint  string
	}{
		{"expired", "s3://bucket/p", s3(400, "ExpiredToken", "The provided token has expired."), exitPermission, "EXPIRED_CREDENTIALS", "log in again"},
		{"unknown key", "s3://bucket/p", s3(403, "InvalidAccessKeyId", "does not exist in our records"), exitPermission, "BAD_CREDENTIALS", "check the key"},
		{"skew", "s3://bucket/p", s3(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."), exitPermission, "CLOCK_SKEW", "clock"},
		{"region by redirect", "s3://bucket/p", s3(301, "PermanentRedirect", "use the endpoint", "X-Amz-Bucket-Region", "eu-west-3"), exitUsage, "WRONG_REGION", "AWS_REGION to eu-west-3"},
		{"region by signature", "s3://bucket/p", s3(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'ap-south-1'"), exitUsage, "WRONG_REGION", "AWS_REGION to ap-south-1"},
		{"forbidden", "s3://bucket/p", s3(403, "AccessDenied", "Access Denied"), exitPermission, "PERMISSION", "doctor"},
		{"expired signature", "az://bucket/p", azure(403, "AuthenticationFailed", "Signature not valid in the specified time frame"), exitPermission, "EXPIRED_CREDENTIALS", "log in again"},
		{"wrong key", "az://bucket/p", azure(403, "AuthenticationFailed", "The MAC signature found in the HTTP request is not the same"), exitPermission, "BAD_CREDENTIALS", "check the key"},
		{"skew on Azure", "az://bucket/p", azure(403, "AuthenticationFailed", "Request date header too old"), exitPermission, "CLOCK_SKEW", "clock"},
		{"forbidden on GCS", "gs://bucket/p", google(403, "does not have storage.objects.list access"), exitPermission, "PERMISSION", "doctor"},
		{"unauthorized on GCS", "gs://bucket/p", google(401, "Invalid Credentials"), exitPermission, "BAD_CREDENTIALS", "check the key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t).with(c.env)
			for _, args := range verbs(c.store) {
				p.fails(c.exit, c.code, c.hint, args...)
			}
			p.examines(c.store, "access", "failed", "")
		})
	}
}

// TestNoCredentials: with nothing in the environment and a metadata service that refuses, each cloud says so at once and in its own words only.
func TestNoCredentials(t *testing.T) {
	nowhere := strings.TrimPrefix(refusing(t, http.StatusForbidden, "no"), "http://")
	p := newPlace(t).with(map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://" + nowhere, "GCE_METADATA_HOST": nowhere,
		"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://" + nowhere, "NO_PROXY": "*"})
	for _, store := range []string{"s3://bucket/p", "gs://bucket/p", "az://bucket/p"} {
		t.Run(store[:2], func(t *testing.T) {
			t.Parallel()
			q := *p
			q.t = t
			q.fails(exitPermission, "NO_CREDENTIALS", "AWS_ACCESS_KEY_ID", "read", "a/root", "--store", store)
			if o := q.run("read", "a/root", "--store", store); !strings.HasPrefix(o.stderr, "Error: ") {
				t.Errorf("stderr begins with something else: %s", o.stderr)
			}
		})
	}
}

// TestWrongKeys signs with what the real server does not know, and for a region that is not its own.
func TestWrongKeys(t *testing.T) {
	s := servertest.S3(t)
	if !s.Real {
		t.Skip("the stand-in checks no signatures: `make servers` installs a server that does")
	}
	p := newPlace(t).with(s.Options)
	p.with(map[string]string{"AWS_SECRET_ACCESS_KEY": "another"}).fails(exitPermission, "BAD_CREDENTIALS", "check the key", "read", "a/root", "--store", s.Store)
	p.with(map[string]string{"AWS_ACCESS_KEY_ID": "another"}).fails(exitPermission, "BAD_CREDENTIALS", "check the key", "read", "a/root", "--store", s.Store)
	p.with(map[string]string{"AWS_REGION": "eu-west-1"}).fails(exitUsage, "WRONG_REGION", "AWS_REGION to us-east-1", "read", "a/root", "--store", s.Store)
}

// broken puts a proxy before a server.
func broken(t *testing.T, s *servertest.Server) (*objstoretest.Proxy, map[string]string) {
	t.Helper()
	proxy, err := objstoretest.NewProxy(s.URL, 1)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return proxy, s.Through(front.URL)
}

// mayNot takes rights away from a store that holds something: what may not be read is never taken for missing, what may not be written is told.
func mayNot(t *testing.T, s *servertest.Server) {
	store := s.Store + "/store"
	newPlace(t).with(s.Options).fill(store)
	proxy, options := broken(t, s)
	p := newPlace(t).with(options)
	may := func(rules ...objstoretest.HTTPRule) {
		proxy.Clear()
		for _, r := range rules {
			r.Fault, r.Status = objstoretest.Answer, http.StatusForbidden
			proxy.Add(r)
		}
	}
	calls := verbs(store)
	may(objstoretest.HTTPRule{Method: http.MethodPut}, objstoretest.HTTPRule{Method: http.MethodPost}, objstoretest.HTTPRule{Method: http.MethodDelete})
	p.must(calls["read"]...)
	p.must(calls["info"]...)
	p.fails(exitPermission, "PERMISSION", "doctor", calls["write"]...)
	p.fails(exitPermission, "PERMISSION", "doctor", calls["table write"]...)
	p.examines(store, "commits", "warning", "read only")

	may(objstoretest.HTTPRule{Path: "_delta_log%2F00000000000000000001.json"}, objstoretest.HTTPRule{Path: "_delta_log/00000000000000000001.json"})
	p.fails(exitPermission, "PERMISSION", "doctor", calls["info"]...)
	p.fails(exitPermission, "PERMISSION", "doctor", calls["table write"]...)
	may(objstoretest.HTTPRule{Method: http.MethodGet, Path: ".parquet"})
	p.fails(exitPermission, "PERMISSION", "doctor", calls["read"]...)
	may(objstoretest.HTTPRule{Path: "prefix=store"}) // listings
	for _, args := range calls {
		p.fails(exitPermission, "PERMISSION", "doctor", args...)
	}
	p.examines(store, "access", "failed", "")
}

// TestUnconditional: a service that ignores the condition of a create is refused by the first commit and by doctor, and nothing is left in it.
func TestUnconditional(t *testing.T) {
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend).Server()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-None-Match")
		fake.ServeHTTP(w, r)
	}))
	defer ts.Close()
	s := &servertest.Server{Store: "s3://bucket", Opener: s3store.Opener{}, Options: map[string]string{"AWS_ENDPOINT_URL": ts.URL, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}}
	p := newPlace(t).with(s.Options)
	calls := verbs(s.Store + "/store")
	for _, verb := range []string{"push", "write", "table write"} {
		p.fails(exitUnsupported, "UNSAFE_STORE", "allow_unsafe_rename", calls[verb]...)
	}
	p.examines(s.Store+"/store", "commits", "failed", "does not create atomically")
	for o, err := range s.Open(t, "").List(t.Context(), listAll) {
		if err != nil || strings.HasSuffix(o.Key, ".json") || strings.Contains(o.Key, "probe") {
			t.Errorf("left %q, %v", o.Key, err)
		}
	}
}

// interruptible sends the process a signal when a request comes by.
func interruptible(cmd *exec.Cmd) func(*http.Request) {
	return func(*http.Request) { _ = cmd.Process.Signal(os.Interrupt) }
}

// TestInterruptedCommit: a run that is told to end while its commit is under way either finishes it, or says that nobody knows; one that is told before says that nothing
// was under way.
func TestInterruptedCommit(t *testing.T) {
	s := servertest.S3(t)
	for _, c := range []struct {
		name  string
		path  string
		fault objstoretest.Fault
		check func(o outcome, versions int) bool
	}{
		{"the commit lands", "00000000000000000002.json", objstoretest.None, func(o outcome, n int) bool { return o.code == exitOK && n == 3 }},
		{"its answer is lost", "00000000000000000002.json", objstoretest.LandThenFail, func(o outcome, n int) bool { return o.code == exitOK && n == 3 }},
		{"it is lost", "00000000000000000002.json", objstoretest.FailBefore, func(o outcome, n int) bool {
			commit, _ := o.failure.Details["commit"].(map[string]any)
			return o.code == exitInterrupted && n == 2 && commit["outcome"] == "unknown" && strings.Contains(o.failure.Hint, "table history")
		}},
		{"before the commit", ".parquet", objstoretest.Slow, func(o outcome, n int) bool {
			return o.code == exitInterrupted && n == 2 && strings.Contains(o.failure.Message, "no commit was under way") && o.failure.Details["commit"] == nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := s.Store + "/" + strings.ReplaceAll(c.name, " ", "-")
			newPlace(t).with(s.Options).fill(store)
			proxy, options := broken(t, s)
			p := newPlace(t).with(options)
			cmd := p.command("table", "write", store+"/table", "table.jsonl", "--json")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			proxy.Add(objstoretest.HTTPRule{Method: http.MethodPut, Path: c.path, Fault: c.fault, Delay: time.Second, Do: interruptible(cmd)})
			_ = cmd.Run() // its exit code is looked at below
			o := outcome{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}
			if o.code != exitOK && json.Unmarshal(stderr.Bytes(), &o.failure) != nil {
				t.Errorf("%q is no JSON", o.stderr)
			}
			versions := 0
			for k, err := range s.Open(t, strings.TrimPrefix(store, s.Store+"/")+"/table/_delta_log").List(context.Background(), listAll) {
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(k.Key, ".json") {
					versions++
				}
			}
			if !c.check(o, versions) {
				t.Errorf("exit %d, %d versions\n%s", o.code, versions, o.stderr)
			}
		})
	}
}

var listAll = objstore.ListOptions{Recursive: true}

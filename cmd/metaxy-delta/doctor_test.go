package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// doctorReport is what doctor prints with --json.
type doctorReport struct {
	Checks []finding
	OK     bool
}

// examined runs doctor and reports whether some finding has these words, or that none is a warning when text is "".
func (p *place) examined(store string, want finding) {
	p.t.Helper()
	o := p.run("doctor", "--store", store, "--json")
	var r doctorReport
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		p.t.Fatalf("doctor: %v\n%s%s", err, o.stdout, o.stderr)
	}
	found := 0
	for _, f := range r.Checks {
		if f.Check == want.Check && f.Status == want.Status && strings.Contains(f.Message, want.Message) {
			found++
		}
	}
	if found != 1 || (o.code == exitOK) != r.OK {
		p.t.Errorf("doctor: exit %d, %d findings like %+v\n%s%s", o.code, found, want, o.stdout, o.stderr)
	}
}

// TestDoctorLeftovers: files of writers that were killed before their commit are told, deleted by a vacuum and told no more.
func TestDoctorLeftovers(t *testing.T) {
	p := newPlace(t)
	p.fill("./store")
	table := filepath.Join(p.dir, "store", "a", "root.delta")
	p.examined("./store", finding{"leftovers", "ok", "no files that belong to no version"})
	p.examined("./store", finding{"tables", "warning", "1 of 2 features have a table"})
	writeFile(t, filepath.Join(table, "part-orphan.parquet"), bytes.Repeat([]byte("x"), 2048))
	writeFile(t, filepath.Join(table, ".tmp-metaxy-000000000000000000000001"), make([]byte, 100))
	writeFile(t, filepath.Join(table, "_delta_log", ".tmp-metaxy-000000000000000000000002"), nil)
	p.examined("./store", finding{"leftovers", "ok", "a/root: 3 young files and unfinished writes of 2.1 KiB"})
	old := time.Now().AddDate(0, 0, -8)
	for _, name := range []string{"part-orphan.parquet", ".tmp-metaxy-000000000000000000000001", "_delta_log/.tmp-metaxy-000000000000000000000002"} {
		if err := os.Chtimes(filepath.Join(table, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	p.examined("./store", finding{"leftovers", "warning", "a/root: 3 files and unfinished writes of 2.1 KiB"})
	out := p.must("table", "vacuum", table, "--yes")
	if !strings.Contains(out, `"unfinished_writes": 2`) || !strings.Contains(out, "part-orphan.parquet") {
		t.Errorf("vacuum: %s", out)
	}
	p.examined("./store", finding{"leftovers", "ok", "no files that belong to no version"})
	if got, want := p.must("read", "a/root", "--store", "./store", "--columns", "id", "--format", "csv"), "id\n1\n2\n"; got != want {
		t.Errorf("after the vacuum the feature holds %q", got)
	}
}

// TestDoctorUploads: parts of an upload that was never completed are invisible and paid for, until a vacuum aborts it.
func TestDoctorUploads(t *testing.T) {
	s := servertest.S3(t)
	p := newPlace(t).with(s.Options)
	p.fill(s.Store + "/store")
	proxy, options := broken(t, s)
	for _, method := range []string{http.MethodPost, http.MethodDelete} { // completing and aborting
		proxy.Add(objstoretest.HTTPRule{Method: method, Path: "uploadId=", Fault: objstoretest.Answer, Status: http.StatusForbidden})
	}
	d, err := s.Opener.Open(t.Context(), s.Store+"/store/a/root.delta", options)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Put(t.Context(), "part-lost.parquet", bytes.NewReader(make([]byte, 17<<20))); err == nil {
		t.Fatal("the upload was completed")
	}
	p.examined(s.Store+"/store", finding{"leftovers", "ok", "a/root: 1 young files and unfinished writes"})
	vacuum := []string{"table", "vacuum", s.Store + "/store/a/root.delta", "--yes", "--retention", "0s", "--allow-short-retention"}
	time.Sleep(1100 * time.Millisecond) // the service tells seconds
	for _, want := range []string{`"unfinished_writes": 1`, `"unfinished_writes": 0`} {
		if out := p.must(vacuum...); !strings.Contains(out, want) || !strings.Contains(out, `"num_files": 0`) {
			t.Errorf("vacuum: %s, want %s", out, want)
		}
	}
	p.examined(s.Store+"/store", finding{"leftovers", "ok", "no files that belong to no version"})
}

// TestDoctorVersions: stored versions with the separator of what is hashed, and stamps of the future.
func TestDoctorVersions(t *testing.T) {
	p := newPlace(t)
	p.fill("./store")
	writeFile(t, filepath.Join(p.dir, "doubt.csv"), []byte("id,metaxy_provenance_by_field.x\n3,a|b\n4,|\n"))
	p.must("write", "a/root", "doubt.csv", "--store", "./store", "--project", "p")
	p.examined("./store", finding{"table a/root", "warning", "VERSION_SEPARATOR: a/root: 4 stored versions contain |"}) // provenance and data versions
	if o := p.run("table", "check", "store/a/root.delta", "--read-data"); o.code != exitOK || !strings.Contains(o.stderr, "VERSION_SEPARATOR") {
		t.Errorf("check: exit %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	late := &metaxy.Options{Project: "p", Now: func() time.Time { return time.Date(2999, 1, 1, 12, 0, 0, 0, time.UTC) }}
	store, err := metaxy.Open(t.Context(), filepath.Join(p.dir, "store"), late)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	key, err := feature.ParseKey("a/root")
	if err != nil {
		t.Fatal(err)
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "metaxy_provenance_by_field", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.BinaryTypes.String})}}, nil)
	rows, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"id": 5, "metaxy_provenance_by_field": {"x": "c"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	if _, err := store.Write(t.Context(), key, &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rows, nil) }}, nil); err != nil {
		t.Fatal(err)
	}
	p.examined("./store", finding{"table a/root", "warning", "CLOCK_BEHIND: a/root: the table has rows of 2999-01-01"})
}

// TestDoctorClock compares clocks with a service that lives in another hour.
func TestDoctorClock(t *testing.T) {
	backend := s3mem.New(s3mem.WithTimeSource(gofakes3.FixedTimeSource(time.Now().Add(-time.Hour))))
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(gofakes3.New(backend, gofakes3.WithTimeSkewLimit(0)).Server())
	defer ts.Close()
	p := newPlace(t).with(map[string]string{"AWS_ENDPOINT_URL": ts.URL, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"})
	p.examined("s3://bucket/p", finding{"clock", "warning", "this machine and the store are "})
	p.examined("s3://bucket/p", finding{"credentials", "ok", ""})
	p.examined("s3://bucket/p", finding{"listing", "ok", ""})
}

// TestDoctorConfiguration: a file that everybody may change decides which store is used; one with secrets in it is not for everybody to read.
func TestDoctorConfiguration(t *testing.T) {
	p := newPlace(t)
	path := filepath.Join(p.dir, "metaxy.toml")
	writeFile(t, path, []byte("store = \"dev\"\n[stores.dev]\ntype = \"metaxy.ext.metadata_stores.delta.DeltaMetadataStore\"\n[stores.dev.config]\nroot_path = \"./store\"\n[stores.dev.config.storage_options]\nAWS_SECRET_ACCESS_KEY = \"hunter22\"\n"))
	for mode, want := range map[os.FileMode]finding{0o600: {"configuration", "ok", "metaxy.toml"}, 0o640: {"configuration", "warning", "holds credentials"}, 0o602: {"configuration", "warning", "everybody may change"}} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		p.examined("dev", want)
	}
	if o := p.run("doctor"); strings.Contains(o.stdout+o.stderr, "hunter22") {
		t.Errorf("doctor shows a secret: %s", o.stdout)
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// TestOutInBuckets: an increment goes to a bucket, and its files are written from there.
func TestOutInBuckets(t *testing.T) {
	for _, start := range []func(testing.TB) *servertest.Server{servertest.S3, servertest.GCS} {
		s := start(t)
		env := s.Options
		if strings.HasPrefix(s.Store, "gs") {
			env = map[string]string{"STORAGE_EMULATOR_HOST": strings.TrimPrefix(s.URL, "http://")}
		}
		p := newPlace(t).with(env)
		p.must("write", "a/root", "rows.csv", "--store", "./store", "--definitions", "definitions.toml", "--project", "p")
		leaf := []string{"--store", "./store", "--definitions", "definitions.toml", "--project", "p"}
		out := p.must(append([]string{"resolve", "a/leaf", "--out", s.Store + "/todo", "--rows-per-file", "1"}, leaf...)...)
		if !strings.Contains(out, "written to "+s.Store+"/todo: 4 files") {
			t.Errorf("%s: %s", s.Store, out)
		}
		var got []string
		for o, err := range s.Open(t, "todo").List(t.Context(), objstore.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, o.Key)
		}
		if want := []string{"manifest.json", "new-00000.parquet", "new-00001.parquet", "orphaned-00000.parquet", "stale-00000.parquet"}; !slices.Equal(got, want) {
			t.Errorf("%s has %v", s.Store, got)
		}
		p.must(append([]string{"write", "a/leaf", s.Store + "/todo/new-00001.parquet", "--resolved-version", "-1"}, leaf...)...)
		if out := p.must(append([]string{"resolve", "a/leaf"}, leaf...)...); !strings.Contains(out, "1 new, 0 stale") {
			t.Errorf("%s: %s", s.Store, out)
		}
		p.must(append([]string{"resolve", "a/leaf", "--out", s.Store + "/todo"}, leaf...)...)
		for o, err := range s.Open(t, "todo").List(t.Context(), objstore.ListOptions{}) {
			if err != nil || strings.Contains(o.Key, "-0000") {
				t.Errorf("%s: left %s, %v", s.Store, o.Key, err)
			}
		}
		p.fails(exitNotFound, "NOT_FOUND", "", append([]string{"write", "a/leaf", s.Store + "/todo/none.parquet"}, leaf...)...)
	}
}

// TestFullFolder: where there is no room for the rows an error says so, what
// was there stays, and nothing of the new is left.
func TestFullFolder(t *testing.T) {
	p := newPlace(t)
	p.must("push", "--store", "./store", "--definitions", "definitions.toml")
	small := filepath.Join(p.dir, "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("nothing may be mounted here:", err)
	}
	defer func() {
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	}()
	var rows strings.Builder
	rows.WriteString("id,metaxy_provenance_by_field.x\n")
	for i := range 40_000 {
		fmt.Fprintf(&rows, "%d,%d\n", i, i)
	}
	writeFile(t, filepath.Join(p.dir, "many.csv"), []byte(rows.String()))
	p.must("resolve", "a/root", "--samples", "rows.csv", "--store", "./store", "--out", "small/todo", "--format", "csv")
	before, err := os.ReadDir(filepath.Join(small, "todo"))
	if err != nil {
		t.Fatal(err)
	}
	kept := readFile(t, filepath.Join(small, "todo", "new.csv"))
	p.fails(exitFailure, "NO_SPACE", "make room", "resolve", "a/root", "--samples", "many.csv", "--store", "./store", "--out", "small/todo", "--format", "csv")
	p.fails(exitFailure, "NO_SPACE", "make room", "resolve", "a/root", "--samples", "many.csv", "--store", "./store", "--part", "all", "--format", "jsonl", "-o", "small/all.jsonl", "--summary", "s.json")
	after, err := os.ReadDir(filepath.Join(small, "todo"))
	if err != nil || len(after) != len(before) || string(readFile(t, filepath.Join(small, "todo", "new.csv"))) != string(kept) {
		t.Errorf("%v, before %v, %v", after, before, err)
	}
	if left, err := os.ReadDir(small); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestNoFolderThere: a folder that cannot be made is not one that cannot be found.
func TestNoFolderThere(t *testing.T) {
	p := newPlace(t)
	p.must("push", "--store", "./store", "--definitions", "definitions.toml")
	p.must("write", "a/root", "rows.csv", "--store", "./store")
	p.fails(exitNotFound, "NOT_FOUND", "no folder can be made there", "resolve", "a/leaf", "--store", "./store", "--out", "/proc/nodir/x")
}

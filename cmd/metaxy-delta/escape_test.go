package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEscapes lets a table name files outside of itself in every spelling: none is read without being asked to, and a vacuum deletes none.
func TestEscapes(t *testing.T) {
	p := newPlace(t)
	p.must("table", "write", "./outside", "table.jsonl")
	found, err := filepath.Glob(filepath.Join(p.dir, "outside", "*.parquet"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	secret := filepath.Join(p.dir, "secret.parquet")
	body := readFile(t, found[0])
	writeFile(t, secret, body)
	for i, path := range []string{"../secret.parquet", "%2e%2e/secret.parquet", "%2E%2E%2Fsecret.parquet", "a/../../secret.parquet", "./../secret.parquet", "..//secret.parquet", "/" + secret, secret,
		"file://" + secret, "file:" + secret, "s3://bucket/secret.parquet", "https://host/secret.parquet", "link.parquet", "dir/secret.parquet"} {
		t.Run(path, func(t *testing.T) {
			table := fmt.Sprintf("./table%d", i)
			p := *p
			p.t = t
			p.must("table", "write", table, "table.jsonl")
			dir := filepath.Join(p.dir, table)
			for link, target := range map[string]string{"link.parquet": secret, "dir": p.dir} {
				if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			commit := fmt.Sprintf(`{"add":{"path":%q,"partitionValues":{},"size":%d,"modificationTime":1,"dataChange":true,"stats":"{\"numRecords\":1}"}}`, path, len(body))
			writeFile(t, filepath.Join(dir, "_delta_log", "00000000000000000001.json"), []byte(commit))
			for _, args := range [][]string{{"table", "read", table}, {"table", "optimize", table}, {"table", "delete", table, "--where", "id = 1", "--yes"}} {
				if o := p.run(append(args, "--json")...); o.code != exitPermission && o.code != exitCorrupt && o.code != exitUnsupported {
					t.Errorf("%s: exit %d\n%s%s", args[1], o.code, o.stdout, o.stderr)
				}
			}
			p.run("table", "vacuum", table, "--yes", "--retention", "0s", "--allow-short-retention") // may refuse the table
			if got := readFile(t, secret); len(got) != len(body) {
				t.Error("the file outside was changed")
			}
		})
	}
	p.fails(exitPermission, "OUTSIDE_ROOT", "allow-outside-root", "table", "read", "./table0")
	p.fails(exitPermission, "OUTSIDE_ROOT", "symbolic link", "table", "read", "./table12")
	if out := p.must("table", "read", "./table0", "--allow-outside-root", "--format", "csv"); out != "id,part\n1,a\n1,a\n" {
		t.Errorf("allowed: %q", out)
	}
}

// TestKeysMakePaths: the place of a feature's table comes from its key alone, whose parts cannot lead anywhere else.
func TestKeysMakePaths(t *testing.T) {
	p := newPlace(t)
	for _, key := range []string{"../x", "a/../x", "a//b", "/a", "a\\b", "a/..", "%2e%2e/a", "~/x", "C:/x"} {
		if o := p.run("write", key, "rows.csv", "--store", "./store", "--definitions", "definitions.toml"); o.code != exitUsage && o.code != exitNotFound {
			t.Errorf("write %q: exit %d %s", key, o.code, o.stderr)
		}
		writeFile(t, filepath.Join(p.dir, "bad.toml"), fmt.Appendf(nil, "project = \"p\"\n[[features]]\nkey = %q\nid_columns = [\"id\"]\nfields = [{ key = \"x\", code_version = \"1\" }]\n", key))
		if o := p.run("push", "--store", "./store", "--definitions", "bad.toml"); o.code != exitUsage {
			t.Errorf("a definition of %q: exit %d %s", key, o.code, o.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(p.dir, "store")); err == nil {
		t.Error("something was stored")
	}
}

// TestControlCharactersInMessages: errors that repeat what a table or user says
// are plain, wherever they go.
func TestControlCharactersInMessages(t *testing.T) {
	p := newPlace(t)
	for _, args := range [][]string{{"read", "a\x1b[31m/b", "--store", "./store"}, {"table", "info", "./\x1b]0;x\a"}, {"read", "a/b", "--store", "./store", "--filter", "\x1b = 1"}, {"doctor", "--store", "./\x1b"}} {
		if o := p.run(args...); strings.ContainsAny(o.stdout+o.stderr, "\x1b\a\r") {
			t.Errorf("%q: %q", args, o.stdout+o.stderr)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore/servertest"
)

// TestOutOnServices: an increment goes to a bucket of each service, beside a
// store in it, whole or not at all; another run takes the place of its files; and
// a write takes rows and manifest from there.
func TestOutOnServices(t *testing.T) {
	servertest.All(t, func(t *testing.T, s *servertest.Server) {
		dir := t.TempDir()
		for name, text := range map[string]string{"defs.toml": oneTOML, "rows.csv": "id,metaxy_provenance_by_field.x\n1,a\n2,b\n3,c\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		env := []string{"HOME=/nonexistent", "AWS_EC2_METADATA_DISABLED=true"}
		for k, v := range s.Options {
			env = append(env, k+"="+v)
		}
		do := func(want int, line string) string {
			t.Helper()
			line = strings.NewReplacer("DEFS", filepath.Join(dir, "defs.toml"), "ROWS", filepath.Join(dir, "rows.csv"), "BUCKET", s.Store).Replace(line)
			var stdout, stderr bytes.Buffer
			code := run(context.Background(), &system{args: strings.Fields(line), environ: env, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: func() (string, error) { return dir, nil }})
			if code != want {
				t.Fatalf("%s: exit %d, want %d\n%s%s", line, code, want, stdout.String(), stderr.String())
			}
			return stdout.String() + stderr.String()
		}
		has := func(text string, parts ...string) {
			t.Helper()
			for _, p := range parts {
				if !strings.Contains(text, strings.ReplaceAll(p, "BUCKET", s.Store)) {
					t.Errorf("%q is not in %s", p, text)
				}
			}
		}
		do(0, "push --store BUCKET/s --definitions DEFS")
		do(0, "write a/root ROWS --store BUCKET/s")
		has(do(0, "resolve a/leaf --store BUCKET/s --out BUCKET/todo/leaf --rows-per-file 2"), "3 new", "written to BUCKET/todo/leaf: 4 files")
		has(do(0, "write a/leaf BUCKET/todo/leaf/new-00001.parquet --store BUCKET/s --dry-run --json"), `"rows": 1`)
		has(do(6, "write a/leaf BUCKET/todo/leaf/new-00002.parquet --store BUCKET/s"), "new-00002.parquet")

		// The files of the run before go, its manifest says which.
		has(do(0, "resolve a/leaf --store BUCKET/s --out BUCKET/todo/leaf --json"), `"out": "BUCKET/todo/leaf"`, `"name": "new.parquet"`)
		do(6, "write a/leaf BUCKET/todo/leaf/new-00000.parquet --store BUCKET/s")
		has(do(0, "write a/leaf BUCKET/todo/leaf/new.parquet --store BUCKET/s --resolved-manifest BUCKET/todo/leaf --json"), `"rows": 3`, `"table_version": 0`)
		has(do(3, "write a/leaf BUCKET/todo/leaf/new.parquet --store BUCKET/s --resolved-manifest BUCKET/todo/leaf/manifest.json"), "resolve again")

		// What fails leaves what is there, and nothing of its own.
		do(2, "resolve a/leaf --store BUCKET/s --out BUCKET/todo/leaf --format nosuch")
		has(do(6, "resolve a/nosuch --store BUCKET/s --out BUCKET/todo/other"), "a/nosuch is not defined")
		do(6, "write a/leaf BUCKET/todo/other/new.parquet --store BUCKET/s --dry-run")
		has(do(0, "write a/leaf BUCKET/todo/leaf/new.parquet --store BUCKET/s --dry-run --json"), `"rows": 3`)
		has(do(6, "write a/leaf BUCKET/todo/leaf/new.parquet --store BUCKET/s --resolved-manifest BUCKET/todo/other"), "--resolved-manifest")
	})
}

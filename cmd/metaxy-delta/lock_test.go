package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// lockRun is a recorded run of Metaxy's lock command.
type lockRun struct {
	Local     json.RawMessage
	Selection json.RawMessage
	Result    json.RawMessage
	Second    json.RawMessage `json:"second_result"`
	Unchanged json.RawMessage `json:"unchanged_result"`
}

// TestLockRuns runs every recorded lock command on the store that it read: the same file, byte by byte, the same report, and failures of the same kind that leave no file.
func TestLockRuns(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(deltatest.Data(t, "vectors"), "lock", "*", "case.json"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no recorded runs (%v)", err)
	}
	for _, f := range dirs {
		t.Run(filepath.Base(filepath.Dir(f)), func(t *testing.T) { checkLockRun(t, filepath.Dir(f)) })
	}
}

func checkLockRun(t *testing.T, dir string) {
	cwd := t.TempDir()
	if err := os.CopyFS(cwd, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	var c lockRun
	if err := json.Unmarshal(readFile(t, filepath.Join(dir, "case.json")), &c); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(cwd, "local.json"), c.Local)
	writeFile(t, filepath.Join(cwd, "metaxy.toml"), append(selectionTOML(t, c.Selection), readFile(t, filepath.Join(dir, "metaxy.toml"))...))
	lock := filepath.Join(cwd, "metaxy.lock")
	if err := os.Remove(lock); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	run := func() output {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), &system{args: []string{"lock", "--json", "--definitions", filepath.Join(cwd, "local.json")}, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: func() (string, error) { return cwd, nil }})
		return output{code, stdout.String(), stderr.String()}
	}
	first, err := os.ReadFile(filepath.Join(dir, "metaxy.first.lock"))
	if err == nil {
		writeFile(t, lock, first)
	}
	got := run()
	var failed struct {
		Error *struct{ Class, Message string }
	}
	if err := json.Unmarshal(c.Result, &failed); err != nil {
		t.Fatal(err)
	}
	if failed.Error != nil {
		if _, err := os.Stat(lock); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a failed run wrote the file (%v)", err)
		}
		checkLockFailure(t, failed.Error.Class, failed.Error.Message, got)
		return
	}
	want := c.Result
	if c.Second != nil {
		want = c.Second
	}
	if d := cmp.Diff(parsed(t, want), parsed(t, []byte(got.Stdout))); d != "" || got.ExitCode != 0 {
		t.Errorf("exit %d, %s%s", got.ExitCode, got.Stderr, d)
	}
	if d := cmp.Diff(string(readFile(t, filepath.Join(dir, "metaxy.lock"))), string(readFile(t, lock))); d != "" {
		t.Error(d)
	}
	if c.Unchanged == nil {
		return
	}
	before, err := os.Stat(lock)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(parsed(t, c.Unchanged), parsed(t, []byte(run().Stdout))); d != "" {
		t.Error(d)
	}
	if after, err := os.Stat(lock); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was written although nothing changed (%v)", err)
	}
}

func checkLockFailure(t *testing.T, class, message string, got output) {
	t.Helper()
	var have struct {
		Error, Message string
		Details        struct{ Features []string }
	}
	// Warnings may stand before the error object.
	lines := strings.Split(strings.TrimSpace(got.Stderr), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &have); err != nil {
		t.Fatalf("stderr is no error object: %s", got.Stderr)
	}
	switch class {
	case "FeatureNotFoundError":
		if have.Error != "FEATURES_NOT_FOUND" || got.ExitCode != exitNotFound || have.Message != message {
			t.Errorf("exit %d: %s", got.ExitCode, got.Stderr)
		}
	case "ConvertError": // D56: the error names the feature and the path
		if got.ExitCode != exitUsage || !strings.Contains(have.Message, "metadata") || !strings.Contains(have.Message, "null") {
			t.Errorf("exit %d: %s", got.ExitCode, got.Stderr)
		}
	default:
		t.Errorf("a failure of class %s is not known: %s", class, got.Stderr)
	}
}

// selectionTOML is the recorded selection as configuration.
func selectionTOML(t *testing.T, raw json.RawMessage) []byte {
	t.Helper()
	if raw == nil || string(raw) == "null" {
		return nil
	}
	var s struct {
		All            bool
		Projects, Keys []string
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	projects, err := json.Marshal(append([]string{}, s.Projects...))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(append([]string{}, s.Keys...))
	if err != nil {
		t.Fatal(err)
	}
	all := "false"
	if s.All {
		all = "true"
	}
	return []byte("extra_features = [{projects = " + string(projects) + ", keys = " + string(keys) + ", all = " + all + "}]\n")
}

func parsed(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

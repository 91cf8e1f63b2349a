package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// work runs a verb with an input.
func work(t *testing.T, stdin []byte, args ...string) (stdout []byte, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), &system{args: args, environ: []string{"HOME=/nonexistent"}, stdin: bytes.NewReader(stdin), stdout: &out, stderr: &errs, getwd: os.Getwd})
	return out.Bytes(), errs.String(), code
}

// TestClusterVerbs runs a resolve in parts in a project: what the parts count is
// what one process counts, rows go into the table once, and every failure has a
// sentence, its exit code and no output.
func TestClusterVerbs(t *testing.T) {
	t.Chdir(helpProject(t)(t))
	must := func(stdin []byte, args ...string) []byte {
		t.Helper()
		out, errs, code := work(t, stdin, args...)
		if code != exitOK {
			t.Fatalf("%q: exit %d\n%s", args, code, errs)
		}
		return out
	}
	fails := func(want int, says string, stdin []byte, args ...string) {
		t.Helper()
		out, errs, code := work(t, stdin, args...)
		if code != want || len(out) > 0 || !strings.Contains(errs, says) {
			t.Errorf("%q: exit %d, %d bytes, %q; want exit %d and %q", args, code, len(out), errs, want, says)
		}
	}
	must(nil, "write", "video/raw", "videos.csv")
	must(nil, "cluster", "plan", "video/transcript", "--partitions", "1", "-o", "plan.json")
	var plan struct {
		Tasks  []struct{ Files []string }
		Worker json.RawMessage
	}
	text := readFile(t, "plan.json")
	if err := json.Unmarshal(text, &plan); err != nil || len(plan.Tasks) == 0 {
		t.Fatal(err, string(text))
	}
	writeFile(t, "worker.json", plan.Worker)

	var pieces []byte
	for i := range plan.Tasks {
		out := must(nil, "cluster", "cut", "--plan", "plan.json", "--task", string(rune('0'+i)))
		if i == 0 {
			pieces = out
		}
	}
	rows := must(pieces, "cluster", "resolve", "--plan", "worker.json")
	r, err := ipc.NewReader(bytes.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	note := ""
	for r.Next() {
		b := r.RecordBatch()
		note = b.Column(3).(*array.String).Value(int(b.NumRows()) - 1)
	}
	var sum struct{ New, Expected int64 }
	if err := json.Unmarshal([]byte(note), &sum); err != nil || sum.New != sum.Expected || sum.New == 0 {
		t.Errorf("the note of a resolve without its stored rows is %q (%v)", note, err)
	}

	counted := must(nil, "table", "read", "./counted", "--format", "arrow")
	adds := must(counted, "cluster", "write", "--plan", "worker.json")
	commit := []string{"cluster", "commit", "--plan", "worker.json", "--app-id", "job", "--app-version"}
	if out := must(adds, append(commit, "7")...); !strings.Contains(string(out), `"rows": 2`) {
		t.Errorf("the commit says %s", out)
	}
	if out := must(adds, append(commit, "7")...); !strings.Contains(string(out), `"written_already": true`) {
		t.Errorf("the commit again says %s", out)
	}
	fails(exitConflict, "added rows", adds, append(commit, "8")...)

	for _, verb := range []string{"cut", "newest", "resolve", "write"} {
		fails(exitCutOff, "cut off", nil, "cluster", verb, "--plan", "worker.json")
		if verb == "newest" || verb == "resolve" {
			fails(exitCutOff, "cut off", pieces[:len(pieces)-9], "cluster", verb, "--plan", "worker.json")
		} else {
			fails(exitUsage, "no column", pieces, "cluster", verb, "--plan", "worker.json")
		}
		fails(exitCorrupt, "no Arrow IPC stream", []byte("garbage garbage"), "cluster", verb, "--plan", "worker.json")
		fails(exitUsage, "--plan FILE", pieces, "cluster", verb)
		fails(exitNotFound, "no.json", pieces, "cluster", verb, "--plan", "no.json")
		fails(exitUsage, "--dry-run", pieces, "cluster", verb, "--plan", "worker.json", "--dry-run")
	}
	fails(exitCutOff, "cut off", nil, append(commit, "9")...)
	fails(exitCutOff, `"retryable":true`, nil, "cluster", "cut", "--plan", "worker.json", "--log-format", "json")
	fails(exitUsage, "--app-id", adds, "cluster", "commit", "--plan", "worker.json")
	fails(exitUsage, "--if-newer", adds, append(commit, "9", "--if-newer", "perhaps")...)
	fails(exitUsage, "build", pieces, "cluster", "resolve", "--plan", changed(t, "build.json", text, `"build": "`, `"build": "x`))
	fails(exitUsage, "format 2", pieces, "cluster", "resolve", "--plan", changed(t, "format.json", plan.Worker, `"format": 1`, `"format": 2`))
	fails(exitUsage, "--columns", nil, "cluster", "plan", "video/transcript", "--columns", "some")
	fails(exitUsage, "task 99", nil, "cluster", "cut", "--plan", "plan.json", "--task", "99")
	fails(exitUsage, "has 0 tasks", nil, "cluster", "cut", "--plan", "worker.json", "--task", "0")

	flipped := bytes.Clone(pieces)
	flipped[bytes.LastIndex(flipped, []byte(`{"pieces"`))-200] ^= 4
	fails(exitCorrupt, "changed", flipped, "cluster", "resolve", "--plan", "worker.json")
	data, err := filepath.Glob("stores/*/video/raw.delta/*.parquet")
	if err != nil || len(data) == 0 {
		t.Fatal(data, err)
	}
	for _, f := range data {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	fails(exitCorrupt, "missing", nil, "cluster", "cut", "--plan", "plan.json", "--task", "0")
}

// changed writes a file with something replaced.
func changed(t *testing.T, name string, data []byte, old, with string) string {
	t.Helper()
	out := strings.ReplaceAll(string(data), old, with)
	if out == string(data) {
		t.Fatalf("there is no %s", old)
	}
	writeFile(t, name, []byte(out))
	return name
}

// TestClusterIsHidden: help of people does not list the verbs of engines, and
// tells of them who asks.
func TestClusterIsHidden(t *testing.T) {
	list, _, _ := work(t, nil, "--help")
	if bytes.Contains(list, []byte("cluster")) {
		t.Error("--help lists them")
	}
	own, _, code := work(t, nil, "cluster", "--help")
	if code != exitOK || !bytes.Contains(own, []byte("newest")) {
		t.Errorf("exit %d, %s", code, own)
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFullStdout: whatever a verb prints, text for people too, it says when that could not be written.
func TestFullStdout(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here:", err)
	}
	defer full.Close()
	p := newPlace(t)
	p.fill("./store")
	for _, args := range [][]string{
		{"table", "history", "./store/table"}, {"table", "files", "./store/table"}, {"table", "info", "./store/table"}, {"table", "read", "./store/table"},
		{"list", "features", "--store", "./store"}, {"resolve", "a/leaf", "--store", "./store", "--definitions", "definitions.toml"},
		{"resolve", "a/leaf", "--store", "./store", "--definitions", "definitions.toml", "--explain"}, {"resolve", "a/leaf", "--store", "./store", "--definitions", "definitions.toml", "--json"},
		{"status", "a/leaf", "--store", "./store", "--definitions", "definitions.toml"}, {"read", "a/root", "--store", "./store"}, {"describe", "features", "a/leaf", "--store", "./store", "--definitions", "definitions.toml"},
		{"history", "--store", "./store"}, {"version"}, {"completion", "bash"}, {"doctor", "--store", "./store"}, {"graph", "render", "--store", "./store"}, {"demo"},
	} {
		cmd := p.command(args...)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = full, &stderr
		_ = cmd.Run() // the exit code says
		if code := cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s: exit %d %s", strings.Join(args, " "), code, stderr.String())
		}
	}
}

// TestClosedPipe: a reader that has enough ends a run without a word, whatever
// the run prints, and leaves no file.
func TestClosedPipe(t *testing.T) {
	p := newPlace(t)
	p.fill("./store")
	for _, args := range [][]string{
		{"read", "a/root", "--store", "./store"}, {"read", "a/root", "--store", "./store", "-f", "arrow"}, {"table", "read", "./store/table", "-f", "jsonl"}, {"table", "history", "./store/table"},
		{"resolve", "a/leaf", "--store", "./store", "--definitions", "definitions.toml", "--part", "all", "-f", "csv"},
		{"resolve", "a/leaf", "--store", "./store", "--definitions", "definitions.toml", "--part", "new", "-f", "parquet"},
		{"resolve", "a/leaf", "--store", "./store", "--definitions", "definitions.toml", "--json"}, {"list", "features", "--store", "./store"}, {"version"},
		{"read", "a/root", "--store", "./store", "-f", "csv", "-o", "/dev/stdout"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := p.command(append(args, "--quiet")...)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = w, &stderr
		_ = cmd.Run() // the exit code says
		w.Close()
		if code := cmd.ProcessState.ExitCode(); code != exitClosedPipe || stderr.String() != "" {
			t.Errorf("%s: exit %d %s", strings.Join(args, " "), code, stderr.String())
		}
	}
}

// TestHangUp: a terminal that goes away ends a run as an interrupt does, with
// the number of its signal, which leaves nothing; nohup outlives it.
func TestHangUp(t *testing.T) {
	p := newPlace(t)
	p.must("table", "write", "./table", "table.jsonl")
	fifo := filepath.Join(p.dir, "rows.jsonl")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip("no named pipes here:", err)
	}
	for _, nohup := range []bool{false, true} {
		cmd := p.command("table", "write", "./table", "rows.jsonl", "--input-format", "jsonl")
		if nohup {
			self := cmd.Path
			cmd = exec.Command("bash", "-c", `trap "" HUP; exec -a metaxy-delta "$0" "$@"`, self)
			cmd.Args = append(cmd.Args, "table", "write", "./table", "rows.jsonl", "--input-format", "jsonl")
			cmd.Dir, cmd.Env = p.dir, p.command().Env
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in, err := os.OpenFile(fifo, os.O_WRONLY, 0) // which waits until the command reads
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.WriteString(`{"id": 1, "part": "a"}` + "\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // a signal that comes earlier is met as well
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		in.Close()
		_ = cmd.Wait() // the exit code says
		want := 128 + int(syscall.SIGHUP)
		if nohup {
			want = exitOK
		}
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("nohup %v: exit %d, want %d", nohup, code, want)
		}
		left, err := filepath.Glob(filepath.Join(p.dir, "table", ".tmp-*"))
		if err != nil || len(left) != 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

// TestStoreFaultsAreNotTheInputs: a store that fails while the input is read is told as one.
func TestStoreFaultsAreNotTheInputs(t *testing.T) {
	p := newPlace(t)
	writeFile(t, filepath.Join(p.dir, "table.csv"), []byte("id,part\n1,a\n"))
	for status, code := range map[int]string{429: "GENERIC_ERROR", 503: "GENERIC_ERROR", 403: "PERMISSION"} {
		q := p.with(map[string]string{"AWS_ENDPOINT_URL": refusing(t, status, "<Error><Code>Any</Code></Error>"), "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "eu-west-1", "AWS_MAX_ATTEMPTS": "1"})
		for _, args := range [][]string{{"table", "write", "s3://bucket/t", "table.csv"}, {"write", "a/root", "rows.csv", "--store", "s3://bucket/s", "--definitions", "definitions.toml", "--project", "p"}} {
			o := q.run(append(args, "--json")...)
			if o.failure.Error != code || strings.Contains(o.failure.Hint, "--input-format") || o.stdout != "" {
				t.Errorf("%d, %s: exit %d %s %s", status, args[0], o.code, o.stdout, o.stderr)
			}
		}
	}
}

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// printing are calls that give data in each of the ways that there are.
func printing(store string) map[string][]string {
	return map[string][]string{
		"rows":       {"read", "a/root", "--store", store, "-f", "csv"},
		"table rows": {"table", "read", store + "/table", "-f", "parquet"},
		"text":       {"list", "features", "--store", store},
		"json":       {"table", "info", store + "/table", "--json"},
	}
}

// TestOutputIsWhatItWas: a device, a pipe and a link that --output names stay what they are, and get the data.
func TestOutputIsWhatItWas(t *testing.T) {
	p := newPlace(t)
	p.fill("./store")
	for name, args := range printing("./store") {
		t.Run(name, func(t *testing.T) {
			want := p.must(args...)
			dir := t.TempDir()
			null, fifo, link := filepath.Join(dir, "null"), filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
			for _, err := range []error{syscall.Mkfifo(fifo, 0o600), os.WriteFile(filepath.Join(dir, "target"), []byte(strings.Repeat("old", 10000)), 0o600), os.Symlink("target", link)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			to := func(path string) []string { return append(args, "-o", path) }
			if err := syscall.Mknod(null, syscall.S_IFCHR|0o666, 1<<8|3); err == nil {
				if o := p.run(to(null)...); o.code != exitOK && !strings.Contains(o.stderr, "permission denied") { // a mount without devices
					t.Errorf("device: exit %d %s", o.code, o.stderr)
				}
				if st, err := os.Lstat(null); err != nil || st.Mode().Type() != fs.ModeDevice|fs.ModeCharDevice {
					t.Errorf("the device is %v, %v", st.Mode(), err)
				}
			}
			read := make(chan string)
			go func() {
				data, err := os.ReadFile(fifo)
				if err != nil {
					t.Error(err)
				}
				read <- string(data)
			}()
			p.must(to(fifo)...)
			if got := <-read; got != want {
				t.Errorf("the pipe's reader got %q, want %q", got, want)
			}
			p.must(to(link)...)
			if st, err := os.Lstat(link); err != nil || st.Mode().Type() != fs.ModeSymlink {
				t.Errorf("the link is %v, %v", st.Mode(), err)
			}
			data, err := os.ReadFile(filepath.Join(dir, "target"))
			st, serr := os.Stat(filepath.Join(dir, "target"))
			if err != nil || string(data) != want || serr != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("the link's target holds %q, %v, mode %v", data, err, st.Mode())
			}
			stdout := filepath.Join(dir, "stdout")
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			script := exec.Command("bash", "-c", `(echo head; (exec -a metaxy-delta "$0" "${@:2}" -o /dev/stdout) && echo tail) >"$1"`, self, stdout)
			script.Args = append(script.Args, args...)
			script.Dir, script.Env = p.dir, p.command().Env
			if out, err := script.CombinedOutput(); err != nil {
				t.Errorf("%v %s", err, out)
			}
			if data, err := os.ReadFile(stdout); err != nil || string(data) != "head\n"+want+"tail\n" {
				t.Errorf("redirected: %q, %v, want %q", data, err, want)
			}
		})
	}
}

// TestResolveIntoPipes: the parts of a resolve go to what their names are, too.
func TestResolveIntoPipes(t *testing.T) {
	p := newPlace(t)
	p.fill("./store")
	out := filepath.Join(p.dir, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(out, "new.csv"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		data, _ := os.ReadFile(filepath.Join(out, "new.csv")) // an empty text fails below
		read <- string(data)
	}()
	p.must("resolve", "a/leaf", "--store", "./store", "--definitions", "definitions.toml", "--out", "out", "-f", "csv")
	if got := <-read; strings.Count(got, "\n") != 3 {
		t.Errorf("the pipe's reader got %q", got)
	}
	if _, err := os.Stat(filepath.Join(out, "stale.csv")); err != nil {
		t.Error(err)
	}
}

// TestOutputIntoDirectoryThatTakesNone: a file that may be written is, also where its directory takes no new names.
func TestOutputIntoDirectoryThatTakesNone(t *testing.T) {
	p := newPlace(t)
	p.fill("./store")
	for dir := p.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			break
		}
	}
	path := filepath.Join(p.dir, "out.csv")
	if err := errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	want := p.must("read", "a/root", "--store", "./store", "-f", "csv")
	asNobody := func(path string) (int, string) {
		cmd := p.command("read", "a/root", "--store", "./store", "-f", "csv", "-o", path)
		cmd.Args[0] = nobody
		out, _ := cmd.CombinedOutput() // the exit code says
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if err := os.Chmod(p.dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(p.dir, 0o755)
	if code, out := asNobody(path); code != exitOK {
		t.Errorf("exit %d %s", code, out)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != want {
		t.Errorf("%q, %v, want %q", data, err, want)
	}
	if code, out := asNobody(filepath.Join(p.dir, "new.csv")); code != exitPermission || strings.Contains(out, ".tmp") {
		t.Errorf("a new file: exit %d %s", code, out)
	}
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	if code, out := asNobody(path); code != exitPermission {
		t.Errorf("a file that may not be written: exit %d %s", code, out)
	}
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody runs the command as a user who owns nothing, where the tests run as root, whom no mode of a file keeps out.
const nobody = "metaxy-delta-nobody"

var _ = func() bool {
	commands[nobody] = func() {
		if os.Getuid() == 0 {
			if err := syscall.Setuid(65534); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(99)
			}
		}
		main()
	}
	return true
}()

// TestReadOnlyDirectory: in a directory that may not be written the store can be read, and whatever writes says so and leaves nothing. A file that may not be
// read is refused and never missing.
func TestReadOnlyDirectory(t *testing.T) {
	p := newPlace(t)
	p.fill("./store")
	for dir := p.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			break // above the directories of the test
		}
	}
	chmod := func(mode os.FileMode, glob string) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(p.dir, glob))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", glob, names, err)
		}
		for _, name := range names {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	asNobody := func(exit int, text string, args ...string) {
		t.Helper()
		cmd := p.command(args...)
		cmd.Args[0] = nobody
		out, _ := cmd.CombinedOutput() // its exit code says what is wanted
		if cmd.ProcessState.ExitCode() != exit || !strings.Contains(string(out), text) {
			t.Errorf("%s: exit %d, want %d and %q\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), exit, text, out)
		}
	}
	chmod(0o555, "store/table")
	chmod(0o555, "store/table/_delta_log")
	chmod(0o555, "store")
	calls := verbs("./store")
	asNobody(exitOK, "", calls["read"]...)
	asNobody(exitOK, "", calls["info"]...)
	asNobody(exitPermission, `"PERMISSION"`, append(calls["table write"], "--json")...)
	asNobody(exitOK, "the store can be read only", "doctor", "--store", "./store")
	chmod(0o000, "store/table/_delta_log/00000000000000000001.json")
	asNobody(exitPermission, "permission denied", calls["info"]...)
	chmod(0o000, "store/a/root.delta/*.parquet")
	asNobody(exitPermission, "permission denied", calls["read"]...)
	chmod(0o000, "store/a")
	asNobody(exitPermission, "permission denied", calls["read"]...)
	chmod(0o755, "store/a") // for the cleanup of a test that is not root
}

// TestFullDisk fills a small file system: the write that does not fit says so, what was committed stays readable, nothing half written stays, and there is room again.
func TestFullDisk(t *testing.T) {
	p := newPlace(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(p.dir, "metaxy-delta")); err != nil {
		t.Fatal(err)
	}
	var big strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&big, "{\"id\": %d, \"part\": \"%x\"}\n", i, uint64(i)*0x9e3779b97f4a7c15)
	}
	writeFile(t, filepath.Join(p.dir, "big.jsonl"), []byte(big.String()))
	script := `mkdir disk && mount -t tmpfs -o size=200k none disk || exit 99
run() { echo "== $*"; ./metaxy-delta "$@" 2>&1; echo "exit $?"; }
run table write disk/t table.jsonl
run table write disk/t big.jsonl --json
run table read disk/t --format csv
run table write disk/t table.jsonl
find disk -name '.tmp*' | sed 's/^/leftover /'
dd if=/dev/zero of=disk/rest bs=1k count=1000 2>/dev/null
run table write disk/t table.jsonl --json
rm disk/rest
mount -o remount,ro disk
run table write disk/t table.jsonl --json
run table info disk/t --json`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	cmd.Dir, cmd.Env = p.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	out, err := cmd.CombinedOutput()
	if code := 0; cmd.ProcessState == nil || cmd.ProcessState.ExitCode() == 99 {
		t.Skipf("no file system can be mounted here (%v, %d %s); TestDiskFull of package objstore limits the size of files instead", err, code, out)
	}
	var exits []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "exit ") {
			exits = append(exits, strings.TrimSpace(line[5:]))
		}
	}
	text := string(out)
	if got := strings.Join(exits, " "); got != "0 1 0 0 1 7 0" || strings.Count(text, `"NO_SPACE"`) != 2 || !strings.Contains(text, `"READ_ONLY"`) || !strings.Contains(text, "make room") ||
		strings.Contains(text, "leftover ") || !strings.Contains(text, `"version": 1`) {
		t.Errorf("exit codes %s\n%s", got, text)
	}
}

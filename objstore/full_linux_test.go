package objstore_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// fullEnv makes the test below run in this process, whose files may not grow: it names the directory.
const fullEnv = "OBJSTORE_TEST_FULL"

// TestDiskFull lets writes fail in the middle, as on a full disk: the store keeps what it had, and nothing half written stays.
func TestDiskFull(t *testing.T) {
	dir := os.Getenv(fullEnv)
	if dir == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$")
		cmd.Env = append(os.Environ(), fullEnv+"="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	const limit = 4096
	signal.Ignore(syscall.SIGXFSZ)
	s := local(t, dir)
	put := func(key string, size int) error {
		return s.Put(t.Context(), key, strings.NewReader(strings.Repeat("x", size)))
	}
	if err := put("old", 10); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	for key, write := range map[string]func(key string) error{
		"new": func(key string) error { return put(key, 2*limit) },
		"old": func(key string) error { return put(key, 2*limit) },
		"created": func(key string) error {
			return s.PutIfAbsent(t.Context(), key, make([]byte, 2*limit))
		},
	} {
		if err := write(key); !errors.Is(err, syscall.EFBIG) {
			t.Errorf("%s: %v, want the system's error", key, err)
		}
	}
	if got, err := s.ReadAll(t.Context(), "old", 100); err != nil || len(got) != 10 {
		t.Errorf("the old object holds %d bytes, %v", len(got), err)
	}
	if _, err := s.Stat(t.Context(), "created"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the object that was not created: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
	if got := keys(t, s, objstore.ListOptions{Recursive: true}); !slices.Equal(got, []string{"old"}) {
		t.Errorf("listed %q", got)
	}
	if err := put("after", 100); err != nil {
		t.Errorf("a write that fits: %v", err)
	}
}

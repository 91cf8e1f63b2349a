package delta_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// A process of the test binary with this variable appends instead of testing: "directory|writer|commits".
const appenderEnv = "DELTA_TEST_APPENDER"

const appenders = 4

// long makes the tests of processes last: eight that append 200 commits each, and 500 that are killed.
var long = flag.Bool("long", false, "more processes, more commits, more kills")

// ack is what an appender says after a commit is known to be stored.
type ack struct {
	writer string
	n      int
}

// runAppender runs a process that appends one row a commit and returns what it said was stored. With kill it is killed that long after it began.
func runAppender(dir, writer string, commits int, kill time.Duration) (out []ack, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestAppenderProcess$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d", appenderEnv, dir, writer, commits))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		n := 0
		if _, err := fmt.Sscanf(lines.Text(), "stored %d", &n); err == nil {
			out = append(out, ack{writer, n})
		} else if lines.Text() != "begins" {
			fmt.Fprintln(os.Stderr, lines.Text())
		} else if kill > 0 {
			defer time.AfterFunc(kill, func() { cmd.Process.Kill() }).Stop()
		}
	}
	return out, cmd.Wait()
}

// runAppenders runs several at once; kill says how long each may live.
func runAppenders(name string, dir string, processes, commits int, kill func() time.Duration) (acks []ack, err error) {
	var wg sync.WaitGroup
	all, errs := make([][]ack, processes), make([]error, processes)
	for p := range processes {
		wg.Go(func() { all[p], errs[p] = runAppender(dir, fmt.Sprintf("%s-%d", name, p), commits, kill()) })
	}
	wg.Wait()
	return slices.Concat(all...), errors.Join(errs...)
}

// TestAppenderProcess is the body of the processes below; as a test of its own it has nothing to say.
func TestAppenderProcess(t *testing.T) {
	dir, rest, ok := strings.Cut(os.Getenv(appenderEnv), "|")
	if !ok {
		return
	}
	writer, count, _ := strings.Cut(rest, "|")
	commits := 0
	if _, err := fmt.Sscan(count, &commits); err != nil {
		t.Fatal(err)
	}
	tb := localTable(t, dir)
	schema := fields("writer", arrow.BinaryTypes.String, "n", arrow.PrimitiveTypes.Int64)
	fmt.Println("begins")
	for n := range commits {
		row := fmt.Sprintf(`{"writer": %q, "n": %d}`, writer, n)
		if _, err := tb.Append(t.Context(), rowsOf(t, schema, row), &delta.AppendOptions{MergeSchema: true, Cast: true}); err != nil {
			t.Fatalf("append %d: %v", n, err)
		}
		fmt.Printf("stored %d\n", n)
	}
}

// storedRows reads the table and counts each row.
func storedRows(t *testing.T, snap *delta.Snapshot) map[ack]int {
	t.Helper()
	s, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[ack]int{}
	for b, err := range s.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		writers, numbers := b.Column(0).(array.StringLike), b.Column(1).(*array.Int64)
		for i := range int(b.NumRows()) {
			got[ack{writers.Value(i), int(numbers.Value(i))}]++
		}
	}
	return got
}

// logVersions checks that commits lie without a gap from the first to the last and returns how many.
func logVersions(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "_delta_log", "[0-9]*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if want := fmt.Sprintf("%020d.json", i); filepath.Base(name) != want {
			t.Fatalf("the log has %s where %s should be", filepath.Base(name), want)
		}
	}
	return len(names)
}

// TestProcessesAppend lets four processes append 250 commits each to one table, racing to create it: exactly 1,000 commits and all rows.
func TestProcessesAppend(t *testing.T) {
	t.Parallel()
	processes, commits := appenders, 250
	switch {
	case *long:
		processes, commits = 8, 200
	case testing.Short():
		commits = 25
	}
	dir := filepath.Join(t.TempDir(), "table")
	acks, err := runAppenders("w", dir, processes, commits, func() time.Duration { return 0 })
	if err != nil || len(acks) != processes*commits {
		t.Errorf("%d commits acknowledged, %v", len(acks), err)
	}
	snap, err := localTable(t, dir).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := processes * commits
	if got := logVersions(t, dir); got != want || snap.Version() != int64(want-1) || len(snap.Files()) != want {
		t.Errorf("%d commits, version %d, %d files; want %d commits of a file each", got, snap.Version(), len(snap.Files()), want)
	}
	got := storedRows(t, snap)
	for _, a := range acks {
		if got[a] != 1 {
			t.Errorf("row %+v is there %d times", a, got[a])
		}
	}
	if len(got) != want {
		t.Errorf("%d different rows, want %d", len(got), want)
	}
	if temporary := hidden(t, dir); len(temporary) > 0 {
		t.Errorf("writers that ended well left %q", temporary)
	}
}

// hidden are the files of writes that did not end.
func hidden(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			names = append(names, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

// TestProcessesKilled kills writers at random moments, over and over on one table: it stays readable and writable, no acknowledged row is lost,
// none is there twice, and at most the row that a writer had under way comes besides.
func TestProcessesKilled(t *testing.T) {
	t.Parallel()
	rounds := 8
	switch {
	case *long:
		rounds = 500 / appenders
	case testing.Short():
		rounds = 2
	}
	dir := filepath.Join(t.TempDir(), "table")
	acked := map[ack]bool{}
	for round := range rounds {
		acks, err := runAppenders(fmt.Sprint(round), dir, appenders, 1_000_000, func() time.Duration { return time.Duration(1+rand.IntN(300)) * time.Millisecond })
		for _, k := range acks {
			acked[k] = true
		}
		if err == nil {
			t.Error("no writer was killed")
		}
	}
	snap, err := localTable(t, dir).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := storedRows(t, snap)
	for k := range acked {
		if got[k] != 1 {
			t.Errorf("row %+v was acknowledged and is there %d times", k, got[k])
		}
	}
	for k, times := range got {
		if times != 1 {
			t.Errorf("row %+v is there %d times", k, times)
		}
	}
	if extra := len(got) - len(acked); extra > rounds*appenders {
		t.Errorf("%d rows that nobody acknowledged, of %d writers", extra, rounds*appenders)
	}
	if n := logVersions(t, dir); int64(n-1) != snap.Version() {
		t.Errorf("%d commits, version %d", n, snap.Version())
	}
	if len(acked) == 0 {
		t.Error("no writer lived long enough to append")
	}
	after := rowsOf(t, fields("writer", arrow.BinaryTypes.String, "n", arrow.PrimitiveTypes.Int64), `{"writer": "last", "n": 0}`)
	if r, err := localTable(t, dir).Append(t.Context(), after, nil); err != nil || r.Version != snap.Version()+1 {
		t.Errorf("an append afterwards: %+v, %v", r, err)
	}
	t.Logf("%d rows acknowledged, %d stored, %d unfinished files left behind", len(acked), len(got), len(hidden(t, dir)))
}

package objstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// childEnv makes the test binary a writer instead: it names the directory.
const childEnv = "OBJSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := claim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func version(n int) string { return fmt.Sprintf("_delta_log/%020d.json", n) }

// body is long enough to be seen half written.
func body(token string, n int) string { return strings.Repeat(fmt.Sprintf("%s %d\n", token, n), 300) }

// claim creates one version after the other, as committers do, and prints each that it won.
func claim(dir string) error {
	d, err := objstore.NewLocal(dir)
	if err != nil {
		return err
	}
	s := objstore.New(d)
	ctx, stop := deadline()
	defer stop()
	token := fmt.Sprint(os.Getpid())
	won := 0
	for n := 0; won < 250; n++ {
		switch err := s.PutIfAbsent(ctx, version(n), []byte(body(token, n))); {
		case err == nil:
			fmt.Println(n)
			won++
		case !errors.Is(err, objstore.ErrExists):
			return err
		}
	}
	return nil
}

// TestProcessesRace lets four processes create the same log, once to the end and then killing them at random moments: no version is
// missing below the last, each holds one writer's whole body, and what a process said it won is its own.
func TestProcessesRace(t *testing.T) {
	t.Parallel()
	const writers = 4
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("kill=%v", kill), func(t *testing.T) {
			rounds := 1
			if kill {
				rounds = 10
				if testing.Short() {
					rounds = 2
				}
			}
			for range rounds {
				dir := filepath.Join(t.TempDir(), "root") // they race to make it, too
				acks := make([][]int, writers)
				pids := make([]string, writers)
				var wg sync.WaitGroup
				for w := range writers {
					wg.Go(func() { pids[w], acks[w] = child(t, dir, kill) })
				}
				wg.Wait()
				if !t.Failed() {
					judge(t, dir, pids, acks, kill)
				}
			}
		})
	}
}

// child runs a writer and returns its process id and what it said.
func child(t *testing.T, dir string, kill bool) (pid string, acked []int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return "", nil
	}
	if kill {
		timer := time.AfterFunc(time.Duration(20+rand.IntN(150))*time.Millisecond, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var n int
		if _, err := fmt.Sscan(lines.Text(), &n); err == nil {
			acked = append(acked, n)
		}
	}
	if err := cmd.Wait(); err != nil && !kill {
		t.Error(err)
	}
	return fmt.Sprint(cmd.Process.Pid), acked
}

func judge(t *testing.T, dir string, pids []string, acks [][]int, kill bool) {
	t.Helper()
	s := local(t, dir)
	owner := map[int]string{}
	for i, key := range keys(t, s, objstore.ListOptions{Prefix: "_delta_log/"}) {
		if key != version(i) {
			t.Fatalf("version %d is missing: the log goes on with %s", i, key)
		}
		got, err := s.ReadAll(t.Context(), key, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		pid, _, _ := strings.Cut(string(got), " ")
		if string(got) != body(pid, i) {
			t.Fatalf("version %d holds part of a body: %.80q (%d bytes)", i, got, len(got))
		}
		owner[i] = pid
	}
	total := 0
	for w, won := range acks {
		total += len(won)
		for _, n := range won {
			if owner[n] != pids[w] {
				t.Errorf("process %s won version %d, which holds the body of %q", pids[w], n, owner[n])
			}
		}
	}
	// A killed process may have created one version that it did not live to tell.
	if lost := len(owner) - total; lost < 0 || lost > 0 && !kill || lost > len(acks) {
		t.Errorf("%d versions, %d told", len(owner), total)
	}
	if !kill {
		entries, err := os.ReadDir(filepath.Join(dir, "_delta_log"))
		if err != nil || len(entries) != 1000 {
			t.Errorf("%d files in the log, want 1000 and no temporary ones (%v)", len(entries), err)
		}
	}
}

func deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

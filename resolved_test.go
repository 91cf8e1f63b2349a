package metaxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// mode is how a worker writes what it resolved.
type mode string

const (
	unguarded mode = "no condition"
	failing   mode = "fail"
	dropping  mode = "drop"
)

// work resolves the leaf and writes what is new and stale, again after a conflict. between runs once, after the first resolve.
func work(ctx context.Context, s *metaxy.DeltaStore, leaf feature.Key, m mode, between func()) error {
	for {
		inc, err := s.ResolveUpdate(ctx, leaf, nil)
		if err != nil {
			return err
		}
		var batches []arrow.RecordBatch
		for pb, err := range inc.All(ctx) {
			if err != nil {
				return err
			}
			if pb.Part != metaxy.Orphaned {
				columns := make([]arrow.Array, 0, 2)
				var fields []arrow.Field
				for _, name := range []string{"id", "metaxy_provenance_by_field"} {
					i := pb.Batch.Schema().FieldIndices(name)[0]
					columns, fields = append(columns, pb.Batch.Column(i)), append(fields, pb.Batch.Schema().Field(i))
				}
				batches = append(batches, array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, pb.Batch.NumRows()))
			}
		}
		between()
		between = func() {}
		if len(batches) == 0 {
			return nil
		}
		o := &metaxy.WriteOptions{}
		if m != unguarded {
			o.Resolved = &metaxy.Resolved{TableVersion: inc.TableVersion, Drop: m == dropping}
		}
		_, err = s.Write(ctx, leaf, &metaxy.Rows{Schema: batches[0].Schema(), Batches: func(yield func(arrow.RecordBatch, error) bool) {
			for _, b := range batches {
				if !yield(b, nil) {
					return
				}
			}
		}}, o)
		var lost *txlog.ConflictError
		if m == failing && errors.As(err, &lost) {
			continue
		}
		return err
	}
}

// twice counts the sample versions of the leaf and how many are stored more than once.
func (l *life) twice(s *metaxy.DeltaStore) (all, twice int) {
	l.t.Helper()
	rows, err := s.Read(l.t.Context(), l.leaf, &metaxy.ReadOptions{SampleHistory: true, FeatureHistory: true, Columns: []string{"id", "metaxy_feature_version", "metaxy_provenance"}})
	if err != nil {
		l.t.Fatal(err)
	}
	seen := map[string]int{}
	for b, err := range rows.Batches {
		if err != nil {
			l.t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			k := b.Column(0).ValueStr(i) + " " + b.Column(1).ValueStr(i) + " " + b.Column(2).ValueStr(i)
			if seen[k]++; seen[k] == 2 {
				twice++
			}
		}
	}
	return len(seen), twice
}

// nothingToDo checks that the leaf holds every sample in its newest version.
func (l *life) nothingToDo(s *metaxy.DeltaStore) {
	l.t.Helper()
	inc, err := s.ResolveUpdate(l.t.Context(), l.leaf, nil)
	if err == nil {
		err = inc.Count(l.t.Context())
	}
	if st := inc.Stats(); err != nil || st.New+st.Stale > 0 {
		l.t.Fatalf("after all work %d samples are new and %d stale, %v", st.New, st.Stale, err)
	}
}

// upstream gives the root some samples, a few of which it had before in another version.
func (l *life) upstream(s *metaxy.DeltaStore, race int) {
	l.t.Helper()
	var rows []string
	for i := range 4 {
		rows = append(rows, fmt.Sprintf("s%d %d", race*2+i, race))
	}
	if _, err := s.Write(l.t.Context(), l.root, versionRows(rows), nil); err != nil {
		l.t.Fatal(err)
	}
}

// raceCount is how many races a test runs, and after how many it takes a fresh store, since a long history would be most of the time.
func raceCount() (races, fresh int) {
	if *every {
		return 200, 10
	}
	return 10, 10
}

// TestWorkersRace lets two to four workers resolve the same feature and write what they found: with a condition no sample version is stored twice and none is missing.
// Without one they store many twice, which is what the test would see of a condition that does not hold.
func TestWorkersRace(t *testing.T) {
	races, fresh := raceCount()
	for _, m := range []mode{unguarded, failing, dropping} {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			l := newLife(t)
			all, twice := 0, 0
			for first := 0; first < races; first += fresh {
				driver := objstore.NewMem()
				s := l.open(driver)
				if _, err := s.Push(t.Context(), &metaxy.PushOptions{Graph: l.graph}); err != nil {
					t.Fatal(err)
				}
				for race := first; race < first+fresh; race++ {
					l.upstream(s, race)
					if err := l.race(driver, m, 2+race%3, race%2 == 0); err != nil {
						t.Fatalf("race %d: %v", race, err)
					}
				}
				l.nothingToDo(s)
				a, b := l.twice(s)
				all, twice = all+a, twice+b
				s.Close()
			}
			t.Logf("%d races, %s: %d sample versions, %d of them written twice or more", races, m, all, twice)
			if (twice > 0) != (m == unguarded) || all < races*4 {
				t.Errorf("%d of %d sample versions are stored more than once", twice, all)
			}
		})
	}
}

// race lets workers resolve and write at once; together says that all have resolved before the first writes.
func (l *life) race(driver objstore.Driver, m mode, workers int, together bool) error {
	var resolved, done sync.WaitGroup
	resolved.Add(workers)
	errs := make([]error, workers)
	for w := range workers {
		done.Go(func() {
			s := l.open(driver)
			defer s.Close()
			between := sync.OnceFunc(resolved.Done)
			defer between()
			wait := between
			if together {
				wait = func() { between(); resolved.Wait() }
			}
			errs[w] = work(l.t.Context(), s, l.leaf, m, wait)
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

// A process of the test binary with this variable, a mode, resolves and writes in the directory that each line of its input names.
const workerEnv = "METAXY_TEST_WORKER"

// TestWorkerProcess is the body of the processes below; as a test of its own it has nothing to say.
func TestWorkerProcess(t *testing.T) {
	m := mode(os.Getenv(workerEnv))
	if m == "" {
		return
	}
	l := newLife(t)
	l.ticks = rand.Int64N(1000)
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		s, err := metaxy.Open(t.Context(), lines.Text(), &metaxy.Options{Project: "p"})
		if err != nil {
			t.Fatal(err)
		}
		if err := work(t.Context(), s, l.leaf, m, func() {}); err != nil {
			t.Fatal(err)
		}
		s.Close()
		fmt.Println("done")
	}
}

// worker is a running worker process.
type worker struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func startWorker(t *testing.T, m mode) *worker {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWorkerProcess$")
	cmd.Env = append(os.Environ(), workerEnv+"="+string(m))
	cmd.Stderr = os.Stderr
	w := &worker{cmd: cmd}
	out, err := cmd.StdoutPipe()
	if err == nil {
		w.stdin, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.lines = bufio.NewScanner(out)
	w.until(t, "ready")
	return w
}

// until reads what the process says up to a line.
func (w *worker) until(t *testing.T, line string) {
	t.Helper()
	var said []string
	for w.lines.Scan() {
		if w.lines.Text() == line {
			return
		}
		said = append(said, w.lines.Text())
	}
	t.Fatalf("a worker ended without saying %q:\n%s", line, strings.Join(said, "\n"))
}

// crew are processes that work at once.
type crew []*worker

func startCrew(t *testing.T, m mode, workers int) (c crew) {
	for range workers {
		c = append(c, startWorker(t, m))
	}
	return c
}

// race lets all of them resolve and write in a directory, and waits.
func (c crew) race(t *testing.T, dir string) {
	t.Helper()
	for _, w := range c {
		fmt.Fprintln(w.stdin, dir)
	}
	for _, w := range c {
		w.until(t, "done")
	}
}

func (c crew) end(t *testing.T) {
	t.Helper()
	for _, w := range c {
		w.stdin.Close()
		for w.lines.Scan() {
		}
		if err := w.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWorkerProcessesRace is TestWorkersRace with processes on local directories.
func TestWorkerProcessesRace(t *testing.T) {
	races, fresh := raceCount()
	const workers = 4
	for _, m := range []mode{unguarded, failing, dropping} {
		t.Run(string(m), func(t *testing.T) {
			l := newLife(t)
			c := startCrew(t, m, workers)
			all, twice := 0, 0
			for first := 0; first < races; first += fresh {
				dir := t.TempDir()
				s, err := metaxy.Open(t.Context(), dir, &metaxy.Options{Project: "p"})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Push(t.Context(), &metaxy.PushOptions{Graph: l.graph}); err != nil {
					t.Fatal(err)
				}
				for race := first; race < first+fresh; race++ {
					l.upstream(s, race)
					c.race(t, dir)
				}
				l.nothingToDo(s)
				a, b := l.twice(s)
				all, twice = all+a, twice+b
				s.Close()
			}
			c.end(t)
			t.Logf("%d races of %d processes, %s: %d sample versions, %d of them written twice or more", races, workers, m, all, twice)
			if twice > 0 && m != unguarded {
				t.Errorf("%d of %d sample versions are stored more than once", twice, all)
			}
		})
	}
}

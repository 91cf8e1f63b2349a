package delta_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// TestHistories lets clients write and read one table through stores that drop calls and answers, and checks that what they saw can have happened one
// call after another.
func TestHistories(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) func() objstore.Driver{
		"memory": func(*testing.T) func() objstore.Driver {
			d := objstore.NewMem()
			return func() objstore.Driver { return d }
		},
		"local": func(t *testing.T) func() objstore.Driver {
			dir := t.TempDir()
			return func() objstore.Driver {
				d, err := objstore.NewLocal(dir)
				if err != nil {
					t.Error(err)
				}
				return d
			}
		},
	} {
		for _, faults := range []float64{0, 0.005, 0.05} {
			t.Run(fmt.Sprintf("%s, %.1f %% of the calls fail", name, faults*100), func(t *testing.T) {
				t.Parallel()
				history(t, open(t), faults)
			})
		}
	}
}

func history(t *testing.T, open func() objstore.Driver, faults float64) {
	const clients, calls = 4, 40
	var clock atomic.Int64
	var mu sync.Mutex
	var all []deltatest.Call
	seed := rand.Uint64()
	var wg sync.WaitGroup
	for c := range clients {
		d := objstoretest.NewFaulty(open(), seed+uint64(c))
		if faults > 0 {
			d.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.LandThenFail, Rate: faults})
			d.Add(objstoretest.Rule{Fault: objstoretest.FailBefore, Rate: faults})
		}
		tb := delta.New(objstore.New(d), &delta.Options{Now: now, CheckpointInterval: 7})
		rnd := rand.New(rand.NewPCG(seed, uint64(c)))
		wg.Go(func() {
			for n := range calls {
				call := deltatest.Call{Begin: clock.Add(1)}
				var err error
				if rnd.IntN(2) == 0 {
					call.Row = fmt.Sprintf("%d-%d", c, n)
					call.Version, err = appendRow(t, tb, call.Row)
				} else {
					call.Version, call.Rows, err = readRows(t, tb)
				}
				if err == nil {
					call.End = clock.Add(1)
				} else if faults == 0 {
					t.Errorf("client %d, call %d: %v", c, n, err)
				}
				mu.Lock()
				all = append(all, call)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	final := deltatest.Call{Begin: clock.Add(1)}
	var err error
	if final.Version, final.Rows, err = readRows(t, delta.New(objstore.New(open()), &delta.Options{Now: now})); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	final.End = clock.Add(1)
	if err := deltatest.CheckHistory(all, final); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	unknown := 0
	for _, c := range all {
		unknown += boolInt(c.End == 0)
	}
	t.Logf("%d calls, %d without an answer, %d versions", len(all), unknown, final.Version+1)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func appendRow(t *testing.T, tb *delta.Table, row string) (int64, error) {
	r, err := tb.Append(t.Context(), rowsOf(t, fields("row", arrow.BinaryTypes.String), fmt.Sprintf(`{"row": %q}`, row)), nil)
	return r.Version, err
}

// readRows reads the newest version; a table that is not there yet is version -1.
func readRows(t *testing.T, tb *delta.Table) (version int64, rows []string, err error) {
	snap, err := tb.Snapshot(t.Context())
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	s, err := scan.New(snap, nil)
	if err != nil {
		return 0, nil, err
	}
	for b, err := range s.Batches(t.Context()) {
		if err != nil {
			return 0, nil, err
		}
		for i := range int(b.NumRows()) {
			rows = append(rows, strings.Clone(b.Column(0).(array.StringLike).Value(i)))
		}
	}
	return snap.Version(), rows, nil
}

// TestCheckHistory shows the checker histories that cannot be.
func TestCheckHistory(t *testing.T) {
	write := func(begin, end int64, row string, version int64) deltatest.Call {
		return deltatest.Call{Begin: begin, End: end, Row: row, Version: version}
	}
	read := func(begin, end, version int64, rows ...string) deltatest.Call {
		return deltatest.Call{Begin: begin, End: end, Version: version, Rows: rows}
	}
	a, b, lost := write(1, 2, "a", 0), write(3, 4, "b", 1), write(3, 0, "x", 0)
	for _, tc := range []struct {
		name  string
		calls []deltatest.Call
		final deltatest.Call
		fault string
	}{
		{"as it should be", []deltatest.Call{a, b, read(2, 3, 0, "a")}, read(9, 10, 1, "a", "b"), ""},
		{"a lost answer that took effect", []deltatest.Call{a, lost}, read(9, 10, 1, "a", "x"), ""},
		{"a lost answer that did not", []deltatest.Call{a, lost}, read(9, 10, 0, "a"), ""},
		{"one version twice", []deltatest.Call{a, write(1, 3, "b", 0)}, read(9, 10, 0, "a"), "promised"},
		{"a lost write", []deltatest.Call{a, b}, read(9, 10, 0, "a"), "gone"},
		{"a lost row", []deltatest.Call{a, b}, read(9, 10, 1, "a"), "0 times"},
		{"a row twice", []deltatest.Call{a, b}, read(9, 10, 1, "a", "b", "b"), "2 times"},
		{"a version of nobody", []deltatest.Call{a}, read(9, 10, 1, "a"), "no writer"},
		{"a read of the past", []deltatest.Call{a, b, read(5, 6, 0, "a")}, read(9, 10, 1, "a", "b"), "began after"},
		{"a read of the future", []deltatest.Call{a, b, read(2, 3, 0, "a", "b")}, read(9, 10, 1, "a", "b"), "nobody wrote"},
		{"a write before an older one", []deltatest.Call{write(1, 2, "a", 1), write(3, 4, "b", 0)}, read(9, 10, 1, "a", "b"), "began after"},
	} {
		err := deltatest.CheckHistory(tc.calls, tc.final)
		if (err == nil) != (tc.fault == "") || err != nil && !strings.Contains(err.Error(), tc.fault) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

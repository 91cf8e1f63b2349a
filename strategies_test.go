package metaxy_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
)

var long = flag.Bool("long", false, "every recorded scenario in every way a resolve can be made to work, and not each in one of them")

// way is how a resolve is made to work. None changes an answer.
type way struct {
	force hashjoin.Strategy
	doubt bool
	limit int64 // of memory, 0 = none
	again bool  // on what an earlier resolve proved
}

func (w way) String() string {
	return fmt.Sprintf("%s doubt=%v limit=%d again=%v", w.force, w.doubt, w.limit, w.again)
}

// ways are all of them. Neighbours differ in everything, so that a few in a row
// have something of each.
func ways() (out []way) {
	limits := []int64{0, 1 << 20, littleMemory}
	for i := range 36 {
		out = append(out, way{force: hashjoin.Strategy(i % 3), doubt: (i/2)%2 != 0, limit: limits[(i+i/3+i/12)%3], again: i%2 != 0})
	}
	return out
}

// TestWays: every two ways differ, and all are there.
func TestWays(t *testing.T) {
	seen := map[way]bool{}
	for _, w := range ways() {
		seen[w] = true
	}
	if len(seen) != 3*2*3*2 {
		t.Errorf("%d ways, want every strategy with every doubt, limit and memory of earlier resolves", len(seen))
	}
}

// TestScenariosByEveryWay: recorded answers are those of every strategy, with
// statistics and without, with little memory and on what an earlier resolve
// proved. Each scenario has one way unless -long gives it all.
func TestScenariosByEveryWay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(deltatest.Data(t, "scenarios"), "*", "scenario.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := ways()
	for i, w := range all {
		var only []string
		for n, f := range files {
			if *long || n%len(all) == i {
				only = append(only, filepath.Base(filepath.Dir(f)))
			}
		}
		if len(only) == 0 {
			continue
		}
		t.Run(w.String(), func(t *testing.T) {
			dir, remembered := t.TempDir(), &atomic.Int64{}
			store := metaxy.Forced(metaxy.Options{MemoryLimit: w.limit, NoRemember: !w.again}, w.force, w.doubt)
			if w.limit > 0 {
				store.SpillDir = dir
			}
			scenariotest.Run(t, &scenariotest.Options{Store: store, Listed: listed(t), Only: only, Ops: []string{"resolve_update", "read", "rebase"}, Again: w.again, Remembered: remembered})
			t.Cleanup(func() {
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("%v left in the spill directory (%v)", left, err)
				}
				t.Logf("%d resolves stood on what an earlier one proved", remembered.Load())
				if *long && w.again != (remembered.Load() > 0) {
					t.Error("want them exactly where resolves are made again")
				}
			})
		})
	}
}

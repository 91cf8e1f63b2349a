package metaxy_test

import (
	"os"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
)

// The scenarios' ways to look at rows serve other tests, too.
var (
	collectRows = scenariotest.CollectRows
	each        = scenariotest.Each
	mustKey     = scenariotest.MustKey
	rowsFault   = scenariotest.RowsFault
)

// listed are the steps of scenarios and cases of vectors that cannot pass yet (gaps) or that a decision answers better.
func listed(t *testing.T) map[string]string {
	return scenariotest.ReadListed(t, "testdata/gaps.txt", "testdata/decisions.txt")
}

// TestScenarios runs every operation of every recorded store on the store as it
// was before, and asks every resolve for its reasons.
func TestScenarios(t *testing.T) {
	scenariotest.Run(t, &scenariotest.Options{Listed: listed(t), Reasons: true})
}

// TestScenariosSpilled runs them with so little memory that all but the smallest work is cut into partitions on disk.
func TestScenariosSpilled(t *testing.T) {
	dir := t.TempDir()
	scenariotest.Run(t, &scenariotest.Options{Store: metaxy.Options{MemoryLimit: littleMemory, SpillDir: dir}, Listed: listed(t)})
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v left in the spill directory (%v)", left, err)
		}
	})
}

// littleMemory holds about five rows.
const littleMemory = 1000

package bench_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/bench"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// memory is where a resolve keeps what it proved, below a store.
const memory = "bench/leaf.delta/_metaxy_delta/resolve"

// touched is a store of which one row in ten thousand was written again since it
// was resolved, and what that resolve left; sorted tables were optimized before.
func touched(tb testing.TB, base string, c bench.StoreConfig, sorted bool) (path string, left []byte) {
	tb.Helper()
	same := c
	same.Phase = bench.Unchanged
	from, err := bench.Make(tb.Context(), base, same)
	if err != nil {
		tb.Fatal(err)
	}
	path = tb.TempDir()
	err = filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(from, p)
		switch {
		case err != nil || relErr != nil:
			return fmt.Errorf("%w, %w", err, relErr)
		case d.IsDir():
			return os.MkdirAll(filepath.Join(path, rel), 0o755)
		}
		return os.Link(p, filepath.Join(path, rel))
	})
	if err == nil && sorted {
		err = sortTables(tb, path)
	}
	if err == nil {
		_, err = bench.ResolveConfig{Store: path}.Run(tb.Context())
	}
	if err == nil {
		left, err = os.ReadFile(filepath.Join(path, memory))
	}
	if err == nil {
		err = bench.Touch(tb.Context(), path, c)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path, left
}

// sortTables sorts the tables of a store by id.
func sortTables(tb testing.TB, path string) error {
	tables, err := filepath.Glob(filepath.Join(path, "bench", "*.delta"))
	for _, table := range tables {
		driver, openErr := objstore.NewLocal(table)
		if openErr != nil {
			return openErr
		}
		o := &rewrite.OptimizeOptions{SortBy: []string{"sample_uid"}, KeepOrder: true, Now: 1, SpillDir: tb.TempDir()}
		r, optErr := rewrite.Optimize(tb.Context(), delta.New(objstore.New(driver), &delta.Options{Now: time.Now}), o)
		err = errors.Join(err, optErr)
		tb.Logf("%s: %+v", table, r)
	}
	return err
}

// resolveTouched resolves a touched store as if for the first time since.
func resolveTouched(tb testing.TB, path string, left []byte, c bench.StoreConfig) bench.Result {
	tb.Helper()
	err := os.WriteFile(filepath.Join(path, memory), left, 0o644)
	r := bench.Result{}
	if err == nil {
		r, err = bench.ResolveConfig{Store: path, Collect: true}.Run(tb.Context())
	}
	if err != nil {
		tb.Fatal(err)
	}
	check(tb, c, r)
	return r
}

// BenchmarkTouch resolves after one row in ten thousand has changed since the
// last resolve: neighbours, and rows that are spread.
func BenchmarkTouch(b *testing.B) {
	base := dir(b)
	sizes := []int{900_000} // more have warnings of weak hashes, which come and go with the rows
	if *large {
		sizes = append(sizes, 10_000_000)
	}
	for _, rows := range sizes {
		for _, of := range []struct {
			name   string
			ids    bench.IDs
			sorted bool
		}{{"int", bench.Ints, false}, {"text", bench.Texts, false}, {"text-optimized", bench.Texts, true}} {
			for _, phase := range []bench.Phase{bench.Near, bench.Few} {
				c := bench.StoreConfig{Phase: phase, Rows: rows, IDs: of.ids}
				b.Run(fmt.Sprintf("%s/%s/%d", of.name, phase, rows), func(b *testing.B) {
					path, left := touched(b, base, c, of.sorted)
					var cpu float64
					var last bench.Result
					for b.Loop() {
						last = resolveTouched(b, path, left, c)
						cpu += last.CPUSeconds
					}
					b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
					b.ReportMetric(float64(last.BytesRead)/1e6, "MB-read/op")
					b.ReportMetric(float64(last.Reads), "reads/op")
				})
			}
		}
	}
}

// TestTouch wants a change to cost a part of the bytes of all rows.
func TestTouch(t *testing.T) {
	base := t.TempDir()
	for _, phase := range []bench.Phase{bench.Near, bench.Few} {
		c := bench.StoreConfig{Phase: phase, Rows: 200_000}
		path, left := touched(t, base, c, false)
		r := resolveTouched(t, path, left, c)
		if err := os.Remove(filepath.Join(path, memory)); err != nil {
			t.Fatal(err)
		}
		whole, err := bench.ResolveConfig{Store: path}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Stale != whole.Stale || r.Stale == 0 || r.BytesRead > whole.BytesRead*2/3 || phase == bench.Near && r.BytesRead > whole.BytesRead/3 {
			t.Errorf("%s: %+v, of all rows %+v", phase, r, whole)
		}
	}
	if err := bench.Touch(t.Context(), base, bench.StoreConfig{}); err == nil {
		t.Error("touched nothing")
	}
}

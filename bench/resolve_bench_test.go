package bench_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/bench"
)

var (
	large  = flag.Bool("large", false, "also resolve 10 million rows")
	stores = flag.String("stores", "", "directory that keeps the stores for the next run; default a temporary one")
)

func dir(tb testing.TB) string {
	if *stores != "" {
		return *stores
	}
	return tb.TempDir()
}

// counts are what each phase must answer, so that nothing fast and wrong is measured.
func check(tb testing.TB, c bench.StoreConfig, r bench.Result) {
	tb.Helper()
	least, most := int64(0), int64(0)
	switch share := int64(c.Rows); c.Phase {
	case bench.Stale:
		least, most = share*8/100, share*12/100
	case bench.Few:
		most = share/5000 + 10
	case bench.Near:
		least, most = max(share/10_000, 1), max(share/10_000, 1)
	}
	fresh := int64(0)
	if c.Phase == bench.New {
		fresh = int64(c.Rows)
	}
	if r.New != fresh || r.Stale < least || r.Stale > most || r.Orphaned != 0 {
		tb.Fatalf("%s: %d new, %d stale, %d orphaned", c, r.New, r.Stale, r.Orphaned)
	}
}

// BenchmarkResolve opens a store and resolves its leaf. Each is streamed once
// and collected once, which differ in memory.
func BenchmarkResolve(b *testing.B) {
	sizes := []int{100_000, 1_000_000}
	if *large {
		sizes = append(sizes, 10_000_000)
	}
	base := dir(b)
	for _, rows := range sizes {
		for _, shape := range []bench.Shape{bench.Simple, bench.Wide} {
			for _, phase := range []bench.Phase{bench.New, bench.Unchanged, bench.Few, bench.Stale} {
				for _, collect := range []bool{false, true} {
					how := map[bool]string{false: "streamed", true: "collected"}[collect]
					c := bench.StoreConfig{Shape: shape, Phase: phase, Rows: rows}
					b.Run(fmt.Sprintf("%s/%s/%d/%s", shape, phase, rows, how), func(b *testing.B) { benchResolve(b, base, c, bench.ResolveConfig{Collect: collect}) })
				}
			}
		}
	}
}

// BenchmarkResolveTexts is BenchmarkResolve of ids that are long strings in no order.
func BenchmarkResolveTexts(b *testing.B) {
	base := dir(b)
	for _, shape := range []bench.Shape{bench.Simple, bench.Wide} {
		for _, phase := range []bench.Phase{bench.New, bench.Stale} {
			c := bench.StoreConfig{Shape: shape, Phase: phase, Rows: 1_000_000, IDs: bench.Texts}
			b.Run(fmt.Sprintf("%s/%s", shape, phase), func(b *testing.B) { benchResolve(b, base, c, bench.ResolveConfig{}) })
		}
	}
}

// BenchmarkResolveHash is BenchmarkResolve of the hash algorithms.
func BenchmarkResolveHash(b *testing.B) {
	base := dir(b)
	for _, algorithm := range []string{"xxhash32", "xxhash64", "xxh3_64", "wyhash", "md5", "sha256"} {
		c := bench.StoreConfig{Shape: bench.Simple, Phase: bench.New, Rows: 1_000_000, Algorithm: algorithm}
		b.Run(algorithm, func(b *testing.B) { benchResolve(b, base, c, bench.ResolveConfig{}) })
	}
}

// BenchmarkResolveLimited resolves in less memory than there is to hold:
// integer ids by ranges, texts by partitions on disk.
func BenchmarkResolveLimited(b *testing.B) {
	base := dir(b)
	for _, shape := range []bench.Shape{bench.Simple, bench.Wide} {
		for _, ids := range []bench.IDs{bench.Ints, bench.Texts} {
			c := bench.StoreConfig{Shape: shape, Phase: bench.Stale, Rows: 1_000_000, IDs: ids}
			for _, limit := range []int64{0, 64 << 20} {
				how := bench.ResolveConfig{MemoryLimit: limit}
				if limit > 0 {
					how.SpillDir = b.TempDir()
				}
				b.Run(fmt.Sprintf("%s/%s/%d MiB", shape, ids, limit>>20), func(b *testing.B) { benchResolve(b, base, c, how) })
			}
		}
	}
}

// benchResolve resolves a store again and again; each time without what the time before left.
func benchResolve(b *testing.B, base string, c bench.StoreConfig, how bench.ResolveConfig) {
	path, err := bench.Make(b.Context(), base, c)
	if err != nil {
		b.Fatal(err)
	}
	var cpu, seconds float64
	var last bench.Result
	var peak int64
	for b.Loop() {
		how.Store, how.Algorithm, how.NoRemember = path, c.Algorithm, true
		last, err = how.Run(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		check(b, c, last)
		cpu += last.CPUSeconds
		seconds += last.Seconds
		peak = max(peak, last.PeakBytes)
	}
	b.ReportMetric(float64(c.Rows)*float64(b.N)/seconds, "rows/s")
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(last.BytesRead)/1e6, "MB-read/op")
	b.ReportMetric(float64(last.Reads), "reads/op")
	b.ReportMetric(float64(peak)/1e6, "MB-peak")
}

// TestResolve runs every workload on a small store, so that the benchmarks are
// known to run and to answer right.
func TestResolve(t *testing.T) {
	base := t.TempDir()
	for _, shape := range []bench.Shape{bench.Simple, bench.Wide} {
		for _, phase := range []bench.Phase{bench.New, bench.Unchanged, bench.Few, bench.Stale} {
			for _, ids := range []bench.IDs{bench.Ints, bench.Texts} {
				c := bench.StoreConfig{Shape: shape, Phase: phase, IDs: ids, Rows: 3000, Algorithm: "md5"}
				for _, collect := range []bool{false, true} {
					path, err := bench.Make(t.Context(), base, c)
					if err != nil {
						t.Fatal(err)
					}
					r, err := bench.ResolveConfig{Store: path, Algorithm: c.Algorithm, Collect: collect}.Run(t.Context())
					if err != nil {
						t.Fatalf("%s: %v", c, err)
					}
					check(t, c, r)
					if r.BytesRead == 0 || r.Reads == 0 || r.Seconds <= 0 {
						t.Errorf("%s: measured %+v", c, r)
					}
				}
			}
		}
	}
	if _, err := bench.Make(t.Context(), base, bench.StoreConfig{Shape: "round"}); err == nil {
		t.Error("made a store of an unknown shape")
	}
	if _, err := bench.Make(t.Context(), base, bench.StoreConfig{Phase: "full"}); err == nil {
		t.Error("made a store of an unknown phase")
	}
	if _, err := (bench.ResolveConfig{Store: base, Features: []string{"no/such"}}).Run(t.Context()); err == nil {
		t.Error("resolved a feature that is not there")
	}
}

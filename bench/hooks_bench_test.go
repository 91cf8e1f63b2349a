package bench_test

import (
	"log/slog"
	"sync/atomic"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/bench"
)

// BenchmarkHooks resolves a store with nobody watching, with events counted,
// and once more with nobody watching, in turns. It reports what watching costs
// of the processor time, and how far the two runs that are alike lie apart,
// which is what the machine cannot tell.
func BenchmarkHooks(b *testing.B) {
	c := bench.StoreConfig{Shape: bench.Simple, Phase: bench.New, Rows: 300_000}
	path, err := bench.Make(b.Context(), dir(b), c)
	if err != nil {
		b.Fatal(err)
	}
	var events atomic.Int64
	ways := []func(metaxy.Event){nil, func(metaxy.Event) { events.Add(1) }, nil}
	var cpu [3]float64
	n := 0
	for b.Loop() {
		for i := range ways {
			way := (i + n) % len(ways) // so that each comes after each
			begin := bench.CPUSeconds()
			r, err := bench.ResolveConfig{Store: path, Observe: ways[way]}.Run(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			cpu[way] += bench.CPUSeconds() - begin
			check(b, c, r)
		}
		n++
	}
	if events.Load() == 0 {
		b.Fatal("nothing was told")
	}
	b.ReportMetric((cpu[0]+cpu[2])/2*1e3/float64(n), "cpu-ms")
	b.ReportMetric((cpu[1]*2/(cpu[0]+cpu[2])-1)*100, "watched-%")
	b.ReportMetric((cpu[2]/cpu[0]-1)*100, "alike-%")
	b.ReportMetric(float64(events.Load())/float64(n), "events/op")
}

// BenchmarkEvent is what a request of a store in memory costs, with nobody
// watching, and with its event counted and given to a log that drops it.
func BenchmarkEvent(b *testing.B) {
	for name, opts := range map[string]*metaxy.Options{"off": nil, "on": {Logger: slog.New(slog.DiscardHandler), Observe: func(metaxy.Event) {}}} {
		b.Run(name, func(b *testing.B) {
			objects, err := metaxy.OpenStorage(b.Context(), "mem://", opts)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := objects.Stat(b.Context(), "none"); err == nil {
					b.Fatal("there")
				}
			}
		})
	}
}

package bench_test

import (
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/bench"
	"github.com/metaxy-delta/metaxy-delta/event"
)

// BenchmarkHooks resolves a store with nobody watching and with its events
// counted and logged to nowhere, in rounds of off, on, on, off, so that what
// drifts in a round falls on both. It reports the medians over the rounds: what
// watching costs of the processor time, and how far the two runs that are alike
// lie apart, which is what the machine cannot tell; half of the rounds lie
// between watched-low-% and watched-high-%. -benchtime 100x makes 100 rounds.
func BenchmarkHooks(b *testing.B) {
	c := bench.StoreConfig{Shape: bench.Simple, Phase: bench.New, Rows: 100_000}
	path, err := bench.Make(b.Context(), dir(b), c)
	if err != nil {
		b.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the runs begin with a collected heap and are too short to need more
	var events atomic.Int64
	watch := &metaxy.Options{Logger: slog.New(slog.DiscardHandler), Observe: func(event.Event) { events.Add(1) }}
	run := func(o *metaxy.Options) float64 {
		r, err := bench.ResolveConfig{Store: path, Parallel: 1, Logger: o.Logger, Observe: o.Observe}.Run(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		check(b, c, r)
		return r.CPUSeconds
	}
	var off, watched, alike []float64
	run(&metaxy.Options{})
	for b.Loop() {
		first, on1, on2, last := run(&metaxy.Options{}), run(watch), run(watch), run(&metaxy.Options{})
		off = append(off, first, last)
		watched = append(watched, (on1+on2)/(first+last)-1)
		alike = append(alike, last/first-1)
	}
	if events.Load() == 0 {
		b.Fatal("nothing was told")
	}
	b.ReportMetric(quantile(off, 0.5)*1e3, "cpu-ms")
	b.ReportMetric(quantile(watched, 0.5)*100, "watched-%")
	b.ReportMetric(quantile(watched, 0.25)*100, "watched-low-%")
	b.ReportMetric(quantile(watched, 0.75)*100, "watched-high-%")
	b.ReportMetric(quantile(alike, 0.5)*100, "alike-%")
	b.ReportMetric(float64(events.Load())/float64(len(off)), "events/op")
}

// quantile is the value below which a share of values lies.
func quantile(values []float64, share float64) float64 {
	slices.Sort(values)
	return values[int(share*float64(len(values)-1))]
}

// BenchmarkEvent is what a request of a store in memory costs, with nobody
// watching, and with its event counted and given to a log that drops it.
func BenchmarkEvent(b *testing.B) {
	for name, opts := range map[string]*metaxy.Options{"off": nil, "on": {Logger: slog.New(slog.DiscardHandler), Observe: func(event.Event) {}}} {
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

package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// ResolveConfig is one resolve of a local store. Zero fields = Leaf, xxhash32, streamed.
type ResolveConfig struct {
	// Store is the path of the store, Feature what to resolve, Project whose definitions.
	Store, Feature, Project string
	Algorithm               string
	// Collect keeps the whole increment in memory, as a caller does who needs all of it at once; otherwise batches are read and dropped.
	Collect bool
	// MemoryLimit and Parallel as in metaxy.Options.
	MemoryLimit int64
	Parallel    int
}

// Result of a run. Bytes are those asked of the storage; PeakBytes is the largest resident memory of the process since the run began, 0 where the
// system does not tell. CPUSeconds is 0 there, too.
type Result struct {
	New, Stale, Orphaned int64
	// RowsRead are the rows whose deciding columns were read.
	RowsRead                    int64
	Seconds, CPUSeconds         float64
	BytesRead, Reads, PeakBytes int64
}

// Run opens the store and resolves the feature. The increment is materialised: late columns are read too.
func (c ResolveConfig) Run(ctx context.Context) (Result, error) {
	if c.Feature == "" {
		c.Feature = Leaf
	}
	if c.Project == "" {
		c.Project = project
	}
	key, err := feature.ParseKey(c.Feature)
	if err != nil {
		return Result{}, err
	}
	counter := &countingOpener{}
	resetPeak()
	cpu, start := cpuSeconds(), time.Now()
	s, err := metaxy.Open(ctx, countingScheme+"://"+c.Store, &metaxy.Options{Project: c.Project, HashAlgorithm: c.Algorithm, Openers: counter.openers(), MemoryLimit: c.MemoryLimit, Parallel: c.Parallel})
	if err != nil {
		return Result{}, err
	}
	defer s.Close()
	inc, err := s.ResolveUpdate(ctx, key, nil)
	if err != nil {
		return Result{}, err
	}
	var kept []arrow.RecordBatch
	var rows int64
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return Result{}, err
		}
		rows += pb.Batch.NumRows()
		if c.Collect {
			pb.Batch.Retain()
			kept = append(kept, pb.Batch)
		}
	}
	st := inc.Stats()
	r := Result{New: st.New, Stale: st.Stale, Orphaned: st.Orphaned, RowsRead: st.RowsRead, Seconds: time.Since(start).Seconds(), CPUSeconds: cpuSeconds() - cpu,
		BytesRead: counter.bytes.Load(), Reads: counter.reads.Load(), PeakBytes: peakBytes()}
	for _, b := range kept {
		b.Release()
	}
	if rows != r.New+r.Stale+r.Orphaned {
		return r, fmt.Errorf("%d rows came, the statistics say %d new, %d stale, %d orphaned", rows, r.New, r.Stale, r.Orphaned)
	}
	return r, nil
}

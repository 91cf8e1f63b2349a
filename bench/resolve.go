package bench

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// ResolveConfig is one resolve of a store. Zero fields = Leaf, xxhash32, streamed.
type ResolveConfig struct {
	// Store is the path of the store, or a URL that one of Openers opens; reads
	// of URLs are not counted. Features are what to resolve, one after another,
	// Project whose definitions.
	Store     string
	Features  []string
	Project   string
	Algorithm string
	// Collect keeps the whole increment in memory, as a caller does who needs
	// all of it at once; otherwise batches are read and dropped.
	Collect bool
	// WriteBack stores new and stale rows as rows of the feature, in one
	// commit, as they come; nothing is kept.
	WriteBack bool
	// Each is called for every batch of an increment that is not written back,
	// which is the consumer's only if it retains it. May be nil.
	Each    func(metaxy.PartBatch) error
	Openers []objstore.Opener
	// NoRemember takes no help from an earlier resolve and leaves none for a later one.
	NoRemember bool
	// MemoryLimit, SpillDir, Parallel, Logger and Observe as in metaxy.Options.
	MemoryLimit int64
	SpillDir    string
	Parallel    int
	Logger      *slog.Logger
	Observe     func(event.Event)
}

// Result of a run. Bytes are those asked of the storage; PeakBytes is the
// largest resident memory of the process since the run began, 0 where the
// system does not tell. CPUSeconds is 0 there, too. Numbers of several features
// are added up.
type Result struct {
	New, Stale, Orphaned int64
	// RowsRead are the rows whose deciding columns were read, RowsWritten those
	// that were written back.
	RowsRead, RowsWritten       int64
	Seconds, CPUSeconds         float64
	BytesRead, Reads, PeakBytes int64
}

// Run opens the store and resolves the features. Increments are materialised:
// late columns are read too.
func (c ResolveConfig) Run(ctx context.Context) (Result, error) {
	if len(c.Features) == 0 {
		c.Features = []string{Leaf}
	}
	if c.Project == "" {
		c.Project = project
	}
	var keys []feature.Key
	for _, name := range c.Features {
		key, err := feature.ParseKey(name)
		if err != nil {
			return Result{}, err
		}
		keys = append(keys, key)
	}
	counter := &countingOpener{}
	resetPeak()
	cpu, start := cpuSeconds(), time.Now()
	url := c.Store
	if !strings.Contains(url, "://") {
		url = countingScheme + "://" + url
	}
	s, err := metaxy.Open(ctx, url, &metaxy.Options{Project: c.Project, HashAlgorithm: c.Algorithm, Openers: append(counter.openers(), c.Openers...),
		MemoryLimit: c.MemoryLimit, SpillDir: c.SpillDir, NoRemember: c.NoRemember, Parallel: c.Parallel, Logger: c.Logger, Observe: c.Observe})
	if err != nil {
		return Result{}, err
	}
	defer s.Close()
	w := &work{config: c, store: s}
	defer w.release()
	for _, key := range keys {
		if err := w.resolve(ctx, key); err != nil {
			return Result{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	r := w.result
	r.Seconds, r.CPUSeconds = time.Since(start).Seconds(), cpuSeconds()-cpu
	r.BytesRead, r.Reads, r.PeakBytes = counter.bytes.Load(), counter.reads.Load(), peakBytes()
	return r, nil
}

// work is a run on its way.
type work struct {
	config ResolveConfig
	store  *metaxy.DeltaStore
	kept   []arrow.RecordBatch
	result Result
}

func (w *work) release() {
	for _, b := range w.kept {
		b.Release()
	}
}

func (w *work) resolve(ctx context.Context, key feature.Key) error {
	inc, err := w.store.ResolveUpdate(ctx, key, nil)
	if err != nil {
		return err
	}
	defer inc.Close()
	var rows int64
	if w.config.WriteBack {
		rows, err = w.writeBack(ctx, key, inc)
	} else {
		rows, err = w.read(inc.All(ctx))
	}
	if err != nil {
		return err
	}
	st, r := inc.Stats(), &w.result
	r.New, r.Stale, r.Orphaned, r.RowsRead = r.New+st.New, r.Stale+st.Stale, r.Orphaned+st.Orphaned, r.RowsRead+st.RowsRead
	if all := st.New + st.Stale + st.Orphaned; rows != all && !w.config.WriteBack || w.config.WriteBack && rows != all-st.Orphaned {
		return fmt.Errorf("%d rows came, the statistics say %d new, %d stale, %d orphaned", rows, st.New, st.Stale, st.Orphaned)
	}
	return nil
}

func (w *work) read(batches iter.Seq2[metaxy.PartBatch, error]) (rows int64, err error) {
	for pb, err := range batches {
		if err != nil {
			return rows, err
		}
		rows += pb.Batch.NumRows()
		if w.config.Collect {
			pb.Batch.Retain()
			w.kept = append(w.kept, pb.Batch)
		}
		if w.config.Each == nil {
			continue
		}
		if err := w.config.Each(pb); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// writeBack pipes new and stale rows, which have the same columns, into one write.
func (w *work) writeBack(ctx context.Context, key feature.Key, inc *metaxy.Increment) (int64, error) {
	rows := &metaxy.Rows{Schema: inc.Schema(metaxy.New), Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for pb, err := range inc.All(ctx) {
			if err == nil && pb.Part == metaxy.Orphaned {
				continue
			}
			if !yield(pb.Batch, err) {
				return
			}
		}
	}}
	written, err := w.store.Write(ctx, key, rows, nil)
	w.result.RowsWritten += written.Rows
	return written.Rows, err
}

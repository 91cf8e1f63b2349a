package metaxy

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// WriterOptions of a buffered writer; nil = flush every two seconds.
type WriterOptions struct {
	// BatchRows flushes when that many rows wait; 0 = no limit.
	BatchRows int64
	// Interval flushes what waits since the last flush; 0 = 2 s, negative = never by time.
	Interval time.Duration
	// Write applies to every flush.
	Write WriteOptions
	// Flushed, if set, is told what each flush stored, with its warnings. It is called from the goroutine that flushes, one call at a time, and must not flush or close.
	Flushed func(results []WriteResult)
}

// Writer gathers rows of several features and writes them in batches, from one goroutine of its own. Rows of a failed flush are kept: the error
// surfaces at the next Put, Flush or Close, and Flush can be tried again. Memory is that of the rows that wait. It is safe for concurrent use.
type Writer struct {
	store *DeltaStore
	opts  WriterOptions

	mu      sync.Mutex // guards what waits
	pending map[feature.Key][]*pendingRows
	rows    int64
	written map[feature.Key]int64
	failed  error
	closed  bool

	flushing sync.Mutex // one flush at a time
	full     chan struct{}
	stop     chan struct{}
	done     chan struct{}
}

// pendingRows are batches of one schema.
type pendingRows struct {
	schema  *arrow.Schema
	batches []arrow.RecordBatch
}

func (p *pendingRows) count() int64 {
	var n int64
	for _, b := range p.batches {
		n += b.NumRows()
	}
	return n
}

// NewWriter starts a buffered writer. ctx ends its background flushes; Close flushes what waits.
func (s *DeltaStore) NewWriter(ctx context.Context, opts *WriterOptions) *Writer {
	w := &Writer{store: s, pending: map[feature.Key][]*pendingRows{}, written: map[feature.Key]int64{},
		full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if opts != nil {
		w.opts = *opts
	}
	if w.opts.Interval == 0 {
		w.opts.Interval = 2 * time.Second
	}
	go w.run(ctx)
	return w
}

func (w *Writer) run(ctx context.Context) {
	defer close(w.done)
	var tick <-chan time.Time
	if w.opts.Interval > 0 {
		t := time.NewTicker(w.opts.Interval)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.stop:
			return
		case <-tick:
		case <-w.full:
		}
		if err := w.flush(ctx); err != nil {
			w.mu.Lock()
			w.failed = err
			w.mu.Unlock()
		}
	}
}

// Put queues batches, which it retains. It returns the error of a background flush since the last call, after queueing.
func (w *Writer) Put(key feature.Key, batches ...arrow.RecordBatch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	for _, b := range batches {
		groups := w.pending[key]
		if len(groups) == 0 || !groups[len(groups)-1].schema.Equal(b.Schema()) {
			groups = append(groups, &pendingRows{schema: b.Schema()})
			w.pending[key] = groups
		}
		b.Retain()
		last := groups[len(groups)-1]
		last.batches = append(last.batches, b)
		w.rows += b.NumRows()
	}
	if w.opts.BatchRows > 0 && w.rows >= w.opts.BatchRows {
		select {
		case w.full <- struct{}{}:
		default:
		}
	}
	return w.takeFailure()
}

func (w *Writer) takeFailure() error {
	err := w.failed
	w.failed = nil
	return err
}

// Flush writes what waits and returns when it is stored. On an error the rows of the features that failed wait on.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	closed := w.closed
	w.failed = nil
	w.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return w.flush(ctx)
}

func (w *Writer) flush(ctx context.Context) error {
	w.flushing.Lock()
	defer w.flushing.Unlock()
	w.mu.Lock()
	waiting := w.pending
	w.pending, w.rows = map[feature.Key][]*pendingRows{}, 0
	w.mu.Unlock()
	var failed error
	for len(waiting) > 0 && failed == nil {
		failed = w.flushRound(ctx, waiting)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, groups := range waiting {
		w.pending[key] = append(groups, w.pending[key]...)
		for _, g := range groups {
			w.rows += g.count()
		}
	}
	return failed
}

// flushRound writes the first group of each feature and takes what was stored out of waiting.
func (w *Writer) flushRound(ctx context.Context, waiting map[feature.Key][]*pendingRows) error {
	frames := map[feature.Key]*Rows{}
	for key, groups := range waiting {
		frames[key] = &Rows{Schema: groups[0].schema, Batches: eachBatch(groups[0].batches)}
	}
	results, err := w.store.WriteMulti(ctx, frames, &w.opts.Write)
	w.forget(waiting, results)
	if w.opts.Flushed != nil && len(results) > 0 {
		w.opts.Flushed(results)
	}
	return err
}

// forget releases the groups that were stored.
func (w *Writer) forget(waiting map[feature.Key][]*pendingRows, results []WriteResult) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range results {
		w.written[r.Feature] += r.Rows
		for _, b := range waiting[r.Feature][0].batches {
			b.Release()
		}
		if waiting[r.Feature] = waiting[r.Feature][1:]; len(waiting[r.Feature]) == 0 {
			delete(waiting, r.Feature)
		}
	}
}

// Close stops the background flushes, writes what waits, and returns the rows written per feature. After an error Close can be called again.
func (w *Writer) Close(ctx context.Context) (map[feature.Key]int64, error) {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.stop)
	}
	w.mu.Unlock()
	<-w.done
	err := w.flush(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.failed = nil
	}
	return w.written, err
}

func eachBatch(batches []arrow.RecordBatch) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
	}
}

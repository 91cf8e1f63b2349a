package metaxy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// ErrWriterFull is a Put that queued nothing: as many rows as WriterOptions.MaxRows
// wait, and writing them failed.
var ErrWriterFull = errors.New("the writer is full")

// WriterOptions of a buffered writer; nil = flush every two seconds.
type WriterOptions struct {
	// BatchRows flushes when that many rows wait; 0 = no limit.
	BatchRows int64
	// MaxRows makes a Put wait for a flush while that many rows wait, so that
	// memory is bounded by them and one Put of each caller; 0 = no limit.
	MaxRows int64
	// Interval flushes what waits since the last flush; 0 = 2 s, negative = never by time.
	Interval time.Duration
	// Write applies to every flush. What holds for one write only is ErrInvalid:
	// an AppID, whose second flush would count as written already; Resolved
	// without Drop, which the writer's own first flush would contradict; a dry
	// run.
	Write WriteOptions
	// Flushed, if set, is told what each flush stored, with its warnings. It is called from the goroutine that flushes, one call at a time, and must not flush or close.
	Flushed func(results []WriteResult)
}

// validate refuses options that no writer can keep.
func (o *WriterOptions) validate() error {
	switch {
	case o.Write.AppID != "" || o.Write.AppVersion != 0:
		return fmt.Errorf("%w: a buffered writer takes no application id: its flushes would all have the same version, of which a table stores the first; Write each batch with a version of its own", ErrInvalid)
	case o.Write.Resolved != nil && !o.Write.Resolved.Drop:
		return fmt.Errorf("%w: a buffered writer takes Resolved with Drop only: its second flush would conflict with its first", ErrInvalid)
	case o.Write.DryRun:
		return fmt.Errorf("%w: a buffered writer has no dry run", ErrInvalid)
	case o.BatchRows < 0 || o.MaxRows < 0:
		return fmt.Errorf("%w: a number of rows is negative", ErrInvalid)
	}
	return o.Write.validate()
}

// Writer gathers rows of several features and writes them in batches, from one goroutine of its own. Rows of a failed flush are kept: the error
// surfaces at the next Put, Flush or Close, and Flush can be tried again. Memory is that of the rows that wait. It is safe for concurrent use.
type Writer struct {
	store *DeltaStore
	opts  WriterOptions
	ctx   context.Context // of the background flushes
	wrong error           // of the options

	mu      sync.Mutex // guards what waits
	pending map[feature.Key][]*pendingRows
	queued  int64 // rows that wait for the next flush
	rows    int64 // and those that are being written
	written map[feature.Key]int64
	failed  error
	closed  bool
	room    chan struct{} // closed and made anew when a flush ends

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

// NewWriter starts a buffered writer. ctx ends its background flushes, after which Put fails; Close writes what waits all the same. Options that make
// no sense are ErrInvalid from every call. Close or Abort ends its goroutine.
func (s *DeltaStore) NewWriter(ctx context.Context, opts *WriterOptions) *Writer {
	w := &Writer{store: s, ctx: ctx, pending: map[feature.Key][]*pendingRows{}, written: map[feature.Key]int64{}, room: make(chan struct{}),
		full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if opts != nil {
		w.opts = *opts
	}
	if w.opts.Interval == 0 {
		w.opts.Interval = 2 * time.Second
	}
	if w.wrong = w.opts.validate(); w.wrong != nil {
		close(w.done)
		return w
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

// Put queues batches, which it retains. It returns the error of a background flush since the last call, after queueing. Nothing is queued, and the error says so, when
// the writer is closed (ErrClosed), its context ended, its store cannot be written, or it is ErrWriterFull.
func (w *Writer) Put(key feature.Key, batches ...arrow.RecordBatch) error {
	if w.wrong != nil {
		return w.wrong
	}
	if err := w.store.openToWrite(false); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.waitForRoom(); err != nil {
		return err
	}
	for _, b := range batches {
		if b == nil {
			return fmt.Errorf("%w: a batch is nil", ErrInvalid)
		}
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
		w.queued += b.NumRows()
		w.rows += b.NumRows()
	}
	if w.opts.BatchRows > 0 && w.queued >= w.opts.BatchRows {
		w.flushSoon()
	}
	return w.takeFailure()
}

// flushSoon wakes the background.
func (w *Writer) flushSoon() {
	select {
	case w.full <- struct{}{}:
	default:
	}
}

// waitForRoom reports why nothing can be queued. It holds the lock but for the time that it waits for a flush.
func (w *Writer) waitForRoom() error {
	for first := true; ; first = false {
		switch {
		case w.closed:
			return ErrClosed
		case w.ctx.Err() != nil:
			return fmt.Errorf("nothing is queued: the context of the writer ended, Close writes what waits: %w", context.Cause(w.ctx))
		case w.opts.MaxRows == 0 || w.rows < w.opts.MaxRows:
			return nil
		case !first && w.failed != nil:
			return fmt.Errorf("%w: %d rows wait: %w", ErrWriterFull, w.rows, w.takeFailure())
		}
		w.flushSoon()
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-w.stop:
		case <-w.ctx.Done():
		}
		w.mu.Lock()
	}
}

func (w *Writer) takeFailure() error {
	err := w.failed
	w.failed = nil
	return err
}

// Flush writes what waits and returns when it is stored. On an error the rows of the features that failed wait on.
func (w *Writer) Flush(ctx context.Context) error {
	if w.wrong != nil {
		return w.wrong
	}
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
	w.pending, w.queued = map[feature.Key][]*pendingRows{}, 0
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
			w.queued += g.count()
		}
	}
	close(w.room)
	w.room = make(chan struct{})
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
		w.release(waiting[r.Feature][0])
		if waiting[r.Feature] = waiting[r.Feature][1:]; len(waiting[r.Feature]) == 0 {
			delete(waiting, r.Feature)
		}
	}
}

// release lets go of rows that no longer wait.
func (w *Writer) release(g *pendingRows) {
	w.rows -= g.count()
	for _, b := range g.batches {
		b.Release()
	}
}

// Close stops the background flushes, writes what waits, and returns the rows written per feature. After an error Close can be called again, or Abort.
func (w *Writer) Close(ctx context.Context) (map[feature.Key]int64, error) {
	if w.wrong != nil {
		return map[feature.Key]int64{}, w.wrong
	}
	w.end()
	err := w.flush(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.failed = nil
	}
	return maps.Clone(w.written), err
}

// end stops the background and what waits for it.
func (w *Writer) end() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.stop)
	}
	w.mu.Unlock()
	<-w.done
}

// Abort ends the writer, forgets what waits, and returns the rows that were written per feature. It waits for a flush under way. Nothing fails: it does nothing after a Close
// that succeeded.
func (w *Writer) Abort() map[feature.Key]int64 {
	w.end()
	w.flushing.Lock()
	defer w.flushing.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, groups := range w.pending {
		for _, g := range groups {
			w.release(g)
		}
	}
	clear(w.pending)
	w.queued, w.failed = 0, nil
	return maps.Clone(w.written)
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

package metaxy

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// EventKind says what an Event is about.
type EventKind string

// The kinds of events. A commit is told with its request, a retry before the
// request that is one.
const (
	EventRequest  EventKind = "request"
	EventRetry    EventKind = "retry"
	EventCommit   EventKind = "commit"
	EventProgress EventKind = "progress"
	// EventScan tells how far a table was read for a resolve or a read.
	EventScan EventKind = "scan"
	// EventJoin tells how far the join of a resolve is; each pass over its parts
	// begins anew.
	EventJoin EventKind = "join"
)

// Event is something that a store did, for Options.Observe.
type Event struct {
	Kind EventKind
	// Op is what was asked of the storage: stat, read, list, put, create,
	// delete; of progress read, write, new, stale or orphaned; of a join
	// resolve. Key is the object, below the store's root.
	Op, Key string
	// Bytes that were read or sent, Took the time of it, Attempt counts from 1.
	Bytes   int64
	Took    time.Duration
	Attempt int
	// Version is that of a commit, and Outcome what became of it: stored, lost
	// to another writer, or unknown, when its answer was lost; the store then
	// reads it back, and says ErrOutcomeUnknown where that does not tell.
	Version int64
	Outcome string
	// Feature and Rows of progress: rows that went through so far. Of a scan: the
	// feature whose table is read, rows read so far (more than Total where parts
	// are read again) and Total, those that the table has. Of a join: the feature
	// that is resolved, rows of the tables that lead the join, and all of them.
	Feature     feature.Key
	Rows, Total int64
	Err         error
}

// The outcomes of commits.
const (
	outcomeStored  = "stored"
	outcomeLost    = "lost"
	outcomeUnknown = "unknown"
)

// observer is where a store tells what it does; nil = nowhere.
func (o *Options) observer() func(Event) {
	tell, log := o.Observe, o.Logger
	switch {
	case log == nil:
		return tell
	case tell == nil:
		return func(e Event) { e.log(log) }
	}
	return func(e Event) {
		e.log(log)
		tell(e)
	}
}

// log writes an event: what failed or is tried again as a warning, commits as
// information, the rest for debugging.
func (e *Event) log(to *slog.Logger) {
	level := slog.LevelDebug
	switch {
	case e.Kind == EventRetry, e.Outcome == outcomeUnknown:
		level = slog.LevelWarn
	case e.Kind == EventCommit:
		level = slog.LevelInfo
	}
	var ctx context.Context // none: the logger takes the empty one
	if !to.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("op", e.Op)}
	switch e.Kind {
	case EventScan, EventJoin:
		attrs = append(attrs, slog.String("feature", e.Feature.String()), slog.Int64("rows", e.Rows), slog.Int64("total", e.Total))
	case EventProgress:
		attrs = append(attrs, slog.String("feature", e.Feature.String()), slog.Int64("rows", e.Rows))
	case EventCommit:
		attrs = append(attrs, slog.Int64("version", e.Version), slog.String("outcome", e.Outcome))
		fallthrough
	default:
		attrs = append(attrs, slog.String("key", e.Key), slog.Int64("bytes", e.Bytes), slog.Duration("took", e.Took), slog.Int("attempt", e.Attempt))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	to.LogAttrs(ctx, level, string(e.Kind), attrs...)
}

// commitName is the key of a commit.
var commitName = regexp.MustCompile(`(^|/)_delta_log/(\d{20})\.json$`)

// observed is a driver whose requests, retries and commits are told.
func observed(d objstore.Driver, o *Options) objstore.Driver {
	tell := o.observer()
	if tell == nil {
		return d
	}
	return objstore.Observe(d, o.Now, func(r objstore.Request) {
		e := Event{Kind: EventRequest, Op: r.Op, Key: r.Key, Bytes: r.Bytes, Took: r.Took, Attempt: r.Attempt, Err: r.Err}
		if r.Attempt > 1 {
			again := e
			again.Kind = EventRetry
			tell(again)
		}
		tell(e)
		if m := commitName.FindStringSubmatch(r.Key); m != nil && r.Op == "create" {
			e.Kind = EventCommit
			e.Version, _ = strconv.ParseInt(m[2], 10, 64) // 20 digits that a log can have
			e.Outcome = outcomeOf(r.Err)
			tell(e)
		}
	})
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return outcomeStored
	case errors.Is(err, fs.ErrExist), errors.Is(err, objstore.ErrNotAtomic):
		return outcomeLost
	}
	return outcomeUnknown
}

// progress tells how many rows of a stream went through.
func (s *DeltaStore) progress(key feature.Key, op string, in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	tell := s.opts.observer()
	if tell == nil {
		return in
	}
	var rows atomic.Int64
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			if err == nil {
				tell(Event{Kind: EventProgress, Op: op, Feature: key, Rows: rows.Add(b.NumRows())})
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// watched tells how many rows of each part of an increment went through.
func (i *Increment) watched(in iter.Seq2[PartBatch, error]) iter.Seq2[PartBatch, error] {
	if i.store == nil || i.store.opts.observer() == nil {
		return in
	}
	tell := i.store.opts.observer()
	return func(yield func(PartBatch, error) bool) {
		rows := map[Part]int64{}
		for b, err := range in {
			if err == nil {
				rows[b.Part] += b.Batch.NumRows()
				tell(Event{Kind: EventProgress, Op: partNames[b.Part], Feature: i.key, Rows: rows[b.Part]})
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// partNames are the parts of an increment in events.
var partNames = [...]string{New: "new", Stale: "stale", Orphaned: "orphaned"}

// watchedTable tells how far a table was read.
type watchedTable struct {
	frame.Table
	key         feature.Key
	tell        func(Event)
	rows, total atomic.Int64
}

// watch returns the table, and tells of its reads where somebody asks.
func (s *DeltaStore) watch(key feature.Key, t frame.Table) frame.Table {
	if s == nil || t == nil {
		return t
	}
	tell := s.opts.observer()
	if tell == nil {
		return t
	}
	return &watchedTable{Table: t, key: key, tell: tell}
}

// Units tells how many rows there are.
func (t *watchedTable) Units(ctx context.Context) ([]frame.Unit, error) {
	units, err := t.Table.Units(ctx)
	total := int64(0)
	for _, u := range units {
		total += u.Rows
	}
	if err == nil && t.total.Swap(total) != total {
		t.tell(Event{Kind: EventScan, Op: "read", Feature: t.key, Rows: t.rows.Load(), Total: total})
	}
	return units, err
}

// Read tells of each block.
func (t *watchedTable) Read(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return t.told(t.Table.Read(ctx, unit, rows, cols))
}

// Lend is Read where the table lends nothing.
func (t *watchedTable) Lend(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	if l, ok := t.Table.(frame.Lender); ok {
		return t.told(l.Lend(ctx, unit, rows, cols))
	}
	return t.Read(ctx, unit, rows, cols)
}

func (t *watchedTable) told(in iter.Seq2[frame.Block, error]) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		for b, err := range in {
			if err == nil {
				t.tell(Event{Kind: EventScan, Op: "read", Feature: t.key, Rows: t.rows.Add(b.Batch.NumRows()), Total: t.total.Load()})
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

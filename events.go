package metaxy

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"regexp"
	"strconv"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// observer is where a store tells what it does; nil = nowhere.
func (o *Options) observer() func(event.Event) {
	tell, log := o.Observe, o.Logger
	switch {
	case log == nil:
		return tell
	case tell == nil:
		return func(e event.Event) { e.Log(log) }
	}
	return func(e event.Event) {
		e.Log(log)
		tell(e)
	}
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
		e := event.Event{Kind: event.Request, Op: r.Op, Key: r.Key, Bytes: r.Bytes, Took: r.Took, Attempt: r.Attempt, Err: r.Err}
		if r.Attempt > 1 {
			again := e
			again.Kind = event.Retry
			tell(again)
		}
		tell(e)
		if m := commitName.FindStringSubmatch(r.Key); m != nil && r.Op == "create" {
			e.Kind = event.Commit
			e.Version, _ = strconv.ParseInt(m[2], 10, 64) // 20 digits that a log can have
			e.Outcome = outcomeOf(r.Err)
			tell(e)
		}
	})
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return event.Stored
	case errors.Is(err, fs.ErrExist), errors.Is(err, objstore.ErrNotAtomic):
		return event.Lost
	}
	return event.Unknown
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
				tell(event.Event{Kind: event.Progress, Op: op, Feature: key, Rows: rows.Add(b.NumRows())})
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
				tell(event.Event{Kind: event.Progress, Op: partNames[b.Part], Feature: i.key, Rows: rows[b.Part]})
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
	tell        func(event.Event)
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
		t.tell(event.Event{Kind: event.Scan, Op: "read", Feature: t.key, Rows: t.rows.Load(), Total: total})
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
				t.tell(event.Event{Kind: event.Scan, Op: "read", Feature: t.key, Rows: t.rows.Add(b.Batch.NumRows()), Total: t.total.Load()})
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

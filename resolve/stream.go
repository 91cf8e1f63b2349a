package resolve

import (
	"context"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// stream resolves without holding the expected rows: one upstream table is read
// in blocks, which are joined to the others, hashed, compared with the stored
// rows and given out. Only what those others and the stored rows are asked for
// is held.
type stream struct {
	inc     *Increment
	legs    []*leg
	sides   []*depSide // by dep; nil where nothing joins it
	stored  *storedSide
	layout  *hashjoin.Layout // of join keys; nil where there are no rows
	stable  *hashjoin.Layout // the same for a shard; nil = all
	held    []keyed          // the tables whose join keys are held
	match   *matching
	fields  []fieldGroup
	samples []arrow.RecordBatch

	mu      sync.Mutex // guards what follows
	decided *decisions
	users   int
	closed  bool
}

// fieldGroup is fields with the same parents, which are hashed together.
type fieldGroup struct {
	fields  []int // of the plan
	sources []feature.Parent
	hasher  func() *rowhash.FieldHasher
}

// openTables lets all tables find their units at once: what that reads is far
// away on buckets.
func (inc *Increment) openTables(ctx context.Context) error {
	var tables []frame.Table
	if inc.req.Samples == nil {
		for _, i := range inc.order {
			tables = append(tables, inc.deps[i].src.Table)
		}
	}
	if inc.compares() {
		tables = append(tables, inc.req.Current.Table)
	}
	return eachOf(ctx, len(tables), max(1, len(tables)), func(ctx context.Context, _, i int) error {
		_, err := tables[i].Units(ctx)
		return err
	})
}

// start reads what the stream needs to hold.
func (s *stream) start(ctx context.Context) error {
	if s.inc.req.Samples != nil {
		if err := s.readSamples(ctx); err != nil {
			return err
		}
	}
	if s.layout != nil {
		err := believing(ctx, s.held, s.layout, &s.inc.req.Options, func(ctx context.Context, m *matching) error {
			s.match = m
			return s.load(ctx, m)
		})
		if err != nil {
			return err
		}
	}
	for _, l := range s.legs {
		l.plan()
	}
	return nil
}

// close gives back what is held, as soon as nobody reads it.
func (s *stream) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.free()
}

// enter keeps what is held until leave; it fails when the stream is closed.
func (s *stream) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.users++
	return nil
}

func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	s.free()
}

func (s *stream) free() {
	if !s.closed || s.users > 0 {
		return
	}
	for _, b := range s.samples {
		b.Release()
	}
	s.samples = nil
	if s.match != nil {
		s.match.arena.Free()
	}
}

// readSamples holds the samples as the table of the one leg.
func (s *stream) readSamples(ctx context.Context) error {
	rows := s.inc.req.Samples
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		b.Retain()
		s.samples = append(s.samples, b)
	}
	f, err := newFeed(ctx, s.inc.key().String(), MemTable(rows.Schema, s.samples), nil)
	if err != nil {
		return err
	}
	f.filter(same, s.inc.req.Current.Filters...)
	s.cutShard(f, s.legs[0].keys)
	s.legs[0].feed = f
	return nil
}

// load fills the sides and surveys the drivers. All share one index of join keys.
func (s *stream) load(ctx context.Context, m *matching) error {
	// What a survey needs is given back before the sides take room.
	for _, l := range s.legs {
		if err := l.survey(ctx, m); err != nil {
			return err
		}
	}
	for i, side := range s.sides {
		if side == nil {
			continue
		}
		if s.inc.aggregates(i) {
			if err := side.feed.surveyApart(ctx, m); err != nil {
				return err
			}
			var err error
			if side.groups, err = s.groupsOf(ctx, i, side.feed); err != nil {
				return err
			}
		}
		if err := side.read(ctx, m); err != nil {
			return err
		}
	}
	if s.stored != nil {
		if err := s.stored.read(ctx, m, s.inc.req); err != nil {
			return err
		}
	}
	return nil
}

// groupsOf groups the rows of an aggregated dep.
func (s *stream) groupsOf(ctx context.Context, dep int, f *feed) (*groups, error) {
	d := s.inc.deps[dep]
	g, tied, err := s.inc.groupRows(ctx, d, f)
	d.tied = tied
	return g, err
}

// index is the index of join keys, nil where nothing is held by key.
func (s *stream) index() *hashjoin.Index {
	if s.match == nil {
		return nil
	}
	return s.match.index
}

// nothing reports whether statistics prove that a column is null in every row of
// its table.
func (s *stream) nothing(c outColumn) bool {
	f := s.feedOf(c.dep)
	if f == nil {
		return true
	}
	return c.in == syscol.DeletedAt && !slices.ContainsFunc(f.units, func(u frame.Unit) bool {
		return u.Span() > 0 && !allNullIn(u, c.in)
	})
}

// feeds are the tables that are read.
func (s *stream) feeds() []*feed {
	var out []*feed
	for i := range s.inc.deps {
		if f := s.feedOf(i); f != nil {
			out = append(out, f)
		}
	}
	if s.stored != nil {
		out = append(out, s.stored.feed)
	}
	return out
}

package resolve

import (
	"context"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// cut is a resolve that does not fit memory: its tables are in partitions by
// join key, each of which is resolved by itself.
type cut struct {
	parts   int
	deps    []parted // by dep; nil without a table
	current parted
	samples *splitTable
	rows    int64
	// readers is how many units are read at once; 0 = as many as without a cut.
	readers int
	counted bool
	// joined is how many rows the join has in all; 0 = not known.
	joined int64
	// given has the partitions where they were cut before; the tables are its.
	given Parts
}

// parted is a table in partitions.
type parted interface {
	// part is the table that has the rows of one partition.
	part(p int) frame.Table
	close()
}

// split cuts the work when its estimate is beyond the limit; nil when it fits.
func (inc *Increment) split(ctx context.Context, st *stream) (*cut, error) {
	o := &inc.req.Options
	if o.MemoryLimit <= 0 {
		return nil, nil
	}
	bytes := st.bytes()
	if inc.req.Samples != nil {
		n, err := inc.peek()
		if err != nil {
			return nil, err
		}
		bytes += n
	}
	parts := o.partitionsFor(bytes)
	if parts == 1 {
		return nil, nil
	}
	if c, err := inc.ranges(ctx, st, parts); c != nil || err != nil {
		return c, err
	}
	if o.SpillDir == "" {
		return nil, o.beyond(bytes)
	}
	s := &splitter{opts: o, parts: parts, need: bytes}
	c := &cut{parts: parts, deps: make([]parted, len(inc.deps))}
	if err := inc.splitAll(ctx, s, st.layout, c); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (inc *Increment) splitAll(ctx context.Context, s *splitter, keys *hashjoin.Layout, c *cut) error {
	inputs, err := inc.Inputs(ctx)
	if err != nil {
		return err
	}
	for _, in := range inputs {
		if in.Dep == SamplesInput {
			if err := inc.splitSamples(ctx, s, keys, c); err != nil {
				return err
			}
			continue
		}
		t, err := s.split(ctx, &in, keys)
		if err != nil {
			return err
		}
		c.rows += t.rows
		if in.Dep == CurrentInput {
			c.current = t
			continue
		}
		c.deps[in.Dep] = t
		inc.warnWeak(inc.deps[in.Dep].key(), t.rows)
	}
	return nil
}

// compares reports whether there are stored rows to compare with.
func (inc *Increment) compares() bool {
	return inc.req.Current.Table != nil && !inc.req.SkipComparison
}

// currentColumns are the columns that must be read of every stored row.
func (inc *Increment) currentColumns(ctx context.Context) ([]string, error) {
	src := &inc.req.Current
	stamps, err := stampColumns(ctx, src.Table)
	return unique(slices.Concat(src.IDs, inc.joinColumns(), stamps, []string{syscol.Provenance}, filterColumns(src.Filters), filterColumns(inc.req.StaleIf))), err
}

// peek reads samples until they are known to be too many for memory, and puts them back.
func (inc *Increment) peek() (bytes int64, err error) {
	in := inc.req.Samples
	a := &ahead{}
	a.next, a.stop = iter.Pull2(in.Batches)
	inc.ahead = a
	ended := false
	for bytes <= inc.req.Options.MemoryLimit/4 {
		b, err, ok := a.next()
		if !ok {
			ended = true
			break
		}
		if err != nil {
			return 0, err
		}
		b.Retain()
		a.held = append(a.held, b)
		bytes += rowBytes*b.NumRows() + frame.Size(b)
	}
	if !ended {
		bytes = max(bytes*4, inc.req.Options.MemoryLimit*samplesGuess) // how many follow is not known
	}
	inc.req.Samples = &Rows{Schema: in.Schema, Batches: a.all}
	return bytes, nil
}

// ahead is a stream of which some batches were read before their time.
type ahead struct {
	held []arrow.RecordBatch
	next func() (arrow.RecordBatch, error, bool)
	stop func()
}

// all yields the whole stream and ends it. The batches are released after each
// step.
func (a *ahead) all(yield func(arrow.RecordBatch, error) bool) {
	defer a.close()
	for len(a.held) > 0 {
		b := a.held[0]
		a.held = a.held[1:]
		ok := frame.Give(yield, b, b)
		if !ok {
			return
		}
	}
	for b, err, ok := a.next(); ok; b, err, ok = a.next() {
		if !yield(b, err) || err != nil {
			return
		}
	}
}

// close ends the stream where it is.
func (a *ahead) close() {
	if a == nil {
		return
	}
	a.stop()
	for _, b := range a.held {
		b.Release()
	}
	a.held = nil
}

// samplesGuess is how many times the memory limit a stream of samples is taken
// for that did not end within a quarter of it.
const samplesGuess = 16

// splitSamples writes the samples to partitions, numbered as they come.
func (inc *Increment) splitSamples(ctx context.Context, s *splitter, keys *hashjoin.Layout, c *cut) error {
	rows := inc.req.Samples
	c.samples = &splitTable{cols: rows.Schema.NumFields()}
	var err error
	if c.samples.spill, err = s.spill(); err != nil {
		return err
	}
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		if err := s.batch(ctx, b, 0, inc.joinColumns(), keys, c.samples.spill); err != nil {
			return err
		}
	}
	return s.check(c.samples)
}

func (c *cut) close() {
	if c == nil {
		return
	}
	for _, t := range append(slices.Clone(c.deps), c.current) {
		if t != nil {
			t.close()
		}
	}
	if c.samples != nil {
		c.samples.close()
	}
}

// sub is the resolve of one partition; done gives back what it is made from.
func (inc *Increment) sub(ctx context.Context, p int) (sub *Increment, done func(), err error) {
	req := *inc.req
	req.Options.MemoryLimit, req.Options.Joined = 0, inc.joinedOf(p)
	if inc.cut.readers > 0 {
		req.Options.Parallel = inc.cut.readers
	}
	req.Deps = slices.Clone(req.Deps)
	for i, t := range inc.cut.deps {
		if t != nil {
			req.Deps[i].Table = t.part(p)
		}
	}
	if inc.cut.current != nil {
		req.Current.Table = inc.cut.current.part(p)
	}
	if inc.cut.samples != nil {
		req.Samples = &Rows{Schema: req.Samples.Schema, Batches: inc.cut.samples.spill.Read(ctx, p, 0)}
	}
	done = func() {}
	if inc.cut.given != nil {
		if done, err = inc.cut.ofParts(ctx, &req, p); err != nil {
			return nil, nil, err
		}
	}
	if sub, err = Update(ctx, &req); err != nil {
		done()
		return nil, nil, err
	}
	sub.part = true
	return sub, done, nil
}

// partitions resolves one partition after another; f gives out what it wants of
// each and says whether to go on. Stats and warnings are complete after all.
func (inc *Increment) partitions(ctx context.Context, f func(sub *Increment) bool) error {
	total := Stats{RowsRead: inc.cut.rows}
	var warnings []warning
	var units, fresh int64
	each := func(p int) (more bool, err error) {
		sub, done, err := inc.sub(ctx, p)
		if err != nil {
			return false, err
		}
		defer done()
		defer sub.Close()
		if !f(sub) {
			return false, nil
		}
		if err := sub.Count(ctx); err != nil {
			return false, err
		}
		total.New, total.Stale, total.Orphaned = total.New+sub.stats.New, total.Stale+sub.stats.Stale, total.Orphaned+sub.stats.Orphaned
		total.Expected, total.Current = total.Expected+sub.stats.Expected, total.Current+sub.stats.Current
		units, fresh = units+sub.units, fresh+sub.fresh
		warnings = addWarnings(warnings, sub.warnings)
		if inc.cut.given != nil {
			total.RowsRead += sub.stats.RowsRead
		}
		return true, nil
	}
	for p := range inc.cut.parts {
		if more, err := each(p); !more || err != nil {
			return err
		}
	}
	if inc.cut.counted {
		return nil
	}
	inc.cut.counted = true
	inc.mu.Lock()
	inc.stats, inc.units, inc.fresh = total, units, fresh
	inc.warnings = addWarnings(inc.warnings, warnings)
	inc.mu.Unlock()
	inc.setProgress()
	return nil
}

// partOfAll streams one part over all partitions.
func (inc *Increment) partOfAll(ctx context.Context, p Part, yield func(arrow.RecordBatch, error) bool) {
	ended := false
	err := inc.partitions(ctx, func(sub *Increment) bool {
		for b, err := range sub.Part(ctx, p) {
			if !yield(b, err) || err != nil {
				ended = true
				return false
			}
		}
		return true
	})
	if err != nil && !ended {
		yield(nil, err)
	}
}

// allOfAll streams every part of one partition after another.
func (inc *Increment) allOfAll(ctx context.Context, yield func(PartBatch, error) bool) {
	ended := false
	err := inc.partitions(ctx, func(sub *Increment) bool {
		for b, err := range sub.All(ctx) {
			if !yield(b, err) || err != nil {
				ended = true
				return false
			}
		}
		return true
	})
	if err != nil && !ended {
		yield(PartBatch{}, err)
	}
}

package resolve

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// decisions are what a whole pass over the drivers found, so that a later pass
// reads and hashes only the rows that it gives out.
type decisions struct {
	legs    []marks
	orphans []int32 // entries of stored rows
}

// marks have, for New and Stale and each unit of a driver, a bit for each row
// that leads to one; nil where none does.
type marks [2][][]uint64

// wanted are the parts that a pass gives out.
type wanted [3]bool

// pass reads the drivers once and gives out wanted parts as they are found, then
// the orphans. It decides, if nothing is decided yet.
func (s *stream) pass(ctx context.Context, want wanted, yield func(PartBatch, error) bool) {
	if err := s.enter(); err != nil {
		yield(PartBatch{}, err)
		return
	}
	defer s.leave()
	s.mu.Lock()
	decided := s.decided
	s.mu.Unlock()
	if decided == nil || want[New] || want[Stale] {
		var ok bool
		if decided, ok = s.drive(ctx, want, decided, yield); !ok {
			return
		}
	}
	if want[Orphaned] {
		s.emitOrphans(ctx, decided.orphans, yield)
	}
}

// settle decides without giving anything out.
func (s *stream) settle(ctx context.Context) error {
	s.mu.Lock()
	done := s.decided != nil
	s.mu.Unlock()
	if done {
		return nil
	}
	var failed error
	s.pass(ctx, wanted{}, func(_ PartBatch, err error) bool {
		failed = err
		return false
	})
	return failed
}

// found is what one worker of a pass gives out.
type found struct {
	batch PartBatch
	err   error
}

// drive runs the workers and hands on what they find; ok is false when an error
// was given or the consumer has enough.
func (s *stream) drive(ctx context.Context, want wanted, decided *decisions, yield func(PartBatch, error) bool) (d *decisions, ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan found)
	var wg sync.WaitGroup
	var left atomic.Bool
	p := &pass{s: s, want: want, decided: decided, out: out}
	wg.Go(func() {
		defer close(out)
		if err := apart(&left, func() error { return p.run(ctx) }); err != nil {
			select {
			case out <- found{err: err}:
			case <-ctx.Done():
			}
		}
	})
	defer func() {
		cancel()
		for f := range out {
			if f.batch.Batch != nil {
				f.batch.Batch.Release()
			}
		}
		wg.Wait()
	}()
	for f := range out {
		if f.err != nil {
			yield(PartBatch{}, f.err)
			return nil, false
		}
		more := frame.Give(yield, f.batch, f.batch.Batch)
		if !more {
			return nil, false
		}
	}
	if left.Load() {
		runtime.Goexit() // what came is not all
	}
	if err := ctx.Err(); err != nil {
		yield(PartBatch{}, err)
		return nil, false
	}
	if decided == nil {
		s.inc.settle(p)
		s.mu.Lock()
		s.decided = p.marks
		s.mu.Unlock()
		decided = p.marks
	}
	return decided, true
}

// pass is one run over the drivers.
type pass struct {
	s       *stream
	want    wanted
	decided *decisions // of an earlier pass
	out     chan<- found

	marks    *decisions
	count    Stats
	found    counts
	progress *progress
	joined   joined
}

func (p *pass) run(ctx context.Context) error {
	p.marks = &decisions{legs: make([]marks, len(p.s.legs))}
	if p.decided == nil {
		p.progress = p.s.newProgress()
	}
	p.joined.begin(p.s)
	list := make([]*worker, workers(p.s.inc.req.Options.Parallel))
	for i, l := range p.s.legs {
		for part := range p.marks.legs[i] {
			p.marks.legs[i][part] = make([][]uint64, len(l.feed.units))
		}
		err := eachOf(ctx, len(l.feed.units), len(list), func(ctx context.Context, worker, unit int) error {
			if list[worker] == nil {
				list[worker] = p.s.newWorker()
			}
			return p.unit(ctx, list[worker], i, unit)
		})
		if err != nil {
			return err
		}
	}
	var matched []uint64
	if p.s.stored != nil {
		matched = make([]uint64, (p.s.index().Slots()+63)/64)
	}
	for _, w := range list {
		if w == nil {
			continue
		}
		p.count.New, p.count.Stale = p.count.New+w.count.New, p.count.Stale+w.count.Stale
		p.count.Expected += w.count.Expected
		p.found.add(w.found)
		for i, m := range w.matched {
			matched[i] |= m
		}
	}
	if p.decided == nil && p.s.stored != nil {
		p.marks.orphans = p.s.stored.orphans(matched)
		p.count.Orphaned = int64(len(p.marks.orphans))
		if p.s.stored.asOne {
			p.count.Orphaned = int64(len(groupBySlot(p.marks.orphans, p.s.stored.several)))
		}
	}
	return nil
}

// unit decides the rows of a unit and gives out those that are wanted.
func (p *pass) unit(ctx context.Context, w *worker, leg, unit int) error {
	l := p.s.legs[leg]
	span, at := l.feed.units[unit].Span(), int64(0)
	if p.decided != nil && !p.any(leg, unit) {
		p.joined.add(span)
		return nil
	}
	e := &emitter{pass: p, leg: l, w: w, unit: unit}
	defer e.release()
	err := l.feed.live(ctx, unit, l.cols[l.skip:], func(b *picked) error {
		if p.decided != nil {
			p.only(b, leg, unit)
		}
		if b.len() == 0 {
			return nil
		}
		if err := w.block(l, b, unit); err != nil {
			return err
		}
		if p.decided == nil {
			p.mark(w, b, leg, unit)
			if l.skip == 0 {
				if err := p.progress.add(w, columnsOf(b.Batch, l.cols, l.keys)); err != nil {
					return err
				}
			}
		}
		for _, part := range []Part{New, Stale} {
			if !p.want[part] || len(w.parts[part]) == 0 {
				continue
			}
			if err := e.add(ctx, part, b, w.parts[part]); err != nil {
				return err
			}
		}
		to := min(int64(b.at)+b.Batch.NumRows(), span)
		p.joined.add(to - at)
		at = to
		return nil
	})
	if err == nil {
		err = e.flush(ctx)
	}
	if err == nil {
		p.joined.add(span - at)
	}
	return err
}

// any reports whether an earlier pass found wanted rows in a unit.
func (p *pass) any(leg, unit int) bool {
	m := &p.decided.legs[leg]
	return p.want[New] && m[New][unit] != nil || p.want[Stale] && m[Stale][unit] != nil
}

// only drops the rows of a block that an earlier pass did not put into a wanted part.
func (p *pass) only(b *picked, leg, unit int) {
	keep := make([]int32, 0, b.len())
	for j := range b.len() {
		i := b.index(j)
		row := b.Row(int(i))
		for part := range p.decided.legs[leg] {
			if bits := p.decided.legs[leg][part][unit]; p.want[part] && bits != nil && bits[row>>6]>>(row&63)&1 != 0 {
				keep = append(keep, i)
				break
			}
		}
	}
	b.rows = keep
}

// mark keeps which rows of a block lead to new and stale ones.
func (p *pass) mark(w *worker, b *picked, leg, unit int) {
	for part := range p.marks.legs[leg] {
		if len(w.parts[part]) == 0 {
			continue
		}
		// A unit has one worker at a time.
		bits := p.marks.legs[leg][part][unit]
		if bits == nil {
			bits = make([]uint64, (p.s.legs[leg].feed.units[unit].Span()+63)/64)
			p.marks.legs[leg][part][unit] = bits
		}
		for _, j := range w.parts[part] {
			row := b.Row(int(w.rows[j]))
			bits[row>>6] |= 1 << (row & 63)
		}
	}
}

// send hands a batch to the consumer, which releases it.
func (p *pass) send(ctx context.Context, part Part, b arrow.RecordBatch) error {
	select {
	case p.out <- found{batch: PartBatch{part, b}}:
		return nil
	case <-ctx.Done():
		b.Release()
		return ctx.Err()
	}
}

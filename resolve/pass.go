package resolve

import (
	"context"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// decisions are what a whole pass over the driver found, so that a later pass
// reads and hashes only the rows that it gives out.
type decisions struct {
	// parts have, for New and Stale and each unit, a bit for each row; nil where
	// there is none.
	parts   [2][][]uint64
	orphans []frame.Ref
}

// wanted are the parts that a pass gives out.
type wanted [3]bool

// pass reads the driver once and gives out wanted parts as they are found, then
// the orphans. It decides, if nothing is decided yet.
func (s *stream) pass(ctx context.Context, want wanted, yield func(PartBatch, error) bool) {
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
	p := &pass{s: s, want: want, decided: decided, out: out}
	wg.Go(func() {
		defer close(out)
		if err := p.run(ctx); err != nil {
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
		ok := yield(f.batch, nil)
		f.batch.Batch.Release()
		if !ok {
			return nil, false
		}
	}
	if err := ctx.Err(); err != nil {
		yield(PartBatch{}, err)
		return nil, false
	}
	if decided == nil {
		s.inc.settle(p)
		s.mu.Lock()
		s.decided = p.found
		s.mu.Unlock()
		decided = p.found
	}
	return decided, true
}

// pass is one run over the driver.
type pass struct {
	s       *stream
	want    wanted
	decided *decisions // of an earlier pass
	out     chan<- found

	mu      sync.Mutex
	found   *decisions
	matched []uint64
	count   Stats
	nulls   nullCounts
}

func (p *pass) run(ctx context.Context) error {
	f := p.s.driver
	p.found = &decisions{}
	for i := range p.found.parts {
		p.found.parts[i] = make([][]uint64, len(f.units))
	}
	parallel := workers(p.s.inc.req.Options.Parallel)
	list := make([]*worker, parallel)
	err := eachOf(ctx, len(f.units), parallel, func(ctx context.Context, worker, unit int) error {
		if list[worker] == nil {
			list[worker] = p.s.newWorker()
		}
		return p.unit(ctx, list[worker], unit)
	})
	if err != nil {
		return err
	}
	if p.s.stored != nil {
		p.matched = make([]uint64, (p.s.index.Slots()+63)/64)
	}
	for _, w := range list {
		if w == nil {
			continue
		}
		p.count.New, p.count.Stale = p.count.New+w.count.New, p.count.Stale+w.count.Stale
		p.count.Expected += w.count.Expected
		p.nulls.versions, p.nulls.ids = p.nulls.versions+w.nulls.versions, p.nulls.ids+w.nulls.ids
		for i, m := range w.matched {
			p.matched[i] |= m
		}
	}
	if p.decided == nil && p.s.stored != nil {
		p.found.orphans = p.s.stored.orphans(p.matched)
		p.count.Orphaned = int64(len(p.found.orphans))
	}
	return nil
}

// unit decides the rows of a unit and gives out those that are wanted.
func (p *pass) unit(ctx context.Context, w *worker, unit int) error {
	if p.decided != nil && !p.any(unit) {
		return nil
	}
	cols := p.s.driverColumns()
	e := &emitter{pass: p, w: w, unit: unit, cols: cols}
	defer e.release()
	err := p.s.driver.live(ctx, unit, cols, func(b *picked) error {
		if p.decided != nil {
			p.only(b, unit)
		}
		if b.len() == 0 {
			return nil
		}
		if err := w.block(b, unit, cols); err != nil {
			return err
		}
		if p.decided == nil {
			p.remember(w, b, unit)
		}
		for _, part := range []Part{New, Stale} {
			if !p.want[part] || len(w.parts[part]) == 0 {
				continue
			}
			if err := e.add(ctx, part, b, w.parts[part]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.flush(ctx)
}

// any reports whether an earlier pass found wanted rows in a unit.
func (p *pass) any(unit int) bool {
	return p.want[New] && p.decided.parts[New][unit] != nil || p.want[Stale] && p.decided.parts[Stale][unit] != nil
}

// only drops the rows of a block that an earlier pass did not put into a wanted part.
func (p *pass) only(b *picked, unit int) {
	keep := make([]int32, 0, b.len())
	for j := range b.len() {
		i := j
		if b.rows != nil {
			i = int(b.rows[j])
		}
		row := b.Row(i)
		for part := range p.decided.parts {
			if bits := p.decided.parts[part][unit]; p.want[part] && bits != nil && bits[row>>6]>>(row&63)&1 != 0 {
				keep = append(keep, int32(i))
				break
			}
		}
	}
	b.rows = keep
}

// remember keeps which rows of a block are new and stale.
func (p *pass) remember(w *worker, b *picked, unit int) {
	for part := range p.found.parts {
		if len(w.parts[part]) == 0 {
			continue
		}
		// A unit has one worker at a time.
		bits := p.found.parts[part][unit]
		if bits == nil {
			bits = make([]uint64, (p.s.driver.units[unit].Span()+63)/64)
			p.found.parts[part][unit] = bits
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

// orphans are the stored rows without a bit, in the order of the table.
func (s *storedSide) orphans(matched []uint64) []frame.Ref {
	var out []frame.Ref
	for slot, n := range s.last {
		if n != 0 && matched[slot>>6]>>(slot&63)&1 == 0 {
			out = append(out, s.feed.ref(n-1))
		}
	}
	slices.Sort(out)
	return out
}

// emitOrphans gives out stored rows that nothing expects.
func (s *stream) emitOrphans(ctx context.Context, refs []frame.Ref, yield func(PartBatch, error) bool) {
	schema := s.inc.schemas[Orphaned]
	var names []string
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	for chunk := range slices.Chunk(refs, emitRows) {
		for b, err := range s.stored.feed.table.Take(ctx, chunk, names) {
			if err != nil {
				yield(PartBatch{}, err)
				return
			}
			if !slicesOf(ctx, b, schema, func(b arrow.RecordBatch, err error) bool { return yield(PartBatch{Orphaned, b}, err) }) {
				return
			}
		}
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

package remember

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sync/errgroup"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
)

// Picked is the rows of a table that have some keys, in the order of the table.
// They are found when the first is asked for: units whose statistics exclude
// the keys are not read. What is read of them is kept until Close.
type Picked struct {
	table frame.Table
	// key names the key columns of the table, in the order of the set's.
	key      []string
	set      *Set
	fresh    func(ctx context.Context, unit int) (bool, error)
	parallel int
	// onlyOld leaves fresh units out.
	onlyOld bool

	found *picks
}

// picks are the rows that were found, shared by all views of a table.
type picks struct {
	mu    sync.Mutex
	ready bool
	units []*pickedUnit
}

// pickedUnit is the rows of one unit.
type pickedUnit struct {
	refs  []frame.Ref
	fresh bool
	mu    sync.Mutex
	cols  map[string]arrow.Array
}

// Pick returns the rows of a table whose key columns are in the set, and every
// row of the units that fresh reports, once the table's units are known.
func Pick(table frame.Table, key []string, set *Set, fresh func(ctx context.Context, unit int) (bool, error), parallel int) *Picked {
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	return &Picked{table: table, key: key, set: set, fresh: fresh, parallel: parallel, found: &picks{}}
}

// Before returns the rows without those of fresh units. It shares what was read.
func (p *Picked) Before() *Picked {
	o := *p
	o.onlyOld = true
	return &o
}

// Close gives back what is kept. The table can be read again.
func (p *Picked) Close() {
	p.found.mu.Lock()
	defer p.found.mu.Unlock()
	for _, u := range p.found.units {
		u.release()
	}
}

// Schema is that of the table.
func (p *Picked) Schema() *arrow.Schema { return p.table.Schema() }

// Units returns one for each unit of the table that has rows.
func (p *Picked) Units(ctx context.Context) ([]frame.Unit, error) {
	units, err := p.load(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]frame.Unit, len(units))
	for i, u := range units {
		out[i] = frame.Unit{Rows: int64(len(u.refs)), Stats: func(string) (filter.Range, bool) { return filter.Range{}, false }}
	}
	return out, nil
}

// load finds the rows, once; a failure is not kept.
func (p *Picked) load(ctx context.Context) ([]*pickedUnit, error) {
	p.found.mu.Lock()
	defer p.found.mu.Unlock()
	if !p.found.ready {
		units, err := p.find(ctx)
		if err != nil {
			return nil, err
		}
		p.found.units, p.found.ready = units, true
	}
	if !p.onlyOld {
		return p.found.units, nil
	}
	return slices.DeleteFunc(slices.Clone(p.found.units), func(u *pickedUnit) bool { return u.fresh }), nil
}

func (p *Picked) find(ctx context.Context) ([]*pickedUnit, error) {
	units, err := p.table.Units(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]*pickedUnit, len(units))
	for i := range units {
		fresh, err := p.fresh(ctx, i)
		if err != nil {
			return nil, err
		}
		if r, _ := units[i].Stats(p.key[0]); units[i].Rows > 0 && (fresh || p.set.MayHold(r)) {
			found[i] = &pickedUnit{fresh: fresh, cols: map[string]arrow.Array{}}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.parallel)
	for i, u := range found {
		if u != nil {
			g.Go(func() error { return p.findIn(ctx, i, units[i].Rows, u) })
		}
	}
	if err := g.Wait(); err != nil {
		for _, u := range found {
			u.release()
		}
		return nil, err
	}
	return slices.DeleteFunc(found, func(u *pickedUnit) bool { return u == nil || len(u.refs) == 0 }), nil
}

// findIn finds the rows of one unit, and keeps their keys.
func (p *Picked) findIn(ctx context.Context, unit int, rows int64, u *pickedUnit) error {
	if seeker, ok := p.table.(frame.Seeker); ok && !u.fresh {
		err := p.match(ctx, unit, u, seeker.Seek(ctx, unit, p.key, p.set.MayHold))
		if !errors.Is(err, frame.ErrBounds) {
			return err
		}
		u.refs = nil
	}
	return p.match(ctx, unit, u, p.table.Read(ctx, unit, frame.Span{From: 0, To: rows}, p.key))
}

// match finds the rows of blocks of keys that are in the set.
func (p *Picked) match(ctx context.Context, unit int, u *pickedUnit, blocks iter.Seq2[frame.Block, error]) error {
	var m Matcher
	parts, views := make(pieces, len(p.key)), false
	defer parts.release()
	for b, err := range blocks {
		if err != nil {
			return err
		}
		var hits []int32
		if !u.fresh {
			if hits, err = m.Match(p.set, b.Batch.Columns()); err != nil {
				return err
			}
			if len(hits) == 0 {
				continue
			}
		}
		if views = views || slices.ContainsFunc(b.Batch.Columns(), isView); !views {
			if err := parts.add(ctx, b.Batch, hits); err != nil {
				return err
			}
		}
		if u.fresh {
			for i := range int(b.Batch.NumRows()) {
				u.refs = append(u.refs, frame.RefOf(unit, b.Row(i)))
			}
		}
		for _, i := range hits {
			u.refs = append(u.refs, frame.RefOf(unit, b.Row(int(i))))
		}
	}
	if len(u.refs) == 0 || views {
		return nil
	}
	return parts.join(p.key, u)
}

// isView reports whether an array is one that rows are not picked of here: its
// rows are taken from the table.
func isView(a arrow.Array) bool { return a.DataType().ID() == arrow.STRING_VIEW }

// pieces are arrays of consecutive rows, by column.
type pieces [][]arrow.Array

// add takes over chosen rows of a batch, nil for all.
func (p pieces) add(ctx context.Context, b arrow.RecordBatch, rows []int32) error {
	var idx arrow.Array
	if rows != nil {
		list := array.NewInt32Builder(memory.DefaultAllocator)
		defer list.Release()
		list.AppendValues(rows, nil)
		idx = list.NewArray()
		defer idx.Release()
	}
	for i, c := range b.Columns() {
		if idx == nil {
			c.Retain()
		} else {
			var err error
			if c, err = compute.TakeArray(ctx, c, idx); err != nil {
				return err
			}
		}
		p[i] = append(p[i], c)
	}
	return nil
}

func (p pieces) release() {
	for _, list := range p {
		for _, a := range list {
			a.Release()
		}
	}
}

// join keeps the columns of a unit, which have all of its rows.
func (p pieces) join(cols []string, u *pickedUnit) error {
	for i, c := range cols {
		a, err := joined(p[i])
		if err != nil {
			return fmt.Errorf("column %s: %w", c, err)
		}
		if a.Len() != len(u.refs) {
			a.Release()
			return fmt.Errorf("column %s: %d rows of %d are there", c, a.Len(), len(u.refs))
		}
		u.keep(c, a)
	}
	return nil
}

// release gives back what is kept; of nothing, too.
func (u *pickedUnit) release() {
	if u == nil {
		return
	}
	for _, a := range u.cols {
		a.Release()
	}
	u.cols = map[string]arrow.Array{}
}

// keep takes over a column in the place of one that was there.
func (u *pickedUnit) keep(name string, a arrow.Array) {
	if was := u.cols[name]; was != nil {
		was.Release()
	}
	u.cols[name] = a
}

// Read streams columns of rows of a unit as one block.
func (p *Picked) Read(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		units, err := p.load(ctx)
		if err != nil {
			yield(frame.Block{}, err)
			return
		}
		b, err := p.batch(ctx, units[unit], cols)
		if err != nil {
			yield(frame.Block{}, err)
			return
		}
		defer b.Release()
		from, to := max(rows.From, 0), min(rows.To, b.NumRows())
		if from >= to {
			return
		}
		cut := b.NewSlice(from, to)
		defer cut.Release()
		yield(frame.Block{Batch: cut, First: from}, nil)
	}
}

// batch gives columns of all rows of a unit; the caller releases it.
func (p *Picked) batch(ctx context.Context, u *pickedUnit, cols []string) (arrow.RecordBatch, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	missing := slices.DeleteFunc(slices.Clone(cols), func(c string) bool { return u.cols[c] != nil })
	if len(missing) > 0 {
		if err := p.take(ctx, u, missing); err != nil {
			return nil, err
		}
	}
	arrays, fields := make([]arrow.Array, len(cols)), make([]arrow.Field, len(cols))
	for i, c := range cols {
		arrays[i] = u.cols[c]
		fields[i] = arrow.Field{Name: c, Type: arrays[i].DataType(), Nullable: true}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, int64(len(u.refs))), nil
}

// take reads columns that are not kept yet.
func (p *Picked) take(ctx context.Context, u *pickedUnit, cols []string) error {
	parts := make(pieces, len(cols))
	defer parts.release()
	for b, err := range p.table.Take(ctx, u.refs, cols) {
		if err == nil {
			err = parts.add(ctx, b, nil)
		}
		if err != nil {
			return err
		}
	}
	return parts.join(cols, u)
}

// Take streams columns of chosen rows. The table releases each batch after the
// step.
func (p *Picked) Take(ctx context.Context, refs []frame.Ref, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	units, err := p.load(ctx)
	if err != nil {
		return func(yield func(arrow.RecordBatch, error) bool) { yield(nil, err) }
	}
	under := make([]frame.Ref, len(refs))
	for i, r := range refs {
		under[i] = units[r.Unit()].refs[r.Row()]
	}
	return p.table.Take(ctx, under, cols)
}

// joined is arrays as one, which the caller releases.
func joined(list []arrow.Array) (arrow.Array, error) {
	if len(list) == 1 {
		list[0].Retain()
		return list[0], nil
	}
	return array.Concatenate(list, memory.DefaultAllocator)
}

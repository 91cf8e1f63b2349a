package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// flush reads the late columns of what waits and gives it out.
func (e *emitter) flush(ctx context.Context) error {
	for part, list := range e.pieces {
		if len(list) == 0 {
			continue
		}
		if err := e.late(ctx, Part(part), list); err != nil {
			return err
		}
	}
	return nil
}

// late completes the pieces of one part and gives them out.
func (e *emitter) late(ctx context.Context, part Part, list []*piece) error {
	if err := e.sideColumns(ctx, list); err != nil {
		return err
	}
	if len(e.leg.late) == 0 {
		for _, p := range list {
			if err := e.send(ctx, part, p); err != nil {
				return err
			}
		}
		return nil
	}
	refs, back := distinct(list)
	if back != nil {
		return e.lateRepeated(ctx, part, list, refs, back)
	}
	var parts []arrow.RecordBatch // read and not given out
	have := 0
	defer func() {
		for _, b := range parts {
			b.Release()
		}
	}()
	at := 0
	for b, err := range e.leg.feed.table.Take(ctx, refs, e.leg.late) {
		if err != nil {
			return err
		}
		b.Retain()
		parts, have = append(parts, b), have+int(b.NumRows())
		for at < len(list) && have >= list[at].rows {
			if parts, err = e.complete(ctx, list[at], parts); err != nil {
				return err
			}
			have -= list[at].rows
			if err := e.send(ctx, part, list[at]); err != nil {
				return err
			}
			at++
		}
	}
	if at < len(list) {
		return errNoRows
	}
	return ctx.Err()
}

// complete fills the driver's late columns of a piece from the front of what was
// read, and returns the rest.
func (e *emitter) complete(ctx context.Context, p *piece, parts []arrow.RecordBatch) ([]arrow.RecordBatch, error) {
	var front []arrow.RecordBatch
	defer func() {
		for _, b := range front {
			b.Release()
		}
	}()
	for need := int64(p.rows); need > 0; {
		b := parts[0]
		if b.NumRows() <= need {
			front, parts, need = append(front, b), parts[1:], need-b.NumRows()
			continue
		}
		front = append(front, b.NewSlice(0, need))
		rest := b.NewSlice(need, b.NumRows())
		b.Release()
		parts[0], need = rest, 0
	}
	for i, c := range e.leg.out {
		if c.late < 0 {
			continue
		}
		arrays := make([]arrow.Array, len(front))
		for k, b := range front {
			arrays[k] = b.Column(c.late)
		}
		a, err := joinArrays(arrays)
		if err != nil {
			return parts, err
		}
		if err := castTo(ctx, &a, c.typ); err != nil {
			a.Release()
			return parts, err
		}
		p.cols[i] = a
	}
	return parts, nil
}

// joinArrays makes one array of several; the caller releases it.
func joinArrays(list []arrow.Array) (arrow.Array, error) {
	if len(list) == 1 {
		list[0].Retain()
		return list[0], nil
	}
	return array.Concatenate(list, memory.DefaultAllocator)
}

// distinct are the driver's rows of pieces, each once, and for each row of the
// pieces which of them it is; nil where no row is repeated.
func distinct(list []*piece) (refs []frame.Ref, back []int64) {
	repeated := false
	for _, p := range list {
		for _, r := range p.refs {
			repeated = repeated || len(refs) > 0 && refs[len(refs)-1] == r
			refs = append(refs, r)
		}
	}
	if !repeated {
		return refs, nil
	}
	once := refs[:0:0]
	for _, r := range refs {
		if len(once) == 0 || once[len(once)-1] != r {
			once = append(once, r)
		}
		back = append(back, int64(len(once)-1))
	}
	return once, back
}

// lateRepeated completes pieces some of whose rows are rows of the driver again,
// because it was joined to several.
func (e *emitter) lateRepeated(ctx context.Context, part Part, list []*piece, refs []frame.Ref, back []int64) error {
	whole, err := readTaken(ctx, e.leg.feed.table, refs, e.leg.late)
	if err != nil {
		return err
	}
	defer func() {
		for _, a := range whole {
			a.Release()
		}
	}()
	for _, p := range list {
		for i, c := range e.leg.out {
			if c.late < 0 {
				continue
			}
			a, err := takeArray(ctx, whole[c.late], back[:p.rows])
			if err != nil {
				return err
			}
			if err := castTo(ctx, &a, c.typ); err != nil {
				a.Release()
				return err
			}
			p.cols[i] = a
		}
		back = back[p.rows:]
		if err := e.send(ctx, part, p); err != nil {
			return err
		}
	}
	return nil
}

// wants reports whether results have columns of a joined dep.
func (l *leg) wants(dep int) bool {
	return slices.ContainsFunc(l.out, func(c legColumn) bool { return c.side == dep })
}

// sideColumns fills the columns that joined deps bring.
func (e *emitter) sideColumns(ctx context.Context, list []*piece) error {
	for _, dep := range e.leg.joins {
		if !e.leg.wants(dep) {
			continue
		}
		var numbers []uint32
		for _, p := range list {
			numbers = append(numbers, p.sides[dep]...)
		}
		var names []string
		var at []int
		for i, c := range e.leg.out {
			if c.side == dep {
				names, at = append(names, c.in), append(at, i)
			}
		}
		arrays, err := e.pass.s.sides[dep].feed.take(ctx, numbers, names)
		if err != nil {
			return err
		}
		for k, a := range arrays {
			from := int64(0)
			for _, p := range list {
				p.cols[at[k]] = pieceOf(a, from, int64(p.rows), e.leg.out[at[k]].typ)
				from += int64(p.rows)
			}
			if a != nil {
				a.Release()
			}
		}
	}
	return nil
}

// pieceOf is a slice of an array, nulls where there is none.
func pieceOf(a arrow.Array, from, n int64, t arrow.DataType) arrow.Array {
	if a == nil {
		return array.MakeArrayOfNull(memory.DefaultAllocator, t, int(n))
	}
	return array.NewSlice(a, from, from+n)
}

// take reads columns of rows by number plus one, null where that is 0; the
// arrays are nil when every row is.
func (f *feed) take(ctx context.Context, numbers []uint32, names []string) ([]arrow.Array, error) {
	refs := make([]frame.Ref, 0, len(numbers))
	for _, n := range numbers {
		if n != 0 {
			refs = append(refs, f.ref(n-1))
		}
	}
	if len(refs) == 0 {
		return make([]arrow.Array, len(names)), nil
	}
	ascending := slices.IsSorted(refs) && len(refs) == len(numbers)
	order := refs
	if ascending {
		for i := 1; i < len(refs) && ascending; i++ {
			ascending = refs[i] != refs[i-1]
		}
	}
	if !ascending {
		order = slices.Clone(refs)
		slices.Sort(order)
		order = slices.Compact(order)
	}
	whole, err := readTaken(ctx, f.table, order, names)
	if err != nil || ascending {
		return whole, err
	}
	idx := make([]int64, len(numbers))
	at := 0
	for i, n := range numbers {
		if idx[i] = -1; n == 0 {
			continue
		}
		p, _ := slices.BinarySearch(order, refs[at])
		idx[i] = int64(p)
		at++
	}
	for i, a := range whole {
		picked, err := takeArray(ctx, a, idx)
		a.Release()
		if err != nil {
			return nil, err
		}
		whole[i] = picked
	}
	return whole, nil
}

package scan

import (
	"context"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// Take streams columns of chosen rows, as frame.Table says; nested columns are
// whole. It releases each batch after the step.
func (s *Scan) Take(ctx context.Context, refs []frame.Ref, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		units, err := s.load(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		wants, err := s.wantsOf(cols)
		if err != nil {
			yield(nil, err)
			return
		}
		var parts [][]frame.Ref
		var indices []int
		for len(refs) > 0 {
			u := refs[0].Unit()
			n, _ := slices.BinarySearch(refs, frame.RefOf(u+1, 0))
			parts, indices = append(parts, refs[:n]), append(indices, u)
			refs = refs[n:]
		}
		for i, part := range parts {
			next := func(yield func(*unit, []want) bool) {
				for _, n := range indices[i+1:] {
					if !yield(&units[n], wants) {
						return
					}
				}
			}
			if !s.takeUnit(ctx, &units[indices[i]], part, wants, next, yield) {
				return
			}
		}
	}
}

// takeUnit gives chosen rows of one row group, before those of the next ones; false when the consumer has enough or an error was given.
func (s *Scan) takeUnit(ctx context.Context, u *unit, refs []frame.Ref, wants []want, next iter.Seq2[*unit, []want], yield func(arrow.RecordBatch, error) bool) bool {
	g, err := s.readGroup(ctx, u, wants, &part{rows: spansOf(refs)}, next)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer g.close()
	g.fork = s.parallel > 1
	pass := s.newPass(false)
	if g.skips() {
		return s.pickUnit(ctx, g, u, refs, pass, yield)
	}
	var rows []uint32
	for at := int64(0); len(refs) > 0; {
		b, err := g.next(ctx, g.left)
		if err == nil && b != nil {
			if err = pass.verify(u, wants, b, at, nil); err != nil {
				b.Release()
			}
		}
		if err != nil || b == nil {
			if err == nil {
				err = damaged("read", u.file.Key, u.group, errMissingRow)
			}
			yield(nil, err)
			return false
		}
		end := at + b.NumRows()
		rows = rows[:0]
		for len(refs) > 0 && refs[0].Row() < end {
			rows = append(rows, uint32(refs[0].Row()))
			refs = refs[1:]
		}
		if len(rows) > 0 {
			out, err := gather(ctx, s, b, rows, uint32(at))
			b.Release()
			if err != nil {
				yield(nil, err)
				return false
			}
			ok := frame.Give(yield, out, out)
			if !ok {
				return false
			}
		} else {
			b.Release()
		}
		at = end
	}
	return true
}

// pickUnit gives chosen rows of one row group where the reader can skip others.
func (s *Scan) pickUnit(ctx context.Context, g *groupReader, u *unit, refs []frame.Ref, pass *pass, yield func(arrow.RecordBatch, error) bool) bool {
	for part := range slices.Chunk(refs, s.batchRows) {
		rows := make([]int64, len(part))
		for i, r := range part {
			rows[i] = r.Row()
		}
		err := ctx.Err()
		var b arrow.RecordBatch
		if err == nil {
			b, err = g.pick(ctx, rows)
		}
		if err != nil {
			yield(nil, err)
			return false
		}
		if err := pass.verify(u, g.wants, b, 0, rows); err != nil {
			b.Release()
			yield(nil, err)
			return false
		}
		ok := frame.Give(yield, b, b)
		if !ok {
			return false
		}
	}
	return true
}

// gather takes rows (numbered from base) out of a batch.
func gather(ctx context.Context, s *Scan, b arrow.RecordBatch, rows []uint32, base uint32) (arrow.RecordBatch, error) {
	if len(rows) == int(b.NumRows()) {
		b.Retain()
		return b, nil
	}
	ib := array.NewUint32Builder(s.mem)
	defer ib.Release()
	ib.Reserve(len(rows))
	for _, r := range rows {
		ib.UnsafeAppend(r - base)
	}
	idx := ib.NewArray()
	defer idx.Release()
	cols := make([]arrow.Array, b.NumCols())
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, c := range b.Columns() {
		a, err := compute.TakeArray(ctx, c, idx)
		if err != nil {
			return nil, err
		}
		cols[i] = a
	}
	return array.NewRecordBatch(b.Schema(), cols, int64(len(rows))), nil
}

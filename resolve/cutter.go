package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// Cutter cuts batches into partitions by key columns: rows with equal keys are
// in one partition, nulls being equal to each other.
type Cutter struct {
	// Layout makes the keys, of the columns Keys in this order. Where partitions
	// must be the same in several processes it is a seeded one.
	Layout *hashjoin.Layout
	Keys   []string
	Parts  int
}

// Cut gives the rows of a batch by partition, ascending, those of each in the
// order of the batch; partitions without rows are left out. Texts become plain
// ones. A piece is released after the call. The cost is a gather of the batch.
func (c *Cutter) Cut(ctx context.Context, b arrow.RecordBatch, give func(part int, piece arrow.RecordBatch) error) error {
	arrays := make([]arrow.Array, len(c.Keys))
	for i, k := range c.Keys {
		at := b.Schema().FieldIndices(k)
		if len(at) == 0 {
			return &InputError{Column: k, Msg: "is what rows are cut by, and they lack it"}
		}
		arrays[i] = b.Column(at[0])
	}
	var list hashjoin.Keys
	if err := c.Layout.Encode(arrays, &list); err != nil {
		return err
	}
	start := make([]int, c.Parts+1)
	of := make([]int32, list.Len())
	for i := range of {
		p := list.Part(i, c.Parts)
		of[i] = int32(p)
		start[p+1]++
	}
	for p := range c.Parts {
		start[p+1] += start[p]
	}
	order := make([]int64, len(of))
	at := slices.Clone(start)
	for i, p := range of {
		order[at[p]] = int64(i)
		at[p]++
	}
	sorted, err := takeBatch(ctx, b, order)
	if err != nil {
		return err
	}
	defer sorted.Release()
	for p := range c.Parts {
		if start[p] == start[p+1] {
			continue
		}
		piece := sorted.NewSlice(int64(start[p]), int64(start[p+1]))
		err := give(p, piece)
		piece.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// Newest gives the newest row of each id of a table, none of an id whose newest
// row is a tombstone, in batches of columns and, last, __row: the row's number in
// its unit. Ties have the order of the table. A batch is released after the
// call. It holds the ids of the whole table.
func Newest(ctx context.Context, t frame.Table, ids, cols []string, give func(unit int, b arrow.RecordBatch) error) error {
	f, err := newFeed(ctx, "", t, ids)
	if err != nil {
		return err
	}
	if err := f.surveyApart(ctx, &matching{parallel: 1}); err != nil {
		return err
	}
	return f.each(ctx, 1, func(ctx context.Context, unit int) error {
		return f.live(ctx, unit, cols, func(p *picked) error {
			numbered := withRowNumbers(&p.Block)
			defer numbered.Release()
			if p.rows == nil {
				return give(unit, numbered)
			}
			kept, err := takeBatch(ctx, numbered, wide(p.rows))
			if err != nil {
				return err
			}
			defer kept.Release()
			return give(unit, kept)
		})
	})
}

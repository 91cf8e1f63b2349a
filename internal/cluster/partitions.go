package cluster

import (
	"context"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/machine"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// partitions are the pieces of whole partitions, by partition and table. They
// are decoded when their turn comes.
type partitions struct {
	job     *job
	numbers []int
	pieces  map[int][][]piece
	total   count
	rows    []int64 // by table
}

// readPartitions reads the pieces of an input that are cut by what is wanted;
// other takes the others.
func (j *job) readPartitions(in io.Reader, want stage, other func(piece) error) (*partitions, error) {
	p := &partitions{job: j, pieces: map[int][][]piece{}, rows: make([]int64, len(j.Tables))}
	limit, held := j.limit(), int64(0)
	var err error
	p.total, err = j.codec.readPieces(in, func(x piece) error {
		if x.stage != want {
			return other(x)
		}
		list := p.pieces[x.part]
		if list == nil {
			list = make([][]piece, len(j.Tables))
			p.pieces[x.part], p.numbers = list, append(p.numbers, x.part)
		}
		list[x.table] = append(list[x.table], x)
		p.rows[x.table] += x.rows
		if held += int64(len(x.body)); limit > 0 && held > limit {
			return &hashjoin.LimitError{LimitBytes: limit, NeedBytes: held}
		}
		return nil
	})
	slices.Sort(p.numbers)
	return p, err
}

// limit is how much memory the pieces of a partition may take; 0 = none.
func (j *job) limit() int64 {
	if j.MemoryLimit > 0 {
		return j.MemoryLimit
	}
	return machine.Memory()
}

func (p *partitions) Len() int { return len(p.numbers) }

// Part decodes a partition.
func (p *partitions) Part(ctx context.Context, i int) (t resolve.PartTables, done func(), err error) {
	var held []arrow.RecordBatch
	done = func() { release(held) }
	defer func() {
		if err != nil {
			done()
		}
	}()
	t.Deps = make([]frame.Table, len(p.job.plan.Deps))
	bytes, rows := int64(0), int64(0)
	var keyed []keyedBatch
	for table, list := range p.pieces[p.numbers[i]] {
		own := p.job.Tables[table]
		batches := make([]arrow.RecordBatch, 0, len(list))
		for _, x := range list {
			b, err := p.job.codec.batch(x)
			if err != nil {
				release(batches)
				return t, done, err
			}
			batches = append(batches, b)
			keyed = append(keyed, keyedBatch{table, b})
			bytes, rows = bytes+frame.Size(b), rows+x.rows
		}
		if limit := p.job.limit(); limit > 0 && bytes*heldFactor > limit {
			err := p.job.tooLarge(limit, bytes*heldFactor, rows, keyed)
			release(batches)
			return t, done, err
		}
		units, err := ordered(ctx, own, batches)
		if err != nil {
			return t, done, err
		}
		held = append(held, units...)
		p.job.put(&t, own, units)
	}
	return t, done, nil
}

// heldFactor is how much more memory a resolve of a partition takes than its
// rows: what is known of each row, and what is given out.
const heldFactor = 2

// put gives a table of a partition its role.
func (j *job) put(t *resolve.PartTables, own *Table, units []arrow.RecordBatch) {
	switch own.Dep {
	case resolve.SamplesInput:
		t.Samples = &resolve.Rows{Schema: own.full, Batches: func(yield func(arrow.RecordBatch, error) bool) {
			for _, b := range units {
				cut := array.NewRecordBatch(own.full, b.Columns()[places:], b.NumRows())
				if !frame.Give(yield, cut, cut) {
					return
				}
			}
		}}
	case resolve.CurrentInput:
		t.Current = newHeld(own, units)
	default:
		t.Deps[own.Dep] = newHeld(own, units)
	}
}

// keyedBatch is a batch of a table.
type keyedBatch struct {
	table int
	batch arrow.RecordBatch
}

// tooLarge says which part of a partition has one key.
func (j *job) tooLarge(limit, need, rows int64, list []keyedBatch) error {
	e := &hashjoin.LimitError{LimitBytes: limit, NeedBytes: need, Rows: rows}
	var keys hashjoin.Keys
	counts := map[[2]uint64]int64{}
	most := int64(0)
	for _, k := range list {
		t := j.Tables[k.table]
		arrays := make([]arrow.Array, len(t.Keys))
		for i, name := range t.Keys {
			arrays[i] = k.batch.Column(t.cut.FieldIndices(name)[0])
		}
		if err := j.keys.Encode(arrays, &keys); err != nil {
			return e // the share stays unknown
		}
		for i := range keys.Len() {
			key := [2]uint64{keys.Lo[i]}
			if keys.Hi != nil {
				key[1] = keys.Hi[i]
			}
			counts[key]++
			most = max(most, counts[key])
		}
	}
	e.Share = float64(most) / float64(max(rows, 1))
	return e
}

package resolve

import (
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// Shard is a share of a resolve: the samples whose join keys fall into part
// Index, from 1, of Count. Rows that decide about each other have one join key,
// so they are in one shard; the shards together are the whole. Where a key falls
// is the same in every process and on every machine.
type Shard struct{ Index, Count int }

// Check refuses what is no share.
func (s Shard) Check() error {
	if s.Count < 1 || s.Index < 1 || s.Index > s.Count {
		return fmt.Errorf("shard %d/%d: want I/N with I from 1 to N", s.Index, s.Count)
	}
	return nil
}

// keyShard is a shard as a filter of a table's rows by their join columns.
type keyShard struct {
	Shard
	layout  *hashjoin.Layout
	columns []string // by the table's names
}

// share has the tables give the rows of the shard alone. sides are the types of
// all join columns.
func (s *stream) share(sides [][]arrow.DataType) (err error) {
	if s.inc.req.Shard == nil || len(sides) == 0 {
		return nil
	}
	if s.stable, err = hashjoin.NewStableLayout(sides...); err != nil {
		return err
	}
	for _, side := range s.sides {
		if side != nil {
			s.cutShard(side.feed, side.keys)
		}
	}
	if s.stored != nil {
		s.cutShard(s.stored.feed, s.stored.keys)
	}
	for _, l := range s.legs {
		if l.feed != nil { // samples are read later
			s.cutShard(l.feed, l.keys)
		}
	}
	return nil
}

// cutShard has a table give the rows of the shard alone, if there is one.
func (s *stream) cutShard(f *feed, keys []string) {
	if s.stable != nil {
		f.shard = &keyShard{*s.inc.req.Shard, s.stable, keys}
	}
}

// pass fills keep with whether each row of a batch is in the shard.
func (s *keyShard) pass(b arrow.RecordBatch, cols []string, keys *hashjoin.Keys, keep []bool) ([]bool, error) {
	if err := s.layout.Encode(columnsOf(b, cols, s.columns), keys); err != nil {
		return nil, err
	}
	keep = slices.Grow(keep[:0], keys.Len())[:keys.Len()]
	for i := range keep {
		keep[i] = keys.Shard(i, s.Count) == s.Index-1
	}
	return keep, nil
}

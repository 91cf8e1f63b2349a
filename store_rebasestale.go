package metaxy

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// staleKeys are the samples of a feature that a resolve found stale or
// orphaned, by the columns that it joins on.
type staleKeys struct {
	on    []string
	known *hashjoin.Join
}

// staleUnder are the samples that were not in sync under a version of a feature
// that was pushed; rows is the schema of those to compare with them. A root is
// never stale: nil.
func (s *DeltaStore) staleUnder(ctx context.Context, key feature.Key, version string, rows *arrow.Schema) (*staleKeys, error) {
	g, err := s.rebaseTarget(ctx, key, version, &RebaseResult{})
	if err != nil {
		return nil, err
	}
	plan, err := g.Plan(key)
	if err != nil || len(plan.Deps) == 0 {
		return nil, err
	}
	inc, err := s.resolveIn(ctx, g, key, &ResolveOptions{NoRemember: true})
	if err != nil {
		return nil, err
	}
	defer inc.Close()
	out := &staleKeys{on: plan.JoinColumns()}
	parts := []*Rows{inc.rows(ctx, Stale), inc.rows(ctx, Orphaned)}
	sides := [][]arrow.DataType{}
	for _, schema := range []*arrow.Schema{rows, parts[0].Schema, parts[1].Schema} {
		for _, c := range out.on {
			if !schema.HasField(c) {
				return nil, fmt.Errorf("%w: rebase of %s: the rows lack the column %s, by which its samples are known", ErrInvalid, key, c)
			}
		}
		sides = append(sides, typesOf(schema, out.on))
	}
	l, err := hashjoin.NewLayout(sides...)
	if err != nil {
		return nil, fmt.Errorf("%w: the ids of the rows: %w", ErrInvalid, err)
	}
	out.known = hashjoin.NewJoin(l, false, s.opts.MemoryLimit)
	for _, part := range parts {
		for b, err := range part.Batches {
			if err == nil {
				err = out.known.Add(columnsOf(b, out.on))
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return out, out.known.Seal()
}

// without gives the rows of a batch whose samples were in sync; the caller releases it.
func (k *staleKeys) without(ctx context.Context, b arrow.RecordBatch) (arrow.RecordBatch, error) {
	var kept hashjoin.Matches
	if err := k.known.Probe(hashjoin.Anti, columnsOf(b, k.on), &kept); err != nil {
		return nil, err
	}
	rows := wide(kept.Probe)
	cols := make([]arrow.Array, 0, b.NumCols())
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for _, c := range b.Columns() {
		taken, err := takeRows(ctx, c, rows)
		if err != nil {
			return nil, err
		}
		cols = append(cols, taken)
	}
	return array.NewRecordBatch(b.Schema(), cols, int64(len(rows))), nil
}

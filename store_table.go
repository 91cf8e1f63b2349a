package metaxy

import (
	"context"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// scanTable is a scan behind the interface that resolve owns.
type scanTable struct {
	scan   *scan.Scan
	schema *arrow.Schema
}

// scanTable gives rows that were compared with the statistics of the log, unless it is unverified.
func (s *DeltaStore) scanTable(snap *delta.Snapshot, where filter.Expr, unverified bool) (resolve.Table, error) {
	sc, err := scan.New(snap, &scan.Options{Filter: where, Parallel: s.opts.Parallel, Allocator: s.opts.Allocator, Unverified: unverified})
	if err != nil {
		return nil, err
	}
	return &scanTable{scan: sc, schema: snap.Schema().Arrow()}, nil
}

func (t *scanTable) Schema() *arrow.Schema { return t.schema }

func (t *scanTable) Units(ctx context.Context) ([]resolve.Unit, error) {
	units, err := t.scan.Units(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]resolve.Unit, len(units))
	for i, u := range units {
		out[i] = resolve.Unit{Rows: u.Rows, Stats: u.Stats}
	}
	return out, nil
}

func (t *scanTable) Read(ctx context.Context, unit int, rows resolve.Span, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	return t.scan.Read(ctx, unit, scan.Span(rows), cols)
}

func (t *scanTable) Take(ctx context.Context, refs []resolve.RowRef, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	return t.scan.Take(ctx, refs, cols)
}

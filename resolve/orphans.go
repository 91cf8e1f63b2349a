package resolve

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

var errNoRows = errors.New("rows that were seen before are gone")

// emitOrphans materialises stored rows that nothing expects.
func (inc *Increment) emitOrphans(ctx context.Context, yield func(arrow.RecordBatch, error) bool) {
	r := inc.result
	for _, b := range r.orphanBatches {
		if !slices64(b, yield) {
			return
		}
	}
	if r.orphanBatches != nil || r.current == nil {
		return
	}
	for chunk := range slices.Chunk(r.orphans, emitRows) {
		b, err := r.current.rowBatch(ctx, chunk, inc.schemas[Orphaned])
		if err != nil {
			yield(nil, err)
			return
		}
		ok := slices64(b, yield)
		b.Release()
		if !ok {
			return
		}
	}
}

// rowBatch gives stored rows with the columns of schema; the caller releases it.
func (c *current) rowBatch(ctx context.Context, rows []int32, schema *arrow.Schema) (arrow.RecordBatch, error) {
	return c.set.batch(ctx, rows, schema)
}

func (r *rowset) batch(ctx context.Context, rows []int32, schema *arrow.Schema) (arrow.RecordBatch, error) {
	var names []string
	var types []arrow.DataType
	for _, f := range schema.Fields() {
		names, types = append(names, f.Name), append(types, f.Type)
	}
	cols, err := r.take(ctx, rows, names, types)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, a := range cols {
			a.Release()
		}
	}()
	return array.NewRecordBatch(schema, cols, int64(len(rows))), nil
}

// collapseOrphans makes one row of each group of orphaned rows with one join key: of every column the first value that is not null, newest row first, of one time the earlier one. Rows with a null key stay apart by their key's values.
func (inc *Increment) collapseOrphans(ctx context.Context, r *result) error {
	r.orphanBatches = []arrow.RecordBatch{}
	if len(r.orphans) == 0 {
		return nil
	}
	c := r.current
	stamp, _ := c.set.stamps()
	groups := hashjoin.NewTable(len(r.orphans), 0)
	var rows [][]int32
	for _, row := range r.orphans {
		id, fresh, err := groups.Insert(c.keys[row])
		if err != nil {
			return err
		}
		if fresh {
			rows = append(rows, nil)
		}
		rows[id] = append(rows[id], row)
	}
	var order []int32
	for _, g := range rows {
		slices.SortStableFunc(g, func(a, b int32) int {
			if stamp[a] != stamp[b] {
				return boolInt(stamp[a] < stamp[b]) - boolInt(stamp[a] > stamp[b])
			}
			return int(a - b)
		})
		order = append(order, g...)
	}
	all, err := c.rowBatch(ctx, order, inc.schemas[Orphaned])
	if err != nil {
		return err
	}
	defer all.Release()
	cols := make([]arrow.Array, all.NumCols())
	for i, a := range all.Columns() {
		idx := make([]int64, 0, len(rows))
		at := 0
		for _, g := range rows {
			found := at
			for k := range g {
				if a.IsValid(at + k) {
					found = at + k
					break
				}
			}
			idx = append(idx, int64(found))
			at += len(g)
		}
		if cols[i], err = takeArray(ctx, a, idx); err != nil {
			return err
		}
		defer cols[i].Release()
	}
	r.orphanBatches = append(r.orphanBatches, array.NewRecordBatch(inc.schemas[Orphaned], cols, int64(len(rows))))
	return nil
}

package resolve

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
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
		newestFirst(g, c.stamp)
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

// newestFirst orders rows as they count when they become one: newest first, of
// one time the earlier row first.
func newestFirst(rows []int32, stamp []int64) {
	slices.SortStableFunc(rows, func(a, b int32) int {
		if c := cmp.Compare(stamp[b], stamp[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
}

// flagGroups evaluates the staleness predicates on the stored rows of each
// parent as one row, which has of every column the first value that is not
// null, newest row first. The flags are by key id.
func (c *current) flagGroups(ctx context.Context, exprs []filter.Expr) ([]bool, error) {
	names := unique(filterColumns(exprs))
	pos := make([][]int32, len(names))
	for id := range c.keyCount() {
		var rows []int32
		c.each(id, func(row int32) { rows = append(rows, row) })
		newestFirst(rows, c.stamp)
		for i, name := range names {
			pos[i] = append(pos[i], c.firstValue(rows, c.set.column(name)))
		}
	}
	cols, fields := make([]arrow.Array, len(names)), make([]arrow.Field, len(names))
	for i, name := range names {
		at := c.set.column(name)
		f, _ := c.set.table.Schema().FieldsByName(name)
		a, err := c.set.takeRead(ctx, pos[i], at, plainType(f[0].Type))
		if err != nil {
			return nil, err
		}
		defer a.Release()
		cols[i], fields[i] = a, arrow.Field{Name: name, Type: a.DataType(), Nullable: true}
	}
	collapsed := array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, int64(c.keyCount()))
	defer collapsed.Release()
	return anyTrue(exprs, collapsed)
}

// firstValue is the first of rows whose value is not null, -1 when there is none.
func (c *current) firstValue(rows []int32, column int) int32 {
	for _, row := range rows {
		if b, i := c.set.find(row); b.rec.Column(column).IsValid(i) {
			return row
		}
	}
	return -1
}

// anyTrue marks the rows for which one of the predicates is true.
func anyTrue(exprs []filter.Expr, rec arrow.RecordBatch) ([]bool, error) {
	out := make([]bool, rec.NumRows())
	for _, e := range exprs {
		p, err := filtereval.Bind(e, rec.Schema())
		if err != nil {
			return nil, err
		}
		keep, err := p.Eval(rec)
		if err != nil {
			return nil, err
		}
		for i, k := range keep {
			out[i] = out[i] || k
		}
	}
	return out, nil
}

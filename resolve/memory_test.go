package resolve_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// table is the table over batches in memory, with the statistics of its units.
func (s *stored) table(statistics bool) frame.Table {
	t := resolve.MemTable(s.schema, s.batches(memory.DefaultAllocator))
	if !statistics {
		return t
	}
	return &footed{t, s}
}

// footed is a table that knows its statistics.
type footed struct {
	frame.Table
	of *stored
}

func (f *footed) Units(ctx context.Context) ([]frame.Unit, error) {
	units, err := f.Table.Units(ctx)
	for i := range units {
		units[i].Stats = func(column string) (filter.Range, bool) { return f.of.footer(i, column) }
	}
	return units, err
}

// files is a table as a scan of files is one: rows come in blocks that are cut
// anywhere, rows that were deleted are missing between them, texts have any
// layout, and the footers' statistics count what was deleted.
type files struct {
	rows *stored // with deleted rows, which hold what no row holds
	gone [][]bool
	// block is the number of rows of a block.
	block int
	views bool
	mem   memory.Allocator
	// reads counts blocks; at stop the context is called off.
	reads atomic.Int64
	stop  func(read int64) error
	stats bool
	// lie changes what the statistics say; nil for the truth.
	lie func(unit int, column string, r *filter.Range, exact *bool)
}

// files makes the table of files: deletes adds rows that are not there.
func (s *stored) files(r *rand.Rand, deletes bool, block int) *files {
	f := &files{rows: &stored{schema: s.schema}, block: block, mem: memory.DefaultAllocator, stats: true}
	for _, unit := range s.units {
		var rows []row
		var gone []bool
		for _, cells := range unit {
			if deletes && r.IntN(4) == 0 {
				rows, gone = append(rows, f.ghost(unit, r)), append(gone, true)
			}
			rows, gone = append(rows, cells), append(gone, false)
		}
		f.rows.units, f.gone = append(f.rows.units, rows), append(f.gone, gone)
	}
	return f
}

// ghost is a deleted row: some other row of the unit, newer than all.
func (f *files) ghost(unit []row, r *rand.Rand) row {
	out := row{}
	for k, v := range unit[r.IntN(len(unit))] {
		out[k] = v
	}
	for _, c := range []string{updatedAt, createdAt} {
		if has(f.rows.schema, c) {
			out[c] = int64(1_900_000_000_000_000)
		}
	}
	return out
}

func (f *files) Schema() *arrow.Schema { return f.rows.schema }

func (f *files) Units(context.Context) ([]frame.Unit, error) {
	out := make([]frame.Unit, len(f.rows.units))
	for i, rows := range f.rows.units {
		out[i] = frame.Unit{Rows: int64(len(rows)), Stats: func(column string) (filter.Range, bool) {
			if !f.stats {
				return filter.Range{}, false
			}
			r, exact := f.rows.footer(i, column)
			if f.lie != nil {
				f.lie(i, column, &r, &exact)
			}
			return r, exact
		}}
	}
	return out, nil
}

func (f *files) Read(ctx context.Context, unit int, span frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		rows := f.rows.units[unit]
		for from := span.From; from < min(span.To, int64(len(rows))); from += int64(f.block) {
			if err := f.step(ctx); err != nil {
				yield(frame.Block{}, err)
				return
			}
			to := min(from+int64(f.block), span.To, int64(len(rows)))
			var kept []row
			var numbers []uint32
			for i := from; i < to; i++ {
				if !f.gone[unit][i] {
					kept, numbers = append(kept, rows[i]), append(numbers, uint32(i))
				}
			}
			if len(kept) == 0 {
				continue
			}
			b := frame.Block{First: from}
			if int64(len(kept)) < to-from {
				b.Rows = numbers
			}
			var err error
			if b.Batch, err = f.columns(kept, cols, f.views); err != nil {
				yield(frame.Block{}, err)
				return
			}
			ok := yield(b, nil)
			b.Batch.Release()
			if !ok {
				return
			}
		}
	}
}

func (f *files) step(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n := f.reads.Add(1); f.stop != nil {
		if err := f.stop(n); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// columns makes a batch of columns, members as "a.b".
func (f *files) columns(rows []row, cols []string, views bool) (arrow.RecordBatch, error) {
	var fields []arrow.Field
	cells := make([]row, len(rows))
	for i := range cells {
		cells[i] = row{}
	}
	for _, name := range cols {
		top, member, nested := strings.Cut(name, ".")
		at := f.rows.schema.FieldIndices(top)
		if len(at) == 0 {
			return nil, fmt.Errorf("the table lacks the column %s", name)
		}
		typ := f.rows.schema.Field(at[0]).Type
		if nested {
			if st, ok := typ.(*arrow.StructType); ok {
				if _, ok := st.FieldIdx(member); !ok {
					return nil, fmt.Errorf("the table lacks the member %s", name)
				}
			}
			typ = arrow.BinaryTypes.String
		}
		if views && plain(typ).ID() == arrow.STRING {
			typ = arrow.BinaryTypes.StringView
		} else if !views {
			typ = plain(typ)
		}
		fields = append(fields, arrow.Field{Name: name, Type: typ, Nullable: true})
		for i, r := range rows {
			cells[i][name] = r[top]
			if nested {
				cells[i][name] = memberOf(r[top], member)
			}
		}
	}
	return recordOf(f.mem, arrow.NewSchema(fields, nil), cells), nil
}

func (f *files) Take(ctx context.Context, refs []frame.Ref, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if !slices.IsSorted(refs) {
			yield(nil, fmt.Errorf("the references do not ascend"))
			return
		}
		for chunk := range slices.Chunk(refs, f.block+1) {
			if err := f.step(ctx); err != nil {
				yield(nil, err)
				return
			}
			var rows []row
			for _, ref := range chunk {
				if f.gone[ref.Unit()][ref.Row()] {
					yield(nil, fmt.Errorf("row %d of unit %d is deleted", ref.Row(), ref.Unit()))
					return
				}
				rows = append(rows, f.rows.units[ref.Unit()][ref.Row()])
			}
			b, err := f.columns(rows, cols, false)
			if err != nil {
				yield(nil, err)
				return
			}
			ok := yield(b, nil)
			b.Release()
			if !ok {
				return
			}
		}
	}
}

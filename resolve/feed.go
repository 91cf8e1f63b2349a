package resolve

import (
	"context"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// feed is a table as a stream reads it. Every row has a number; of two rows of
// one id whose stamps are equal or unknown the one with the greater is newer.
type feed struct {
	name  string
	table frame.Table
	units []frame.Unit
	ids   []string
	// filters act on rows that are the newest of their id, under the names that
	// rename gives.
	filters []renamedFilter
	// shard is the share of such rows that counts; nil = all.
	shard *keyShard

	first []uint32 // the number of each unit's first row
	order []int    // units by first
	// dead has, for each unit, a bit for a row that is not the newest of its id
	// or is deleted; nil where there is none.
	dead [][]uint64
	// slots are, for each unit, those of the join keys of its rows as they are
	// read; nil where keys are encoded anew.
	slots [][]int32
	// uuids says that slots give back the ids, so that these need not be read
	// again.
	uuids bool
	read  int64
	// surveyed says that dead is known; keepsDeleted that tombstones count.
	surveyed, keepsDeleted bool
}

// renamedFilter is a predicate over columns that have other names in the table.
type renamedFilter struct {
	expr   filter.Expr
	rename func(string) string
}

func newFeed(ctx context.Context, name string, t frame.Table, ids []string) (*feed, error) {
	units, err := t.Units(ctx)
	if err != nil {
		return nil, err
	}
	f := &feed{name: name, table: t, units: units, ids: ids, dead: make([][]uint64, len(units))}
	f.number(nil)
	return f, nil
}

func (f *feed) filter(rename func(string) string, exprs ...filter.Expr) {
	for _, e := range exprs {
		f.filters = append(f.filters, renamedFilter{e, rename})
	}
}

// number gives rows their numbers: by the stamps of their units where those are
// given, else as the units come.
func (f *feed) number(stamps []int64) {
	f.order = f.order[:0]
	for i := range f.units {
		f.order = append(f.order, i)
	}
	if stamps != nil {
		slices.SortStableFunc(f.order, func(a, b int) int {
			switch {
			case stamps[a] < stamps[b]:
				return -1
			case stamps[a] > stamps[b]:
				return 1
			}
			return 0
		})
	}
	f.first = make([]uint32, len(f.units))
	at := uint32(0)
	for _, u := range f.order {
		f.first[u] = at
		at += uint32(f.units[u].Span())
	}
}

// rows is how many rows there are at most, span how many numbers.
func (f *feed) rows() (rows, span int64) {
	for _, u := range f.units {
		rows += u.Rows
		span += u.Span()
	}
	return rows, span
}

// errTooLong refuses tables whose rows have no numbers.
func (f *feed) check() error {
	if _, span := f.rows(); span >= math.MaxUint32 {
		return fmt.Errorf("%s has %d rows; at most 2^32 are possible", f.name, span)
	}
	return nil
}

// ref is the row that has a number.
func (f *feed) ref(number uint32) frame.Ref {
	lo, hi := 0, len(f.order)
	for hi-lo > 1 {
		if m := (lo + hi) / 2; f.first[f.order[m]] <= number {
			lo = m
		} else {
			hi = m
		}
	}
	u := f.order[lo]
	// Units without rows share the number of the next one.
	for lo+1 < len(f.order) && int64(number-f.first[u]) >= f.units[u].Span() {
		lo++
		u = f.order[lo]
	}
	return frame.RefOf(u, int64(number-f.first[u]))
}

// kill marks a row as not live.
func (f *feed) kill(unit int, row int64) {
	if f.dead[unit] == nil {
		f.dead[unit] = make([]uint64, (f.units[unit].Span()+63)/64)
	}
	f.dead[unit][row>>6] |= 1 << (row & 63)
}

// picked is a block with the rows of it that count: newest of their id, not
// deleted, and passing every filter.
type picked struct {
	frame.Block
	// at is how many rows of the unit came before the block.
	at int
	// rows are indices into the batch; nil says that all count.
	rows []int32
	// memory of rows
	keep []int32
	// keys and share are memory of a shard.
	keys  hashjoin.Keys
	share []bool
}

func (p *picked) len() int {
	if p.rows == nil {
		return int(p.Batch.NumRows())
	}
	return len(p.rows)
}

// index returns the row of the batch that the j-th row that counts is.
func (p *picked) index(j int) int32 {
	if p.rows == nil {
		return int32(j)
	}
	return p.rows[j]
}

// live calls do with the rows of a unit that count. columns are those that do
// wants, which come first in the batch, without those of filters.
func (f *feed) live(ctx context.Context, unit int, columns []string, do func(*picked) error) error {
	cols := unique(slices.Concat(columns, f.filterColumns()))
	var programs []*filtereval.Program
	p := &picked{}
	for b, err := range f.lend(ctx, unit, cols) {
		if err != nil {
			return err
		}
		if programs == nil && len(f.filters) > 0 {
			if programs, err = f.bind(b.Batch, cols); err != nil {
				return err
			}
		}
		p.Block = b
		if err := f.pick(p, unit, cols, programs); err != nil {
			return err
		}
		if p.len() > 0 {
			if err := do(p); err != nil {
				return err
			}
		}
		p.at += int(b.Batch.NumRows())
	}
	return ctx.Err()
}

// lend reads columns of the rows of a unit. What is kept of a block beyond the
// step is copied or retained.
func (f *feed) lend(ctx context.Context, unit int, cols []string) iter.Seq2[frame.Block, error] {
	all := frame.Span{From: 0, To: f.units[unit].Span()}
	if l, ok := f.table.(frame.Lender); ok {
		return l.Lend(ctx, unit, all, cols)
	}
	return f.table.Read(ctx, unit, all, cols)
}

// filterColumns are the columns that the filters read, by the table's names.
func (f *feed) filterColumns() []string {
	var cols []string
	for _, e := range f.filters {
		for _, c := range filterColumns([]filter.Expr{e.expr}) {
			cols = append(cols, f.original(e, c))
		}
	}
	if f.shard != nil {
		cols = append(cols, f.shard.columns...)
	}
	return cols
}

// original is the table's name of a column of a filter.
func (f *feed) original(e renamedFilter, name string) string {
	for _, field := range f.table.Schema().Fields() {
		if e.rename(field.Name) == name {
			return field.Name
		}
	}
	return name
}

func (f *feed) bind(b arrow.RecordBatch, cols []string) ([]*filtereval.Program, error) {
	var out []*filtereval.Program
	for _, e := range f.filters {
		rec := renamed(b, cols, e.rename)
		p, err := filtereval.Bind(e.expr, rec.Schema())
		rec.Release()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// pick finds the rows of a block that count.
func (f *feed) pick(p *picked, unit int, cols []string, programs []*filtereval.Program) error {
	dead := f.dead[unit]
	p.rows = nil
	if dead == nil && len(programs) == 0 && f.shard == nil {
		return nil
	}
	n := int(p.Batch.NumRows())
	p.keep = p.keep[:0]
	for i := range n {
		if dead != nil {
			if row := p.Row(i); dead[row>>6]>>(row&63)&1 != 0 {
				continue
			}
		}
		p.keep = append(p.keep, int32(i))
	}
	for i, program := range programs {
		rec := renamed(p.Batch, cols, f.filters[i].rename)
		keep, err := program.Eval(rec)
		rec.Release()
		if err != nil {
			return err
		}
		p.keep = slices.DeleteFunc(p.keep, func(i int32) bool { return !keep[i] })
	}
	if f.shard != nil {
		var err error
		if p.share, err = f.shard.pass(p.Batch, cols, &p.keys, p.share); err != nil {
			return err
		}
		p.keep = slices.DeleteFunc(p.keep, func(i int32) bool { return !p.share[i] })
	}
	if len(p.keep) < n {
		p.rows = p.keep
		if p.rows == nil {
			p.rows = []int32{}
		}
	}
	return nil
}

// each runs do over every unit, several at once.
func (f *feed) each(ctx context.Context, parallel int, do func(ctx context.Context, unit int) error) error {
	return eachOf(ctx, len(f.units), parallel, func(ctx context.Context, _, i int) error { return do(ctx, i) })
}

// workers is the number of goroutines that work at once.
func workers(parallel int) int {
	if parallel <= 0 {
		return runtime.GOMAXPROCS(0)
	}
	return parallel
}

// columnsOf are the arrays of columns that were read first.
func columnsOf(b arrow.RecordBatch, cols []string, names []string) []arrow.Array {
	out := make([]arrow.Array, len(names))
	for i, n := range names {
		out[i] = b.Column(slices.Index(cols, n))
	}
	return out
}

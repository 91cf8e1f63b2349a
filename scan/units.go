package scan

import (
	"context"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// RowGroup is a unit with its place in the files. Deleted rows are counted in
// Rows but never given by Read or Take.
type RowGroup struct {
	frame.Unit
	File  string
	Index int
	// First is the first row of the unit within its file.
	First int64
}

// unit is a row group of a file.
type unit struct {
	file  *dataFile
	group int
	// kept says that the filter is proved true for every row.
	kept bool
}

// Units opens the footers of the planned files, many at once, and returns
// their row groups that the filter's statistics do not exclude, as frame.Table
// says. Stats answers what the footer proves.
func (s *Scan) Units(ctx context.Context) ([]frame.Unit, error) {
	groups, err := s.RowGroups(ctx)
	out := make([]frame.Unit, len(groups))
	for i := range groups {
		out[i] = groups[i].Unit
	}
	return out, err
}

// RowGroups returns what Units returns, with the places in the files.
func (s *Scan) RowGroups(ctx context.Context) ([]RowGroup, error) {
	units, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]RowGroup, len(units))
	for i := range units {
		u := &units[i]
		stats := func(column string) (filter.Range, bool) { return u.stats(s, s.path(column)) }
		out[i] = RowGroup{Unit: frame.Unit{Rows: u.file.meta.RowGroup(u.group).NumRows(), Stats: stats},
			File: u.file.Key, Index: u.group, First: u.file.starts[u.group]}
	}
	return out, nil
}

// path splits a column name at dots where no column has the whole name.
func (s *Scan) path(column string) []string {
	if slices.ContainsFunc(s.snap.Schema().Fields, func(f delta.Field) bool { return f.Name == column }) {
		return []string{column}
	}
	top, rest, ok := strings.Cut(column, ".")
	if !ok {
		return []string{column}
	}
	return []string{top, rest}
}

// load opens the files once.
func (s *Scan) load(ctx context.Context) ([]unit, error) {
	s.once.Do(func() {
		s.files = make([]*dataFile, len(s.plan.Files))
		errs := make([]error, len(s.files))
		gate := make(chan struct{}, 4*s.parallel)
		var wg sync.WaitGroup
		for i := range s.plan.Files {
			s.files[i] = &dataFile{File: s.plan.Files[i]}
			wg.Add(1)
			gate <- struct{}{}
			go func() {
				defer wg.Done()
				errs[i] = s.files[i].open(ctx, s)
				<-gate
			}()
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				s.err = err
				return
			}
		}
		for _, f := range s.files {
			for g := range f.meta.NumRowGroups() {
				u := unit{file: f, group: g}
				s.plan.RowGroupsTotal++
				if s.filter != nil {
					b := unitBounds{&u, s}
					if !filter.MayMatch(s.filter, b) {
						s.plan.RowGroupsSkipped++
						continue
					}
					u.kept = filter.AlwaysMatches(s.filter, b)
				}
				s.units = append(s.units, u)
			}
		}
	})
	return s.units, s.err
}

// unitBounds are the footer's statistics of a row group.
type unitBounds struct {
	u *unit
	s *Scan
}

func (b unitBounds) Column(path []string) filter.Range {
	r, _ := b.u.stats(b.s, path)
	return r
}

// keptRows is a batch with the row numbers of its rows, which are consecutive
// from first on where rows is nil.
type keptRows struct {
	batch arrow.RecordBatch
	first int64
	rows  []uint32
}

// wholeUnit is the span of every row of a unit.
var wholeUnit = frame.Span{To: math.MaxInt64}

// rows streams the rows of a row group that are neither deleted nor filtered, verified where there is a pass: those of a span, and where a reader cannot
// skip also others. Each batch has the wanted columns, then those of the filter; the producer releases it.
func (s *Scan) rows(ctx context.Context, u *unit, wants []want, span frame.Span, pass *pass) iter.Seq2[keptRows, error] {
	return func(yield func(keptRows, error) bool) {
		all, program, err := s.withFilter(u, wants)
		if err != nil {
			yield(keptRows{}, err)
			return
		}
		g, err := s.readGroup(ctx, u.file, u.group, all)
		if err != nil {
			yield(keptRows{}, err)
			return
		}
		defer g.close()
		at := min(max(0, span.From), g.left)
		if !g.skips() {
			at = 0
		} else if err := g.skip(at); err != nil {
			yield(keptRows{}, err)
			return
		}
		for at < span.To {
			if err := ctx.Err(); err != nil {
				yield(keptRows{}, err)
				return
			}
			b, err := g.next(ctx)
			if b == nil || err != nil {
				if err != nil {
					yield(keptRows{}, err)
				}
				return
			}
			n := b.NumRows()
			if err := pass.verify(u, all, b, at, nil); err != nil {
				b.Release()
				yield(keptRows{}, err)
				return
			}
			k, err := s.keep(ctx, u, b, at, program)
			at += n
			if err != nil {
				yield(keptRows{}, err)
				return
			}
			ok := yield(k, nil)
			k.batch.Release()
			if !ok {
				return
			}
		}
	}
}

// withFilter adds the columns of the filter where statistics have not answered it.
func (s *Scan) withFilter(u *unit, wants []want) ([]want, *filtereval.Program, error) {
	if s.filter == nil || u.kept {
		return wants, nil, nil
	}
	cols, err := s.filterColumns()
	if err != nil {
		return nil, nil, err
	}
	all := slices.Clone(wants)
	for _, c := range cols {
		name := s.snap.Schema().Fields[c].Name
		if !slices.ContainsFunc(all, func(w want) bool { return w.column == c && w.name == name && w.member == nil }) {
			all = append(all, want{column: c, name: name})
		}
	}
	p, err := filtereval.Bind(s.filter, s.wantSchema(all))
	return all, p, err
}

// keep drops deleted and filtered rows; it takes over b.
func (s *Scan) keep(ctx context.Context, u *unit, b arrow.RecordBatch, at int64, program *filtereval.Program) (keptRows, error) {
	n := int(b.NumRows())
	if u.file.deleted == nil && s.only == nil && program == nil {
		return keptRows{batch: b, first: at}, nil
	}
	defer b.Release()
	drop := make([]bool, n)
	if u.file.deleted != nil {
		u.file.deleted.Mark(uint64(u.file.starts[u.group]+at), drop)
	}
	if s.only != nil {
		keep := make([]bool, n)
		s.only.Mark(uint64(u.file.starts[u.group]+at), keep)
		for i, k := range keep {
			drop[i] = drop[i] || !k
		}
	}
	if program != nil {
		keep, err := program.Eval(b)
		if err != nil {
			return keptRows{}, err
		}
		for i, k := range keep {
			drop[i] = drop[i] || !k
		}
	}
	k := keptRows{rows: make([]uint32, 0, n)}
	for i, d := range drop {
		if !d {
			k.rows = append(k.rows, uint32(at)+uint32(i))
		}
	}
	var err error
	k.batch, err = gather(ctx, s, b, k.rows, uint32(at))
	return k, err
}

// takeRows takes rows out of an array.
func takeRows(ctx context.Context, mem memory.Allocator, a arrow.Array, rows []int64) (arrow.Array, error) {
	ib := array.NewInt64Builder(mem)
	defer ib.Release()
	ib.AppendValues(rows, nil)
	idx := ib.NewArray()
	defer idx.Release()
	return compute.TakeArray(compute.WithAllocator(ctx, mem), a, idx)
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

// project returns the first columns of a batch, those of schema; the caller
// releases it.
func project(b arrow.RecordBatch, schema *arrow.Schema) arrow.RecordBatch {
	return array.NewRecordBatch(schema, b.Columns()[:schema.NumFields()], b.NumRows())
}

// wantsOf resolves column names; a name with a dot that no column has is a member.
func (s *Scan) wantsOf(cols []string) ([]want, error) {
	out := make([]want, len(cols))
	for i, name := range cols {
		path := s.path(name)
		c, err := s.columnIndex(path[0])
		if err != nil {
			return nil, err
		}
		out[i] = want{column: c, member: path[1:], name: name}
		if len(path) == 1 {
			out[i].member = nil
		}
	}
	return out, nil
}

// Read streams columns of rows of one unit, as frame.Table says, and releases
// each block's batch after the step. The scan's filter is applied only where
// statistics have not answered it for the unit.
func (s *Scan) Read(ctx context.Context, unit int, rows frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		units, err := s.load(ctx)
		if err != nil {
			yield(frame.Block{}, err)
			return
		}
		wants, err := s.wantsOf(cols)
		if err != nil {
			yield(frame.Block{}, err)
			return
		}
		plain := s.wantSchema(wants)
		for k, err := range s.rows(ctx, &units[unit], wants, rows, s.newPass(false)) {
			if err != nil {
				yield(frame.Block{}, err)
				return
			}
			b := spanOf(k, rows, plain)
			if b.Batch == nil {
				continue
			}
			ok := yield(b, nil)
			b.Batch.Release()
			if !ok {
				return
			}
		}
	}
}

// spanOf cuts kept rows to the span. Without a batch nothing is left.
func spanOf(k keptRows, rows frame.Span, plain *arrow.Schema) frame.Block {
	b := project(k.batch, plain)
	defer b.Release()
	from, to := int64(0), b.NumRows()
	if k.rows == nil {
		from, to = max(0, rows.From-k.first), min(to, rows.To-k.first)
	} else {
		lower, _ := slices.BinarySearch(k.rows, uint32(min(rows.From, math.MaxUint32)))
		upper, _ := slices.BinarySearch(k.rows, uint32(min(rows.To, math.MaxUint32)))
		from, to = int64(lower), int64(upper)
	}
	if from >= to {
		return frame.Block{}
	}
	out := frame.Block{Batch: b.NewSlice(from, to), First: k.first + from}
	if k.rows != nil {
		out.First, out.Rows = 0, k.rows[from:to]
	}
	return out
}

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
		for len(refs) > 0 {
			u := refs[0].Unit()
			n, _ := slices.BinarySearch(refs, frame.RefOf(u+1, 0))
			if !s.takeUnit(ctx, &units[u], refs[:n], wants, yield) {
				return
			}
			refs = refs[n:]
		}
	}
}

// takeUnit gives chosen rows of one row group; false when the consumer has enough or an error was given.
func (s *Scan) takeUnit(ctx context.Context, u *unit, refs []frame.Ref, wants []want, yield func(arrow.RecordBatch, error) bool) bool {
	g, err := s.readGroup(ctx, u.file, u.group, wants)
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
		b, err := g.next(ctx)
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
			ok := yield(out, nil)
			out.Release()
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
		ok := yield(b, nil)
		b.Release()
		if !ok {
			return false
		}
	}
	return true
}

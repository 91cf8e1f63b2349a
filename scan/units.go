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
	index int // among the units
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

// openAtOnce is how many files are opened at once: two requests each, and little
// work.
const openAtOnce = 32

// load opens the files once. What went wrong is nobody else's: the next caller
// tries again.
func (s *Scan) load(ctx context.Context) ([]unit, error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.loaded {
		return s.units, nil
	}
	files, err := s.openFiles(ctx)
	if err != nil {
		return nil, err
	}
	plan := *s.plan.Load() // a plan that somebody reads does not change
	for _, f := range files {
		for g := range f.meta.NumRowGroups() {
			u := unit{file: f, group: g, index: len(s.units)}
			plan.RowGroupsTotal++
			if s.filter != nil {
				b := unitBounds{&u, s}
				if !filter.MayMatch(s.filter, b) {
					plan.RowGroupsSkipped++
					continue
				}
				u.kept = filter.AlwaysMatches(s.filter, b)
			}
			s.units = append(s.units, u)
		}
	}
	s.plan.Store(&plan)
	s.loaded = true
	return s.units, nil
}

// openFiles opens the planned files, many at once.
func (s *Scan) openFiles(ctx context.Context) ([]*dataFile, error) {
	planned := s.plan.Load().Files
	files := make([]*dataFile, len(planned))
	errs := make([]error, len(files))
	gate := make(chan struct{}, openAtOnce)
	var wg sync.WaitGroup
	for i := range files {
		files[i] = &dataFile{File: planned[i]}
		gate <- struct{}{}
		wg.Go(func() {
			errs[i] = files[i].open(ctx, s)
			<-gate
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return files, nil
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

// rows streams the rows of a row group that are neither deleted nor filtered,
// verified where there is a pass: those of a part, and where a reader cannot
// skip also others. Each batch has the wanted columns, then those of the filter;
// the producer releases it.
func (s *Scan) rows(ctx context.Context, u *unit, wants []want, few *part, pass *pass) iter.Seq2[keptRows, error] {
	return func(yield func(keptRows, error) bool) {
		all, program, err := s.withFilter(u, wants)
		if err != nil {
			yield(keptRows{}, err)
			return
		}
		g, err := s.readGroup(ctx, u, all, few, s.after(u, wants))
		if err != nil {
			yield(keptRows{}, err)
			return
		}
		defer g.close()
		todo := spans{{To: g.left}}
		switch {
		case !few.sparse():
		case g.skips():
			todo = few.rows
		case len(few.rows) > 0:
			todo[0].To = few.rows[len(few.rows)-1].To
		}
		for _, span := range todo {
			if !s.rowsIn(ctx, g, u, span, pass, program, yield) {
				return
			}
		}
	}
}

// rowsIn gives the rows of a span that lies ahead; false when the consumer has
// enough or an error was given.
func (s *Scan) rowsIn(ctx context.Context, g *groupReader, u *unit, span frame.Span, pass *pass, program *filtereval.Program, yield func(keptRows, error) bool) bool {
	err := g.skip(min(max(span.From-g.at, 0), g.left))
	for err == nil && g.at < span.To && g.left > 0 {
		if err = ctx.Err(); err != nil {
			break
		}
		at := g.at
		var b arrow.RecordBatch
		if b, err = g.next(ctx, span.To-at); err != nil {
			break
		}
		if err = pass.verify(u, g.wants, b, at, nil); err != nil {
			b.Release()
			break
		}
		var k keptRows
		if k, err = s.keep(ctx, u, b, at, program); err != nil {
			break
		}
		if !frame.Give(yield, k, k.batch) {
			return false
		}
	}
	if err != nil {
		yield(keptRows{}, err)
	}
	return err == nil
}

// withFilter adds the columns of the filter where statistics have not answered it.
func (s *Scan) withFilter(u *unit, wants []want) ([]want, *filtereval.Program, error) {
	all, err := s.filterWants(u, wants)
	if err != nil || s.filter == nil || u.kept {
		return all, nil, err
	}
	p, err := filtereval.Bind(s.filter, s.wantSchema(all))
	return all, p, err
}

// filterWants is withFilter without the program.
func (s *Scan) filterWants(u *unit, wants []want) ([]want, error) {
	if s.filter == nil || u.kept {
		return wants, nil
	}
	cols, err := s.filterColumns()
	if err != nil {
		return nil, err
	}
	all := slices.Clone(wants)
	for _, c := range cols {
		name := s.snap.Schema().Fields[c].Name
		if !slices.ContainsFunc(all, func(w want) bool { return w.column == c && w.name == name && w.member == nil }) {
			all = append(all, want{column: c, name: name})
		}
	}
	return all, nil
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
	return func(yield func(frame.Block, error) bool) { s.readUnit(ctx, unit, rows, cols, nil, yield) }
}

// readUnit is Read with values decoded into memory of an allocator, nil = the
// scan's.
func (s *Scan) readUnit(ctx context.Context, unit int, rows frame.Span, cols []string, values memory.Allocator, yield func(frame.Block, error) bool) {
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
	p := &part{values: values}
	if rows.From > 0 || rows.To < units[unit].file.meta.RowGroup(units[unit].group).NumRows() {
		p.rows = spans{rows}
	}
	for k, err := range s.rows(ctx, &units[unit], wants, p, s.newPass(false)) {
		if err != nil {
			yield(frame.Block{}, err)
			return
		}
		b := spanOf(k, rows, plain)
		if b.Batch == nil {
			continue
		}
		if !frame.Give(yield, b, b.Batch) {
			return
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

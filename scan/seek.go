package scan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// Seek streams columns of the rows of a unit that may have wanted values in the
// first of them, as frame.Seeker says: pages are left out by the page index of
// the file. What the index tells of the pages that are read is checked; what it
// tells of others is believed, as statistics are. Without an index, and where it
// cannot be true, all rows come.
func (s *Scan) Seek(ctx context.Context, unit int, cols []string, wanted func(filter.Range) bool) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		err := s.seek(ctx, unit, cols, wanted, yield)
		if errors.Is(err, pqread.ErrIndex) {
			err = fmt.Errorf("%w: %w", frame.ErrBounds, err)
		}
		if err != nil {
			yield(frame.Block{}, err)
		}
	}
}

func (s *Scan) seek(ctx context.Context, unit int, cols []string, wanted func(filter.Range) bool, yield func(frame.Block, error) bool) error {
	units, err := s.load(ctx)
	if err != nil {
		return err
	}
	wants, err := s.wantsOf(cols)
	if err != nil {
		return err
	}
	u := &units[unit]
	pages, err := s.pagesTold(ctx, u, wants[0])
	if err != nil {
		return err
	}
	few := pages.wanted(wanted)
	if few != nil && len(few.rows) == 0 {
		return nil
	}
	plain := s.wantSchema(wants)
	// Few blocks are kept, so that their memory serves the next ones.
	mem := &recycler{mem: s.mem}
	defer mem.close()
	read := &part{values: mem}
	if few != nil {
		few.values, read = mem, few
	}
	for k, err := range s.rows(ctx, u, wants, read, s.newPass(false)) {
		if err == nil && few != nil {
			err = pages.check(u, k)
		}
		if err != nil {
			return err
		}
		b := frame.Block{Batch: project(k.batch, plain), First: k.first, Rows: k.rows}
		if b.Batch.NumRows() == 0 {
			b.Batch.Release()
		} else if !frame.Give(yield, b, b.Batch) {
			return nil
		}
	}
	return nil
}

// toldPages is what a file tells of the values of a column, page by page.
type toldPages struct {
	list  []toldPage
	pages []pqread.Page
}

type toldPage struct {
	frame.Span
	filter.Range
	null   bool   // no row has a value
	limits limits // nil where none can be compared
}

// wanted are the rows of the pages that may have wanted values; nil where all
// may.
func (t *toldPages) wanted(wanted func(filter.Range) bool) *part {
	if t == nil {
		return nil
	}
	// A library whose writer we use leaves empty texts out of the least ones.
	text := slices.ContainsFunc(t.list, func(p toldPage) bool { _, ok := p.Min.(string); return ok })
	if text && wanted(filter.Range{Known: true, Min: "", Max: "", Rows: 1}) {
		return nil
	}
	few, n := &part{rows: spans{}, pages: t.pages}, 0
	for _, p := range t.list {
		if wanted(p.Range) {
			few.rows, n = few.rows.add(p.From, p.To), n+1
		}
	}
	if n == len(t.list) {
		return nil
	}
	return few
}

// check compares rows with what is told of their pages.
func (t *toldPages) check(u *unit, k keptRows) error {
	a := k.batch.Column(0)
	row := func(i int) int64 {
		if k.rows != nil {
			return int64(k.rows[i])
		}
		return k.first + int64(i)
	}
	for from := 0; from < a.Len(); {
		p := &t.list[sort.Search(len(t.list), func(i int) bool { return t.list[i].To > row(from) })]
		n := sort.Search(a.Len()-from, func(i int) bool { return row(from+i) >= p.To })
		part := array.NewSlice(a, int64(from), int64(from+n))
		at := -1
		switch {
		case p.null && part.NullN() < n:
			for at = 0; part.IsNull(at); at++ {
			}
		case p.limits != nil:
			at = p.limits.outside(part, part.IsNull)
		}
		part.Release()
		if at >= 0 {
			return damaged("read", u.file.Key, u.group, fmt.Errorf("row %d is not within the bounds of its page: %w", u.file.starts[u.group]+row(from+at), frame.ErrBounds))
		}
		from += n
	}
	return nil
}

// pagesTold reads what the file tells of the pages of a column; nil where it
// tells nothing that can be believed.
func (s *Scan) pagesTold(ctx context.Context, u *unit, w want) (t *toldPages, err error) {
	defer guard(u.file.Key, u.group, &err)
	index, typ := u.leafOf(s, s.path(w.name))
	if index < 0 {
		return nil, nil
	}
	tree := u.file.pageTree(s, u.group, w)
	if tree == nil || tree.leaf == nil || tree.leaf.Null || tree.leaf.PageIndex.Length <= 0 || tree.leaf.BoundIndex.Length <= 0 {
		return nil, nil
	}
	l := tree.leaf
	h, err := u.file.handle(ctx, s)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	h.want(l.PageIndex.Offset, l.PageIndex.Length)
	h.want(l.BoundIndex.Offset, l.BoundIndex.Length)
	h.fetch()
	src := s.source(u.file, h, true)
	if l.Pages, err = pqread.ReadPages(src, l); err != nil || l.Pages == nil {
		return nil, h.failureOr(u, err)
	}
	bounds, err := pqread.ReadBounds(src, l, len(l.Pages))
	if err != nil || bounds == nil {
		return nil, h.failureOr(u, err)
	}
	t = &toldPages{pages: l.Pages}
	for i, p := range l.Pages {
		span := frame.Span{From: p.First, To: l.Rows}
		if i+1 < len(l.Pages) {
			span.To = l.Pages[i+1].First
		}
		r := pageRange(bounds, i, l.Physical, typ, span.To-span.From, u.file.meta.Schema.Column(index))
		t.list = append(t.list, toldPage{Span: span, Range: r, null: bounds.Null[i], limits: limitsOf(r.Min, r.Max)})
	}
	if whole, _ := u.stats(s, s.path(w.name)); !t.fit(whole) {
		return nil, nil
	}
	return t, nil
}

// pageRange is what is told of the values of a page as values of the table's
// type, as far as they surely are ordered as we order.
func pageRange(b *pqread.Bounds, page int, physical parquet.Type, typ string, rows int64, col *schema.Column) filter.Range {
	r := filter.Range{Known: true, Nulls: -1, Rows: rows, MayNaN: typ == "float" || typ == "double"}
	if b.Null[page] {
		r.Nulls = rows
		return r
	}
	if b.Nulls != nil && b.Nulls[page] >= 0 && b.Nulls[page] <= rows {
		r.Nulls = b.Nulls[page]
	}
	lo, hi := b.Min[page], b.Max[page]
	switch {
	case physical == parquet.Types.Int32 && len(lo) == 4 && len(hi) == 4:
		r.Min, r.Max = intStat(int64(int32(binary.LittleEndian.Uint32(lo))), typ, col), intStat(int64(int32(binary.LittleEndian.Uint32(hi))), typ, col)
	case physical == parquet.Types.Int64 && len(lo) == 8 && len(hi) == 8:
		r.Min, r.Max = intStat(int64(binary.LittleEndian.Uint64(lo)), typ, col), intStat(int64(binary.LittleEndian.Uint64(hi)), typ, col)
	case physical == parquet.Types.ByteArray && typ == "string":
		r.Min, r.Max = string(lo), greatestText(hi)
	}
	return r
}

// fit reports whether what is told of pages covers what is told of all rows.
func (t *toldPages) fit(whole filter.Range) bool {
	switch whole.Min.(type) {
	case int64:
		return covers[int64](t, whole)
	case string:
		return covers[string](t, whole)
	}
	return true
}

func covers[T int64 | string](t *toldPages, whole filter.Range) bool {
	var lo, hi T
	some := false
	nulls := int64(0)
	for _, p := range t.list {
		nulls += p.Nulls
		least, ok := p.Min.(T)
		most, ok2 := p.Max.(T)
		switch {
		case p.null:
		case !ok || !ok2 || p.Nulls < 0:
			return false
		case !some:
			lo, hi, some = least, most, true
		default:
			lo, hi = min(lo, least), max(hi, most)
		}
	}
	least, ok := whole.Min.(T)
	most, ok2 := whole.Max.(T)
	return some && ok && ok2 && lo <= least && hi >= most && (whole.Nulls < 0 || nulls == whole.Nulls)
}

// failureOr is nil without an error, else what became of reading the unit.
func (r *fileHandle) failureOr(u *unit, err error) error {
	if err == nil {
		return nil
	}
	return r.failure(u.file, u.group, err)
}

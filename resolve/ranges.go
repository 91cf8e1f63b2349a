package resolve

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// Where tables lie about in the order of an integer join key, work that does not
// fit memory is cut by ranges of that key, and each range is read from the
// tables themselves. Statistics only say that this is worth a try: one pass over
// the keys measures where they lie, before anything is decided.

// mostReread is how many times the rows of the tables may be read in all. Beyond
// that writing them to disk once is cheaper.
const mostReread = 2

// mostRuns bounds the runs of one block. A block of more is one run.
const mostRuns = 16

// pointsOfRun is into how many steps a run is divided to find bounds.
const pointsOfRun = 16

// nearRows is how many rows of other ranges are read along rather than to read
// twice.
const nearRows = 1 << 17

// run is neighbouring rows of a unit and the bounds of their keys.
type run struct {
	rows   frame.Span
	count  int64 // of rows that are there
	lo, hi int64
}

// rangedTable is a table whose keys have been measured.
type rangedTable struct {
	table  frame.Table
	key    string
	layout *hashjoin.Layout
	units  []frame.Unit
	runs   [][]run // by unit, in the order of rows
	count  int64
	bounds []int64 // partition p has the keys from bounds[p-1] to below bounds[p]
}

// rangedSource is a table to cut, under the name of its join key.
type rangedSource struct {
	table frame.Table
	key   string
	ids   []string
}

// rangedSources are the tables of a resolve, those of deps first, then the stored
// one; nil where they cannot be cut by ranges: more than one join column, no
// integers, rows of one id that may differ in it, samples.
func (s *stream) rangedSources() []rangedSource {
	inc := s.inc
	join := inc.joinColumns()
	if s.layout == nil || s.layout.Words() != 1 || len(join) != 1 || inc.req.Samples != nil || inc.req.Options.Doubt {
		return nil
	}
	var list []rangedSource
	for _, i := range inc.order {
		d := inc.deps[i]
		list = append(list, rangedSource{d.src.Table, d.original(join[0]), d.src.IDs})
	}
	if inc.compares() {
		list = append(list, rangedSource{inc.req.Current.Table, join[0], inc.req.Current.IDs})
	}
	for i, f := range s.feedsInOrder() {
		if !slices.Contains(list[i].ids, list[i].key) {
			return nil
		}
		for _, u := range f.units {
			r, _ := u.Stats(list[i].key)
			if _, ok := r.Min.(int64); u.Rows > 0 && !(r.Known && ok && r.Nulls == 0) {
				return nil
			}
		}
	}
	return list
}

// feedsInOrder are the feeds of the joined deps, then that of the stored rows.
func (s *stream) feedsInOrder() []*feed {
	var out []*feed
	for _, i := range s.inc.order {
		out = append(out, s.feedOf(i))
	}
	if s.stored != nil {
		out = append(out, s.stored.feed)
	}
	return out
}

// ranges measures the keys of the tables and cuts them into ranges; nil where
// they lie too mixed for that.
func (inc *Increment) ranges(ctx context.Context, st *stream, parts int) (*cut, error) {
	sources := st.rangedSources()
	if sources == nil {
		return nil, nil
	}
	c := &cut{parts: parts, deps: make([]parted, len(inc.deps)), readers: inc.req.Options.readers()}
	tables := make([]*rangedTable, len(sources))
	for i, src := range sources {
		t := &rangedTable{table: src.table, key: src.key, layout: st.layout}
		if ok, err := t.measure(ctx, c.readers); !ok || err != nil {
			return nil, err
		}
		tables[i] = t
		c.rows += t.count
	}
	bounds := boundsOf(tables, parts)
	if bounds == nil || !worthRanges(tables, bounds) {
		return nil, nil
	}
	for i, t := range tables {
		t.bounds = bounds
		if i == len(inc.order) {
			c.current = t
			break
		}
		c.deps[inc.order[i]] = t
		inc.warnWeak(inc.deps[inc.order[i]].key(), t.count)
	}
	return c, nil
}

// measure reads all keys; ok is false where one is null.
func (t *rangedTable) measure(ctx context.Context, parallel int) (ok bool, err error) {
	if t.units, err = t.table.Units(ctx); err != nil {
		return false, err
	}
	t.runs = make([][]run, len(t.units))
	null := make([]bool, len(t.units))
	err = eachOf(ctx, len(t.units), parallel, func(ctx context.Context, _, unit int) error {
		var keys hashjoin.Keys
		for b, err := range t.table.Read(ctx, unit, frame.Span{To: t.units[unit].Span()}, []string{t.key}) {
			if err != nil {
				return err
			}
			if err := t.layout.Encode([]arrow.Array{b.Batch.Column(0)}, &keys); err != nil {
				return err
			}
			if null[unit] = keys.Null != nil; null[unit] {
				return nil
			}
			t.runs[unit] = append(t.runs[unit], runsOf(&b, &keys)...)
		}
		return ctx.Err()
	})
	for _, runs := range t.runs {
		for _, r := range runs {
			t.count += r.count
		}
	}
	return !slices.Contains(null, true), err
}

// runsOf cuts a block where keys descend.
func runsOf(b *frame.Block, keys *hashjoin.Keys) (out []run) {
	n := keys.Len()
	if n == 0 {
		return nil
	}
	between := func(from, to int, lo, hi int64) run {
		return run{frame.Span{From: b.Row(from), To: b.Row(to-1) + 1}, int64(to - from), lo, hi}
	}
	from := 0
	for i := 1; i <= n && !keys.Ascending; i++ {
		if i < n && int64(keys.Lo[i]) >= int64(keys.Lo[i-1]) {
			continue
		}
		if len(out) == mostRuns {
			out, from = nil, 0
			break
		}
		out = append(out, between(from, i, int64(keys.Lo[from]), int64(keys.Lo[i-1])))
		from = i
	}
	if from == 0 {
		return []run{between(0, n, keys.Min, keys.Max)}
	}
	return out
}

// boundsOf finds bounds between about equal numbers of rows; nil where keys are
// too few for that.
func boundsOf(tables []*rangedTable, parts int) []int64 {
	type point struct {
		key  int64
		rows float64
	}
	var points []point
	total := 0.0
	for _, t := range tables {
		for _, runs := range t.runs {
			for _, r := range runs {
				// The width of a run may be beyond int64.
				steps := min(uint64(r.hi)-uint64(r.lo), pointsOfRun-1) + 1
				for i := range steps {
					at := r.lo + int64((uint64(r.hi)-uint64(r.lo))/steps*i)
					points = append(points, point{at, float64(r.count) / float64(steps)})
				}
				total += float64(r.count)
			}
		}
	}
	slices.SortFunc(points, func(a, b point) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return 0
	})
	var bounds []int64
	sum := 0.0
	for i, p := range points {
		if sum >= total/float64(parts)*float64(len(bounds)+1) && p.key != points[max(i-1, 0)].key {
			bounds = append(bounds, p.key)
		}
		sum += p.rows
	}
	if len(bounds) < parts-1 {
		return nil
	}
	return bounds[:parts-1]
}

// worthRanges reports whether ranges are about even and what has to be read for
// all of them is not much more than the tables.
func worthRanges(tables []*rangedTable, bounds []int64) bool {
	rows, read, parts := int64(0), int64(0), len(bounds)+1
	of := make([]float64, parts)
	for _, t := range tables {
		rows += t.count
		for _, runs := range t.runs {
			for _, r := range runs {
				first, _ := slices.BinarySearch(bounds, r.lo+1)
				if r.lo == math.MaxInt64 {
					first = parts - 1
				}
				for p := first; p < parts && (p == 0 || bounds[p-1] <= r.hi); p++ {
					read += r.count
					of[p] += float64(r.count) * share(r, bounds, p)
				}
			}
		}
	}
	return read <= mostReread*rows && slices.Max(of) <= 2*float64(rows)/float64(parts)+1
}

// share is about how much of a run's rows are in a partition.
func share(r run, bounds []int64, p int) float64 {
	lo, hi := rangeOf(bounds, p)
	width := float64(uint64(r.hi)-uint64(r.lo)) + 1
	return (float64(uint64(min(hi, r.hi))-uint64(max(lo, r.lo))) + 1) / width
}

// rangeOf are the least and the greatest key of a partition.
func rangeOf(bounds []int64, p int) (lo, hi int64) {
	lo, hi = math.MinInt64, math.MaxInt64
	if p > 0 {
		lo = bounds[p-1]
	}
	if p < len(bounds) {
		hi = bounds[p] - 1
	}
	return lo, hi
}

func (t *rangedTable) close() {}

// part is the table that has the rows of one partition.
func (t *rangedTable) part(p int) frame.Table {
	lo, hi := rangeOf(t.bounds, p)
	return &rangeTable{Table: t.table, from: t, lo: lo, hi: hi}
}

// rangeTable is the rows of a table with keys from lo to hi.
type rangeTable struct {
	frame.Table
	from   *rangedTable
	lo, hi int64
}

// within are the runs of a unit that have such keys.
func (t *rangeTable) within(unit int) iter.Seq[run] {
	return func(yield func(run) bool) {
		for _, r := range t.from.runs[unit] {
			if r.lo <= t.hi && r.hi >= t.lo && !yield(r) {
				return
			}
		}
	}
}

// Units have the numbers of rows that are read, and the ranges of keys that were
// measured.
func (t *rangeTable) Units(context.Context) ([]frame.Unit, error) {
	out := slices.Clone(t.from.units)
	for i := range out {
		out[i].End, out[i].Rows = out[i].Span(), 0
		lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
		for r := range t.within(i) {
			lo, hi = min(lo, r.lo), max(hi, r.hi)
			out[i].Rows += r.count
		}
		stats, known := out[i].Stats, out[i].Rows > 0
		out[i].Stats = func(column string) (filter.Range, bool) {
			r, exact := stats(column)
			if column == t.from.key && known {
				r.Min, r.Max = max(lo, t.lo), min(hi, t.hi)
			}
			return r, exact && column != t.from.key
		}
	}
	return out, nil
}

func (t *rangeTable) Read(ctx context.Context, unit int, span frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	read := unique(append(slices.Clone(cols), t.from.key))
	key := slices.Index(read, t.from.key)
	return func(yield func(frame.Block, error) bool) {
		var keys hashjoin.Keys
		for _, s := range t.spans(unit, span) {
			for b, err := range t.Table.Read(ctx, unit, s, read) {
				if err == nil {
					err = t.from.layout.Encode([]arrow.Array{b.Batch.Column(key)}, &keys)
				}
				if err == nil && keys.Null != nil {
					err = fmt.Errorf("%s changed while it was read", t.from.key)
				}
				if err != nil {
					yield(frame.Block{}, err)
					return
				}
				if !t.pick(ctx, b, &keys, cols, yield) {
					return
				}
			}
		}
	}
}

// spans are the rows of a unit to read.
func (t *rangeTable) spans(unit int, within frame.Span) (out []frame.Span) {
	for r := range t.within(unit) {
		s := frame.Span{From: max(r.rows.From, within.From), To: min(r.rows.To, within.To)}
		if s.From >= s.To {
			continue
		}
		if n := len(out); n > 0 && s.From-out[n-1].To <= nearRows {
			out[n-1].To = s.To
			continue
		}
		out = append(out, s)
	}
	return out
}

// pick yields the rows of a block that are in the range.
func (t *rangeTable) pick(ctx context.Context, b frame.Block, keys *hashjoin.Keys, cols []string, yield func(frame.Block, error) bool) bool {
	batch := renamed(b.Batch, cols, same)
	defer func() { batch.Release() }()
	n := keys.Len()
	if n == 0 || keys.Max < t.lo || keys.Min > t.hi {
		return true
	}
	out := frame.Block{Batch: batch, First: b.First, Rows: b.Rows}
	if keys.Min >= t.lo && keys.Max <= t.hi {
		return yield(out, nil)
	}
	var picks []int64
	for i, k := range keys.Lo {
		if int64(k) >= t.lo && int64(k) <= t.hi {
			picks = append(picks, int64(i))
		}
	}
	if len(picks) == 0 {
		return true
	}
	from, to := picks[0], picks[len(picks)-1]+1
	if int64(len(picks)) == to-from {
		out.Batch = batch.NewSlice(from, to)
		if out.First = b.First + from; b.Rows != nil {
			out.Rows = b.Rows[from:to]
		}
	} else {
		var err error
		if out.Batch, err = takeBatch(ctx, batch, picks); err != nil {
			yield(frame.Block{}, err)
			return false
		}
		out.Rows = make([]uint32, len(picks))
		for j, i := range picks {
			out.Rows[j] = uint32(b.Row(int(i)))
		}
	}
	defer out.Batch.Release()
	return yield(out, nil)
}

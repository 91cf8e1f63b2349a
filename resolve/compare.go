package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// result is what was decided: expected rows of each part by their number, orphaned rows of the current table by position.
type result struct {
	joined  *joined
	chunks  []versions
	samples *sampleRows
	parts   [2][]int32
	current *current
	orphans []int32
	// orphanBatches replaces orphans for collapsed groups.
	orphanBatches []arrow.RecordBatch
}

// current is the feature's own visible rows.
type current struct {
	set     *rowset
	live    []bool
	keys    []hashjoin.Key
	nulls   []bool
	text    *rowText
	flagged []bool // by a staleness predicate, by row, by key id where rows are collapsed; nil without
	stamp   []int64
	// table finds rows by join key; byID does when the join columns are the ids, each of which has one row.
	table *hashjoin.Multi
	byID  *hashjoin.Latest
	rows  int
}

// find is the id of a key that some visible row has, -1 for none.
func (c *current) find(k hashjoin.Key) int {
	if c.byID == nil {
		return c.table.Find(k)
	}
	id := c.byID.Find(k)
	if id >= 0 && !c.live[c.byID.Row(id)] {
		return -1
	}
	return id
}

// each calls f with the visible rows of a key.
func (c *current) each(id int, f func(row int32)) {
	if c.byID != nil {
		f(c.byID.Row(id))
		return
	}
	c.table.Rows(id, f)
}

// keyCount is the number of key ids.
func (c *current) keyCount() int {
	if c.byID != nil {
		return c.byID.Len()
	}
	return c.table.Len()
}

func (inc *Increment) decide(ctx context.Context) (r *result, err error) {
	made := &result{}
	r = made
	var sample func(i int) (string, bool)
	var keys []hashjoin.Key
	var nulls []bool
	var rows int
	compares := inc.compares()
	var loading errgroup.Group // the feature's own rows are read while upstream is joined
	if compares {
		loading.Go(func() (err error) {
			made.current, err = inc.loadCurrent(ctx)
			return err
		})
	}
	done := false
	defer func() {
		_ = loading.Wait() // a failure has been seen, or there is an earlier one
		if !done {
			made.close()
		}
	}()
	if inc.req.Samples != nil {
		if r.samples, err = inc.loadSamples(ctx); err != nil {
			return nil, err
		}
		sample, keys, nulls, rows = r.samples.provenance, r.samples.keys, r.samples.nulls, r.samples.rows
		inc.expected(rows)
	} else {
		if r.joined, err = inc.join(ctx); err != nil {
			return nil, err
		}
		if r.chunks, err = inc.hash(r.joined); err != nil {
			return nil, err
		}
		keys, nulls, rows = r.joined.keys, r.joined.nulls, r.joined.rows
		sample = func(i int) (string, bool) {
			t := r.chunks[i/chunkRows].sample
			return t.Value(i % chunkRows), !t.IsNull(i % chunkRows)
		}
	}
	inc.warnNulls(rows, sample, nulls)
	if !compares {
		r.parts[New] = make([]int32, rows)
		for i := range r.parts[New] {
			r.parts[New][i] = int32(i)
		}
		inc.progress(r, keys, nulls, rows)
		done = true
		return r, nil
	}
	if err := loading.Wait(); err != nil {
		return nil, err
	}
	if err := inc.compare(ctx, r, rows, keys, nulls, sample); err != nil {
		return nil, err
	}
	inc.progress(r, keys, nulls, rows)
	done = true
	return r, nil
}

func (inc *Increment) warnNulls(rows int, sample func(int) (string, bool), nulls []bool) {
	var n nullCounts
	for i := range rows {
		if _, ok := sample(i); !ok {
			n.versions++
		}
		if nulls[i] {
			n.ids++
		}
	}
	inc.warnNullCounts(n)
}

func (inc *Increment) warnNullCounts(n nullCounts) {
	if n.versions > 0 {
		inc.warn("NULL_VERSIONS", "%d expected rows have no provenance, because a required upstream version is null", n.versions)
	}
	if n.ids > 0 {
		inc.warn("NULL_IDS", "%d expected rows have null in a join column and never match a stored row", n.ids)
	}
}

// currentColumns are the columns that must be read of every stored row.
func (inc *Increment) currentColumns(ctx context.Context) ([]string, error) {
	src := &inc.req.Current
	stamps, err := stampColumns(ctx, src.Table)
	return unique(slices.Concat(src.IDs, inc.joinColumns(), stamps, []string{colProvenance}, filterColumns(src.Filters), filterColumns(inc.req.StaleIf))), err
}

// loadCurrent reads the feature's own rows, newest per id, without tombstones, passing the filters.
func (inc *Increment) loadCurrent(ctx context.Context) (c *current, err error) {
	src := &inc.req.Current
	cols, err := inc.currentColumns(ctx)
	if err != nil {
		return nil, err
	}
	c = &current{}
	defer func(c *current) {
		if err != nil {
			c.set.close()
		}
	}(c)
	if c.set, err = load(ctx, src.Table, cols, inc.req.Options.Parallel); err != nil {
		return nil, err
	}
	inc.addRead(c.set.read)
	var dead []bool
	var latest *hashjoin.Latest
	if latest, c.live, dead, err = c.set.latestTable(inc.enc, src.IDs, 0); err != nil {
		return nil, err
	}
	if slices.Equal(src.IDs, inc.joinColumns()) {
		c.byID = latest
	}
	c.stamp, _ = c.set.stamps()
	for i, gone := range dead {
		c.live[i] = c.live[i] && !gone
	}
	if err := c.set.filter(src.Filters, same, c.live); err != nil {
		return nil, err
	}
	if c.keys, c.nulls, err = c.set.keys(inc.enc, inc.joinColumns()); err != nil {
		return nil, err
	}
	if c.text, err = c.set.text(colProvenance); err != nil {
		return nil, err
	}
	if len(inc.req.Plan.Deps) > 0 {
		inc.warnForeign(c) // what roots store is their users' own
	}
	if c.byID == nil {
		c.table = hashjoin.NewMulti(c.set.rows, 0)
	}
	for i, l := range c.live {
		if l {
			c.rows++
			if c.byID == nil && !c.nulls[i] {
				if err := c.table.Add(c.keys[i], int32(i)); err != nil {
					return nil, err
				}
			}
		}
	}
	inc.mu.Lock()
	inc.stats.Current = int64(c.rows)
	inc.mu.Unlock()
	if inc.expands() && len(inc.req.StaleIf) > 0 {
		c.flagged, err = c.flagGroups(ctx, inc.req.StaleIf)
		return c, err
	}
	return c, c.flag(inc.req.StaleIf)
}

// flag evaluates the staleness predicates: any of them true marks a row.
func (c *current) flag(exprs []filter.Expr) error {
	if len(exprs) == 0 {
		return nil
	}
	c.flagged = make([]bool, c.set.rows)
	for i := range c.set.batches {
		b := &c.set.batches[i]
		rec := renamed(b.rec, c.set.cols, same)
		flags, err := anyTrue(exprs, rec)
		rec.Release()
		if err != nil {
			return err
		}
		copy(c.flagged[b.start:], flags)
	}
	return nil
}

// compare sorts expected rows into new and stale, and finds the stored ones that nothing expects.
func (inc *Increment) compare(ctx context.Context, r *result, rows int, keys []hashjoin.Key, nulls []bool, sample func(int) (string, bool)) error {
	c := r.current
	matched := make([]bool, c.keyCount())
	expand := inc.expands()
	duplicates, mixed := 0, 0
	for i := range rows {
		id := -1
		if !nulls[i] {
			id = c.find(keys[i])
		}
		if id < 0 {
			r.parts[New] = append(r.parts[New], int32(i))
			continue
		}
		matched[id] = true
		want, ok := sample(i)
		hits := 0
		if expand {
			stale, mix := c.groupStale(id, want, ok)
			mixed += boolInt(mix)
			hits = boolInt(stale)
		} else {
			c.each(id, func(row int32) { hits += boolInt(c.rowStale(row, want, ok)) })
			if hits > 1 {
				duplicates++
			}
		}
		for range hits {
			r.parts[Stale] = append(r.parts[Stale], int32(i))
		}
	}
	if duplicates > 0 {
		inc.warn("DUPLICATE_ROWS", "%d stale samples are repeated, once for each of their stored rows", duplicates)
	}
	if mixed > 0 {
		inc.warn("MIXED_PROVENANCE", "the stored rows of %d samples have different provenances; such a sample is stale when one of them differs from the expected one", mixed)
	}
	for i, l := range c.live {
		if l && (c.nulls[i] || !matched[c.find(c.keys[i])]) {
			r.orphans = append(r.orphans, int32(i))
		}
	}
	if expand {
		return inc.collapseOrphans(ctx, r)
	}
	return nil
}

// rowStale compares one stored row. A null expectation compares as null, which is not stale unless the stored one is null too or a predicate says so.
func (c *current) rowStale(row int32, want string, ok bool) bool {
	t, i := c.text.at(row)
	return t.IsNull(i) || ok && t.Value(i) != want || c.flagged != nil && c.flagged[row]
}

// groupStale compares the stored rows of one parent: stale when a non-null provenance differs, when all are null, or when a predicate marks them as one row. mixed: they differ among themselves.
func (c *current) groupStale(id int, want string, ok bool) (stale, mixed bool) {
	allNull, first := true, ""
	c.each(id, func(row int32) {
		t, i := c.text.at(row)
		if t.IsNull(i) {
			return
		}
		v := t.Value(i)
		if !allNull && v != first {
			mixed = true
		}
		if allNull {
			first, allNull = v, false
		}
		stale = stale || ok && v != want
	})
	return stale || allNull || c.flagged != nil && c.flagged[id], mixed
}

// progress is the share of distinct input units that are not new.
func (inc *Increment) progress(r *result, keys []hashjoin.Key, nulls []bool, rows int) {
	if !inc.req.Options.WithInput || inc.req.Samples != nil || len(inc.req.Plan.InputIDColumns()) == 0 {
		return
	}
	all, fresh := hashjoin.NewTable(rows, 0), hashjoin.NewTable(len(r.parts[New]), 0)
	for i := range rows {
		if _, _, err := all.Insert(keys[i]); err != nil {
			return
		}
	}
	for _, i := range r.parts[New] {
		if _, _, err := fresh.Insert(keys[i]); err != nil {
			return
		}
	}
	inc.units, inc.fresh = int64(all.Len()), int64(fresh.Len())
	inc.setProgress(inc.units, inc.fresh)
}

// setProgress tells how many of the input units are not new, in percent.
func (inc *Increment) setProgress(units, fresh int64) {
	if !inc.req.Options.WithInput || inc.req.Samples != nil || units == 0 {
		return
	}
	p := float64(units-fresh) / float64(units) * 100
	inc.stats.Progress = &p
}

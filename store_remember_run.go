package metaxy

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/remember"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// errDoubt is a memory that is of no use after all.
var errDoubt = errors.New("all rows must be looked at")

// partial is a resolve of the keys that may need something.
type partial struct {
	inc    *resolve.Increment
	tables []*remember.Picked
	// counts are those of the whole.
	counts remember.Counts
}

// partial resolves the keys that were outstanding and those in rows that were
// appended since. It is errDoubt where these are too many, or where what is
// remembered does not hold.
func (r *recall) partial(ctx context.Context, s *DeltaStore) (*partial, error) {
	keys, err := r.keys(ctx, s)
	if err != nil {
		return nil, err
	}
	p := &partial{}
	if err := r.fill(ctx, s, keys, p); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// close gives back the rows that are held.
func (p *partial) close() {
	if p.inc != nil {
		p.inc.Close()
	}
	for _, t := range p.tables {
		t.Close()
	}
}

// fill cuts the tables down to the keys and resolves them.
func (r *recall) fill(ctx context.Context, s *DeltaStore, keys *remember.Keys, p *partial) error {
	one := r.oneRow()
	req, before := *r.req, *r.req
	req.Deps, before.Deps = slices.Clone(req.Deps), slices.Clone(req.Deps)
	for i, t := range r.tables {
		hides := one && i < len(req.Deps) && t.hides()
		picked, err := t.pick(ctx, s, keys, hides)
		if err != nil {
			return err
		}
		p.tables = append(p.tables, picked)
		if i < len(req.Deps) {
			req.Deps[i].Table, before.Deps[i].Table = picked, picked.Before()
		} else {
			req.Current.Table, before.Current.Table = picked, picked.Before()
		}
	}
	var err error
	if p.inc, err = resolve.Update(ctx, &req); err != nil {
		return err
	}
	if err := p.inc.Count(ctx); err != nil {
		return err
	}
	if one {
		return r.countOne(ctx, p, &before.Current)
	}
	return r.count(ctx, p, &before)
}

// countOne computes the counts of the whole where a key has one row at most on
// each side: then the rows that are expected are those that are stored and the
// new ones, without the orphaned ones.
func (r *recall) countOne(ctx context.Context, p *partial, before *resolve.Source) error {
	is, c := p.inc.Stats(), r.old.Counts
	p.counts = remember.Counts{New: is.New, Stale: is.Stale, Orphaned: is.Orphaned, Current: c.Current, Progress: c.Progress, Measured: c.Measured}
	if own := r.tables[len(r.tables)-1]; len(own.fresh) > 0 {
		rows, err := resolve.Read(ctx, &resolve.ReadRequest{Source: *before, Columns: own.key, Options: r.req.Options})
		if err != nil {
			return err
		}
		was := int64(0)
		for b, err := range rows.Batches {
			if err != nil {
				return err
			}
			was += b.NumRows()
		}
		p.counts.Current += is.Current - was
	}
	if !r.unchanged {
		p.counts.Progress, p.counts.Measured = nil, false
	}
	p.counts.Expected = p.counts.Current + is.New - is.Orphaned
	return nil
}

// count computes the counts of the whole from those of the keys, as they were
// and as they are. The former must be what is remembered.
func (r *recall) count(ctx context.Context, p *partial, before *resolve.Request) error {
	old, err := resolve.Update(ctx, before)
	if err != nil {
		return err
	}
	defer old.Close()
	if err := old.Count(ctx); err != nil {
		return err
	}
	was, is, c := old.Stats(), p.inc.Stats(), r.old.Counts
	if was.New != c.New || was.Stale != c.Stale || was.Orphaned != c.Orphaned {
		return errDoubt
	}
	p.counts = remember.Counts{New: is.New, Stale: is.Stale, Orphaned: is.Orphaned,
		Expected: c.Expected - was.Expected + is.Expected, Current: c.Current - was.Current + is.Current}
	if r.unchanged {
		p.counts.Progress, p.counts.Measured = c.Progress, c.Measured
	}
	return nil
}

// keys are the outstanding ones and those of appended rows.
func (r *recall) keys(ctx context.Context, s *DeltaStore) (*remember.Keys, error) {
	live, appended := int64(0), int64(r.old.Keys.Len())
	for _, t := range r.tables {
		rows, known := t.rows()
		if !known {
			return nil, errDoubt
		}
		live += rows
		for i := range t.fresh {
			appended += t.fresh[i].Records()
		}
	}
	if appended > mostKeys || appended > max(fewKeys, live/keyShare) {
		return nil, errDoubt
	}
	keys := remember.NewKeys(r.kinds)
	keys.AppendKeys(r.old.Keys)
	for _, t := range r.tables {
		if len(t.fresh) == 0 {
			continue
		}
		sc, err := scan.New(t.located.snap, &scan.Options{Files: t.fresh, Columns: t.key, Filter: t.located.where, Parallel: s.opts.Parallel, Allocator: s.opts.Allocator, Unverified: true})
		if err != nil {
			return nil, err
		}
		t.freshKeys = remember.NewKeys(r.kinds)
		for b, err := range sc.Batches(ctx) {
			if err == nil {
				err = t.freshKeys.Append(b.Columns())
			}
			if err != nil {
				return nil, err
			}
		}
		keys.AppendKeys(t.freshKeys)
	}
	return keys, nil
}

// oneRow reports whether a key has one row at most in every table.
func (r *recall) oneRow() bool {
	for i, t := range r.tables {
		if len(t.key) != len(t.ids) || i < len(r.req.Plan.Deps) && r.req.Plan.Deps[i].Lineage.Kind != feature.Identity {
			return false
		}
	}
	return true
}

// hides reports whether the appended rows are newer than all others of their
// ids, by the log's statistics, so that those need not be read.
func (t *recalled) hides() bool {
	if len(t.fresh) == 0 || !t.located.table.Schema().HasField(syscol.UpdatedAt) {
		return false
	}
	deleted := t.located.table.Schema().HasField(syscol.DeletedAt)
	var from filter.Timestamp
	for i := range t.fresh {
		f := &t.fresh[i]
		r := f.Range([]string{syscol.UpdatedAt})
		lo, ok := r.Min.(filter.Timestamp)
		if !ok || r.Nulls != 0 || deleted && !allNull(f.Range([]string{syscol.DeletedAt})) {
			return false
		}
		if i == 0 || lo < from {
			from = lo
		}
	}
	fresh := t.freshFiles()
	for _, f := range t.located.snap.Files() {
		if fresh[f.Key] {
			continue
		}
		for _, c := range []string{syscol.UpdatedAt, syscol.DeletedAt} {
			r := f.Range([]string{c})
			hi, ok := r.Max.(filter.Timestamp)
			if c == syscol.DeletedAt && !deleted || allNull(r) {
				continue
			}
			if !ok || hi >= from {
				return false
			}
		}
	}
	return true
}

func allNull(r filter.Range) bool { return r.Known && r.Rows > 0 && r.Nulls == r.Rows }

func (t *recalled) freshFiles() map[string]bool {
	out := map[string]bool{}
	for _, f := range t.fresh {
		out[f.Key] = true
	}
	return out
}

// pick is the rows of the table with some keys. Files are left out that cannot
// hold any by the log's statistics; hides says that of keys with appended rows
// no others count.
func (t *recalled) pick(ctx context.Context, s *DeltaStore, keys *remember.Keys, hides bool) (*remember.Picked, error) {
	if hides {
		set, err := remember.NewSet(t.freshKeys, keys.Types())
		if err == nil {
			keys, err = keys.Without(set)
		}
		if err != nil {
			return nil, err
		}
	}
	set, err := remember.NewSet(keys, t.types)
	if err != nil {
		return nil, err
	}
	fresh := t.freshFiles()
	files := []delta.File{}
	for _, f := range t.located.snap.Files() {
		if fresh[f.Key] || set.MayHold(f.Range([]string{t.key[0]})) {
			files = append(files, f)
		}
	}
	sc, err := scan.New(t.located.snap, &scan.Options{Files: files, Filter: t.located.where, Parallel: s.opts.Parallel, Allocator: s.opts.Allocator, Unverified: true})
	if err != nil {
		return nil, err
	}
	isFresh := func(ctx context.Context, unit int) (bool, error) {
		key, err := sc.FileOf(ctx, unit)
		return fresh[key], err
	}
	return remember.Pick(sc, t.key, set, isFresh, s.opts.Parallel), nil
}

// collector gathers the join keys of what passes by. It is done when each part
// has passed whole.
type collector struct {
	on    []string
	kinds []remember.Kind
	parts [3]*remember.Keys
	whole [3]bool
	many  bool
}

// begin forgets a part, which passes anew.
func (c *collector) begin(p Part) {
	c.parts[p], c.whole[p] = remember.NewKeys(c.kinds), false
}

// add keeps the keys of a batch while they are few.
func (c *collector) add(p Part, b arrow.RecordBatch) {
	if c.many = c.many || c.parts[p].Len() > maxRememberedKeys; c.many {
		return
	}
	cols := make([]arrow.Array, len(c.on))
	for i, name := range c.on {
		cols[i] = b.Column(b.Schema().FieldIndices(name)[0])
	}
	c.many = c.parts[p].Append(cols) != nil
}

// end notes that a part has passed whole.
func (c *collector) end(p Part) { c.whole[p] = true }

// keys are those of all parts; false while one is missing, nil when they are
// too many.
func (c *collector) keys() (*remember.Keys, bool) {
	if c.whole != [3]bool{true, true, true} {
		return nil, false
	}
	out := remember.NewKeys(c.kinds)
	for _, k := range c.parts {
		out.AppendKeys(k)
	}
	if c.many || out.Len() > maxRememberedKeys {
		return nil, true
	}
	return out, true
}

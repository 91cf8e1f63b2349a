package metaxy

import (
	"context"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// Plan is the status of features in the order in which they are to be done,
// each after what is upstream of it, with the reasons of what there is to do
// now and with what will be to do once that is done. It costs a resolve of
// every feature, a read of the stored ids for each 100,000 samples that are to
// do, and one of every feature below such samples; those ids are held in
// memory.
func (s *DeltaStore) Plan(ctx context.Context, keys []feature.Key, opts *StatusOptions) ([]Status, error) {
	o := StatusOptions{}
	if opts != nil {
		o = *opts
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	p := &planner{s: s, g: g, touched: map[feature.Key]map[string]bool{}, counts: map[feature.Key]map[Part]map[string]int64{}}
	p.resolve = ResolveOptions{TargetFilters: o.TargetFilters, GlobalFilters: o.GlobalFilters, StaleIf: o.StaleIf}
	look := o.Inspect
	o.Inspect = func(ctx context.Context, inc *Increment) error {
		if look != nil {
			if err := look(ctx, inc); err != nil {
				return err
			}
		} else if err := inc.Count(ctx); err != nil {
			return err
		}
		return p.see(ctx, inc)
	}
	list, err := s.StatusAll(ctx, upstreamFirst(g, keys), &o)
	if err != nil {
		return nil, err
	}
	byKey := map[feature.Key]*Status{}
	for i := range list {
		st := &list[i]
		byKey[st.Feature] = st
		st.Reasons = p.counts[st.Feature]
		if err := p.later(ctx, st, byKey); err != nil && st.Err == nil {
			st.Err = err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return list, nil
}

// upstreamFirst are keys in topological order; those on a circle come last, in their own.
func upstreamFirst(g *feature.Graph, keys []feature.Key) []feature.Key {
	ordered := g.Topological(keys)
	var out []feature.Key
	for _, k := range slices.Concat(ordered, keys) {
		if slices.Contains(keys, k) && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// planner finds reasons, and what follows.
type planner struct {
	s       *DeltaStore
	g       *feature.Graph
	resolve ResolveOptions
	// touched are the stored samples of each feature that are to be done again
	// or go, now or later, by the columns they are joined on.
	touched map[feature.Key]map[string]bool
	counts  map[feature.Key]map[Part]map[string]int64
}

// see counts the reasons of an increment, and remembers which stored samples it touches.
func (p *planner) see(ctx context.Context, inc *Increment) error {
	st := inc.Stats()
	if st.New+st.Stale+st.Orphaned == 0 {
		return nil
	}
	e, err := p.s.explainer(ctx, p.g, inc.key, &p.resolve, false)
	if err != nil {
		return err
	}
	inc.reasons = &reasons{e: e, counts: map[Part]map[string]int64{}}
	touched := map[string]bool{}
	for part, n := range [...]int64{New: st.New, Stale: st.Stale, Orphaned: st.Orphaned} {
		if n == 0 {
			continue
		}
		for b, err := range inc.rows(ctx, Part(part)).Batches {
			if err != nil {
				return err
			}
			if Part(part) == New {
				continue
			}
			for _, k := range keysOf(b, e.plan.JoinColumns()) {
				if k != nil {
					touched[strings.Join(k, "\x00")] = true
				}
			}
		}
	}
	p.touched[inc.key], p.counts[inc.key] = touched, inc.reasons.counts
	return nil
}

// later fills what a feature will have to do once its upstream features are
// done: stored samples below those that are touched, and samples that are to
// come.
func (p *planner) later(ctx context.Context, st *Status, known map[feature.Key]*Status) error {
	if st.Root || st.Err != nil {
		return nil
	}
	plan, err := p.g.Plan(st.Feature)
	if err != nil {
		return err
	}
	for i := range plan.Deps {
		if up := known[plan.Deps[i].Feature]; up != nil {
			st.LaterNew = max(st.LaterNew, up.New+up.LaterNew)
		}
	}
	if st.Rows == 0 && st.New == 0 {
		old, err := p.storedBefore(ctx, st.Feature)
		if old > 0 {
			st.LaterNew = old
		}
		return err
	}
	below := map[string]bool{}
	for i := range plan.Deps {
		if err := p.below(ctx, plan, i, below); err != nil {
			return err
		}
	}
	mine := p.touched[st.Feature]
	if len(below) > 0 {
		if err := p.stored(ctx, st.Feature, plan.JoinColumns(), func(key string) {
			if below[key] && !mine[key] {
				st.LaterStale++
				delete(below, key)
				if mine == nil {
					mine = map[string]bool{}
				}
				mine[key] = true
			}
		}); err != nil {
			return err
		}
	}
	p.touched[st.Feature] = mine
	return nil
}

// below adds the samples of a feature that stored, touched samples of one of its deps feed.
func (p *planner) below(ctx context.Context, plan *feature.Plan, dep int, out map[string]bool) error {
	d := &plan.Deps[dep]
	touched := p.touched[d.Feature]
	up, err := p.g.Plan(d.Feature)
	if err != nil || len(touched) == 0 {
		return err
	}
	l, err := p.s.locate(ctx, p.g, d.Feature, d.Definition, &ReadOptions{})
	if isNotFound(err) || err == nil && l.table == nil {
		return nil
	}
	if err != nil {
		return err
	}
	join := plan.JoinColumns()
	from := make([]string, len(join)) // the names of the join columns in the dep's table
	for _, f := range l.table.Schema().Fields() {
		if at := slices.Index(join, d.Renamed(f.Name)); at >= 0 {
			from[at] = f.Name
		}
	}
	if slices.Contains(from, "") {
		return nil
	}
	wanted := slices.Compact(slices.Sorted(slices.Values(slices.Concat(from, up.JoinColumns()))))
	rows, err := p.s.readWith(ctx, p.g, d.Feature, &ReadOptions{Columns: wanted})
	if err != nil {
		return err
	}
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		theirs, ours := keysOf(b, up.JoinColumns()), keysOf(b, from)
		for i := range theirs {
			if theirs[i] != nil && ours[i] != nil && touched[strings.Join(theirs[i], "\x00")] {
				out[strings.Join(ours[i], "\x00")] = true
			}
		}
	}
	return nil
}

// stored shows the visible samples of a feature by the columns they are joined on.
func (p *planner) stored(ctx context.Context, key feature.Key, join []string, see func(string)) error {
	rows, err := p.s.readWith(ctx, p.g, key, &ReadOptions{Columns: join, NoFallback: true})
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		for _, k := range keysOf(b, join) {
			if k != nil {
				see(strings.Join(k, "\x00"))
			}
		}
	}
	return nil
}

// storedBefore counts the rows that a feature has under other versions than the current one.
func (p *planner) storedBefore(ctx context.Context, key feature.Key) (int64, error) {
	d, _ := p.g.Get(key)
	rows, err := p.s.readWith(ctx, p.g, key, &ReadOptions{Columns: d.Spec.IDColumns, FeatureHistory: true, NoFallback: true})
	if isNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return countRows(rows)
}

package metaxy

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// ResolveOptions of a resolve; nil = everything.
type ResolveOptions struct {
	// Samples replace the upstream features: required for root features, allowed for any.
	Samples *Rows
	// Filters act on the named feature's rows, GlobalFilters on every table, TargetFilters on the feature itself.
	Filters                      map[feature.Key][]filter.Expr
	GlobalFilters, TargetFilters []filter.Expr
	// StaleIf marks stored samples stale for which one of the predicates is true. Unknown columns are an error also where nothing is stored yet, once there are new samples.
	StaleIf []filter.Expr
	// SkipComparison makes every expected sample new.
	SkipComparison bool
	// Progress computes the input progress (Stats().Progress).
	Progress bool
	// Shard limits the increment to a share of the samples, for workers that share a
	// feature; nil = all. The shards 1 to Count are disjoint and together the whole
	// increment, wherever each is computed, as long as the tables are the same. Rows
	// with the same input ids are in one shard: those of one aggregation, and those
	// that one parent is expanded into. Stats are those of the shard; the memory of
	// earlier resolves is left alone. Each shard reads the deciding columns of all
	// rows, and the others of its own.
	Shard *Shard
	// Failed leaves out samples that failed before (WriteFailed); nil = they come
	// like others.
	Failed *FailedOptions
	// Reasons adds to every part the text column metaxy_reason: what made each
	// sample new, stale or orphaned, such as video/raw.audio (see Why). It
	// costs a read of the id columns of every table for each 100,000 rows. Not
	// with Samples.
	Reasons bool
	// NoRemember looks at all rows, whatever an earlier resolve proved, and
	// leaves its memory alone.
	NoRemember bool
	Engine     Engine
}

// PartBatch is a batch of one part of an increment: New, Stale or Orphaned.
type PartBatch = resolve.PartBatch

// Shard is a share of an increment: part Index, from 1, of Count.
type Shard = resolve.Shard

// Part names a part of an increment.
type Part = resolve.Part

// The parts of an increment.
const (
	New      Part = resolve.New
	Stale    Part = resolve.Stale
	Orphaned Part = resolve.Orphaned
)

// Stats counts what a resolve did.
type Stats = resolve.Stats

// Increment is the answer of ResolveUpdate. Nothing is read before a part is consumed.
type Increment struct {
	store    *DeltaStore
	key      feature.Key
	req      *resolve.Request
	inner    *resolve.Increment
	unjudged error // what is wrong with predicates over rows that are not stored yet
	warnings []Warning
	sources  []Source
	// found are the tables of the deps, then the feature's own; nil without.
	found []*located
	// standing is what the increment has of earlier resolves; nil for nothing.
	standing *standing
	// failing is what failed before; nil where that does not matter.
	failing *failing
	// reasons says why samples are in it; nil = nobody asks.
	reasons *reasons
	// FeatureVersion is the version that the rows will have.
	FeatureVersion string
	// foreign are tables of fallback stores of another kind.
	foreign []*foreignTable
	// TableVersion of the feature's own table that was compared with, for Resolved; -1 = it has none.
	TableVersion int64
}

// Close gives back what the increment holds: rows in memory and temporary files.
// It must not be called while a part is consumed; parts that are consumed after
// it fail. It may be called more than once.
func (i *Increment) Close() {
	if i.inner != nil {
		i.inner.Close()
	}
	if i.standing != nil {
		i.standing.close()
	}
	for _, t := range i.foreign {
		t.close()
	}
	i.foreign = nil
}

// Feature is what was resolved.
func (i *Increment) Feature() feature.Key { return i.key }

// All streams the whole increment in one pass, batches tagged by part, parts in no order. The producer releases each batch after the step. Deciding columns are read once, others only for rows of the result.
func (i *Increment) All(ctx context.Context) iter.Seq2[PartBatch, error] {
	var in iter.Seq2[PartBatch, error]
	if i.standing == nil {
		in = i.judged(i.inner.All(ctx))
	} else {
		in = i.standing.all(ctx, i.inner)
	}
	if i.failing != nil {
		in = i.failing.all(ctx, in, New, Stale)
	}
	return i.watched(i.reasons.all(ctx, in))
}

// Schema of a part, known before anything is read.
func (i *Increment) Schema(p Part) *arrow.Schema { return i.reasons.schema(i.inner.Schema(p)) }

// New are samples that are not stored yet: upstream columns and the provenance to write. The parts share one decision, made when the first is consumed.
func (i *Increment) New(ctx context.Context) *Rows { return i.part(ctx, New) }

// Stale are stored samples whose provenance changed, with the columns of New and the new provenance.
func (i *Increment) Stale(ctx context.Context) *Rows { return i.part(ctx, Stale) }

// Orphaned are stored samples that upstream no longer has, with the columns of the feature's table.
func (i *Increment) Orphaned(ctx context.Context) *Rows { return i.part(ctx, Orphaned) }

func (i *Increment) part(ctx context.Context, p Part) *Rows {
	rows := i.rows(ctx, p)
	if i.store != nil {
		rows.Batches = i.store.progress(i.key, partNames[p], rows.Batches)
	}
	return rows
}

func (i *Increment) rows(ctx context.Context, p Part) *Rows {
	rows := &Rows{Schema: i.Schema(p)}
	if i.standing == nil {
		rows.Batches = i.judgedPart(i.inner.Part(ctx, p))
	} else {
		rows.Batches = i.standing.part(ctx, i.inner, p)
	}
	if i.failing != nil {
		rows.Batches = i.failing.part(ctx, p, rows.Batches)
	}
	rows.Batches = i.reasons.part(ctx, p, rows.Batches)
	return rows
}

// Count decides the increment without materialising it, so that Stats are complete.
func (i *Increment) Count(ctx context.Context) error {
	if i.failing != nil && i.failing.open > 0 { // who is left out is known when the samples go by
		for _, err := range i.All(ctx) {
			if err != nil {
				return err
			}
		}
	}
	if i.standing != nil {
		return i.standing.count(ctx, i.inner)
	}
	if err := i.inner.Count(ctx); err != nil || i.inner.Stats().New == 0 {
		return err
	}
	return i.unjudged
}

// Warnings are complete after the last part ended.
func (i *Increment) Warnings() []Warning {
	if i.standing == nil {
		return slices.Concat(i.warnings, i.inner.Warnings())
	}
	return slices.Concat(i.warnings, i.standing.warnings(i.inner))
}

// Stats are complete after the last part ended. New and Stale are without what is
// left out because it failed before, in the parts that were consumed; Count and All
// look at all of them.
func (i *Increment) Stats() Stats {
	var st Stats
	if i.standing == nil {
		st = i.inner.Stats()
	} else {
		st = i.standing.stats(i.inner)
	}
	if i.failing != nil {
		st.New, st.Stale = st.New-i.failing.left[New].Load(), st.Stale-i.failing.left[Stale].Load()
	}
	return st
}

// LeftOut is how many new and stale samples were left out because they failed
// before (ResolveOptions.Failed), of the parts that were consumed.
func (i *Increment) LeftOut() int64 {
	if i.failing == nil {
		return 0
	}
	return i.failing.left[New].Load() + i.failing.left[Stale].Load()
}

// Remembered reports whether the increment stands on what an earlier resolve
// proved, so that only changed samples were looked at, or none. It is known
// after the last part ended.
func (i *Increment) Remembered() bool { return i.standing != nil && i.standing.used() }

// Explain returns how the resolve is done, a line for each table: what is read in
// blocks, what is held in memory, how keys find each other and how much memory
// that takes. It reads no rows.
func (i *Increment) Explain(ctx context.Context) (string, error) { return i.inner.Explain(ctx) }

// Sources tell which store served each table, and at which version.
func (i *Increment) Sources() []Source { return i.sources }

// ResolveUpdate tells which samples of a feature are new, stale and orphaned. Upstream features are read here or, with the warning
// FALLBACK_USED, in fallback stores; the feature's own rows only here. A required upstream feature without a table is a *NotFoundError.
func (s *DeltaStore) ResolveUpdate(ctx context.Context, key feature.Key, opts *ResolveOptions) (*Increment, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	o := ResolveOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Engine == EngineNative {
		return nil, fmt.Errorf("%w: Delta stores have no native engine: use auto or in-process", ErrInvalid)
	}
	if isSystem(key) {
		return nil, fmt.Errorf("%w: %s is a system table and cannot be resolved", ErrInvalid, key)
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	return s.resolveIn(ctx, g, key, &o)
}

// resolveIn resolves a feature as a graph defines it.
func (s *DeltaStore) resolveIn(ctx context.Context, g *feature.Graph, key feature.Key, o *ResolveOptions) (inc *Increment, err error) {
	if _, ok := g.Get(key); !ok {
		return nil, s.undefined(ctx, g, key)
	}
	plan, err := g.Plan(key)
	if err != nil {
		return nil, err
	}
	if err := plan.Check(); err != nil {
		return nil, err
	}
	if len(plan.Deps) == 0 && o.Samples == nil {
		return nil, fmt.Errorf("%w: feature %s has no upstream features: samples are needed", ErrInvalid, key)
	}
	inc = &Increment{store: s, key: key, FeatureVersion: plan.FeatureVersion, TableVersion: -1, warnings: s.collisions(g, plan)}
	defer func(made *Increment) {
		if err != nil {
			made.Close()
		}
	}(inc)
	req := &resolve.Request{
		Plan:           plan,
		Algorithm:      resolve.Algorithm{Name: s.opts.HashAlgorithm, Truncation: s.opts.HashTruncation},
		MapMode:        s.opts.MapDatatype,
		SkipComparison: o.SkipComparison,
		StaleIf:        o.StaleIf,
		Options:        s.resolveOptions(),
	}
	if o.Shard != nil {
		if err := o.Shard.Check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	req.Options.WithInput, req.Shard = o.Progress, o.Shard
	if tell := s.opts.observer(); tell != nil {
		req.Options.Joined = func(done, total int64) {
			tell(event.Event{Kind: event.Join, Op: "resolve", Feature: key, Rows: done, Total: total})
		}
	}
	inc.req = req
	if o.Reasons {
		e, err := s.explainer(ctx, g, key, o, false)
		if err != nil {
			return nil, err
		}
		inc.reasons = &reasons{e: e, counts: map[Part]map[string]int64{}}
	}
	if err := s.checkFilterKeys(g, plan, o, inc); err != nil {
		return nil, err
	}
	seen := s.visits(ctx, involved(plan, o))
	if err := s.resolveCurrent(ctx, g, plan, o, req, inc, seen); err != nil {
		return nil, err
	}
	if o.Samples != nil {
		req.Samples = &resolve.Rows{Schema: o.Samples.Schema, Batches: o.Samples.Batches}
	} else if err := s.resolveDeps(ctx, g, plan, o, req, inc, seen); err != nil {
		return nil, err
	}
	inc.inner, err = resolve.Update(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.Current.Table == nil {
		inc.unjudged = checkStaleIf(plan.Feature, inc.inner.Schema(New), o.StaleIf)
	}
	if err := s.stand(ctx, g, plan, o, req, inc); err != nil {
		inc.Close()
		return nil, err
	}
	if err := s.leaveOut(ctx, plan, inc, o.Failed); err != nil {
		inc.Close()
		return nil, err
	}
	return inc, nil
}

// collisions are the names of a plan that fall together (D3).
func (s *DeltaStore) collisions(g *feature.Graph, plan *feature.Plan) []Warning {
	var out []Warning
	for _, c := range plan.Collisions() {
		out = append(out, Warning{Code: "NAME_COLLISION", Message: plan.Feature.Spec.Key.String() + ": " + c})
	}
	if s.opts.Layout != LayoutFlat {
		return out
	}
	used := []feature.Key{plan.Feature.Spec.Key}
	for _, d := range plan.Deps {
		used = append(used, d.Feature)
	}
	for _, d := range g.Definitions() {
		for _, k := range used {
			if other := d.Spec.Key; other != k && other.TableName() == k.TableName() {
				out = append(out, Warning{Code: "NAME_COLLISION", Message: fmt.Sprintf("features %s and %s share the table %s", k, other, k.TableName())})
			}
		}
	}
	return out
}

// involved are the features whose tables a resolve reads.
func involved(plan *feature.Plan, o *ResolveOptions) []feature.Key {
	keys := []feature.Key{plan.Feature.Spec.Key}
	for _, d := range plan.Deps {
		if o.Samples == nil && !slices.Contains(keys, d.Feature) {
			keys = append(keys, d.Feature)
		}
	}
	return keys
}

// resolveCurrent finds the feature's own rows; a missing table is no current.
func (s *DeltaStore) resolveCurrent(ctx context.Context, g *feature.Graph, plan *feature.Plan, o *ResolveOptions, req *resolve.Request, inc *Increment, seen map[feature.Key]*visit) error {
	def := plan.Feature
	key := def.Spec.Key
	req.Current = resolve.Source{IDs: def.Spec.IDColumns, Filters: slices.Concat(o.Filters[key], o.GlobalFilters, o.TargetFilters)}
	l, err := s.locate(ctx, g, key, def, &ReadOptions{NoFallback: true, unverified: true, at: seen[key]})
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	req.Current.Table = s.watch(key, l.table)
	inc.found = []*located{l}
	inc.TableVersion = l.source.TableVersion
	inc.sources = append(inc.sources, l.source)
	inc.warnings = append(inc.warnings, l.warnings...)
	return nil
}

// resolveDeps finds the tables of the upstream features.
func (s *DeltaStore) resolveDeps(ctx context.Context, g *feature.Graph, plan *feature.Plan, o *ResolveOptions, req *resolve.Request, inc *Increment, seen map[feature.Key]*visit) error {
	var found []*located
	for _, dep := range plan.Deps {
		key := dep.Feature
		src := resolve.Source{IDs: dep.Definition.Spec.IDColumns, Filters: slices.Concat(o.Filters[key], o.GlobalFilters)}
		l, err := s.locate(ctx, g, key, dep.Definition, &ReadOptions{unverified: true, at: seen[key]})
		switch {
		case isNotFound(err) && dep.Optional && !s.opts.OptionalMissingIsError:
			inc.warnings = append(inc.warnings, Warning{Code: "OPTIONAL_MISSING", Message: fmt.Sprintf("optional upstream feature %s has no table: its fields count as absent", key)})
			req.Deps = append(req.Deps, src)
			found = append(found, nil)
			continue
		case err != nil:
			return err
		}
		if src.Table, err = inc.tableOf(ctx, l, &req.Options); err != nil {
			return err
		}
		req.Deps = append(req.Deps, src)
		found = append(found, l)
		inc.sources = append(inc.sources, l.source)
		inc.warnings = append(inc.warnings, l.warnings...)
	}
	inc.found = append(found, inc.found...)
	return nil
}

// tableOf returns a located table; that of a foreign fallback store is closed with the increment.
func (i *Increment) tableOf(ctx context.Context, l *located, o *resolve.Options) (frame.Table, error) {
	if l.table != nil {
		return i.store.watch(l.source.Feature, l.table), nil
	}
	t, err := newForeign(ctx, l, o, i.store.opts.Allocator)
	if err == nil {
		i.foreign = append(i.foreign, t)
	}
	return t, err
}

// checkFilterKeys refuses filters for keys that no definition has and warns of those for features that are not involved.
func (s *DeltaStore) checkFilterKeys(g *feature.Graph, plan *feature.Plan, o *ResolveOptions, inc *Increment) error {
	for _, key := range sortedKeys(o.Filters) {
		if _, ok := g.Get(key); !ok {
			return fmt.Errorf("filter: %w", s.undefinedIn(g, key))
		}
		involved := key == plan.Feature.Spec.Key || slices.ContainsFunc(plan.Deps, func(d feature.PlanDep) bool { return d.Feature == key })
		if !involved {
			inc.warnings = append(inc.warnings, Warning{Code: "UNUSED_FILTER", Message: fmt.Sprintf("filter for %s is not used: it is neither %s nor upstream of it", key, plan.Feature.Spec.Key)})
		}
	}
	return nil
}

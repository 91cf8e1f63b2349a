package metaxy

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/why"
)

// Why tells why samples of a feature are what they are. A sample is the values,
// as texts, of the columns that samples are joined on (Plan.JoinColumns). Of
// the options, the filters and StaleIf count. It reads the id columns of every
// table, and holds every stored row of the samples, and of their upstream rows,
// in memory: ask for some ten thousand at a time.
func (s *DeltaStore) Why(ctx context.Context, key feature.Key, samples [][]string, opts *ResolveOptions) ([]why.Sample, error) {
	o := ResolveOptions{}
	if opts != nil {
		o = *opts
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := g.Get(key); !ok {
		return nil, s.undefined(ctx, g, key)
	}
	e, err := s.explainer(ctx, g, key, &o, true)
	if err != nil {
		return nil, err
	}
	return e.explain(ctx, samples)
}

// explainer tells why samples of one feature are what they are, over the table
// versions that it found.
type explainer struct {
	store   *DeltaStore
	g       *feature.Graph
	plan    *feature.Plan
	o       *ResolveOptions
	commits bool // find out which commit a row came by, also where only old commits tell
	deps    []*located
	own     *located
	defined map[string][]why.Cause
	told    map[*delta.Snapshot]*fileCommits
}

// explainer looks for the tables that a resolve of a feature would read.
func (s *DeltaStore) explainer(ctx context.Context, g *feature.Graph, key feature.Key, o *ResolveOptions, commits bool) (*explainer, error) {
	plan, err := g.Plan(key)
	if err == nil {
		err = plan.Check()
	}
	if err != nil {
		return nil, err
	}
	if len(plan.Deps) == 0 || o.Samples != nil {
		return nil, fmt.Errorf("%w: feature %s is compared with samples from outside, of which nothing is stored: only what has upstream features can be explained", ErrInvalid, key)
	}
	e := &explainer{store: s, g: g, plan: plan, o: o, commits: commits, defined: map[string][]why.Cause{}, told: map[*delta.Snapshot]*fileCommits{}}
	for i := range plan.Deps {
		dep := &plan.Deps[i]
		l, err := s.locate(ctx, g, dep.Feature, dep.Definition, &ReadOptions{unverified: true})
		if isNotFound(err) && dep.Optional && !s.opts.OptionalMissingIsError {
			l, err = nil, nil
		}
		if err != nil {
			return nil, err
		}
		e.deps = append(e.deps, l)
	}
	e.own, err = s.locate(ctx, g, key, plan.Feature, &ReadOptions{NoFallback: true, unverified: true, FeatureHistory: true})
	if isNotFound(err) {
		err = nil
	}
	return e, err
}

// explain explains samples, as many as fit in memory.
func (e *explainer) explain(ctx context.Context, samples [][]string) ([]why.Sample, error) {
	s := e.store
	req := &why.Request{Plan: e.plan, Algorithm: resolve.Algorithm{Name: s.opts.HashAlgorithm, Truncation: s.opts.HashTruncation}, MapMode: s.opts.MapDatatype,
		StaleIf: e.o.StaleIf, Options: s.resolveOptions(), Keys: samples,
		Defined: func(version string) []why.Cause { return e.since(ctx, version) }}
	defer func() {
		for _, h := range append(slices.Clone(req.Deps), req.Own) {
			release(h)
		}
	}()
	join := e.plan.JoinColumns()
	for i := range e.plan.Deps {
		dep := &e.plan.Deps[i]
		w := wanted{ids: dep.Definition.Spec.IDColumns, filters: slices.Concat(e.o.Filters[dep.Feature], e.o.GlobalFilters), rename: dep.Renamed, join: join}
		if w.also = selected(dep); e.deps[i] == nil {
			req.Deps = append(req.Deps, nil)
			continue
		}
		h, err := e.history(ctx, e.deps[i], &w, samples)
		req.Deps = append(req.Deps, h)
		if err != nil {
			return nil, err
		}
	}
	if e.own != nil {
		own := e.plan.Feature.Spec
		w := wanted{ids: own.IDColumns, filters: slices.Concat(e.o.Filters[own.Key], e.o.GlobalFilters, e.o.TargetFilters), rename: func(c string) string { return c }, join: join}
		w.also = columnsIn(e.o.StaleIf)
		var err error
		if req.Own, err = e.history(ctx, e.own, &w, samples); err != nil {
			return nil, err
		}
	}
	out, err := why.Explain(ctx, req)
	if err == nil {
		err = ctx.Err() // what changed in the definitions is left out when it cannot be read
	}
	return out, err
}

func release(h *why.History) {
	if h != nil {
		for _, b := range h.Batches {
			b.Release()
		}
	}
}

// selected are the names that a dep's definition wants of the table, after renames.
func selected(dep *feature.PlanDep) []string {
	var out []string
	if dep.Select != nil {
		out = append(out, *dep.Select...)
	}
	for _, r := range dep.Rename {
		out = append(out, r.To)
	}
	for _, text := range dep.Filters {
		if e, err := filter.Parse(text); err == nil {
			out = append(out, columnsIn([]filter.Expr{e})...)
		}
	}
	return out
}

// columnsIn are the columns that predicates name.
func columnsIn(exprs []filter.Expr) []string {
	var out []string
	for _, e := range exprs {
		for _, path := range filter.Columns(e) {
			out = append(out, path[0])
		}
	}
	return out
}

// since tells what changed in the definitions since a version of the feature that was pushed.
func (e *explainer) since(ctx context.Context, version string) []why.Cause {
	if known, ok := e.defined[version]; ok {
		return known
	}
	key := e.plan.Feature.Spec.Key
	var out []why.Cause
	old, err := e.store.graphOf(ctx, key, version, &RebaseResult{})
	if err == nil {
		out = definedSince(old, e.g, key)
	}
	for i := range out {
		out[i].Commit = -1
	}
	e.defined[version] = out
	return out
}

// definedSince tells which fields, of a feature or upstream of it, gave it another version.
func definedSince(old, now *feature.Graph, key feature.Key) []why.Cause {
	var out []why.Cause
	seen := map[string]bool{}
	var look func(key feature.Key, field, reached string)
	look = func(key feature.Key, field, reached string) {
		was, err := fieldOf(old, key, field)
		is, err2 := fieldOf(now, key, field)
		name := key.String() + "." + field
		switch {
		case seen[name+" "+reached]:
			return
		case err != nil || err2 != nil:
			note := name + " is new"
			if err2 != nil {
				note = name + " is gone"
			}
			out = append(out, why.Cause{Change: why.ChangeDefined, Field: reached, Parent: key.String(), ParentField: field, Note: note})
		case was.CodeVersion != is.CodeVersion:
			out = append(out, why.Cause{Change: why.ChangeDefined, Field: reached, Parent: key.String(), ParentField: field, Old: &was.CodeVersion, New: &is.CodeVersion, Note: "code version of " + name})
		case !slices.Equal(parentNames(was), parentNames(is)):
			out = append(out, why.Cause{Change: why.ChangeDefined, Field: reached, Parent: key.String(), ParentField: field, Note: "other parent fields of " + name})
		}
		seen[name+" "+reached] = true
		if err != nil || err2 != nil {
			return
		}
		for _, p := range is.Parents {
			a, err := old.FieldVersion(p.Feature, p.Field)
			b, err2 := now.FieldVersion(p.Feature, p.Field)
			if err == nil && err2 == nil && a != b {
				look(p.Feature, p.Field.String(), reached)
			}
		}
	}
	fields := map[string]bool{}
	for _, g := range []*feature.Graph{old, now} {
		if d, ok := g.Get(key); ok {
			for _, f := range d.Spec.Fields {
				fields[f.Key.String()] = true
			}
		}
	}
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		look(key, f, f)
	}
	return out
}

func parentNames(f *feature.PlanField) []string {
	var out []string
	for _, p := range f.Parents {
		out = append(out, p.FQ())
	}
	return out
}

// fieldOf is a field of a feature with its parents.
func fieldOf(g *feature.Graph, key feature.Key, field string) (*feature.PlanField, error) {
	plan, err := g.Plan(key)
	if err != nil {
		return nil, err
	}
	for i := range plan.Fields {
		if plan.Fields[i].Key.String() == field {
			return &plan.Fields[i], nil
		}
	}
	return nil, ErrFeatureNotFound
}

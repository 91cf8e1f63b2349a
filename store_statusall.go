package metaxy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// The verdicts on a feature, from good to bad.
const (
	verdictInSync  = "in_sync"
	verdictWork    = "work"
	verdictWaiting = "waiting"
	verdictError   = "error"
)

// Verdict is "in_sync"; "work": samples are new, stale or orphaned; "waiting":
// there is nothing to do before upstream features are done, or before a root
// without rows has its samples; or "error": it could not be examined.
func (s *Status) Verdict() string {
	switch {
	case s.Err != nil:
		return verdictError
	case s.NeedsUpdate():
		return verdictWork
	case len(s.Waiting) > 0, s.Root && s.Rows == 0:
		return verdictWaiting
	}
	return verdictInSync
}

// StatusAll is the status of each feature, in the order of keys, with what it
// waits for. It also resolves every feature upstream of them, in the store that
// serves its rows; GlobalFilters and NoRemember hold for those, too. What is
// wrong with a feature is its Err; only a canceled context and unknown keys are
// an error.
func (s *DeltaStore) StatusAll(ctx context.Context, keys []feature.Key, opts *StatusOptions) ([]Status, error) {
	o := StatusOptions{}
	if opts != nil {
		o = *opts
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if _, ok := g.Get(key); !ok {
			return nil, s.undefined(ctx, g, key)
		}
	}
	a := &ancestry{g: g, filtered: len(o.GlobalFilters) > 0, o: StatusOptions{GlobalFilters: o.GlobalFilters, NoRemember: o.NoRemember}, known: map[ancestor]*Status{}}
	asAncestor := len(o.TargetFilters) == 0 && len(o.StaleIf) == 0 && !o.NoFallback // then a feature is examined once
	out := make([]Status, len(keys))
	for i, key := range keys {
		st := &out[i]
		*st, err = s.statusIn(ctx, g, key, &o)
		d, _ := g.Get(key)
		if st.Feature, st.Root, st.Err = key, len(d.Spec.Deps) == 0, err; asAncestor {
			a.known[ancestor{s.core, key}] = st
		}
	}
	waited := map[*Status]bool{}
	for i := range out {
		a.wait(ctx, s, &out[i], waited)
	}
	return out, ctx.Err()
}

// upstreamError is why a feature upstream could not be examined.
type upstreamError struct {
	key feature.Key
	err error
}

func (e *upstreamError) Error() string { return fmt.Sprintf("upstream feature %s: %v", e.key, e.err) }
func (e *upstreamError) Unwrap() error { return e.err }

// ancestry finds what features wait for.
type ancestry struct {
	g        *feature.Graph
	o        StatusOptions
	filtered bool // a filter on every table: that nothing is there says nothing
	known    map[ancestor]*Status
}

// ancestor is a feature in the store that serves its rows.
type ancestor struct {
	store *core
	key   feature.Key
}

// wait fills Waiting of a feature, or Err when a feature upstream could not be
// examined; once for each status.
func (a *ancestry) wait(ctx context.Context, s *DeltaStore, st *Status, waited map[*Status]bool) {
	if waited[st] || st.Err != nil {
		return
	}
	waited[st] = true
	d, _ := a.g.Get(st.Feature)
	if d.External {
		return
	}
	for _, dep := range d.Spec.Deps {
		up := a.examine(ctx, s, dep.Feature, waited)
		absent := dep.Optional && (isNotFound(up.Err) || up.Err == nil && up.Root && up.Rows == 0)
		switch v := up.Verdict(); {
		case absent, slices.Contains(st.Waiting, dep.Feature):
		case v == verdictError:
			if st.Err = up.Err; !errors.As(up.Err, new(*upstreamError)) {
				st.Err = &upstreamError{dep.Feature, up.Err}
			}
			return
		case v != verdictInSync, up.Rows == 0 && !dep.Optional && !a.filtered:
			st.Waiting = append(st.Waiting, dep.Feature)
		}
	}
}

// examine is the status of a feature in the first store that has its table.
func (a *ancestry) examine(ctx context.Context, s *DeltaStore, key feature.Key, waited map[*Status]bool) *Status {
	from, o := s.serving(ctx, key), a.o
	if from != s {
		o.NoRemember = true // fallback stores are only read
	}
	id := ancestor{from.core, key}
	st := a.known[id]
	if st == nil {
		found, err := a.look(ctx, from, key, &o)
		st = &found
		st.Feature, st.Err = key, err
		a.known[id] = st
	}
	a.wait(ctx, from, st, waited)
	return st
}

// look is the status of a feature. Of one that is only known from outside,
// whose upstream features need not be known, rows are counted.
func (a *ancestry) look(ctx context.Context, s *DeltaStore, key feature.Key, o *StatusOptions) (Status, error) {
	d, ok := a.g.Get(key)
	if !ok {
		return Status{}, s.undefined(ctx, a.g, key)
	}
	if !d.External {
		return s.statusIn(ctx, a.g, key, o)
	}
	rows, err := s.readWith(ctx, a.g, key, &ReadOptions{Columns: d.Spec.IDColumns, Filters: o.GlobalFilters})
	if err != nil {
		return Status{}, err
	}
	n, err := countRows(rows)
	return Status{Feature: key, Exists: true, Rows: n, Root: true}, err
}

// serving is the store that serves a feature: the first of this one and its
// fallback stores, in order, that has its table; this one when none has.
func (s *DeltaStore) serving(ctx context.Context, key feature.Key) *DeltaStore {
	if ok, err := s.HasFeature(ctx, key, nil); ok || err != nil {
		return s
	}
	for _, f := range s.fallbacks {
		d, ok := f.Store.(*DeltaStore)
		if !ok {
			continue
		}
		if has, err := d.HasFeature(ctx, key, &HasOptions{CheckFallback: true}); has && err == nil {
			return d.serving(ctx, key)
		}
	}
	return s
}

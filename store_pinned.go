package metaxy

import (
	"context"

	"github.com/metaxy-delta/metaxy-delta/internal/pinned"
)

// Pinned returns what the increment is made from, the tables at their versions,
// for those who have other processes read them. A fallback store that is not a
// Delta store is an error: its rows lie in no files. Nothing is read but the
// definitions.
func (i *Increment) Pinned(ctx context.Context) (*pinned.Increment, error) {
	if err := i.store.open(); err != nil {
		return nil, err
	}
	g, err := i.store.Graph(ctx)
	if err != nil {
		return nil, err
	}
	p := &pinned.Increment{MaterializationID: i.store.opts.MaterializationID, Request: *i.req, Definitions: g,
		Deps: make([]pinned.Table, len(i.req.Plan.Deps)), Unjudged: i.unjudged}
	key := i.req.Plan.Feature.Spec.Key
	p.Properties = i.store.hashProperties()
	found := i.found
	if i.req.Samples == nil {
		for n := range p.Deps {
			l := found[n]
			if l == nil {
				continue
			}
			if l.snap == nil {
				return nil, &pinned.ForeignError{Feature: l.source.Feature.String(), Store: l.source.Store}
			}
			p.Deps[n] = pinned.Table{Snapshot: l.snap, Where: l.where}
		}
		found = found[len(p.Deps):]
	}
	if len(found) > 0 {
		p.Current = pinned.Table{Snapshot: found[0].snap, Where: found[0].where}
	}
	if p.ProjectVersion, p.Unwritable = i.store.projectVersion(g); p.Unwritable == nil {
		p.Unwritable = i.store.checkProject(g, key)
	}
	if p.Unwritable == nil {
		_, p.Unwritable = i.store.checkTable(key, &visit{snap: p.Current.Snapshot}, i.store.opts.Now())
	}
	return p, nil
}

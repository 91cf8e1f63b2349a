package metaxy

import (
	"context"
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// Pinned is an increment before anything is read: what is asked, and the tables
// at their versions, for those who have other processes read them.
type Pinned struct {
	// Request is what is resolved, with the tables of this process.
	Request resolve.Request
	// Definitions are those in force, ProjectVersion and MaterializationID are
	// what a write records.
	Definitions                       *feature.Graph
	ProjectVersion, MaterializationID string
	// Deps are by dep; Snapshot is nil where the dep has no table, and of all
	// with samples. Current is the feature's own.
	Deps    []PinnedTable
	Current PinnedTable
	// Properties are those of the feature's table where a write makes it, Unwritable
	// is why a write to it is refused; nil for nothing.
	Properties map[string]string
	Unwritable error
	// Unjudged is what is wrong with Request.StaleIf once there are new samples;
	// nil for nothing.
	Unjudged error
}

// PinnedTable is a version of a table and the condition on its rows, nil = all.
type PinnedTable struct {
	Snapshot *delta.Snapshot
	Where    filter.Expr
}

// Pinned returns what the increment is made from. A fallback store that is not
// a Delta store is a *ForeignError: its rows lie in no files.
func (i *Increment) Pinned(ctx context.Context) (*Pinned, error) {
	if err := i.store.open(); err != nil {
		return nil, err
	}
	g, err := i.store.Graph(ctx)
	if err != nil {
		return nil, err
	}
	p := &Pinned{MaterializationID: i.store.opts.MaterializationID, Request: *i.req, Definitions: g, Deps: make([]PinnedTable, len(i.req.Plan.Deps)), Unjudged: i.unjudged}
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
				return nil, &ForeignError{Feature: l.source.Feature.String(), Store: l.source.Store}
			}
			p.Deps[n] = PinnedTable{l.snap, l.where}
		}
		found = found[len(p.Deps):]
	}
	if len(found) > 0 {
		p.Current = PinnedTable{found[0].snap, found[0].where}
	}
	if p.ProjectVersion, p.Unwritable = i.store.projectVersion(g); p.Unwritable == nil {
		p.Unwritable = i.store.checkProject(g, key)
	}
	if p.Unwritable == nil {
		_, p.Unwritable = i.store.checkTable(key, &visit{snap: p.Current.Snapshot}, i.store.opts.Now())
	}
	return p, nil
}

// ForeignError is a feature whose rows come from a fallback store of another
// kind, where that cannot be.
type ForeignError struct{ Feature, Store string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("feature %s is in fallback store %s, which is no Delta store: its rows lie in no files that other processes could read", e.Feature, e.Store)
}

package metaxy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// StatusOptions of a status; nil = what a resolve without options finds.
type StatusOptions struct {
	// TargetFilters, GlobalFilters and StaleIf are those of ResolveOptions; the first two also choose the rows that are counted.
	TargetFilters, GlobalFilters, StaleIf []filter.Expr
	// NoFallback counts rows of this store only; upstream features are read in fallback stores all the same.
	NoFallback bool
	// Progress computes the input progress.
	Progress bool
	// NoRemember is that of ResolveOptions.
	NoRemember bool
	// Inspect looks at the increment instead of only counting it; it consumes every part.
	Inspect func(ctx context.Context, inc *Increment) error
}

// State is what a feature needs, in Metaxy's words.
type State string

// The states. A feature without a table is StateMissing, whatever it needs; a root is StateRoot, since only its samples could tell.
const (
	StateMissing     State = "missing"
	StateRoot        State = "root_feature"
	StateNeedsUpdate State = "needs_update"
	StateUpToDate    State = "up_to_date"
)

// Status is what a store holds of a feature, and what there is to do.
type Status struct {
	Feature        feature.Key
	FeatureVersion string
	State          State
	// Exists: the store, or a fallback store, has a table. Rows are its visible rows.
	Exists bool
	Rows   int64
	// Source says which store has the table; zero when none has.
	Source Source
	// Root features have no upstream, so the increment is unknown and its counts are 0.
	Root                 bool
	New, Stale, Orphaned int64
	// Progress is the share of input that is processed, in percent; nil = not asked for, or there is no input.
	Progress *float64
	// Waiting are the upstream features that have something to do first, or
	// nothing under their current version; Err is why the feature, or one
	// upstream of it, could not be examined. Only StatusAll knows them.
	Waiting []feature.Key
	Err     error
	// Reasons count the rows of each part by reason, as Increment.Reasons.
	// LaterStale are the stored samples that upstream work may make stale: each
	// is below a sample that is to be done again or will go. LaterNew are the
	// samples that are to come: as many as upstream features will bring, or as
	// are stored under older versions of the feature. Only Plan knows them.
	Reasons              map[Part]map[string]int64
	LaterNew, LaterStale int64
	Warnings             []Warning
}

// NeedsUpdate reports whether there are new, stale or orphaned samples.
func (s *Status) NeedsUpdate() bool { return s.New+s.Stale+s.Orphaned > 0 }

// Status counts the rows of a feature and what a resolve of it finds. It costs a resolve without results, and of a root, or of rows of a fallback store, a read of the id columns. An upstream feature without a table is a *NotFoundError.
func (s *DeltaStore) Status(ctx context.Context, key feature.Key, opts *StatusOptions) (Status, error) {
	o := StatusOptions{}
	if opts != nil {
		o = *opts
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return Status{}, err
	}
	return s.statusIn(ctx, g, key, &o)
}

// statusIn is the status of a feature as a graph defines it.
func (s *DeltaStore) statusIn(ctx context.Context, g *feature.Graph, key feature.Key, o *StatusOptions) (Status, error) {
	if err := s.open(); err != nil {
		return Status{}, err
	}
	d, ok := g.Get(key)
	if !ok {
		return Status{}, s.undefined(ctx, g, key)
	}
	out := Status{Feature: key, Root: len(d.Spec.Deps) == 0}
	var err error
	if out.FeatureVersion, err = g.FeatureVersion(key); err != nil {
		return Status{}, err
	}
	rows, err := s.readWith(ctx, g, key, &ReadOptions{Columns: d.Spec.IDColumns, Filters: slices.Concat(o.TargetFilters, o.GlobalFilters), NoFallback: o.NoFallback})
	switch {
	case errors.Is(err, ErrFeatureNotFound):
	case err != nil:
		return Status{}, err
	default:
		out.Exists, out.Source, out.Warnings = true, rows.Source, rows.Warnings
	}
	if out.Exists && (out.Root || out.Source.Fallback) { // else the resolve counts the rows
		for b, err := range rows.Batches {
			if err != nil {
				return Status{}, err
			}
			out.Rows += b.NumRows()
		}
	}
	if !out.Root {
		if err := s.resolveStatus(ctx, g, &out, o); err != nil {
			return Status{}, err
		}
	}
	switch {
	case !out.Exists:
		out.State = StateMissing
	case out.Root:
		out.State = StateRoot
	case out.NeedsUpdate():
		out.State = StateNeedsUpdate
	default:
		out.State = StateUpToDate
	}
	return out, nil
}

func (s *DeltaStore) resolveStatus(ctx context.Context, g *feature.Graph, out *Status, o *StatusOptions) error {
	if isSystem(out.Feature) {
		return fmt.Errorf("%w: %s is a system table and cannot be resolved", ErrInvalid, out.Feature)
	}
	inc, err := s.resolveIn(ctx, g, out.Feature, &ResolveOptions{TargetFilters: o.TargetFilters, GlobalFilters: o.GlobalFilters, StaleIf: o.StaleIf, Progress: o.Progress, NoRemember: o.NoRemember})
	if err != nil {
		return err
	}
	defer inc.Close()
	look := o.Inspect
	if look == nil {
		look = func(ctx context.Context, inc *Increment) error { return inc.Count(ctx) }
	}
	if err := look(ctx, inc); err != nil {
		return err
	}
	st := inc.Stats()
	if out.Exists && !out.Source.Fallback {
		out.Rows = st.Current
	}
	out.New, out.Stale, out.Orphaned, out.Progress = st.New, st.Stale, st.Orphaned, st.Progress
	out.Warnings = append(slices.Clip(out.Warnings), inc.Warnings()...)
	return nil
}

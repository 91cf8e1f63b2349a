package metaxy

import (
	"context"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// WriteMulti writes several features, dependents before what they depend on, so that an interruption leaves work to redo and never a sample that
// looks done. Each feature is all or nothing; the others go on when one fails, and failures are a *PartialError.
func (s *DeltaStore) WriteMulti(ctx context.Context, frames map[feature.Key]*Rows, opts *WriteOptions) ([]WriteResult, error) {
	if err := s.openToWrite(opts != nil && opts.DryRun); err != nil {
		return nil, err
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	order := g.Topological(sortedKeys(frames))
	slices.Reverse(order)
	for _, key := range sortedKeys(frames) {
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
	}
	partial := &PartialError{Failed: map[feature.Key]error{}}
	var results []WriteResult
	for _, key := range order {
		r, err := s.Write(ctx, key, frames[key], opts)
		if err != nil {
			partial.Failed[key] = err
			continue
		}
		partial.Done = append(partial.Done, key)
		results = append(results, r)
	}
	return results, partialOrNil(partial)
}

package metaxy

import (
	"context"
	"errors"
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// CopyOptions of a copy; nil = every feature of the project, over all feature versions, one row per id.
type CopyOptions struct {
	// Features to copy; empty = those of the project that the graph holds.
	Features []feature.Key
	// Filters act on one feature's rows, GlobalFilters on every feature's.
	Filters       map[feature.Key][]filter.Expr
	GlobalFilters []filter.Expr
	// CurrentVersionOnly leaves rows of other feature versions; SampleHistory copies older rows of each id too.
	CurrentVersionOnly, SampleHistory bool
	// DryRun does everything but store: the result is that of the copy.
	DryRun bool
}

// CopyResult counts what was copied.
type CopyResult struct {
	Features int
	Rows     int64
	// Written has each feature that was copied, in order.
	Written  []WriteResult
	Warnings []Warning
}

// Copy reads features of from (without its fallback stores) and appends their rows here with their versions; updated_at and the materialization id are
// new. A feature without a table or without rows is skipped with the warning COPY_SKIPPED. Each feature is all or nothing; failures of
// some are a *PartialError.
func (s *DeltaStore) Copy(ctx context.Context, from MetadataStore, opts *CopyOptions) (CopyResult, error) {
	o := CopyOptions{}
	if opts != nil {
		o = *opts
	}
	if err := s.openToWrite(o.DryRun); err != nil {
		return CopyResult{}, err
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return CopyResult{}, err
	}
	keys := o.Features
	if len(keys) == 0 {
		project, err := s.expectedProject(g)
		if err != nil {
			return CopyResult{}, err
		}
		keys = projectKeys(g, project)
	}
	for _, key := range keys {
		if err := s.checkProject(g, key); err != nil {
			return CopyResult{}, err
		}
	}
	if o.DryRun {
		s = s.rehearse()
	}
	res := CopyResult{}
	partial := &PartialError{Failed: map[feature.Key]error{}}
	for _, key := range keys {
		w, err := s.copyOne(ctx, g, from, key, &o)
		res.Warnings = append(res.Warnings, w.Warnings...)
		switch {
		case err != nil:
			partial.Failed[key] = err
			continue
		case w.Rows > 0:
			res.Features++
			res.Rows += w.Rows
			res.Written = append(res.Written, w)
		}
		partial.Done = append(partial.Done, key)
	}
	if len(keys) == 1 {
		return res, partial.Failed[keys[0]]
	}
	return res, partialOrNil(partial)
}

// copyOne copies a feature; no rows, with a warning, when the source has none.
func (s *DeltaStore) copyOne(ctx context.Context, g *feature.Graph, from MetadataStore, key feature.Key, o *CopyOptions) (WriteResult, error) {
	read := func(sampleHistory bool) (*Rows, error) {
		ro := &ReadOptions{NoFallback: true, FeatureHistory: !o.CurrentVersionOnly, SampleHistory: sampleHistory}
		ro.Filters = append(append(ro.Filters, o.Filters[key]...), o.GlobalFilters...)
		if ds, ok := from.(*DeltaStore); ok {
			return ds.readWith(ctx, g, key, ro)
		}
		return from.Read(ctx, key, ro)
	}
	skipped := func(why string) WriteResult {
		return WriteResult{Feature: key, Warnings: []Warning{{Code: "COPY_SKIPPED", Message: fmt.Sprintf("%s: %s", key, why)}}}
	}
	rows, err := read(o.SampleHistory)
	var none *NotFoundError
	if errors.As(err, &none) && none.NoTable {
		return skipped("the source has no table"), nil
	}
	if err != nil {
		return WriteResult{}, err
	}
	n, err := countRows(rows)
	if err != nil {
		return WriteResult{}, err
	}
	if n == 0 {
		return skipped("the source has no rows"), nil
	}
	var warnings []Warning
	if !o.SampleHistory && !o.CurrentVersionOnly {
		all, err := read(true)
		if err != nil {
			return WriteResult{}, err
		}
		total, err := countRows(all)
		if err != nil {
			return WriteResult{}, err
		}
		if total > n {
			warnings = append(warnings, Warning{Code: "HISTORY_DROPPED", Message: fmt.Sprintf("%s: %d of %d rows are older states of their ids and are not copied", key, total-n, total)})
		}
	}
	if rows, err = read(o.SampleHistory); err != nil {
		return WriteResult{Warnings: warnings}, err
	}
	w, err := s.write(ctx, g, key, nil, rows, &stamps{WriteOptions: WriteOptions{PreserveVersions: true, AllowNullIDs: true}, now: s.opts.Now()})
	w.Warnings = append(warnings, w.Warnings...)
	return w, err
}

func partialOrNil(p *PartialError) error {
	if len(p.Failed) == 0 {
		return nil
	}
	return p
}

func projectKeys(g *feature.Graph, project string) []feature.Key {
	var keys []feature.Key
	for _, d := range g.Definitions() {
		if d.Project == project && !d.External {
			keys = append(keys, d.Spec.Key)
		}
	}
	return keys
}

package metaxy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/system"
)

// SyncOptions of Sync and ExternalFeatures; nil = what the definitions need.
type SyncOptions struct {
	// Extra features beyond those that the definitions depend on.
	Extra []config.Selection
	// FailOnMismatch makes a version that differs from the store's an error for every external feature, whatever its own definition says.
	FailOnMismatch bool
	// ExceptProject leaves out what that project recorded.
	ExceptProject string
}

// recorded is the newest stored definition of a feature key.
type recorded struct {
	def     *feature.Definition
	version string
}

// latest gives the newest recorded definition of every key, over all projects but except.
func (s *DeltaStore) latest(ctx context.Context, except string) (map[feature.Key]recorded, []Warning, error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, nil, err
	}
	newest := map[string]system.Record{}
	for _, r := range records {
		old, ok := newest[r.FeatureKey]
		if (except == "" || r.Project != except) && (!ok || r.RecordedAt > old.RecordedAt) {
			newest[r.FeatureKey] = r
		}
	}
	out := map[feature.Key]recorded{}
	var warnings []Warning
	for name, r := range newest {
		d, err := feature.Load(r.Stored)
		if err != nil {
			warnings = append(warnings, Warning{Code: "INVALID_STORED_FEATURE", Message: fmt.Sprintf("the stored definition of %s (project %s) is skipped: %v", name, r.Project, err)})
			continue
		}
		out[d.Spec.Key] = recorded{d, r.FeatureVersion}
	}
	slices.SortFunc(warnings, func(a, b Warning) int { return strings.Compare(a.Message, b.Message) })
	return out, warnings, nil
}

// needed are the features that real definitions of g depend on, directly or not, and that g has no real definition of, with the extra ones; known adds what only the store knows.
func needed(g *feature.Graph, known map[feature.Key]recorded, extra []config.Selection) map[feature.Key]bool {
	real := func(k feature.Key) bool { d, ok := g.Get(k); return ok && !d.External }
	wanted := map[feature.Key]bool{}
	var queue []feature.Key
	want := func(k feature.Key) {
		if !real(k) && !wanted[k] {
			wanted[k] = true
			queue = append(queue, k)
		}
	}
	for _, d := range g.Definitions() {
		if d.External {
			continue
		}
		for _, dep := range d.Spec.Deps {
			want(dep.Feature)
		}
	}
	for _, sel := range extra {
		for k, r := range known {
			if sel.All || slices.Contains(sel.Projects, r.def.Project) {
				want(k)
			}
		}
		for _, text := range sel.Keys {
			if k, err := feature.DecodeKey(feature.StringValue(text)); err == nil {
				want(k)
			}
		}
	}
	for len(queue) > 0 {
		k := queue[0]
		queue = queue[1:]
		if r, ok := known[k]; ok {
			for _, dep := range r.def.Spec.Deps {
				want(dep.Feature)
			}
		}
	}
	return wanted
}

// ExternalFeatures gives the definitions in force with those of other projects that they need, as the store has them, and the keys of the latter, sorted by their text. What the store lacks is a
// *NotFoundError naming all of it; a stored feature version that these definitions do not give is an ErrInvalid.
func (s *DeltaStore) ExternalFeatures(ctx context.Context, opts *SyncOptions) (*feature.Graph, []feature.Key, []Warning, error) {
	o := SyncOptions{}
	if opts != nil {
		o = *opts
	}
	local, err := s.Graph(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	known, warnings, err := s.latest(ctx, o.ExceptProject)
	if err != nil {
		return nil, nil, nil, err
	}
	g := local.Clone()
	var keys []feature.Key
	var missing []string
	for k := range needed(local, known, o.Extra) {
		r, ok := known[k]
		if !ok {
			missing = append(missing, k.String())
			continue
		}
		g.AddMissing(r.def)
		keys = append(keys, k)
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, nil, warnings, &NotFoundError{Feature: strings.Join(missing, ", "), External: true}
	}
	slices.SortFunc(keys, func(a, b feature.Key) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		v, err := g.FeatureVersion(k)
		if err != nil {
			return nil, nil, warnings, err
		}
		if v != known[k].version {
			return nil, nil, warnings, fmt.Errorf("%w: feature %s has version %s in the store, but its definitions give %s: the definitions are out of step with the store", ErrInvalid, k, known[k].version, v)
		}
	}
	return g, keys, warnings, nil
}

// Sync replaces external definitions of the graph in force by what the store has, with everything that they and the real ones depend on. A version that differs from the one held before is the warning
// EXTERNAL_VERSION_MISMATCH or, with FailOnMismatch or where the definition asks for it, an ErrInvalid; what the store lacks is the warning UNRESOLVED_EXTERNAL. A graph taken from the store itself has
// nothing to sync.
func (s *DeltaStore) Sync(ctx context.Context, opts *SyncOptions) ([]Warning, error) {
	o := SyncOptions{}
	if opts != nil {
		o = *opts
	}
	before, err := s.Graph(ctx)
	if err != nil || s.opts.Graph == nil {
		return nil, err
	}
	externals := slices.DeleteFunc(before.Definitions(), func(d *feature.Definition) bool { return !d.External })
	known, warnings, err := s.latest(ctx, o.ExceptProject)
	if err != nil {
		return nil, err
	}
	wanted := needed(before, known, o.Extra)
	for _, d := range externals {
		wanted[d.Spec.Key] = true
	}
	after := before.Clone()
	for _, k := range sortedKeys(wanted) {
		if r, ok := known[k]; ok {
			after.AddMissing(r.def)
			for dep := range needed(after, known, nil) {
				if r, ok := known[dep]; ok {
					after.AddMissing(r.def)
				}
			}
		}
	}
	var failed []string
	for _, d := range externals {
		k := d.Spec.Key
		if _, ok := known[k]; !ok {
			warnings = append(warnings, Warning{Code: "UNRESOLVED_EXTERNAL", Message: fmt.Sprintf("the store has no definition of the external feature %s", k)})
			continue
		}
		text, err := versionsDiffer(before, after, k)
		switch {
		case err != nil:
			return warnings, err
		case text == "":
		case o.FailOnMismatch || d.FailOnMismatch:
			failed = append(failed, text)
		default:
			warnings = append(warnings, Warning{Code: "EXTERNAL_VERSION_MISMATCH", Message: text})
		}
	}
	if len(failed) > 0 {
		return warnings, fmt.Errorf("%w: external features differ from the store: %s", ErrInvalid, strings.Join(failed, "; "))
	}
	s.setGraph(&graphState{graph: after})
	return warnings, nil
}

// versionsDiffer says how an external feature differs from what the store has, by field; "" when it does not.
func versionsDiffer(before, after *feature.Graph, k feature.Key) (string, error) {
	a, err := before.FeatureVersion(k)
	if err != nil {
		// What it depends on is not there before the sync, so nothing was promised about its version.
		return "", nil
	}
	b, err := after.FeatureVersion(k)
	if err != nil || a == b {
		return "", err
	}
	var fields []string
	d, _ := after.Get(k)
	for _, f := range d.Spec.Fields {
		now, err := after.FieldVersion(k, f.Key)
		if err != nil {
			return "", err
		}
		was, err := before.FieldVersion(k, f.Key)
		switch {
		case err != nil:
			fields = append(fields, fmt.Sprintf("%s is new", f.Key))
		case was != now:
			fields = append(fields, fmt.Sprintf("%s %s -> %s", f.Key, was, now))
		}
	}
	return fmt.Sprintf("%s has version %s here and %s in the store (%s)", k, a, b, strings.Join(fields, ", ")), nil
}

package feature

import (
	"slices"
	"strings"
)

// Change says what became of a feature or field between two graphs.
type Change uint8

// The changes. A feature is Changed when its definition or its feature version
// differs: what changed may lie upstream of it.
const (
	Unchanged Change = iota
	Changed
	Added
	Removed
)

func (c Change) String() string { return [...]string{"unchanged", "changed", "added", "removed"}[c] }

// FeatureDiff is a feature of two graphs. Old and New are its feature versions, "" where it does not exist. Deps and Fields are those of the newer definition, Fields with those that went.
type FeatureDiff struct {
	Key     Key
	Project string
	Change  Change
	// Upstream: the definition is the same, and the feature Changed through what is upstream of it.
	Upstream bool
	Old, New string
	Deps     []Key
	Fields   []FieldDiff
}

// FieldDiff is a field of a FeatureDiff. Of a feature that is not Changed every field is Unchanged, with the version of the newer graph.
type FieldDiff struct {
	Key      FieldKey
	Change   Change
	Old, New string
	// CodeVersion is that of the newer definition.
	CodeVersion string
}

// Diff compares the features of two graphs that keep wants (nil = all), by key without regard to case. Both graphs must hold what these features depend on.
func Diff(old, new *Graph, keep func(*Definition) bool) ([]FeatureDiff, error) {
	seen := map[Key]bool{}
	var keys []Key
	for _, g := range [...]*Graph{old, new} {
		for _, d := range g.Definitions() {
			if k := d.Spec.Key; !seen[k] && (keep == nil || keep(d)) {
				seen[k] = true
				keys = append(keys, k)
			}
		}
	}
	out := make([]FeatureDiff, 0, len(keys))
	for _, k := range sortedFold(keys) {
		d, err := diffFeature(old, new, k)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func diffFeature(old, new *Graph, k Key) (FeatureDiff, error) {
	a, hadIt := old.defs[k]
	b, hasIt := new.defs[k]
	out := FeatureDiff{Key: k}
	from, err := versionsOf(old, a)
	if err != nil {
		return out, err
	}
	to, err := versionsOf(new, b)
	if err != nil {
		return out, err
	}
	shown := b
	switch {
	case !hadIt:
		out.Change = Added
	case !hasIt:
		out.Change, shown = Removed, a
	case from.definition != to.definition:
		out.Change = Changed
	case from.feature != to.feature:
		out.Change, out.Upstream = Changed, true
	}
	out.Project, out.Deps, out.Old, out.New = shown.Project, depKeys(shown.Spec), from.feature, to.feature
	for _, f := range sortedFields(shown.Spec) {
		x := FieldDiff{Key: f.Key, Old: from.fields[f.Key], New: to.fields[f.Key], CodeVersion: f.CodeVersion}
		if out.Change == Changed {
			switch {
			case x.Old == "":
				x.Change = Added
			case x.Old != x.New:
				x.Change = Changed
			}
		}
		out.Fields = append(out.Fields, x)
	}
	if out.Change == Changed {
		for _, f := range sortedFields(a.Spec) {
			if _, kept := to.fields[f.Key]; !kept {
				out.Fields = append(out.Fields, FieldDiff{Key: f.Key, Change: Removed, Old: from.fields[f.Key], CodeVersion: f.CodeVersion})
			}
		}
		slices.SortStableFunc(out.Fields, func(a, b FieldDiff) int { return strings.Compare(a.Key.path, b.Key.path) })
	}
	return out, nil
}

// versions are those of one definition, empty when there is none.
type versions struct {
	feature, definition string
	fields              map[FieldKey]string
}

func versionsOf(g *Graph, d *Definition) (versions, error) {
	v := versions{fields: map[FieldKey]string{}}
	if d == nil {
		return v, nil
	}
	var err error
	if v.feature, err = g.FeatureVersion(d.Spec.Key); err != nil {
		return v, err
	}
	if v.definition, err = g.DefinitionVersion(d.Spec.Key); err != nil {
		return v, err
	}
	for _, f := range d.Spec.Fields {
		if v.fields[f.Key], err = g.FieldVersion(d.Spec.Key, f.Key); err != nil {
			return v, err
		}
	}
	return v, nil
}

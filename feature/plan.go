package feature

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// Plan is a feature with its upstream: what a resolve needs to know.
type Plan struct {
	Feature        *Definition
	FeatureVersion string
	Deps           []PlanDep
	// Fields in declaration order, each with its parents sorted by fully qualified text.
	Fields []PlanField
}

// PlanDep is a dep with its definition.
type PlanDep struct {
	Dep
	Definition *Definition
}

// PlanField is a field with its parents.
type PlanField struct {
	Field
	Parents []Parent
}

// Parent is a fully qualified parent field. Dep is its index in Plan.Deps, -1 when its feature is no dep.
type Parent struct {
	Feature Key
	Field   FieldKey
	Dep     int
}

// FQ is `video/raw.audio`.
func (p Parent) FQ() string { return fq(p.Feature, p.Field) }

// Plan resolves a feature's deps and parent fields. A dep that is not in the graph or a cycle is a *GraphError; what only a resolve cannot do is left to Plan.Check.
func (g *Graph) Plan(k Key) (*Plan, error) {
	d, err := g.must(k)
	if err != nil {
		return nil, err
	}
	p := &Plan{Feature: d}
	for _, dep := range d.Spec.Deps {
		up, ok := g.defs[dep.Feature]
		if !ok {
			return nil, missingDep(k, dep.Feature)
		}
		p.Deps = append(p.Deps, PlanDep{Dep: dep, Definition: up})
	}
	for i := range d.Spec.Fields {
		parents, err := g.parents(d, &d.Spec.Fields[i])
		if err != nil {
			return nil, err
		}
		p.Fields = append(p.Fields, PlanField{Field: d.Spec.Fields[i], Parents: parents})
	}
	p.FeatureVersion, err = g.FeatureVersion(k)
	return p, err
}

// parents are the parent fields of a field, sorted by fully qualified text.
func (g *Graph) parents(d *Definition, f *Field) ([]Parent, error) {
	deps := d.Spec.Deps
	if len(deps) == 0 {
		return nil, nil
	}
	key := d.Spec.Key
	for i := range deps {
		if _, ok := g.defs[deps[i].Feature]; !ok {
			return nil, missingDep(key, deps[i].Feature)
		}
	}
	found := map[Parent]bool{}
	add := func(dep int, field FieldKey) {
		p := Parent{Field: field, Dep: dep}
		if dep >= 0 {
			p.Feature = deps[dep].Feature
		}
		found[p] = true
	}
	switch {
	case f.AllDeps:
		for i := range deps {
			for _, up := range g.defs[deps[i].Feature].Spec.Fields {
				add(i, up.Key)
			}
		}
	case len(f.Deps) > 0:
		for _, fd := range f.Deps {
			if err := g.explicit(key, deps, f, fd, add); err != nil {
				return nil, err
			}
		}
	default:
		for i := range deps {
			for _, up := range deps[i].Mapping.resolve(f.Key, g.defs[deps[i].Feature].Spec.Fields) {
				add(i, up)
			}
		}
		if len(found) == 0 {
			return nil, &GraphError{Key: key, Msg: fmt.Sprintf("field %s has no upstream fields", f.Key)}
		}
	}
	out := make([]Parent, 0, len(found))
	names := map[string]bool{}
	for p := range found {
		if !names[p.FQ()] {
			names[p.FQ()] = true
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Parent) int { return strings.Compare(a.FQ(), b.FQ()) })
	return out, nil
}

// explicit adds the fields that a field names of one feature.
func (g *Graph) explicit(key Key, deps []Dep, f *Field, fd FieldDep, add func(int, FieldKey)) error {
	if !fd.All && len(fd.Fields) == 0 {
		return nil
	}
	i := slices.IndexFunc(deps, func(d Dep) bool { return d.Feature == fd.Feature })
	if i < 0 {
		return &GraphError{Key: key, Msg: fmt.Sprintf("field %s depends on %s, which is not a dep of the feature", f.Key, fd.Feature)}
	}
	up := g.defs[fd.Feature].Spec.Fields
	if fd.All {
		for _, u := range up {
			add(i, u.Key)
		}
		return nil
	}
	for _, want := range fd.Fields {
		if !slices.ContainsFunc(up, func(u Field) bool { return u.Key == want }) {
			return &GraphError{Key: key, Msg: fmt.Sprintf("field %s depends on field %s, which %s does not have", f.Key, want, fd.Feature)}
		}
		add(i, want)
	}
	return nil
}

// resolve gives the upstream fields that a mapping chooses for a field.
func (m *FieldsMapping) resolve(f FieldKey, upstream []Field) []FieldKey {
	var out []FieldKey
	switch m.Type {
	case "none":
	case "all":
		for _, u := range upstream {
			out = append(out, u.Key)
		}
	case "specific":
		for _, e := range m.Specific {
			if e.Field != f {
				continue
			}
			for _, u := range upstream {
				if slices.Contains(e.Upstream, u.Key) {
					out = append(out, u.Key)
				}
			}
		}
	default:
		var rest []FieldKey
		for _, u := range upstream {
			if slices.Contains(m.ExcludeFields, u.Key) {
				continue
			}
			rest = append(rest, u.Key)
			if u.Key == f || m.MatchSuffix && strings.HasSuffix(u.Key.path, "/"+f.path) {
				out = append(out, u.Key)
			}
		}
		if len(out) == 0 {
			return rest
		}
	}
	return out
}

// Check refuses what cannot be resolved: a feature that is a dep twice, renames to system columns, ids or one target, one column selected from two deps that is an id of none (ids may be what the deps
// are joined on, which the columns of the tables tell). Faults are a *GraphError.
func (p *Plan) Check() error {
	key := p.Feature.Spec.Key
	selected := map[string]Key{}
	ids := map[string]bool{}
	for i, d := range p.Deps {
		for _, id := range p.InputIDs(i) {
			ids[id] = true
		}
		for _, id := range d.Definition.Spec.IDColumns {
			ids[d.Renamed(id)] = true
		}
	}
	deps := map[Key]bool{}
	for _, d := range p.Deps {
		if deps[d.Feature] {
			return &GraphError{Key: key, Msg: fmt.Sprintf("depends on %s twice", d.Feature)}
		}
		deps[d.Feature] = true
		targets := map[string]bool{}
		for _, r := range d.Rename {
			switch {
			case slices.Contains(syscol.All[:], r.To):
				return &GraphError{Key: key, Msg: fmt.Sprintf("renames a column of %s to the system column %s", d.Feature, r.To)}
			case slices.Contains(d.Definition.Spec.IDColumns, r.To):
				return &GraphError{Key: key, Msg: fmt.Sprintf("renames a column of %s to its id column %s", d.Feature, r.To)}
			case targets[r.To]:
				return &GraphError{Key: key, Msg: fmt.Sprintf("renames two columns of %s to %s", d.Feature, r.To)}
			}
			targets[r.To] = true
		}
		if d.Select == nil {
			continue
		}
		for _, name := range *d.Select {
			if other, ok := selected[name]; ok && other != d.Feature && !ids[name] {
				return &GraphError{Key: key, Msg: fmt.Sprintf("selects column %s from both %s and %s", name, other, d.Feature)}
			}
			selected[name] = d.Feature
		}
	}
	return nil
}

// InputIDs are the columns of a dep that identify its input: its renamed id columns, or the columns of its lineage.
func (p *Plan) InputIDs(dep int) []string {
	d := &p.Deps[dep]
	switch {
	case d.Lineage.Kind == Aggregation && d.Lineage.On == nil:
		return p.Feature.Spec.IDColumns
	case d.Lineage.Kind != Identity:
		return *d.Lineage.On
	}
	out := make([]string, 0, len(d.Definition.Spec.IDColumns))
	for _, id := range d.Definition.Spec.IDColumns {
		out = append(out, d.Renamed(id))
	}
	return out
}

// Renamed is the name of a column after the dep's renames.
func (d *Dep) Renamed(column string) string {
	for _, r := range d.Rename {
		if r.From == column {
			return r.To
		}
	}
	return column
}

// InputIDColumns are the columns that every dep identifies its input by; none for a feature without deps.
func (p *Plan) InputIDColumns() []string {
	var common []string
	first := true
	for i := range p.Deps {
		ids := p.InputIDs(i)
		if len(ids) == 0 {
			continue
		}
		if first {
			common, first = slices.Clone(ids), false
			continue
		}
		common = slices.DeleteFunc(common, func(c string) bool { return !slices.Contains(ids, c) })
	}
	return common
}

// JoinColumns are the columns that samples are joined and compared on: the common input ids in the order of the feature's ids, then by name; the feature's own ids when there are none in common.
func (p *Plan) JoinColumns() []string {
	common := p.InputIDColumns()
	own := p.Feature.Spec.IDColumns
	if len(common) == 0 {
		return own
	}
	slices.SortFunc(common, func(a, b string) int {
		i, j := slices.Index(own, a), slices.Index(own, b)
		switch {
		case i >= 0 && j >= 0:
			return i - j
		case i >= 0:
			return -1
		case j >= 0:
			return 1
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(common)
}

package feature

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// Check applies the rules for definitions that people write, and reports every fault at once: specs that no file could hold, cycles, missing, repeated and colliding names, filters
// that cannot be read. Definitions that were Loaded are taken as they are.
func (g *Graph) Check() error { return g.check(false) }

// CheckKnown is Check for a graph that still lacks definitions: those whose
// upstream features are not all in it pass as if they were Loaded.
func (g *Graph) CheckKnown() error { return g.check(true) }

func (g *Graph) check(lacking bool) error {
	passes := func(d *Definition) bool {
		return d.Loaded || lacking && slices.ContainsFunc(d.Spec.Deps, func(dep Dep) bool { return g.defs[dep.Feature] == nil })
	}
	var faults []error
	tables := map[string]Key{}
	for _, key := range g.order {
		d := g.defs[key]
		if other, ok := tables[key.TableName()]; ok && !(passes(d) && passes(g.defs[other])) {
			faults = append(faults, &GraphError{Key: key, Msg: fmt.Sprintf("its table has the name of that of feature %s (%s)", other, key.TableName())})
		}
		tables[key.TableName()] = key
		if !passes(d) {
			faults = append(faults, g.checkOne(d)...)
		}
	}
	return errors.Join(faults...)
}

func (g *Graph) checkOne(d *Definition) []error {
	var faults []error
	key := d.Spec.Key
	fault := func(format string, a ...any) {
		msg := fmt.Sprintf(format, a...)
		if d.Source != "" {
			msg += " (" + d.Source + ")"
		}
		faults = append(faults, &GraphError{Key: key, Msg: msg})
	}
	// A spec that was not read but written in Go has been through no decoder yet.
	if _, err := DecodeSpec(d.Spec.Value()); err != nil {
		fault("%v", err)
	}
	if d.Project == "" {
		fault("it has no project")
	}
	if strings.HasSuffix(key.String(), "\n") {
		fault("its key ends in a newline")
	}
	for i, id := range d.Spec.IDColumns {
		if slices.Index(d.Spec.IDColumns, id) != i {
			fault("id column %s is named twice", id)
		}
	}
	for _, f := range d.Spec.Fields {
		if strings.HasSuffix(f.Key.String(), "\n") {
			fault("the key of field %q ends in a newline", f.Key)
		}
	}
	suffixes := map[string]Key{}
	for i, dep := range d.Spec.Deps {
		if slices.IndexFunc(d.Spec.Deps, func(o Dep) bool { return o.Feature == dep.Feature }) != i {
			fault("it depends on %s twice", dep.Feature)
		} else if other, ok := suffixes[dep.Feature.ColumnSuffix()]; ok {
			fault("the upstream features %s and %s share the column suffix %s", other, dep.Feature, dep.Feature.ColumnSuffix())
		}
		suffixes[dep.Feature.ColumnSuffix()] = dep.Feature
		if _, ok := g.defs[dep.Feature]; !ok {
			fault("its upstream feature %s is not defined%s", dep.Feature, didYouMean(g.Nearest(dep.Feature.String())))
		}
		for n, text := range dep.Filters {
			if _, err := filter.Parse(text); err != nil {
				fault("filter %d on %s: %v", n+1, dep.Feature, err)
			}
		}
	}
	if len(faults) > 0 {
		return faults
	}
	plan, err := g.Plan(key)
	if err != nil {
		return []error{err}
	}
	for _, c := range plan.Collisions() {
		fault("%s", c)
	}
	return faults
}

func didYouMean(near []Key) string {
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", near[0])
}

// Collisions tells of names that differ but fall together where Metaxy keeps versions while it hashes: fields with one member name, and parents that are
// given one temporary column, so that the version of the last is used for both.
func (p *Plan) Collisions() []string {
	var out []string
	member := map[string]FieldKey{}
	for _, f := range p.Fields {
		if other, ok := member[f.Key.StructKey()]; ok {
			out = append(out, fmt.Sprintf("fields %s and %s share the member %s; the later one's version is kept", other, f.Key, f.Key.StructKey()))
		}
		member[f.Key.StructKey()] = f.Key
	}
	parent := map[string]string{}
	for _, f := range p.Fields {
		for _, up := range f.Parents {
			name := up.Feature.TableName() + "_" + up.Field.StructKey()
			if other, ok := parent[name]; ok && other != up.FQ() {
				out = append(out, fmt.Sprintf("parent fields %s and %s fall together as %s; the version of one is used for both", other, up.FQ(), name))
			}
			parent[name] = up.FQ()
		}
	}
	return slices.Compact(out)
}

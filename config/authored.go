package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// checkAuthored finds what Metaxy lets pass in a spec and means something else than was written: a text or table where a list belongs, and members
// that nothing reads.
func (r *definitionReader) checkAuthored(spec feature.Value, key string) {
	for _, name := range []string{"id_columns", "deps"} {
		if v, ok := spec.Get(name); ok && !isList(v) && !(name == "deps" && v.IsNull()) {
			r.fault(key+"."+name, "want a list, got %s", v.Text())
		}
	}
	deps, _ := spec.Get("deps")
	for i, dep := range deps.Elements() {
		at := fmt.Sprintf("%s.deps[%d]", key, i)
		if m, ok := dep.Get("fields_mapping"); ok {
			r.known(m, at+".fields_mapping", "mapping")
			if inner, ok := m.Get("mapping"); ok {
				r.known(inner, at+".fields_mapping.mapping", mappingMembers(inner)...)
			}
		}
		if l, ok := dep.Get("lineage"); ok {
			r.known(l, at+".lineage", "relationship")
			if inner, ok := l.Get("relationship"); ok {
				r.known(inner, at+".lineage.relationship", lineageMembers(inner)...)
			}
		}
	}
}

func typeOf(v feature.Value) string {
	t, _ := v.Get("type")
	s, _ := t.Str()
	return s
}

func mappingMembers(v feature.Value) []string {
	switch typeOf(v) {
	case "default":
		return []string{"type", "match_suffix", "exclude_fields"}
	case "specific":
		return []string{"type", "mapping"}
	}
	return []string{"type"}
}

func lineageMembers(v feature.Value) []string {
	switch typeOf(v) {
	case "N:1":
		return []string{"type", "on"}
	case "1:N":
		return []string{"type", "on", "id_generation_pattern"}
	}
	return []string{"type"}
}

// known refuses members of an object that have another name.
func (r *definitionReader) known(v feature.Value, key string, names ...string) {
	for _, m := range v.Members() {
		if !slices.Contains(names, m.Name) {
			r.fault(key+"."+m.Name, "is not known here: want %s", strings.Join(names, ", "))
		}
	}
}

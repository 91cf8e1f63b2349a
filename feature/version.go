package feature

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// truncate cuts a version.
func (g *Graph) truncate(v string) string { return v[:min(len(v), g.truncation)] }

// sha is the truncated hexadecimal SHA-256 of the parts without separators.
func (g *Graph) sha(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return g.truncate(hex.EncodeToString(h.Sum(nil)))
}

// FieldVersion hashes a field with its parents; an overridden field of an external feature has its override, uncut.
func (g *Graph) FieldVersion(k Key, f FieldKey) (string, error) { return g.fieldVersion(k, f, nil) }

func (g *Graph) fieldVersion(k Key, f FieldKey, way []string) (string, error) {
	name := fq(k, f)
	if v, ok := g.versions.Load(name); ok {
		return v.(string), nil
	}
	d, ok := g.defs[k]
	if !ok {
		return "", &GraphError{Key: k, Msg: "is not in the graph"}
	}
	if v, ok := d.Override[f]; ok && d.External {
		return v, nil
	}
	if slices.Contains(way, name) {
		return "", &GraphError{Key: k, Path: keysOf(append(way, name)), Msg: "depends on itself"}
	}
	i := slices.IndexFunc(d.Spec.Fields, func(x Field) bool { return x.Key == f })
	if i < 0 {
		return "", &GraphError{Key: k, Msg: "has no field " + f.String()}
	}
	parents, err := g.parents(d, &d.Spec.Fields[i])
	if err != nil {
		return "", err
	}
	parts := []string{name, d.Spec.Fields[i].CodeVersion}
	for _, p := range parents {
		v, err := g.fieldVersion(p.Feature, p.Field, append(way, name))
		if err != nil {
			return "", err
		}
		parts = append(parts, v)
	}
	v := g.sha(parts...)
	g.versions.Store(name, v)
	return v, nil
}

func keysOf(names []string) []Key {
	var out []Key
	for _, n := range names {
		path, _, _ := strings.Cut(n, ".")
		if k := (Key{path}); len(out) == 0 || out[len(out)-1] != k {
			out = append(out, k)
		}
	}
	return out
}

// sortedFields are the fields by their text.
func sortedFields(s *Spec) []Field {
	fields := slices.Clone(s.Fields)
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Key.path, b.Key.path) })
	return fields
}

// FeatureVersion hashes the field versions in the order of the fields' texts.
func (g *Graph) FeatureVersion(k Key) (string, error) {
	d, err := g.must(k)
	if err != nil {
		return "", err
	}
	// Overrides spare the fields of an external feature the look-up, not the feature itself.
	for _, dep := range depKeys(d.Spec) {
		if _, ok := g.defs[dep]; !ok {
			return "", missingDep(k, dep)
		}
	}
	var parts []string
	for _, f := range sortedFields(d.Spec) {
		v, err := g.FieldVersion(k, f.Key)
		if err != nil {
			return "", err
		}
		parts = append(parts, f.Key.path, v)
	}
	return g.sha(parts...), nil
}

// CodeVersion hashes the fields' own code versions.
func (g *Graph) CodeVersion(k Key) (string, error) {
	d, err := g.must(k)
	if err != nil {
		return "", err
	}
	var parts []string
	for _, f := range sortedFields(d.Spec) {
		parts = append(parts, f.Key.path, f.CodeVersion)
	}
	return g.sha(parts...), nil
}

// SpecVersion hashes the spec's sorted JSON text.
func (g *Graph) SpecVersion(k Key) (string, error) {
	d, err := g.must(k)
	if err != nil {
		return "", err
	}
	return g.sha(d.Spec.Value().SortedText()), nil
}

// DefinitionVersion hashes the spec version and the schema's sorted JSON text; the project does not enter.
func (g *Graph) DefinitionVersion(k Key) (string, error) {
	spec, err := g.SpecVersion(k)
	if err != nil {
		return "", err
	}
	schema := g.defs[k].Schema
	if schema.kind != valueObject {
		schema = Value{kind: valueObject}
	}
	return g.sha(spec, schema.SortedText()), nil
}

// ProjectVersion hashes keys and definition versions of a project's own features in key order; "empty" when it has none.
func (g *Graph) ProjectVersion(project string) (string, error) {
	var keys []Key
	for k, d := range g.defs {
		if d.Project == project && !d.External {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return "empty", nil
	}
	slices.SortFunc(keys, Key.Compare)
	var parts []string
	for _, k := range keys {
		v, err := g.DefinitionVersion(k)
		if err != nil {
			return "", err
		}
		parts = append(parts, k.path, v)
	}
	return g.sha(parts...), nil
}

func (g *Graph) must(k Key) (*Definition, error) {
	d, ok := g.defs[k]
	if !ok {
		return nil, &GraphError{Key: k, Msg: "is not in the graph"}
	}
	return d, nil
}

func missingDep(k, dep Key) error {
	return &GraphError{Key: k, Msg: "depends on " + dep.String() + ", which is not in the graph"}
}

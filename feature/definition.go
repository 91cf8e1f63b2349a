package feature

import (
	"fmt"
)

// Definition is what a graph holds: a spec with its schema, project and origin.
type Definition struct {
	Spec      *Spec
	Schema    Value // feature_schema, a JSON object
	ClassPath *string
	Project   string
	External  bool
	// Loaded definitions come from a store, a lock file or a list of stored definitions: they are accepted as Metaxy accepts them. All others are held to Graph.Check.
	Loaded bool
	// Override is the provenance_by_field of an external feature; nil = none.
	Override map[FieldKey]string
	// FailOnMismatch makes it an error when a store has another version of this external feature; else it is a warning.
	FailOnMismatch bool
	Source         string
}

// Stored is the text form of a definition, as in the system table, lock files and lists of stored definitions.
type Stored struct {
	Project, FeatureSpec, FeatureSchema string
	ClassPath                           *string
}

// Load reads a stored definition by the rules for loaded ones. Faults are *SpecError or *JSONError.
func Load(s Stored) (*Definition, error) {
	if s.Project == "" {
		return nil, &SpecError{Path: "project", Msg: "must not be empty"}
	}
	spec, err := ParseJSON(s.FeatureSpec)
	if err != nil {
		return nil, fmt.Errorf("feature_spec: %w", err)
	}
	schema, err := ParseJSON(s.FeatureSchema)
	if err != nil {
		return nil, fmt.Errorf("feature_schema: %w", err)
	}
	if schema.kind != valueObject {
		return nil, &SpecError{Path: "feature_schema", Msg: "an object is wanted, not " + schema.kindName()}
	}
	if schema.hasLoneSurrogate() {
		return nil, &SpecError{Path: "feature_schema", Msg: "text with a lone surrogate"}
	}
	out := &Definition{Schema: schema, ClassPath: s.ClassPath, Project: s.Project, Loaded: true}
	if out.Spec, err = DecodeSpec(spec); err != nil {
		return nil, err
	}
	return out, nil
}

// Stored gives the texts for storage (declaration order). A definition without a class path gets `<project>.<key with . for />`.
func (d *Definition) Stored() Stored {
	schema := d.Schema
	if schema.kind != valueObject {
		schema = Value{kind: valueObject}
	}
	return Stored{Project: d.Project, FeatureSpec: d.Spec.Value().Text(), FeatureSchema: schema.Text(), ClassPath: d.ClassPath}
}

// Columns are the names of the schema's properties, in order.
func (d *Definition) Columns() []string {
	props, _ := d.Schema.Get("properties")
	var out []string
	for _, m := range props.Members() {
		out = append(out, m.Name)
	}
	return out
}

// DisplaySource is where the definition came from: its explicit source, else its class path, else "?".
func (d *Definition) DisplaySource() string {
	switch {
	case d.Source != "":
		return d.Source
	case d.ClassPath != nil:
		return *d.ClassPath
	}
	return "?"
}

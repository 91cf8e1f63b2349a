package config

import (
	"errors"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// Definitions reads a JSON list of stored definitions: objects with project, feature_class_path, feature_spec and feature_schema, the last two as objects or as JSON text.
func Definitions(path string, data []byte, defaultProject string) ([]*feature.Definition, error) {
	v, err := feature.ParseJSON(string(data))
	if err != nil {
		return nil, err
	}
	text := func(v feature.Value) string {
		if s, ok := v.Str(); ok {
			return s
		}
		return v.Text()
	}
	var out []*feature.Definition
	for _, e := range v.Elements() {
		s := feature.Stored{Project: defaultProject, FeatureSchema: "{}"}
		if p, ok := e.Get("project"); ok {
			s.Project, _ = p.Str()
		}
		spec, _ := e.Get("feature_spec")
		s.FeatureSpec = text(spec)
		if schema, ok := e.Get("feature_schema"); ok {
			s.FeatureSchema = text(schema)
		}
		if p, ok := e.Get("feature_class_path"); ok {
			if t, ok := p.Str(); ok {
				s.ClassPath = &t
			}
		}
		d, err := feature.Load(s)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil, errors.New(path + " holds no list of stored definitions")
	}
	return out, nil
}

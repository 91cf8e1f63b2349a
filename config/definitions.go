package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// Definitions reads a file of definitions; the extension of path says whether it is TOML (.toml, .lock), YAML (.yaml, .yml) or JSON.
//
// The file is a list, or a table with a list `features` and perhaps a `project`. Each element is a spec, perhaps with feature_schema, feature_class_path and project, or a stored definition: an object with feature_spec,
// which like feature_schema is an object or JSON text. A metaxy.lock gives external definitions. What names no project gets defaultProject; what names no class path has the file as its source. Faults are *Error values, all at once.
func Definitions(path string, data []byte, defaultProject string) ([]*feature.Definition, error) {
	v, err := parseFile(path, data)
	if err != nil {
		return nil, err
	}
	r := &definitionReader{path: path, project: defaultProject}
	if ext := strings.ToLower(filepath.Ext(path)); ext == ".toml" || ext == ".lock" {
		r.places = placesOf(data)
	}
	list, hasList := v, isList(v)
	if v.IsObject() {
		list, hasList = v.Get("features")
		if p, ok := v.Get("project"); ok {
			r.project = r.text(p, "project")
		}
		for _, m := range v.Members() {
			if m.Name != "features" && m.Name != "project" {
				r.fault(m.Name, "is not known in a file of definitions: want project and features")
			}
		}
	}
	switch {
	case hasList && list.IsObject():
		r.lock(list)
	case hasList && isList(list):
		for i, e := range list.Elements() {
			r.add(e, fmt.Sprintf("features[%d]", i))
		}
	default:
		r.fault("", "holds no definitions: want a list, or a table with the list features")
	}
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	return r.out, nil
}

// definitionReader gathers definitions and faults.
type definitionReader struct {
	path, project string
	places        places // of a TOML file
	out           []*feature.Definition
	faults        []error
}

func (r *definitionReader) fault(key, format string, a ...any) {
	r.faults = append(r.faults, &Error{File: r.path, Line: r.places.lineOf(key), Key: key, Msg: fmt.Sprintf(format, a...)})
}

func (r *definitionReader) text(v feature.Value, key string) string {
	s, ok := v.Str()
	if !ok {
		r.fault(key, "want a text, got %s", v.Text())
	}
	return s
}

// lock reads the entries of a lock file; versions in info are derived, so they are checked for form and not used.
func (r *definitionReader) lock(entries feature.Value) {
	for _, m := range entries.Members() {
		key := "features." + m.Name
		r.checkLockEntry(key, m.Value)
		data, ok := m.Value.Get("data")
		if !ok {
			r.fault(key, "has no data")
			continue
		}
		d := r.add(data, key+".data")
		if d == nil {
			continue
		}
		d.External, d.Source = true, "metaxy.lock"
		if d.Spec.Key.String() != m.Name {
			r.fault(key+".data.spec.key", "is %s, but the entry is for %s", d.Spec.Key, m.Name)
		}
	}
}

// add reads one definition; nil when it cannot be read.
func (r *definitionReader) add(v feature.Value, key string) *feature.Definition {
	if !v.IsObject() {
		r.fault(key, "want an object, got %s", v.Text())
		return nil
	}
	faults := len(r.faults)
	s := feature.Stored{Project: r.project, FeatureSchema: "{}"}
	var own []feature.Member
	for _, m := range v.Members() {
		switch {
		case m.Name == "project":
			s.Project = r.text(m.Value, key+".project")
		case m.Name == "feature_schema" && !m.Value.IsNull():
			s.FeatureSchema = jsonText(m.Value)
		case m.Name == "feature_class_path" && !m.Value.IsNull():
			t := r.text(m.Value, key+".feature_class_path")
			s.ClassPath = &t
		case m.Name == "feature_spec" || m.Name == "spec":
			s.FeatureSpec = jsonText(m.Value)
		case m.Name != "feature_schema" && m.Name != "feature_class_path":
			own = append(own, m)
		}
	}
	authored := s.FeatureSpec == ""
	if authored {
		spec := feature.ObjectValue(own...)
		r.checkAuthored(spec, key)
		s.FeatureSpec = spec.Text()
	}
	if len(r.faults) > faults {
		return nil
	}
	d, err := feature.Load(s)
	if err != nil {
		var spec *feature.SpecError
		if errors.As(err, &spec) && spec.Path != "" {
			r.fault(key+"."+spec.Path, "%s", spec.Msg)
		} else {
			r.fault(key, "%v", err)
		}
		return nil
	}
	if d.Loaded = !authored; authored && d.ClassPath == nil {
		d.Source = r.path
		if slices.ContainsFunc(r.out, func(o *feature.Definition) bool { return o.Source == r.path && o.Spec.Key == d.Spec.Key }) {
			r.fault(key+".key", "%s is defined twice in this file", d.Spec.Key)
		}
	}
	r.out = append(r.out, d)
	return d
}

// jsonText is the JSON text that v is or holds.
func jsonText(v feature.Value) string {
	if s, ok := v.Str(); ok {
		return s
	}
	return v.Text()
}

// withoutMark takes off the byte order mark that some editors put before a text.
func withoutMark(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\ufeff")) }

// parseFile reads TOML, YAML or JSON by the path's extension.
func parseFile(path string, data []byte) (v feature.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Error{File: path, Msg: fmt.Sprintf("cannot be read: %v", p)}
		}
	}()
	data = withoutMark(data)
	switch strings.ToLower(filepath.Ext(path)) {
	case ".toml", ".lock":
		return parseTOML(path, data)
	case ".yaml", ".yml":
		return parseYAML(path, data)
	}
	v, err = feature.ParseJSON(string(data))
	if err != nil {
		e := &Error{File: path, Msg: err.Error()}
		var je *feature.JSONError
		if errors.As(err, &je) {
			e.Line = 1 + strings.Count(string(data[:min(max(je.Offset, 0), len(data))]), "\n")
		}
		return v, e
	}
	return v, nil
}

// Package config reads metaxy.toml and the files of definitions that it names, from what the caller hands in.
//
// It reads neither the environment nor the clock. A configuration that cannot be used is an *Error with file, line and key.
package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// Error is a fault of a configuration. Line is 0 when unknown.
type Error struct {
	File string
	Line int
	Key  string
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("configuration %s: %s: %s", e.File, e.Key, e.Msg) }

// Source is where a configuration is read from.
type Source struct {
	Dir           string
	Environ       map[string]string
	ReadFile      func(path string) ([]byte, error)
	Explicit      string
	SearchParents bool
}

// Config is a loaded configuration; Path is "" when there is no file.
type Config struct {
	Path           string
	Project        string
	Store          string
	Stores         map[string]Store
	HashTruncation int
	MapDatatype    bool
	Ext            map[string]map[string]any
	Warnings       []string
}

// Store is a configured store.
type Store struct {
	Name, Type                      string
	RootPath, Layout, HashAlgorithm string
	StorageOptions                  map[string]string
	FallbackStores                  []string
	VersioningEngine                string
	PreferNative                    *bool
	MaterializationID               string
}

var template = regexp.MustCompile(`\$\{([^}:]+)(?::-([^}]*))?\}`)

// Load reads the configuration file that src leads to.
func Load(src *Source) (*Config, error) {
	c := &Config{Store: "dev", Stores: map[string]Store{}, HashTruncation: 8, Ext: map[string]map[string]any{}}
	data, path, err := find(src)
	if err != nil || data == nil {
		return c, err
	}
	c.Path = path
	var raw struct {
		Project              string
		Store                string
		HashTruncationLength int  `toml:"hash_truncation_length"`
		EnableMapDatatype    bool `toml:"enable_map_datatype"`
		Stores               map[string]struct {
			Type   string
			Config map[string]any
		}
		Ext map[string]map[string]any
	}
	var missing error
	text := template.ReplaceAllStringFunc(string(data), func(m string) string {
		parts := template.FindStringSubmatch(m)
		if v, ok := src.Environ[parts[1]]; ok {
			return v
		}
		if !strings.Contains(m, ":-") {
			missing = &Error{File: path, Key: parts[1], Msg: "the variable is not set and has no default"}
		}
		return parts[2]
	})
	if missing != nil {
		return nil, missing
	}
	if err := toml.Unmarshal([]byte(text), &raw); err != nil {
		return nil, &Error{File: path, Key: "toml", Msg: err.Error()}
	}
	c.Project, c.MapDatatype = raw.Project, raw.EnableMapDatatype
	if raw.Store != "" {
		c.Store = raw.Store
	}
	if raw.HashTruncationLength != 0 {
		c.HashTruncation = raw.HashTruncationLength
	}
	if raw.Ext != nil {
		c.Ext = raw.Ext
	}
	for name, s := range raw.Stores {
		st := Store{Name: name, Type: s.Type, StorageOptions: map[string]string{}}
		str := func(k string) string { v, _ := s.Config[k].(string); return v }
		st.RootPath, st.Layout, st.HashAlgorithm, st.VersioningEngine = str("root_path"), str("layout"), str("hash_algorithm"), str("versioning_engine")
		if list, ok := s.Config["fallback_stores"].([]any); ok {
			for _, f := range list {
				st.FallbackStores = append(st.FallbackStores, fmt.Sprint(f))
			}
		}
		if m, ok := s.Config["storage_options"].(map[string]any); ok {
			for k, v := range m {
				st.StorageOptions[k] = fmt.Sprint(v)
			}
		}
		c.Stores[name] = st
	}
	return c, nil
}

func find(src *Source) ([]byte, string, error) {
	if src.Explicit != "" {
		data, err := src.ReadFile(src.Explicit)
		if err != nil {
			return nil, "", &Error{File: src.Explicit, Key: "file", Msg: err.Error()}
		}
		return data, src.Explicit, nil
	}
	for dir := src.Dir; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "metaxy.toml")
		if data, err := src.ReadFile(path); err == nil {
			return data, path, nil
		}
		if !src.SearchParents || dir == filepath.Dir(dir) {
			return nil, "", nil
		}
	}
}

// StoreNamed returns a store; "" is the default one.
func (c *Config) StoreNamed(name string) (*Store, error) {
	if name == "" {
		name = c.Store
	}
	s, ok := c.Stores[name]
	if !ok {
		return nil, &Error{File: c.Path, Key: "stores." + name, Msg: "there is no such store"}
	}
	return &s, nil
}

// Definitions reads a JSON list of stored definitions.
func Definitions(path string, data []byte, _ string) ([]*feature.Definition, error) {
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
		var s feature.Stored
		project, _ := e.Get("project")
		s.Project, _ = project.Str()
		spec, _ := e.Get("feature_spec")
		schema, _ := e.Get("feature_schema")
		s.FeatureSpec, s.FeatureSchema = text(spec), text(schema)
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
		return nil, errors.New(path + " holds no definitions")
	}
	return out, nil
}

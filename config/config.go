// Package config reads metaxy.toml and [tool.metaxy], the environment's overrides and the files of definitions, from what the caller hands in.
//
// It reads neither the environment nor the clock by itself. A configuration that cannot be used is one error of *Error values, each with file and key, all faults at once.
package config

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
)

// Error is a fault of a configuration. File is "" when the value came from the environment variable Variable, or from nowhere; Line is 0 when unknown.
type Error struct {
	File     string
	Line     int
	Variable string
	Key      string
	Msg      string
}

func (e *Error) Error() string {
	where := "configuration"
	if e.Variable != "" {
		where = "environment variable " + e.Variable
	}
	if e.File != "" {
		where = e.File
	}
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, e.Line)
	}
	if e.Key != "" {
		return fmt.Sprintf("%s: %s: %s", where, e.Key, e.Msg)
	}
	return where + ": " + e.Msg
}

// Source is where a configuration is read from.
type Source struct {
	// Dir is where the search starts, and what relative roots of stores are relative to; Environ the whole environment.
	Dir      string
	Environ  map[string]string
	ReadFile func(path string) ([]byte, error)
	// Explicit is a file to read instead of searching.
	Explicit      string
	SearchParents bool
	// UnsetIsEmpty gives variables that are not set and have no default the empty text, as Metaxy does, instead of refusing them.
	UnsetIsEmpty bool
}

// Config is a loaded configuration. Path is "" when there is no file.
type Config struct {
	Path, LockPath   string
	Project          string
	Store            string
	Stores           map[string]Store
	Entrypoints      []string
	Theme            string
	Ext              map[string]map[string]any
	HashTruncation   int
	MapDatatype      bool
	AutoCreateTables bool
	Sync             bool
	Locked           *bool
	ExtraFeatures    []Selection
	Warnings         []string
	project, extend  *string
	lock             *string
	variables        map[string]string
	sources          []source
	dir, home        string
}

// Selection names features by project, by key, or all.
type Selection struct {
	Projects []string
	Keys     []string
	All      bool
}

// Store is a configured store. Config holds its options as they are; of a root that is no URL, RootPath is the absolute path.
type Store struct {
	Name, Type                      string
	RootPath, Layout, HashAlgorithm string
	StorageOptions                  map[string]string
	FallbackStores                  []string
	VersioningEngine                string
	PreferNative                    *bool
	MaterializationID               string
	Config                          map[string]any
}

// options are the known keys.
var options = [...]string{"store", "stores", "extend", "entrypoints", "theme", "ext", "hash_truncation_length", "enable_map_datatype", "auto_create_tables", "project", "locked", "sync", "extra_features", "metaxy_lock_path"}

// Load reads the configuration that src leads to: environment over file over defaults.
func Load(src *Source) (*Config, error) {
	l := &loader{src: src, files: map[string]bool{}, variables: map[string]string{}}
	raw, path, err := l.find()
	if err != nil {
		return nil, err
	}
	if raw == nil {
		raw = map[string]any{}
	} else if raw, err = l.extend(raw, path); err != nil {
		return nil, err
	}
	l.unsetIsEmpty = src.UnsetIsEmpty || ownSwitch(raw, "unset_is_empty")
	raw, _ = l.expand(raw, "").(map[string]any)
	env := l.environment()
	merged := deepMerge(raw, env)
	c := &Config{Path: path, variables: l.variables, sources: l.sources, dir: src.Dir, home: src.Environ["HOME"]}
	l.read(c, merged)
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	c.LockPath = l.lockPath(c)
	c.Warnings = l.warnings
	return c, nil
}

// loader gathers faults and warnings.
type loader struct {
	src       *Source
	sources   []source          // the file and those it extends
	variables map[string]string // of the environment, by the key that they give
	files     map[string]bool   // in the chain of extends
	faults    []error
	warnings  []string
	// unsetIsEmpty is decided by the text of the file, before variables are put in.
	unsetIsEmpty bool
}

// ownSwitch reads a switch of [ext.metaxy_delta].
func ownSwitch(raw map[string]any, name string) bool {
	ext, _ := raw["ext"].(map[string]any)
	own, _ := ext["metaxy_delta"].(map[string]any)
	on, _ := own[name].(bool)
	return on
}

func (l *loader) fault(key, format string, a ...any) {
	o := whereIs(key, l.variables, l.sources)
	if o.File == "" && o.Variable == "" && len(l.sources) > 0 {
		o.File = l.sources[0].path
	}
	l.faults = append(l.faults, &Error{File: o.File, Line: o.Line, Variable: o.Variable, Key: key, Msg: fmt.Sprintf(format, a...)})
}

// deepMerge lays b over a, tables into tables.
func deepMerge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range b {
		inner, ok := v.(map[string]any)
		old, ok2 := out[k].(map[string]any)
		if ok && ok2 {
			out[k] = deepMerge(old, inner)
			continue
		}
		out[k] = v
	}
	return out
}

// LockPathGiven reports whether the configuration names the lock file.
func (c *Config) LockPathGiven() bool { return c.lock != nil }

func (l *loader) lockPath(c *Config) string {
	dir := l.src.Dir
	if c.Path != "" {
		dir = filepath.Dir(c.Path)
	}
	switch {
	case c.lock != nil && filepath.IsAbs(*c.lock):
		return *c.lock
	case c.Path == "":
		return ""
	case c.lock != nil:
		return filepath.Join(dir, *c.lock)
	}
	return filepath.Join(dir, "metaxy.lock")
}

// DeltaStoreType is the type path of Metaxy's Delta store.
const DeltaStoreType = "metaxy.ext.polars.handlers.delta.DeltaMetadataStore"

// deltaTypes are the paths by which it can be named, and those of the store that
// puts its work to this program.
var deltaTypes = [...]string{DeltaStoreType, "metaxy.ext.metadata_stores.delta.DeltaMetadataStore", "metaxy.ext.polars.DeltaMetadataStore",
	"metaxy_delta.DeltaMetadataStore", "metaxy_delta.store.DeltaMetadataStore"}

// StoreNamed returns a store that this program can serve; "" is the default one.
func (c *Config) StoreNamed(name string) (*Store, error) {
	if name == "" {
		name = c.Store
	}
	fail := func(key, format string, a ...any) error {
		o := whereIs("stores."+name+key, c.variables, c.sources)
		if o.File == "" && o.Variable == "" {
			o.File = c.Path
		}
		return &Error{File: o.File, Line: o.Line, Variable: o.Variable, Key: o.Key, Msg: fmt.Sprintf(format, a...)}
	}
	s, ok := c.Stores[name]
	switch {
	case len(c.Stores) == 0:
		return nil, fail("", "no stores are configured")
	case !ok:
		return nil, fail("", "there is no such store; %sconfigured are %s", didYouMean(name, sortedKeys(c.Stores)), strings.Join(sortedKeys(c.Stores), ", "))
	case !slices.Contains(deltaTypes[:], s.Type):
		return nil, fail(".type", "stores of type %s are not served by this program; it serves Delta stores (%s)", s.Type, deltaTypes[0])
	}
	s.Name = name
	if err := s.options(fail); err != nil {
		return nil, err
	}
	s.RootPath = c.absolute(s.RootPath)
	return &s, nil
}

// urlLike roots are no paths below the configuration: they are opened, or refused, as they stand.
var urlLike = regexp.MustCompile(`(?i)^([a-z][a-z0-9+.-]+:/|(s3[an]?|gc?s|az|azure|azblob|abfss?|adls?|wasbs?|mem|hdfs|dbfs|file):)`)

// absolute is the absolute path of a local root, of which Metaxy takes what stands behind file:// and local:// as it is; URLs of other schemes stay.
func (c *Config) absolute(root string) string {
	for _, local := range []string{"file://", "local://"} {
		root = strings.TrimPrefix(root, local)
	}
	if rest, ok := strings.CutPrefix(root, "~/"); ok && c.home != "" {
		return filepath.Join(c.home, rest)
	}
	if urlLike.MatchString(root) || root == "" || filepath.IsAbs(root) || c.dir == "" {
		return root
	}
	return filepath.Join(c.dir, root)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// didYouMean is the known name that looks like name, as the beginning of a hint.
func didYouMean(name string, known []string) string {
	if near := nearest.Names(name, known); len(near) > 0 {
		return "did you mean " + near[0] + "? "
	}
	return ""
}

// options reads the options of a Delta store and refuses others.
func (s *Store) options(fail func(key, format string, a ...any) error) error {
	var errs []error
	text := func(key string, to *string) {
		switch v := s.Config[key].(type) {
		case nil:
		case string:
			*to = v
		default:
			errs = append(errs, fail(".config."+key, "want a text, got %v", v))
		}
	}
	text("root_path", &s.RootPath)
	text("layout", &s.Layout)
	text("hash_algorithm", &s.HashAlgorithm)
	text("versioning_engine", &s.VersioningEngine)
	text("materialization_id", &s.MaterializationID)
	for _, key := range slices.Sorted(maps.Keys(s.Config)) {
		v := s.Config[key]
		switch key {
		case "root_path", "layout", "hash_algorithm", "versioning_engine", "materialization_id", "delta_write_options", "auto_create_tables", "strict":
		case "storage_options":
			if err := s.storageOptions(v); err != nil {
				errs = append(errs, fail(".config."+key, "%v", err))
			}
		case "fallback_stores":
			list, err := stringList(v)
			if err != nil {
				errs = append(errs, fail(".config."+key, "%v", err))
			}
			s.FallbackStores = list
		case "prefer_native":
			b, ok := laxBool(v)
			if !ok {
				errs = append(errs, fail(".config."+key, "want a boolean, got %v", v))
			}
			s.PreferNative = &b
		default:
			errs = append(errs, fail(".config."+key, "is no option of a Delta store; %sthere are %s", didYouMean(key, storeOptions[:]), strings.Join(storeOptions[:], ", ")))
		}
	}
	if s.RootPath == "" && len(errs) == 0 {
		errs = append(errs, fail(".config.root_path", "is required"))
	}
	if s.Layout != "" && s.Layout != "nested" && s.Layout != "flat" {
		errs = append(errs, fail(".config.layout", "want nested or flat, got %q", s.Layout))
	}
	known := []string{"", "xxhash32", "xxhash64", "xxh3_64", "wyhash", "sha256", "md5", "farmhash"}
	if !slices.Contains(known, s.HashAlgorithm) {
		errs = append(errs, fail(".config.hash_algorithm", "%q is not known: %s", s.HashAlgorithm, strings.Join(known[1:], ", ")))
	}
	return errors.Join(errs...)
}

// storeOptions are the options of a Delta store.
var storeOptions = [...]string{"root_path", "storage_options", "layout", "delta_write_options", "hash_algorithm", "fallback_stores", "versioning_engine", "prefer_native", "materialization_id", "auto_create_tables", "strict"}

func (s *Store) storageOptions(v any) error {
	m, ok := v.(map[string]any)
	if text, isText := v.(string); isText {
		var err error
		if m, ok, err = jsonTable(text); err != nil {
			return err
		}
	}
	if !ok {
		return fmt.Errorf("want a table, got %v", v)
	}
	s.StorageOptions = map[string]string{}
	for k, x := range m {
		s.StorageOptions[k] = fmt.Sprint(x)
	}
	return nil
}

package config

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// read takes the options out of the merged tables; every fault is gathered.
func (l *loader) read(c *Config, raw map[string]any) {
	c.Store, c.Theme, c.HashTruncation, c.Sync = "dev", "default", 8, true
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		v := raw[key]
		switch key {
		case "store":
			l.text(key, v, &c.Store)
		case "theme":
			l.text(key, v, &c.Theme)
		case "project":
			c.project = l.optional(key, v)
			if c.project != nil {
				c.Project = *c.project
				l.checkProject(c.Project)
			}
		case "extend":
			c.extend = l.optional(key, v)
			if c.extend != nil {
				l.warnings = append(l.warnings, "METAXY_EXTEND is set: the text is kept and nothing is extended")
			}
		case "metaxy_lock_path":
			c.lock = l.optional(key, v)
		case "entrypoints":
			list, err := stringList(v)
			if err != nil {
				l.fault(key, "%v", err)
			}
			c.Entrypoints = list
		case "hash_truncation_length":
			c.HashTruncation = l.truncation(key, v)
		case "enable_map_datatype":
			l.boolean(key, v, &c.MapDatatype)
		case "auto_create_tables":
			l.boolean(key, v, &c.AutoCreateTables)
		case "sync":
			l.boolean(key, v, &c.Sync)
		case "locked":
			if v != nil {
				c.Locked = new(bool)
				l.boolean(key, v, c.Locked)
			}
		case "stores":
			c.Stores = l.stores(v)
		case "ext":
			c.Ext = l.ext(v)
		case "extra_features":
			c.ExtraFeatures = l.selections(key, v)
		default:
			l.fault(key, "is no option")
		}
	}
	if c.Stores == nil {
		c.Stores = map[string]Store{}
	}
	if c.Ext == nil {
		c.Ext = map[string]map[string]any{}
	}
}

func (l *loader) text(key string, v any, to *string) {
	s, ok := v.(string)
	if !ok {
		l.fault(key, "want a text, got %v", v)
	}
	*to = s
}

func (l *loader) optional(key string, v any) *string {
	if v == nil {
		return nil
	}
	var s string
	l.text(key, v, &s)
	return &s
}

var projectName = regexp.MustCompile(`\A[a-zA-Z0-9_-]+\n?\z`)

func (l *loader) checkProject(p string) {
	if strings.Contains(p, "__") || !projectName.MatchString(p) {
		l.fault("project", "%q: want letters, digits, hyphens and single underscores", p)
	}
}

// truncation reads a whole number of at least 8, also written as text or as 8.0.
func (l *loader) truncation(key string, v any) int {
	n := 0
	switch v := v.(type) {
	case int64:
		n = int(v)
	case float64:
		if v != math.Trunc(v) {
			l.fault(key, "want a whole number, got %v", v)
			return 8
		}
		n = int(v)
	case string:
		var err error
		if n, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
			l.fault(key, "want a number, got %q", v)
			return 8
		}
	case bool:
		if v {
			n = 1
		}
	default:
		l.fault(key, "want a number, got %v", v)
		return 8
	}
	if n < 8 {
		l.fault(key, "is %d; at least 8", n)
	}
	return n
}

func (l *loader) boolean(key string, v any, to *bool) {
	b, ok := laxBool(v)
	if !ok {
		l.fault(key, "want a boolean, got %v", v)
	}
	*to = b
}

// laxBool reads a boolean as pydantic does.
func laxBool(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case int64:
		return v == 1, v == 0 || v == 1
	case float64:
		return v == 1, v == 0 || v == 1
	case string:
		switch strings.ToLower(v) {
		case "true", "t", "yes", "y", "on", "1":
			return true, true
		case "false", "f", "no", "n", "off", "0":
			return false, true
		}
	}
	return false, false
}

func stringList(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("want a list of texts, got %v", v)
	}
	out := []string{}
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil, fmt.Errorf("want a list of texts, got the element %v", e)
		}
		out = append(out, s)
	}
	return out, nil
}

// stores reads the store entries; one without a type is dropped with a warning.
func (l *loader) stores(v any) map[string]Store {
	out := map[string]Store{}
	m, ok := v.(map[string]any)
	if !ok {
		l.fault("stores", "want a table, got %v", v)
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		entry, ok := m[name].(map[string]any)
		t, typed := entry["type"]
		if !ok || !typed {
			l.warnings = append(l.warnings, fmt.Sprintf("store %q has no type and is left out", name))
			continue
		}
		s := Store{Name: name, Config: map[string]any{}}
		key := "stores." + name
		for k, x := range entry {
			switch k {
			case "type":
				l.text(key+".type", t, &s.Type)
			case "config":
				if s.Config, ok = x.(map[string]any); !ok {
					l.fault(key+".config", "want a table, got %v", x)
				}
			default:
				l.fault(key+"."+k, "is no option of a store entry")
			}
		}
		out[name] = s
	}
	return out
}

func (l *loader) ext(v any) map[string]map[string]any {
	out := map[string]map[string]any{}
	m, ok := v.(map[string]any)
	if !ok {
		l.fault("ext", "want a table, got %v", v)
		return out
	}
	for name, x := range m {
		entry, ok := x.(map[string]any)
		if !ok {
			l.fault("ext."+name, "want a table, got %v", x)
			continue
		}
		entry = maps.Clone(entry)
		enable := false
		if e, ok := entry["enable"]; ok {
			l.boolean("ext."+name+".enable", e, &enable)
		}
		entry["enable"] = enable
		out[name] = entry
	}
	return out
}

func (l *loader) selections(key string, v any) []Selection {
	list, ok := v.([]any)
	if !ok {
		l.fault(key, "want a list of tables, got %v", v)
		return nil
	}
	var out []Selection
	for i, e := range list {
		at := fmt.Sprintf("%s[%d]", key, i)
		m, ok := e.(map[string]any)
		if !ok {
			l.fault(at, "want a table, got %v", e)
			continue
		}
		var s Selection
		for k, x := range m {
			var err error
			switch k {
			case "projects":
				if x != nil {
					s.Projects, err = stringList(x)
				}
			case "keys":
				if x != nil {
					s.Keys, err = stringList(x)
				}
				for _, text := range s.Keys {
					if _, kerr := feature.DecodeKey(feature.StringValue(text)); kerr != nil {
						err = kerr
					}
				}
			case "all":
				l.boolean(at+".all", x, &s.All)
			default:
				l.fault(at+"."+k, "is no option of a selection")
			}
			if err != nil {
				l.fault(at+"."+k, "%v", err)
			}
		}
		if len(s.Projects) == 0 && len(s.Keys) == 0 && !s.All {
			l.fault(at, "names neither projects, nor keys, nor all")
		}
		out = append(out, s)
	}
	return out
}

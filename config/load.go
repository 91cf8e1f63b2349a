package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// find returns the tables of the configuration file, nil when there is none.
func (l *loader) find() (map[string]any, string, error) {
	explicit := l.src.Explicit
	if env := l.src.Environ["METAXY_CONFIG"]; env != "" {
		explicit = env
	}
	if explicit != "" {
		if !filepath.IsAbs(explicit) {
			explicit = filepath.Join(l.src.Dir, explicit)
		}
		raw, _, err := l.readFile(explicit)
		if raw == nil && err == nil {
			raw = map[string]any{}
		}
		return raw, explicit, err
	}
	if !l.src.SearchParents {
		return nil, "", nil
	}
	for dir := l.src.Dir; ; dir = filepath.Dir(dir) {
		for _, name := range []string{"metaxy.toml", "pyproject.toml"} {
			path := filepath.Join(dir, name)
			raw, found, err := l.readFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil || found {
				return raw, path, err
			}
		}
		if dir == filepath.Dir(dir) {
			return nil, "", nil
		}
	}
}

// missingFile is a file that is not there; it satisfies fs.ErrNotExist.
type missingFile struct{ fault *Error }

func (m missingFile) Error() string { return m.fault.Error() }

// Unwrap returns the fault and the mark.
func (m missingFile) Unwrap() []error { return []error{m.fault, fs.ErrNotExist} }

// readFile reads a file's tables; of a pyproject.toml those below tool.metaxy. found is false for one without them.
func (l *loader) readFile(path string) (raw map[string]any, found bool, err error) {
	data, err := l.src.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, missingFile{&Error{File: path, Msg: "there is no such file"}}
	}
	if err != nil {
		return nil, false, &Error{File: path, Msg: err.Error()}
	}
	raw = map[string]any{}
	if err := toml.Unmarshal(withoutMark(data), &raw); err != nil {
		e := &Error{File: path, Msg: err.Error()}
		var de *toml.DecodeError
		if errors.As(err, &de) {
			e.Line, _ = de.Position()
		}
		return nil, false, e
	}
	at := placesOf(data)
	if filepath.Base(path) != "pyproject.toml" {
		l.sources = append(l.sources, source{path, at})
		return raw, true, nil
	}
	tool, _ := raw["tool"].(map[string]any)
	own, _ := tool["metaxy"].(map[string]any)
	if len(own) > 0 {
		l.sources = append(l.sources, source{path, at.within("tool.metaxy")})
	}
	return own, len(own) > 0, nil
}

// extend lays a file over the parents that it names; parents come first, tables are merged one level deep, lists are joined.
func (l *loader) extend(raw map[string]any, path string) (map[string]any, error) {
	v, ok := raw["extend"]
	if !ok {
		return raw, nil
	}
	fail := func(format string, a ...any) error {
		line := 0
		for _, f := range l.sources {
			if f.path == path {
				line = f.places.lineOf("extend")
			}
		}
		return &Error{File: path, Line: line, Key: "extend", Msg: fmt.Sprintf(format, a...)}
	}
	name, ok := v.(string)
	if !ok || name == "" {
		return nil, fail("want the path of a file, got %v", v)
	}
	l.files[path] = true
	parent := name
	if !filepath.IsAbs(parent) {
		parent = filepath.Join(filepath.Dir(path), name)
	}
	if l.files[parent] {
		return nil, fail("%s extends itself", parent)
	}
	base, _, err := l.readFile(parent)
	if err != nil {
		return nil, fail("%v", err)
	}
	if base, err = l.extend(base, parent); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range raw {
		out[k] = mergeOne(out[k], v)
	}
	delete(out, "extend")
	return out, nil
}

func mergeOne(base, child any) any {
	if b, ok := base.(map[string]any); ok {
		if c, ok := child.(map[string]any); ok {
			out := map[string]any{}
			for k, v := range b {
				out[k] = v
			}
			for k, v := range c {
				out[k] = v
			}
			return out
		}
	}
	if b, ok := base.([]any); ok {
		if c, ok := child.([]any); ok {
			return append(append([]any{}, b...), c...)
		}
	}
	return child
}

var template = regexp.MustCompile(`\$\{([^}:]+)(?::-([^}]*))?\}`)

// expand replaces ${VAR} and ${VAR:-default} in every text of a value.
func (l *loader) expand(v any, key string) any {
	switch v := v.(type) {
	case string:
		return template.ReplaceAllStringFunc(v, func(m string) string {
			parts := template.FindStringSubmatchIndex(m)
			name := m[parts[2]:parts[3]]
			if value, ok := l.src.Environ[name]; ok {
				return value
			}
			if parts[4] >= 0 {
				return m[parts[4]:parts[5]]
			}
			if !l.unsetIsEmpty {
				l.fault(key, "the variable %s is not set and has no default (${%s:-...})", name, name)
			}
			return ""
		})
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[k] = l.expand(x, strings.TrimPrefix(key+"."+k, "."))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = l.expand(x, fmt.Sprintf("%s[%d]", key, i))
		}
		return out
	}
	return v
}

// environment reads METAXY_* variables as a tree: names without case, nested by a double underscore. JSON is read where a table or list stands; a leaf below a store's config stays text.
func (l *loader) environment() map[string]any {
	whole, nested := map[string]any{}, map[string]any{}
	for name, value := range l.src.Environ {
		lower := strings.ToLower(name)
		rest, ok := strings.CutPrefix(lower, "metaxy_")
		if !ok || value == "" && isTable(strings.Split(rest, "__")) {
			continue
		}
		path := strings.Split(rest, "__")
		if !isOption(path[0]) {
			continue
		}
		var v any = value
		if isTable(path) {
			if v, ok = parseJSON(value); !ok {
				if len(path) == 1 || strings.HasPrefix(strings.TrimSpace(value), "{") {
					l.faults = append(l.faults, &Error{Variable: name, Key: strings.Join(path, "."), Msg: "want JSON"})
				}
				v = value
			}
		}
		l.given(strings.Join(path, "."), v, name)
		if len(path) == 1 {
			whole[path[0]] = v
			continue
		}
		put(nested, path, v)
	}
	return deepMerge(whole, nested)
}

// given remembers which variable gives a key, and the keys in its JSON.
func (l *loader) given(key string, v any, variable string) {
	m, isTable := v.(map[string]any)
	if !isTable {
		l.variables[key] = variable
		return
	}
	for name, x := range m {
		l.given(join(key, name), x, variable)
	}
}

// isTable reports whether an option is a table or list, so that the environment gives it as JSON.
func isTable(path []string) bool {
	switch path[0] {
	case "stores":
		return len(path) <= 2 || len(path) == 3 && path[2] == "config"
	case "ext":
		return len(path) <= 2
	case "entrypoints", "extra_features":
		return true
	}
	return false
}

func isOption(name string) bool {
	for _, o := range options {
		if o == name {
			return true
		}
	}
	return false
}

func put(m map[string]any, path []string, v any) {
	for _, p := range path[:len(path)-1] {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}
	last := path[len(path)-1]
	if old, ok := m[last].(map[string]any); ok {
		if inner, ok := v.(map[string]any); ok {
			m[last] = deepMerge(inner, old)
			return
		}
	}
	m[last] = v
}

func parseJSON(text string) (any, bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	return plainNumbers(v), true
}

// plainNumbers gives whole numbers as int64, others as float64, as TOML has them.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case map[string]any:
		for k, x := range v {
			v[k] = plainNumbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = plainNumbers(x)
		}
	}
	return v
}

func jsonTable(text string) (map[string]any, bool, error) {
	v, ok := parseJSON(text)
	if !ok {
		return nil, false, fmt.Errorf("want a table, got the text %q", text)
	}
	m, ok := v.(map[string]any)
	return m, ok, nil
}

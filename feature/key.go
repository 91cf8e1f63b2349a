// Package feature is the definition side: names, specs, the dependency graph, lineage and SHA-256 definition versions, with no rows and no I/O.
//
// Keys and specs are checked on the way in. A definition that cannot be read is a *SpecError naming the place in it; a graph that cannot answer is a
// *GraphError naming the feature and the way to it.
package feature

import (
	"errors"
	"fmt"
	"strings"
)

// Key is a feature key such as video/raw. It is comparable and immutable.
type Key struct{ path string }

// FieldKey is a field key such as audio/en.
type FieldKey struct{ path string }

// ParseKey reads `a/b` by the rules of authored definitions.
func ParseKey(s string) (Key, error) {
	path, err := keyPath(Value{kind: valueString, text: s}, "FeatureKey")
	if err == nil {
		err = strictPath(path, "FeatureKey")
	}
	return Key{path}, keyError(err)
}

// ParseFieldKey reads `a/b` by the rules of authored definitions.
func ParseFieldKey(s string) (FieldKey, error) {
	path, err := keyPath(Value{kind: valueString, text: s}, "FieldKey")
	if err == nil {
		err = strictPath(path, "FieldKey")
	}
	return FieldKey{path}, keyError(err)
}

// DecodeKey reads any form that Metaxy accepts for a key: text, a list of parts, an object with root or parts.
func DecodeKey(v Value) (Key, error) {
	path, err := keyPath(v, "FeatureKey")
	return Key{path}, keyError(err)
}

// DecodeFieldKey is DecodeKey for fields.
func DecodeFieldKey(v Value) (FieldKey, error) {
	path, err := keyPath(v, "FieldKey")
	return FieldKey{path}, keyError(err)
}

// keyError is what a key by itself fails with.
func keyError(err error) error {
	if err == nil || errors.As(err, new(*SpecError)) {
		return err
	}
	return &SpecError{Msg: err.Error(), bare: true}
}

// String joins the parts by a slash.
func (k Key) String() string { return k.path }

// Parts are the parts.
func (k Key) Parts() []string { return partsOf(k.path) }

// StructKey joins the parts by an underscore.
func (k Key) StructKey() string { return strings.ReplaceAll(k.path, "/", "_") }

// TableName is `a__b` with hyphens as underscores.
func (k Key) TableName() string {
	return strings.ReplaceAll(strings.ReplaceAll(k.path, "-", "_"), "/", "__")
}

// ColumnSuffix is `__a_b`.
func (k Key) ColumnSuffix() string { return "__" + k.StructKey() }

// Compare orders keys part by part.
func (k Key) Compare(o Key) int { return comparePaths(k.path, o.path) }

// String joins the parts by a slash.
func (k FieldKey) String() string { return k.path }

// Parts are the parts.
func (k FieldKey) Parts() []string { return partsOf(k.path) }

// StructKey joins the parts by an underscore: the member name in the by-field columns.
func (k FieldKey) StructKey() string { return strings.ReplaceAll(k.path, "/", "_") }

// Compare orders keys part by part.
func (k FieldKey) Compare(o FieldKey) int { return comparePaths(k.path, o.path) }

// fq is the fully qualified text of a field.
func fq(k Key, f FieldKey) string { return k.path + "." + f.path }

func partsOf(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// comparePaths orders part by part: a slash sorts before every other character of a key.
func comparePaths(a, b string) int {
	return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
}

// keyPath reads a key by the loaded rules and joins its parts.
func keyPath(v Value, kind string) (string, error) {
	parts, err := keyParts(v, kind)
	if err != nil {
		return "", err
	}
	for i, p := range parts {
		if err := checkPart(p, i == 0, kind); err != nil {
			return "", err
		}
	}
	return strings.Join(parts, "/"), nil
}

func keyParts(v Value, kind string) ([]string, error) {
	switch v.kind {
	case valueString:
		return strings.Split(v.text, "/"), nil
	case valueList:
		return stringList(v.list)
	case valueObject:
		if root, ok := v.Get("root"); ok && (root.kind == valueList || root.kind == valueString) {
			return sequence(root)
		}
		parts, ok := v.Get("parts")
		if !ok || v.has("root") && !ok {
			return nil, fmt.Errorf("an object for a %s must have root or parts", kind)
		}
		if parts.kind == valueList && len(parts.list) > 0 && parts.list[0].kind == valueObject {
			inner, ok := parts.list[0].Get("parts")
			if !ok {
				return nil, fmt.Errorf("invalid nested structure in the parts of a %s", kind)
			}
			parts = inner
		}
		return sequence(parts)
	}
	return nil, fmt.Errorf("cannot make a %s from %s", kind, v.kindName())
}

// sequence reads a list of strings; a string is its characters, as Python iterates it.
func sequence(v Value) ([]string, error) {
	switch v.kind {
	case valueString:
		var out []string
		for _, r := range v.text {
			out = append(out, string(r))
		}
		return out, nil
	case valueList:
		return stringList(v.list)
	}
	return nil, fmt.Errorf("a list of strings is wanted, not %s", v.kindName())
}

func stringList(list []Value) ([]string, error) {
	out := make([]string, 0, len(list))
	for i, e := range list {
		if e.kind != valueString {
			return nil, fmt.Errorf("element %d: a string is wanted, not %s", i, e.kindName())
		}
		out = append(out, e.text)
	}
	return out, nil
}

// checkPart applies the rules in Metaxy's order. One trailing newline passes, because Python's `$` lets it.
func checkPart(p string, first bool, kind string) error {
	switch {
	case p == "":
		return fmt.Errorf("%s parts cannot be empty", kind)
	case strings.Contains(p, "/"):
		return fmt.Errorf("%s part %q cannot contain a slash", kind, p)
	case strings.Contains(p, "__"):
		return fmt.Errorf("%s part %q cannot contain double underscores", kind, p)
	}
	body := strings.TrimSuffix(p, "\n")
	for i := range len(body) {
		c := body[i]
		letter := c >= 'a' && c <= 'z' || c == '_'
		digit := c >= '0' && c <= '9'
		switch {
		case letter, i > 0 && (digit || c == '-'), i == 0 && digit && !first:
			continue
		}
		return fmt.Errorf("%s part %q is invalid: lower-case letters, digits, underscores and hyphens are allowed, no hyphen first, no digit first in the first part", kind, p)
	}
	if body == "" {
		return fmt.Errorf("%s part %q is invalid", kind, p)
	}
	return nil
}

// strictPath refuses what only loaded definitions may have.
func strictPath(path, kind string) error {
	switch {
	case path == "":
		return fmt.Errorf("a %s cannot be empty", kind)
	case strings.Contains(path, "\n"):
		return fmt.Errorf("%s %q cannot contain a newline", kind, path)
	}
	return nil
}

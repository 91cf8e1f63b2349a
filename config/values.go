package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// parseTOML reads TOML as JSON values, members in the file's order.
func parseTOML(path string, data []byte) (feature.Value, error) {
	raw := map[string]any{}
	if err := toml.Unmarshal(data, &raw); err != nil {
		e := &Error{File: path, Msg: err.Error()}
		var de *toml.DecodeError
		if errors.As(err, &de) {
			e.Line, _ = de.Position()
		}
		return feature.Value{}, e
	}
	v, err := goValue(raw)
	if err != nil {
		return v, &Error{File: path, Msg: err.Error()}
	}
	return inOrder(v, "", placesOf(data)), nil
}

// inOrder sorts the members of every object as they stand in the file.
func inOrder(v feature.Value, path string, at places) feature.Value {
	switch {
	case v.IsObject():
		members := slices.Clone(v.Members())
		slices.SortStableFunc(members, func(a, b feature.Member) int {
			return cmp.Compare(at.orderOf(join(path, a.Name)), at.orderOf(join(path, b.Name)))
		})
		for i, m := range members {
			members[i].Value = inOrder(m.Value, join(path, m.Name), at)
		}
		return feature.ObjectValue(members...)
	case isList(v):
		list := slices.Clone(v.Elements())
		for i, e := range list {
			list[i] = inOrder(e, fmt.Sprintf("%s[%d]", path, i), at)
		}
		return feature.ListValue(list...)
	}
	return v
}

// goValue turns decoded values into JSON values; dates have no place in definitions.
func goValue(v any) (feature.Value, error) {
	var none feature.Value
	switch v := v.(type) {
	case nil:
		return none, nil
	case string:
		return feature.StringValue(v), nil
	case bool:
		return feature.ParseJSON(strconv.FormatBool(v))
	case int:
		return feature.ParseJSON(strconv.Itoa(v))
	case int64:
		return feature.ParseJSON(strconv.FormatInt(v, 10))
	case uint64:
		return feature.ParseJSON(strconv.FormatUint(v, 10))
	case float64:
		return floatValue(v)
	case []any:
		out := make([]feature.Value, len(v))
		for i, e := range v {
			var err error
			if out[i], err = goValue(e); err != nil {
				return none, err
			}
		}
		return feature.ListValue(out...), nil
	case map[string]any:
		out := make([]feature.Member, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			x, err := goValue(v[name])
			if err != nil {
				return none, fmt.Errorf("%s: %w", name, err)
			}
			out = append(out, feature.Member{Name: name, Value: x})
		}
		return feature.ObjectValue(out...), nil
	}
	return none, fmt.Errorf("%v is no JSON value", v)
}

func floatValue(f float64) (feature.Value, error) {
	switch {
	case math.IsNaN(f):
		return feature.ParseJSON("NaN")
	case math.IsInf(f, 1):
		return feature.ParseJSON("Infinity")
	case math.IsInf(f, -1):
		return feature.ParseJSON("-Infinity")
	}
	return feature.ParseJSON(strconv.FormatFloat(f, 'e', -1, 64))
}

// parseYAML reads YAML as JSON values, members in the file's order.
func parseYAML(path string, data []byte) (feature.Value, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return feature.Value{}, &Error{File: path, Msg: err.Error()}
	}
	if len(root.Content) == 0 {
		return feature.Value{}, nil
	}
	v, err := nodeValue(root.Content[0])
	var e *Error
	if errors.As(err, &e) {
		e.File = path
	}
	return v, err
}

// nodeValue turns a YAML node into a JSON value. Aliases are refused: they let a small file stand for an endless one.
func nodeValue(n *yaml.Node) (feature.Value, error) {
	var none feature.Value
	fail := func(format string, a ...any) error { return &Error{Line: n.Line, Msg: fmt.Sprintf(format, a...)} }
	switch n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() == "!!str" {
			return feature.StringValue(n.Value), nil
		}
		var x any
		if err := n.Decode(&x); err != nil {
			return none, fail("%v", err)
		}
		v, err := goValue(x)
		if err != nil {
			return none, fail("%v", err)
		}
		return v, nil
	case yaml.SequenceNode:
		var out []feature.Value
		for _, c := range n.Content {
			v, err := nodeValue(c)
			if err != nil {
				return none, err
			}
			out = append(out, v)
		}
		return feature.ListValue(out...), nil
	case yaml.MappingNode:
		var out []feature.Member
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" {
				return none, fail("a key must be a plain text")
			}
			if seen[k.Value] {
				return none, fail("the key %s stands twice", k.Value)
			}
			seen[k.Value] = true
			v, err := nodeValue(n.Content[i+1])
			if err != nil {
				return none, err
			}
			out = append(out, feature.Member{Name: k.Value, Value: v})
		}
		return feature.ObjectValue(out...), nil
	}
	return none, fail("aliases are not read: write the value out")
}

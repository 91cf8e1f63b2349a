// Package orderedjson writes JSON and YAML objects whose members keep their
// order, and lists of objects as JSON Lines and CSV. It never escapes <, > and
// &: what it writes goes into no web page.
package orderedjson

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Object is an object whose members keep their order. The zero value is {}.
type Object []Member

// Member is a name and its value, which is anything that encoding/json writes.
type Member struct {
	Name  string
	Value any
}

// MarshalJSON writes the members in order.
func (o Object) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := Compact(m.Name)
		if err != nil {
			return nil, err
		}
		value, err := Compact(m.Value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

// MarshalYAML writes the members in order.
func (o Object) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, m := range o {
		var value yaml.Node
		if err := value.Encode(m.Value); err != nil {
			return nil, err
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: m.Name}, &value)
	}
	return n, nil
}

// Indented returns v as JSON with two blanks a level, ended by a line feed.
func Indented(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.String(), err
}

// Compact returns v as JSON on one line, without its end.
func Compact(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

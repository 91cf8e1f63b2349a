package orderedjson_test

import (
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
)

type object = orderedjson.Object

func field(name string, v any) orderedjson.Member { return orderedjson.Member{Name: name, Value: v} }

// TestOrder: members keep their order at every level, in JSON and YAML, and
// nothing is escaped for web pages.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		in         any
		json, yaml string
	}{
		{object{}, `{}`, "{}\n"},
		{object(nil), `{}`, "{}\n"},
		{object{field("z", 1), field("a", nil)}, `{"z":1,"a":null}`, "z: 1\na: null\n"},
		{object{field("b", object{field("y", "<&>"), field("x", []int{2, 1})}), field("a", true)}, `{"b":{"y":"<&>","x":[2,1]},"a":true}`,
			"b:\n    y: <&>\n    x:\n        - 2\n        - 1\na: true\n"},
		{object{field("\"", ""), field("é", 1.5)}, `{"\"":"","é":1.5}`, "'\"': \"\"\né: 1.5\n"},
	} {
		got, err := orderedjson.Compact(c.in)
		if string(got) != c.json || err != nil {
			t.Errorf("JSON %s, %v; want %s", got, err, c.json)
		}
		text, err := yaml.Marshal(c.in)
		if string(text) != c.yaml || err != nil {
			t.Errorf("YAML %q, %v; want %q", text, err, c.yaml)
		}
	}
	if _, err := orderedjson.Compact(object{field("f", func() {})}); err == nil {
		t.Error("a function is JSON")
	}
	if got, err := orderedjson.Indented(object{field("b", []int{}), field("a", object{})}); got != "{\n  \"b\": [],\n  \"a\": {}\n}\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestLists: as CSV, nulls and members that are missing are nothing, the empty
// text has quotes, what is nested is JSON; as lines, an object is a line.
func TestLists(t *testing.T) {
	for _, c := range []struct {
		in         any
		csv, lines string
	}{
		{[]object{}, "", ""},
		{[]object{{field("a", ""), field("b", nil), field("c", []int{1})}, {field("a", "x,y"), field("d", 1.5)}},
			"a,b,c,d\n\"\",,[1],\n\"x,y\",,,1.5\n", "{\"a\":\"\",\"b\":null,\"c\":[1]}\n{\"a\":\"x,y\",\"d\":1.5}\n"},
		{[]object{{field("b", true)}, {field("a", "line\nend")}}, "b,a\ntrue,\n,\"line\nend\"\n", "{\"b\":true}\n{\"a\":\"line\\nend\"}\n"},
	} {
		if got, err := orderedjson.CSV(c.in); got != c.csv || err != nil {
			t.Errorf("CSV %q, %v; want %q", got, err, c.csv)
		}
		if got, err := orderedjson.Lines(c.in); got != c.lines || err != nil {
			t.Errorf("lines %q, %v; want %q", got, err, c.lines)
		}
	}
	for _, bad := range []any{map[string]int{"a": 1}, 3, func() {}} {
		if got, err := orderedjson.CSV(bad); err == nil {
			t.Errorf("%T is a list of objects: %q", bad, got)
		}
		if got, err := orderedjson.Lines(bad); err == nil {
			t.Errorf("%T is a list: %q", bad, got)
		}
	}
}

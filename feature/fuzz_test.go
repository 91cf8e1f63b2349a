package feature_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// rawCases are the cases of a vector file as text, and every text in them that is JSON itself.
func rawCases(f *testing.F, names ...string) (all []string) {
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(deltatest.Data(f, "vectors"), name))
		if err != nil {
			f.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			f.Fatal(err)
		}
		all = append(all, inner(v)...)
	}
	return all
}

func inner(v any) (out []string) {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") {
			out = append(out, v)
		}
	case []any:
		for _, e := range v {
			out = append(out, inner(e)...)
		}
	case map[string]any:
		for name, e := range v {
			if name == "spec" {
				text, err := json.Marshal(e)
				if err == nil {
					out = append(out, string(text))
				}
			}
			out = append(out, inner(e)...)
		}
	}
	return out
}

// FuzzParseJSON wants every text refused with a place in it, or read into a value that its own text gives again.
func FuzzParseJSON(f *testing.F) {
	for _, s := range rawCases(f, "json_text.json", "definitions.json") {
		f.Add(s)
	}
	for _, s := range []string{
		`"\ud800"`, `"\ud83d\ude00\udc00"`, `1e400`, `-0`, `-0.0`, `0.1e-7`, `123456789012345678901234567890`, `NaN`, `-Infinity`, `{"a":1,"b":2,"a":3}`, "[\t1\r\n, 2 ]", `"\u00e9é\u007f"`, "\"\x01\"",
		strings.Repeat("[", 2000), strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500), `[1,]`, `{"a" 1}`, `01`, `"\x"`, "\ufeff{}", "\"\xff\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := feature.ParseJSON(text)
		if err != nil {
			var je *feature.JSONError
			if !errors.As(err, &je) || je.Offset < 0 || je.Offset > len(text) {
				t.Fatalf("%#v is no *JSONError with an offset in the text", err)
			}
			return
		}
		again, err := feature.ParseJSON(v.Text())
		if err != nil {
			t.Fatalf("%q: written as %q, which cannot be read: %v", text, v.Text(), err)
		}
		if again.Text() != v.Text() || again.SortedText() != v.SortedText() {
			t.Fatalf("%q: written as %q and %q, read again as %q and %q", text, v.Text(), v.SortedText(), again.Text(), again.SortedText())
		}
		sorted, err := feature.ParseJSON(v.SortedText())
		if err != nil || sorted.SortedText() != v.SortedText() {
			t.Fatalf("%q: sorted as %q, which reads as %q (%v)", text, v.SortedText(), sorted.SortedText(), err)
		}
	})
}

// FuzzDefinition wants every stored definition refused by name, or read into one that is stored as the same text and has versions or a reason
// why not.
func FuzzDefinition(f *testing.F) {
	for _, s := range rawCases(f, "definitions.json", "external.json") {
		f.Add(s, "{}")
	}
	f.Add(`{"key": "a/b", "id_columns": ["i"], "deps": [{"feature": "a/b"}], "fields": [{"key": "f", "deps": "__METAXY_ALL_DEP__"}]}`, `{"properties": {"i": {"type": "string"}, "i2": null}}`)
	f.Fuzz(func(t *testing.T, spec, schema string) {
		d, err := feature.Load(feature.Stored{Project: "p", FeatureSpec: spec, FeatureSchema: schema})
		if err != nil {
			named(t, err)
			return
		}
		stored := d.Stored()
		again, err := feature.Load(stored)
		if err != nil && strings.Contains(err.Error(), "parts cannot be empty") {
			return // an empty list is a key, as in Metaxy, and its text is none
		}
		if err != nil {
			t.Fatalf("stored as %+v, which cannot be read: %v", stored, err)
		}
		if s := again.Stored(); s.FeatureSpec != stored.FeatureSpec || s.FeatureSchema != stored.FeatureSchema || s.Project != stored.Project || !equalText(s.ClassPath, stored.ClassPath) {
			t.Fatalf("stored as %+v, and then as %+v", stored, s)
		}
		d.Columns()
		g := feature.NewGraph(8)
		if err := g.Add(d); err != nil {
			t.Fatalf("an empty graph refuses %s: %v", stored.FeatureSpec, err)
		}
		key := d.Spec.Key
		for _, version := range []func(feature.Key) (string, error){g.FeatureVersion, g.SpecVersion, g.CodeVersion, g.DefinitionVersion} {
			if v, err := version(key); err == nil && v == "" {
				t.Fatalf("%s has an empty version", stored.FeatureSpec)
			} else if err != nil {
				named(t, err)
			}
		}
		if _, err := g.ProjectVersion("p"); err != nil {
			named(t, err)
		}
		plan, err := g.Plan(key)
		if err == nil {
			err = plan.Check()
		}
		if err != nil {
			named(t, err)
		}
		g.Topological([]feature.Key{key})
		g.Downstream([]feature.Key{key})
	})
}

// named wants one of the package's own errors.
func named(t *testing.T, err error) {
	t.Helper()
	var je *feature.JSONError
	var se *feature.SpecError
	var ge *feature.GraphError
	if !errors.As(err, &je) && !errors.As(err, &se) && !errors.As(err, &ge) {
		t.Fatalf("%T %v says neither where in the text nor where in the graph", err, err)
	}
}

// FuzzKey wants what is taken for a key to be one again from its own text.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"video/raw", "a", "", "/", "a//b", "a__b", "A-b/c_d", "a/ b", "ä/1", "a.b", "\xff", strings.Repeat("x/", 3000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := feature.ParseKey(text)
		if err != nil {
			return
		}
		again, err := feature.ParseKey(k.String())
		if err != nil || again != k || again.Compare(k) != 0 || len(k.Parts()) == 0 {
			t.Fatalf("%q is the key %q, which reads as %q (%v)", text, k, again, err)
		}
		if name := k.TableName(); strings.ContainsAny(name, `/\`) || name == "" || name == "." || name == ".." {
			t.Fatalf("%q names the table %q", text, name)
		}
	})
}

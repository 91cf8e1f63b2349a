package config_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/config"
)

// TestDefinitionFiles reads one definition in every format.
func TestDefinitionFiles(t *testing.T) {
	files := map[string]string{
		"a.toml":   "project = \"p\"\n[[features]]\nkey = \"a/b\"\nid_columns = [\"id\"]\nfeature_class_path = \"m.C\"\nfeature_schema = {type = \"object\"}\n[[features.fields]]\nkey = \"f\"\ncode_version = \"1\"\n",
		"a.yaml":   "project: p\nfeatures:\n- key: a/b\n  id_columns: [id]\n  feature_class_path: m.C\n  feature_schema: {type: object}\n  fields:\n  - {key: f, code_version: '1'}\n",
		"a.json":   `{"project": "p", "features": [{"key": "a/b", "id_columns": ["id"], "feature_class_path": "m.C", "feature_schema": {"type": "object"}, "fields": [{"key": "f", "code_version": "1"}]}]}`,
		"own.json": `[{"project": "p", "key": "a/b", "id_columns": ["id"], "feature_class_path": "m.C", "feature_schema": "{\"type\": \"object\"}", "fields": [{"key": "f", "code_version": "1"}]}]`,
		"b.json":   `[{"project": "p", "feature_spec": "{\"key\": \"a/b\", \"id_columns\": [\"id\"], \"fields\": [{\"key\": \"f\", \"code_version\": \"1\"}]}", "feature_class_path": "m.C", "feature_schema": {"type": "object"}}]`,
	}
	want := `{"key": "a/b", "id_columns": ["id"], "deps": [], "fields": [{"key": "f", "code_version": "1", "deps": []}], "metadata": {}, "description": null}`
	for name, text := range files {
		marked, err := config.Definitions(name, []byte("\ufeff"+text), "other")
		if err != nil || len(marked) != 1 {
			t.Errorf("%s with a byte order mark: %d definitions, %v", name, len(marked), err)
		}
		defs, err := config.Definitions(name, []byte(text), "other")
		if err != nil || len(defs) != 1 {
			t.Errorf("%s: %d definitions, %v", name, len(defs), err)
			continue
		}
		s := defs[0].Stored()
		if s.Project != "p" || *s.ClassPath != "m.C" || s.FeatureSchema != `{"type": "object"}` || s.FeatureSpec != want {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestByteOrderMark reads a configuration that an editor put a mark before.
func TestByteOrderMark(t *testing.T) {
	read := func(path string) ([]byte, error) {
		if filepath.Base(path) == "metaxy.toml" {
			return []byte("\ufeffproject = \"p\"\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	c, err := config.Load(&config.Source{Dir: "/dir", ReadFile: read, SearchParents: true})
	if err != nil || c.Project != "p" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestBadDefinitions checks that faults name their file and place.
func TestBadDefinitions(t *testing.T) {
	for _, c := range []struct{ path, text, want string }{
		{"a.toml", "x = 1\ny = [", "a.toml:2"},
		{"a.json", "[\n{]", "a.json:2"},
		{"a.yaml", "features:\n- &x {key: a}\n- *x\n", "a.yaml:3: aliases"},
		{"a.yaml", "features: []\nfeatures: []\n", "a.yaml"},
		{"a.json", `{"features": [{"key": "a", "id_columns": ["i"]}, 5, {"key": "a", "nope": 1}]}`, "features[1]"},
		{"a.json", `{"features": [], "nope": 1}`, "nope"},
		{"a.json", `7`, "holds no definitions"},
		{"a.json", `[{"project": 5}]`, "features[0].project: want a text"},
		{"metaxy.lock", "[features.a]\n", "features.a: has no data"},
		{"metaxy.lock", "[features.a.data]\nproject = \"p\"\nfeature_schema = \"{}\"\nspec = {key = \"b\", id_columns = [\"i\"]}\n", "the entry is for a"},
	} {
		_, err := config.Definitions(c.path, []byte(c.text), "p")
		var e *config.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

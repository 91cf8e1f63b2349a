package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

type lockCase struct {
	Truncation int
	Pushes     []struct{ Features []json.RawMessage }
	Loaded     []struct {
		Key, Project  string
		FeatureSpec   string `json:"feature_spec"`
		FeatureSchema string `json:"feature_schema"`
	}
	Recomputed map[string]struct {
		Definition string            `json:"definition_version"`
		Feature    string            `json:"feature_version"`
		Fields     map[string]string `json:"field_versions"`
	}
	Result struct{ Error json.RawMessage }
}

// TestLock writes and reads every recorded lock file: the definitions that were pushed, in the last form of each, and the keys that the run locked.
func TestLock(t *testing.T) {
	dir := filepath.Join(deltatest.Data(t, "vectors"), "lock")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) { checkLock(t, filepath.Join(dir, e.Name())) })
	}
}

func checkLock(t *testing.T, dir string) {
	data, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c lockCase
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	defs := map[feature.Key]*feature.Definition{}
	for _, push := range c.Pushes {
		list, err := json.Marshal(push.Features)
		if err != nil {
			t.Fatal(err)
		}
		read, err := config.Definitions("push.json", list, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range read {
			defs[d.Spec.Key] = d
		}
	}
	g := feature.NewGraph(c.Truncation)
	var all []feature.Key
	for k, d := range defs {
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	if len(c.Result.Error) > 0 {
		missing, err := feature.ParseKey("gone")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Lock(g, append(all, missing)); err == nil {
			t.Error("must fail")
		}
		return
	}
	var keys []feature.Key
	for _, l := range c.Loaded {
		k, err := feature.ParseKey(l.Key)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	slices.Reverse(keys)
	want, err := os.ReadFile(filepath.Join(dir, "metaxy.lock"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Lock(g, keys)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	read, err := config.Definitions("metaxy.lock", want, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(read) != len(c.Loaded) {
		t.Fatalf("%d definitions, want %d", len(read), len(c.Loaded))
	}
	for i, d := range read {
		s, w := d.Stored(), c.Loaded[i]
		if s.Project != w.Project || s.FeatureSpec != w.FeatureSpec || s.FeatureSchema != w.FeatureSchema || !d.External || d.Source != "metaxy.lock" {
			t.Errorf("%+v\nwant %+v", s, w)
		}
	}
	checkRecomputed(t, &c, read)
}

// checkRecomputed compares the versions of the definitions that were read back with those that Metaxy computes from them.
func checkRecomputed(t *testing.T, c *lockCase, read []*feature.Definition) {
	t.Helper()
	g := feature.NewGraph(c.Truncation)
	for _, d := range read {
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.Recomputed) != len(read) {
		t.Errorf("%d definitions, want %d", len(read), len(c.Recomputed))
	}
	for _, d := range read {
		key := d.Spec.Key
		want := c.Recomputed[key.String()]
		definition, err := g.DefinitionVersion(key)
		if err != nil || definition != want.Definition {
			t.Errorf("%s: definition version %q (%v), want %q", key, definition, err, want.Definition)
		}
		if version, err := g.FeatureVersion(key); err != nil || version != want.Feature {
			t.Errorf("%s: feature version %q (%v), want %q", key, version, err, want.Feature)
		}
		for _, f := range d.Spec.Fields {
			if version, err := g.FieldVersion(key, f.Key); err != nil || version != want.Fields[f.Key.String()] {
				t.Errorf("%s: version of field %s: %q (%v), want %q", key, f.Key, version, err, want.Fields[f.Key.String()])
			}
		}
	}
}

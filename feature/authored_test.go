package feature_test

import (
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// TestDefinitionsInGo holds specs that were written in Go to the rules of files: they have been through no decoder.
func TestDefinitionsInGo(t *testing.T) {
	up, ids := goKey(t, "up"), []string{"id"}
	one := []feature.Field{{Key: goField(t, "default"), CodeVersion: feature.InitialCodeVersion}}
	with := func(d feature.Dep) *feature.Definition {
		d.Feature = up
		return &feature.Definition{Project: "p", Spec: &feature.Spec{Key: goKey(t, "down"), IDColumns: ids, Fields: one, Deps: []feature.Dep{d}}}
	}
	for _, c := range []struct {
		name string
		d    *feature.Definition
		want string // part of the fault; "" = none
	}{
		{"zero values", with(feature.Dep{}), ""},
		{"a specific mapping in any order", with(feature.Dep{Mapping: feature.FieldsMapping{Type: "specific", Specific: []feature.FieldMap{{Field: goField(t, "default"), Upstream: []feature.FieldKey{goField(t, "z"), goField(t, "default"), goField(t, "z")}}}}}), ""},
		{"no key", &feature.Definition{Project: "p", Spec: &feature.Spec{IDColumns: ids, Fields: one}}, "key: FeatureKey parts cannot be empty"},
		{"no ids", &feature.Definition{Project: "p", Spec: &feature.Spec{Key: goKey(t, "down"), Fields: one}}, "id_columns: must not be empty"},
		{"no project", &feature.Definition{Spec: &feature.Spec{Key: goKey(t, "down"), IDColumns: ids, Fields: one}}, "it has no project"},
		{"a field twice", &feature.Definition{Project: "p", Spec: &feature.Spec{Key: goKey(t, "down"), IDColumns: ids, Fields: append(one, one...)}}, "duplicate field key default"},
		{"an unknown mapping", with(feature.Dep{Mapping: feature.FieldsMapping{Type: "sufix"}}), "sufix"},
		{"a column selected under its old name", with(feature.Dep{Rename: []feature.Rename{{From: "a", To: "b"}}, Select: new([]string{"a"})}), `column "a" is renamed`},
		{"an expansion without columns", with(feature.Dep{Lineage: feature.Lineage{Kind: feature.Expansion}}), "deps.0.lineage.relationship.on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := feature.NewGraph(0)
			for _, d := range []*feature.Definition{{Project: "p", Spec: &feature.Spec{Key: up, IDColumns: ids, Fields: one}}, c.d} {
				if err := g.Add(d); err != nil {
					t.Fatal(err)
				}
			}
			err := g.Check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if err != nil {
				return
			}
			// What is stored is what a file would have stored.
			again, err := feature.Load(c.d.Stored())
			if err != nil || again.Spec.Value().Text() != c.d.Spec.Value().Text() {
				t.Errorf("%v: %s, want %s", err, again.Spec.Value().Text(), c.d.Spec.Value().Text())
			}
		})
	}
}

func goKey(t *testing.T, s string) feature.Key {
	t.Helper()
	k, err := feature.ParseKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func goField(t *testing.T, s string) feature.FieldKey {
	t.Helper()
	k, err := feature.ParseFieldKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

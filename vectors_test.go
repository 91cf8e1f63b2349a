package metaxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func readVectors(t *testing.T, name string, cases any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "vectors"), name))
	if err == nil {
		err = json.Unmarshal(data, cases)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestProjectVersionVectors asks stores with the recorded graphs, external features among them, for the project version that writes stamp, and pushes each project: exactly the recorded features are stored.
func TestProjectVersionVectors(t *testing.T) {
	checked := 0
	for _, name := range []string{"definitions.json", "external.json"} {
		var file struct {
			Cases []struct {
				Kind, Name string
				Truncation int
				Features   []struct {
					Project   string
					ClassPath *string `json:"feature_class_path"`
					Spec      string  `json:"feature_spec"`
					Schema    string  `json:"feature_schema"`
					External  bool
					Override  map[string]string `json:"provenance_by_field"`
				}
				Expect struct {
					Version     json.RawMessage `json:"graph_project_version"`
					HasExternal *bool           `json:"has_external_features"`
					Keys        json.RawMessage `json:"snapshot_keys"`
				}
			}
		}
		readVectors(t, name, &file)
		for _, c := range file.Cases {
			if c.Expect.Version == nil {
				continue
			}
			checked++
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				g := feature.NewGraph(c.Truncation)
				external := false
				for _, f := range c.Features {
					d, err := feature.Load(feature.Stored{Project: f.Project, FeatureSpec: f.Spec, FeatureSchema: f.Schema, ClassPath: f.ClassPath})
					if err != nil {
						t.Fatal(err)
					}
					d.External = f.External
					for name, version := range f.Override {
						if d.Override == nil {
							d.Override = map[feature.FieldKey]string{}
						}
						field, err := feature.ParseFieldKey(name)
						if err != nil {
							t.Fatal(err)
						}
						d.Override[field] = version
					}
					if err := g.Add(d); err != nil {
						t.Fatal(err)
					}
				}
				s, err := metaxy.Open(t.Context(), "mem://", &metaxy.Options{Graph: g, HashTruncation: max(8, c.Truncation)})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				var want string
				fails := json.Unmarshal(c.Expect.Version, &want) != nil
				if got, err := s.ProjectVersion(t.Context()); fails != (err != nil) || got != want {
					t.Errorf("project version %q (%v), want %s", got, err, c.Expect.Version)
				}
				for _, d := range g.Definitions() {
					external = external || d.External
				}
				if c.Expect.HasExternal != nil && external != *c.Expect.HasExternal {
					t.Errorf("external features: %v", external)
				}
				var keys []string
				if c.Expect.Keys != nil && json.Unmarshal(c.Expect.Keys, &keys) == nil {
					slices.Sort(keys)
					if got := pushedKeys(t, s, g); !slices.Equal(got, keys) {
						t.Errorf("pushed %q, want %q", got, keys)
					}
				}
			})
		}
	}
	if checked == 0 {
		t.Fatal("no cases")
	}
}

// pushedKeys pushes every project that can be pushed, and gives the keys that are stored.
func pushedKeys(t *testing.T, s *metaxy.DeltaStore, g *feature.Graph) []string {
	t.Helper()
	stored := map[string]bool{}
	for _, p := range g.Projects() {
		if _, err := s.Push(t.Context(), &metaxy.PushOptions{Graph: g, Project: p}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.Read(t.Context(), mustKey(t, "metaxy-system/feature_versions"), &metaxy.ReadOptions{Columns: []string{"feature_key"}, FeatureHistory: true, SampleHistory: true})
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range rows.Batches {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			stored[b.Column(0).ValueStr(i)] = true
		}
	}
	var out []string
	for k := range stored {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// anyScheme opens every URL in memory.
type anyScheme struct{}

func (anyScheme) Schemes() []string {
	return []string{"s3", "s3a", "gs", "az", "abfs", "abfss", "azure", "memory", "hdfs", "http", "https", "r2", "adl", "lakefs"}
}

func (anyScheme) Open(context.Context, string, map[string]string) (objstore.Driver, error) {
	return objstore.NewMem(), nil
}

// TestConfigStores opens the stores of the recorded configurations: names, display texts and fallback stores are Metaxy's, and what it cannot open is an error.
func TestConfigStores(t *testing.T) {
	var file struct {
		Cases []struct {
			Name          string
			Files, Env    map[string]string
			Cwd           string
			ConfigFile    *string `json:"config_file"`
			SearchParents bool    `json:"search_parents"`
			Expect        struct {
				Stores map[string]struct {
					Error         json.RawMessage
					Name, Display string
					Fallbacks     json.RawMessage `json:"fallback_stores"`
				}
			}
		}
	}
	readVectors(t, "toml_config.json", &file)
	decided := scenariotest.ReadListed(t, "config/testdata/decisions.txt")
	refused := map[string]string{"store: hash algorithms/f": "D13 farmhash", "store: fallback to itself/a": "D48 cycle"}
	checked := 0
	for _, c := range file.Cases {
		if decided[c.Name] != "" || len(c.Expect.Stores) == 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			place := func(s string) string { return strings.ReplaceAll(s, "<DIR>", "/dir") }
			env := map[string]string{}
			for k, v := range c.Env {
				env[k] = place(v)
			}
			src := &config.Source{Dir: path.Join("/dir", c.Cwd), Environ: env, SearchParents: c.SearchParents, ReadFile: func(p string) ([]byte, error) {
				if text, ok := c.Files[strings.TrimPrefix(path.Clean(p), "/dir/")]; ok {
					return []byte(place(text)), nil
				}
				return nil, fs.ErrNotExist
			}}
			if c.ConfigFile != nil {
				src.Explicit = place(*c.ConfigFile)
			}
			cfg, err := config.Load(src)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.Expect.Stores {
				checked++
				s, err := metaxy.OpenConfig(t.Context(), cfg, name, &metaxy.Options{Openers: []objstore.Opener{anyScheme{}}})
				if refused[c.Name+"/"+name] != "" {
					if err == nil {
						t.Errorf("store %q must be refused: %s", name, refused[c.Name+"/"+name])
					}
					continue
				}
				var below []string
				failsBelow := want.Fallbacks != nil && json.Unmarshal(want.Fallbacks, &below) != nil
				if fails := want.Error != nil || failsBelow; fails || err != nil {
					if fails != (err != nil) {
						t.Errorf("store %q: %v, want %s %s", name, err, want.Error, want.Fallbacks)
					}
					continue
				}
				var got []string
				for _, f := range s.Fallbacks() {
					got = append(got, fmt.Sprint(f.Store))
				}
				if s.Name() != want.Name || s.String() != place(want.Display) || !slices.Equal(got, below) {
					t.Errorf("store %q: %s %s %q, want %s %s %q", name, s.Name(), s, got, want.Name, want.Display, below)
				}
			}
		})
	}
	if checked == 0 {
		t.Fatal("no stores")
	}
}

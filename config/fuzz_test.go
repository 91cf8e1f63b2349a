package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// FuzzLoad wants every configuration file used, or refused with the file's name.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"", "project = \"p\"\nstore = \"dev\"\n[stores.dev]\ntype = \"metaxy.ext.polars.handlers.delta.DeltaMetadataStore\"\n[stores.dev.config]\nroot_path = \"${HOME:-x}/$$\"\nfallback_stores = [\"a\"]\n",
		"hash_truncation_length = 9223372036854775808", "[stores]\ndev = 1", "project = [", "a.b.c = 1\n[a]\nb = 2", "stores = { x = { type = \"?\", config = { storage_options = { k = 1 } } } }", "x = 1979-05-27T07:32:00Z\ny = nan", "\xff", "project = \"${A${B}}\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read := func(path string) ([]byte, error) {
			if filepath.Base(path) == "metaxy.toml" {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		}
		c, err := config.Load(&config.Source{Dir: "/dir", Environ: map[string]string{"HOME": "/home/x"}, ReadFile: read, SearchParents: true})
		if err != nil {
			var ce *config.Error
			if !errors.As(err, &ce) || ce.File == "" {
				t.Fatalf("%T %v does not name the file", err, err)
			}
			return
		}
		if c == nil {
			t.Fatal("neither a configuration nor an error")
		}
	})
}

// FuzzDefinitions wants every file of definitions read or refused; what is read survives being written as a lock file.
func FuzzDefinitions(f *testing.F) {
	err := filepath.WalkDir(filepath.Join(deltatest.Data(f, "vectors"), "lock"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		f.Add(d.Name(), data)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("defs.json", []byte(`[{"project": "p", "feature_spec": {"key": "a", "id_columns": ["i"]}, "feature_schema": {}}]`))
	f.Add("defs.toml", []byte("[features.\"a/b\"]\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		defs, err := config.Definitions(name, data, "p")
		if err != nil {
			return
		}
		g := feature.NewGraph(8)
		var keys []feature.Key
		for _, d := range defs {
			if g.Add(d) != nil {
				return
			}
			keys = append(keys, d.Spec.Key)
		}
		text, err := config.Lock(g, keys)
		if err != nil {
			return
		}
		again, err := config.Definitions("metaxy.lock", text, "p")
		if err != nil {
			t.Fatalf("written as\n%s\nwhich cannot be read: %v", text, err)
		}
		if len(again) > len(defs) {
			t.Fatalf("%d definitions became %d", len(defs), len(again))
		}
	})
}

package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

type configCase struct {
	Name          string
	Files         map[string]string
	Env           map[string]string
	Cwd           string
	ConfigFile    *string `json:"config_file"`
	SearchParents bool    `json:"search_parents"`
	Expect        struct {
		Config     json.RawMessage
		ConfigFile *string `json:"config_file"`
		LockFile   *string `json:"lock_file"`
		Warnings   []string
		Stores     map[string]expectedStore
		Error      json.RawMessage
	}
}

// TestConfigVectors loads every recorded configuration. Cases that a decision answers differently stand in testdata/decisions.txt with its number, those that cannot pass in gaps.txt.
func TestConfigVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "vectors"), "toml_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []configCase }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatal("no cases")
	}
	listed := map[string]string{}
	for _, name := range []string{"testdata/decisions.txt", "testdata/gaps.txt"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if key, why, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && !strings.HasPrefix(key, "#") {
				listed[key] = why
			}
		}
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			fault := checkConfig(t, &c)
			why, known := listed[c.Name]
			switch {
			case fault != "" && !known:
				t.Error(fault)
			case fault == "" && known:
				t.Errorf("is listed (%s), but passes", why)
			}
		})
	}
}

const root = "/dir"

func checkConfig(t *testing.T, c *configCase) string {
	t.Helper()
	place := func(s string) string { return strings.ReplaceAll(s, "<DIR>", root) }
	files := map[string]string{}
	dirs := map[string]bool{root: true}
	for name, text := range c.Files {
		p := path.Join(root, name)
		files[p] = place(text)
		for d := path.Dir(p); d != "/"; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	env := map[string]string{}
	for k, v := range c.Env {
		env[k] = place(v)
	}
	src := &config.Source{Dir: path.Join(root, c.Cwd), Environ: env, SearchParents: c.SearchParents, ReadFile: func(p string) ([]byte, error) {
		if text, ok := files[path.Clean(p)]; ok {
			return []byte(text), nil
		}
		if dirs[path.Clean(p)] {
			return nil, fs.ErrInvalid
		}
		return nil, fs.ErrNotExist
	}}
	if c.ConfigFile != nil {
		src.Explicit = place(*c.ConfigFile)
	}
	got, err := config.Load(src)
	if len(c.Expect.Error) > 0 {
		if err == nil {
			return "must fail: " + string(c.Expect.Error)
		}
		return ""
	}
	if err != nil {
		return err.Error()
	}
	text, err := got.JSON()
	if err != nil {
		return err.Error()
	}
	var have, want any
	if err := json.Unmarshal(text, &have); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(place(string(c.Expect.Config))), &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, have); d != "" {
		return d
	}
	for what, pair := range map[string][2]*string{"file": {c.Expect.ConfigFile, &got.Path}, "lock": {c.Expect.LockFile, &got.LockPath}} {
		wantPath := ""
		if pair[0] != nil {
			wantPath = path.Clean(place(*pair[0]))
			if !path.IsAbs(wantPath) {
				wantPath = path.Join(root, wantPath)
			}
		}
		if wantPath != *pair[1] {
			return what + " " + *pair[1] + ", want " + wantPath
		}
	}
	if len(got.Warnings) < len(c.Expect.Warnings) {
		return "warnings " + strings.Join(got.Warnings, "; ")
	}
	if fault := checkTOML(got); fault != "" {
		return fault
	}
	var faults []string
	for name, want := range c.Expect.Stores {
		if fault := checkStore(got, name, want); fault != "" {
			faults = append(faults, "store "+name+": "+fault)
		}
	}
	return strings.Join(faults, "; ")
}

// expectedStore is a store as it was made; its display text and fallback stores are compared where stores are opened (TestConfigStores of the module's root).
type expectedStore struct {
	Error         json.RawMessage
	Name          string
	Layout        string
	HashAlgorithm string `json:"hash_algorithm"`
}

// checkTOML compares what TOML and JSON print: the same but for nulls.
func checkTOML(c *config.Config) string {
	text, err := c.TOML()
	if err != nil {
		return err.Error()
	}
	asJSON, err := c.JSON()
	if err != nil {
		return err.Error()
	}
	var want, have map[string]any
	if err := toml.Unmarshal(text, &have); err != nil {
		return err.Error()
	}
	again, err := json.Marshal(have)
	if err != nil {
		return err.Error()
	}
	clear(have)
	if err := errors.Join(json.Unmarshal(asJSON, &want), json.Unmarshal(again, &have)); err != nil {
		return err.Error()
	}
	dropNulls(want)
	return cmp.Diff(want, have)
}

func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if x == nil {
				delete(v, k)
			}
			dropNulls(x)
		}
	case []any:
		for _, x := range v {
			dropNulls(x)
		}
	}
}

func checkStore(c *config.Config, name string, want expectedStore) string {
	s, err := c.StoreNamed(name)
	switch {
	case len(want.Error) > 0 && err == nil:
		return "must fail: " + string(want.Error)
	case len(want.Error) > 0:
		return ""
	case err != nil:
		return err.Error()
	}
	layout, hash := s.Layout, s.HashAlgorithm
	if layout == "" {
		layout = "nested"
	}
	if hash == "" {
		hash = "xxhash32"
	}
	if layout != want.Layout || hash != want.HashAlgorithm || s.Name != want.Name {
		return fmt.Sprintf("%s %s %s, want %+v", s.Name, layout, hash, want)
	}
	return ""
}

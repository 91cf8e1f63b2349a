package metaxy_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
)

// configured loads a configuration with its stores below dir.
func configured(t *testing.T, dir, text string) *config.Config {
	t.Helper()
	path := filepath.Join(dir, "metaxy.toml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DELTA", `"`+config.DeltaStoreType+`"`)), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(&config.Source{Dir: dir, ReadFile: os.ReadFile, Explicit: path, Environ: map[string]string{"HOME": "/home/of/someone"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOpenConfig opens stores of a configuration: with what it says of each, fallback stores and all.
func TestOpenConfig(t *testing.T) {
	dir := t.TempDir()
	c := configured(t, dir, `
project = "p"
store = "b"
hash_truncation_length = 16
stores.a = {type = DELTA, config = {root_path = "~/a", hash_algorithm = "md5"}}
stores.b = {type = DELTA, config = {root_path = "b", layout = "flat", hash_algorithm = "md5", fallback_stores = ["c", "a"]}}
stores.c = {type = DELTA, config = {root_path = "/c", hash_algorithm = "md5", fallback_stores = ["a"]}}
stores.loop = {type = DELTA, config = {root_path = "l", fallback_stores = ["loop2"]}}
stores.loop2 = {type = DELTA, config = {root_path = "l2", fallback_stores = ["loop"]}}
stores.native = {type = DELTA, config = {root_path = "n", versioning_engine = "native"}}
stores.mixed = {type = DELTA, config = {root_path = "m", fallback_stores = ["b"]}}
stores.duck = {type = "metaxy.DuckDBMetadataStore", config = {}}
stores.astray = {type = DELTA, config = {root_path = "x", fallback_stores = ["nowhere"]}}
`)
	s, err := metaxy.OpenConfig(t.Context(), c, "", &metaxy.Options{Graph: longGraph(t, plainRoot)})
	if err != nil {
		t.Fatal(err)
	}
	key := mustKey(t, "root")
	want(t, s.Name(), "b")
	want(t, s.TableURL(key), filepath.Join(dir, "b", "root.delta"))
	var below []string
	for _, f := range s.Fallbacks() {
		d := f.Store.(*metaxy.DeltaStore)
		below = append(below, f.Name+" "+d.URL())
		for _, f := range d.Fallbacks() {
			below = append(below, f.Name+" "+f.Store.(*metaxy.DeltaStore).URL())
		}
	}
	want(t, strings.Join(below, ", "), "c /c, a /home/of/someone/a, a /home/of/someone/a")
	_, err = s.Fallbacks()[0].Store.Write(t.Context(), mustKey(t, "root"), frame(t, []string{"id int"}, "[]"), nil)
	want(t, errors.Is(err, fs.ErrPermission), true)
	if _, err := s.Write(t.Context(), key, frame(t, []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}]`), nil); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Read(t.Context(), key, &metaxy.ReadOptions{Columns: []string{"metaxy_provenance"}})
	if err != nil {
		t.Fatal(err)
	}
	_, texts, err := collectRows(rows, nil)
	want(t, strings.Join(texts, ""), `metaxy_provenance="0cc175b9c0f1b6a8";`) // the first 16 digits of md5("a")
	want(t, err, nil)
	want(t, s.Close(), nil)
	_, err = s.Fallbacks()[0].Store.Read(t.Context(), key, nil)
	want(t, errors.Is(err, metaxy.ErrClosed), true)

	for name, message := range map[string]string{"loop": "fallback stores form a cycle: loop -> loop2 -> loop", "native": "no native engine", "mixed": "hash algorithm"} {
		_, err := metaxy.OpenConfig(t.Context(), c, name, nil)
		if !errors.Is(err, metaxy.ErrInvalid) || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v, want %s", name, err, message)
		}
	}
	for name, message := range map[string]string{"duck": "not served by this program", "nowhere": "there is no such store", "astray": "fallback store of astray"} {
		var fault *config.Error
		if _, err := metaxy.OpenConfig(t.Context(), c, name, nil); !errors.As(err, &fault) || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v, want %s", name, err, message)
		}
	}
}

const (
	plainRoot = `{"key": "root", "id_columns": ["id"], "fields": ["x"]}`
	plainLeaf = `{"key": "leaf", "id_columns": ["id"], "deps": [{"feature": "root"}], "fields": ["x"]}`
)

// TestStatus follows a feature from nothing to up to date and on.
func TestStatus(t *testing.T) {
	b := newBench(t, metaxy.Options{}, plainRoot, plainLeaf)
	check := func(key string, o *metaxy.StatusOptions, state metaxy.State, rows, fresh, stale, orphaned int64) {
		t.Helper()
		st, err := b.store.Status(t.Context(), mustKey(t, key), o)
		if err != nil {
			t.Fatal(err)
		}
		if st.State != state || st.Rows != rows || st.New != fresh || st.Stale != stale || st.Orphaned != orphaned || st.NeedsUpdate() != (fresh+stale+orphaned > 0) {
			t.Errorf("%+v, want %s, %d rows, %d new, %d stale, %d orphaned", st, state, rows, fresh, stale, orphaned)
		}
	}
	check("root", nil, metaxy.StateMissing, 0, 0, 0, 0)
	_, err := b.store.Status(t.Context(), mustKey(t, "leaf"), nil)
	want(t, errors.Is(err, metaxy.ErrFeatureNotFound), true) // its upstream has no table
	_, err = b.store.Status(t.Context(), mustKey(t, "nosuch"), nil)
	want(t, errors.Is(err, metaxy.ErrFeatureNotFound), true)
	b.samples("root", 1, 2, 3)
	check("root", nil, metaxy.StateRoot, 3, 0, 0, 0)
	check("leaf", nil, metaxy.StateMissing, 0, 3, 0, 0)
	b.advance("leaf")
	check("leaf", nil, metaxy.StateUpToDate, 3, 0, 0, 0)
	b.versions("root", "2", 3, 4)
	check("leaf", nil, metaxy.StateNeedsUpdate, 3, 1, 1, 0)
	check("leaf", &metaxy.StatusOptions{StaleIf: where(t, "id < 3")}, metaxy.StateNeedsUpdate, 3, 1, 3, 0)
	check("leaf", &metaxy.StatusOptions{GlobalFilters: where(t, "id < 3")}, metaxy.StateUpToDate, 2, 0, 0, 0)
	check("leaf", &metaxy.StatusOptions{TargetFilters: where(t, "id > 1")}, metaxy.StateNeedsUpdate, 2, 2, 1, 0)

	seen := 0
	st, err := b.store.Status(t.Context(), mustKey(t, "leaf"), &metaxy.StatusOptions{Progress: true, Inspect: func(ctx context.Context, inc *metaxy.Increment) error {
		for part, err := range inc.All(ctx) {
			if err != nil {
				return err
			}
			seen += int(part.Batch.NumRows())
		}
		return nil
	}})
	if err != nil || st.Progress == nil || *st.Progress != 75 || seen != 2 || st.New != 1 {
		t.Errorf("%+v, %v; %d rows seen", st, err, seen)
	}

	front := newBench(t, metaxy.Options{Fallbacks: []metaxy.Fallback{{Name: "back", Store: b.store}}}, plainRoot, plainLeaf)
	st, err = front.store.Status(t.Context(), mustKey(t, "leaf"), nil)
	if err != nil || !st.Exists || !st.Source.Fallback || st.Source.Store != b.dir || st.Rows != 3 || st.New != 4 || !slices.Contains(codes(st.Warnings), "FALLBACK_USED") {
		t.Errorf("%+v, %v", st, err)
	}
	st, err = front.store.Status(t.Context(), mustKey(t, "leaf"), &metaxy.StatusOptions{NoFallback: true})
	if err != nil || st.Exists || st.State != metaxy.StateMissing || st.New != 4 {
		t.Errorf("%+v, %v", st, err)
	}
}

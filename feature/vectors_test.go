package feature_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// readCases reads the cases of a vector file. Cases are decoded apart, because their shapes differ by kind.
func readCases(t *testing.T, name string) []json.RawMessage {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "vectors"), name))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []json.RawMessage }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatalf("%s holds no cases", name)
	}
	return file.Cases
}

func decode[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func mustJSON(t *testing.T, raw json.RawMessage) feature.Value {
	t.Helper()
	v, err := feature.ParseJSON(string(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

type keyCase struct {
	Kind         string
	Input        json.RawMessage
	OK           bool
	Parts        []string
	String       string
	StructKey    string `json:"struct_key"`
	ColumnSuffix string `json:"column_suffix"`
	TableName    string `json:"table_name"`
	Sorted       []string
	FQInput      []string `json:"fq_input"`
	FQSorted     []string `json:"fq_sorted"`
	Equal        bool
	Left, Right  map[string]json.RawMessage
}

func TestKeyVectors(t *testing.T) {
	for _, raw := range readCases(t, "keys.json") {
		c := decode[keyCase](t, raw)
		switch c.Kind {
		case "key":
			checkKey(t, c)
		case "order":
			inputs := decode[[]string](t, c.Input)
			var keys []feature.Key
			for _, s := range inputs {
				k, err := feature.ParseKey(s)
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, k)
			}
			slices.SortFunc(keys, feature.Key.Compare)
			var got []string
			for _, k := range keys {
				got = append(got, k.String())
			}
			if d := cmp.Diff(c.Sorted, got); d != "" {
				t.Errorf("%v: %s", inputs, d)
			}
			if got := slices.Sorted(slices.Values(c.FQInput)); !slices.Equal(got, c.FQSorted) {
				t.Errorf("fully qualified order %v", got)
			}
		case "eq":
			if got := equalKeys(t, c.Left, c.Right); got != c.Equal {
				t.Errorf("%s: equal = %v", raw, got)
			}
		default:
			t.Errorf("unknown kind %q", c.Kind)
		}
	}
}

func equalKeys(t *testing.T, left, right map[string]json.RawMessage) bool {
	t.Helper()
	key := func(m map[string]json.RawMessage) any {
		if raw, ok := m["feature_key"]; ok {
			k, err := feature.DecodeKey(mustJSON(t, raw))
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		k, err := feature.DecodeFieldKey(mustJSON(t, m["field_key"]))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return key(left) == key(right)
}

func checkKey(t *testing.T, c keyCase) {
	t.Helper()
	v := mustJSON(t, c.Input)
	k, err := feature.DecodeKey(v)
	f, ferr := feature.DecodeFieldKey(v)
	if (err == nil) != c.OK || (ferr == nil) != c.OK {
		t.Errorf("%s: accepted as feature %v, as field %v, want %v", c.Input, err, ferr, c.OK)
		return
	}
	if !c.OK {
		return
	}
	got := []string{k.String(), k.StructKey(), k.ColumnSuffix(), k.TableName(), f.String(), f.StructKey()}
	want := []string{c.String, c.StructKey, c.ColumnSuffix, c.TableName, c.String, c.StructKey}
	if d := cmp.Diff(want, got); d != "" || !slices.Equal(k.Parts(), c.Parts) {
		t.Errorf("%s: %s parts %q", c.Input, d, k.Parts())
	}
}

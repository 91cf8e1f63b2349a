package metaxy_test

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
)

// TestColumnTypes: ids are of the type of the own table, else of the upstream
// tables by the names after renames; versions are texts before any table is.
func TestColumnTypes(t *testing.T) {
	const (
		parent = `{"key": "parent", "id_columns": ["n"], "fields": [{"key": "x", "code_version": "1"}]}`
		child  = `{"key": "child", "id_columns": ["id"], "deps": [{"feature": "parent", "rename": {"n": "id"}}], "fields": [{"key": "y", "code_version": "1"}, {"key": "z", "code_version": "1"}]}`
	)
	b := newBench(t, metaxy.Options{}, parent, child)
	types := func(feature string) map[string]arrow.DataType {
		t.Helper()
		out, err := b.store.ColumnTypes(t.Context(), key(feature))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := types("child"); got["id"] != nil || got["metaxy_provenance_by_field"].String() != "struct<y: utf8 nullable, z: utf8 nullable>" || got["metaxy_data_version_by_field__parent"].String() != "struct<x: utf8 nullable>" {
		t.Errorf("without tables: %v", got)
	}
	b.put("parent", []string{"n int", "size float", byField + "{x}"}, `[{"n": 1, "size": 2.5, "metaxy_provenance_by_field": {"x": "1"}}]`)
	if got := types("child"); got["id"].ID() != arrow.INT64 || got["size"] != nil || got["n"] != nil {
		t.Errorf("with the parent's table: %v", got)
	}
	if got := types("parent"); got["n"].ID() != arrow.INT64 || got["size"].ID() != arrow.FLOAT64 || got["metaxy_created_at"].ID() != arrow.TIMESTAMP {
		t.Errorf("of the parent: %v", got)
	}
	if _, err := b.store.ColumnTypes(t.Context(), key("nosuch")); err == nil {
		t.Error("nosuch has types")
	}
}

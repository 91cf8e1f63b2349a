package cluster_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

const definitions = `project = "p"
[[features]]
key = "a/root"
id_columns = ["id"]
fields = [{ key = "x", code_version = "1" }]
[[features]]
key = "a/leaf"
id_columns = ["id"]
fields = [{ key = "y", code_version = "1" }]
deps = [{ feature = "a/root" }]
[[features]]
key = "a/group"
id_columns = ["parent"]
fields = [{ key = "z", code_version = "1" }]
[[features.deps]]
feature = "a/root"
lineage = { relationship = { type = "N:1", on = ["parent"] } }
`

func key(t testing.TB, text string) feature.Key {
	k, err := feature.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var rootSchema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "parent", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "metaxy_provenance_by_field", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
}, nil)

func rowsFrom(t testing.TB, schema *arrow.Schema, text string) *metaxy.Rows {
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(text))
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(b, nil) }}
}

// rootRows are rows from to below to of the root feature.
func rootRows(t testing.TB, from, to int, version string) *metaxy.Rows {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf(`{"id": %d, "parent": "p%d", "metaxy_provenance_by_field": {"x": %q}}`, i, i%7, fmt.Sprint(version, i)))
	}
	return rowsFrom(t, rootSchema, "["+strings.Join(list, ",")+"]")
}

// newStore has a root of 100 rows in four files, some of them written twice, and
// definitions of features that are made from it.
func newStore(t testing.TB) (*metaxy.DeltaStore, string) {
	dir := t.TempDir()
	g := feature.NewGraph(8)
	defs, err := config.Definitions("defs.toml", []byte(definitions), "p")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range defs {
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	s, err := metaxy.Open(t.Context(), dir, &metaxy.Options{Graph: g, Project: "p"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i, rows := range []*metaxy.Rows{rootRows(t, 0, 40, "a"), rootRows(t, 40, 80, "a"), rootRows(t, 70, 100, "b"), rootRows(t, 0, 10, "c")} {
		if _, err := s.Write(t.Context(), key(t, "a/root"), rows, nil); err != nil {
			t.Fatal(i, err)
		}
	}
	return s, dir
}

// resolved are the rows of a part of a resolve in one process.
func resolved(t testing.TB, s *metaxy.DeltaStore, k feature.Key, part metaxy.Part) *metaxy.Rows {
	inc, err := s.ResolveUpdate(t.Context(), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inc.Close)
	switch part {
	case metaxy.New:
		return inc.New(t.Context())
	case metaxy.Stale:
		return inc.Stale(t.Context())
	}
	return inc.Orphaned(t.Context())
}

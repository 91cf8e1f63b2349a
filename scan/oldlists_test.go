package scan_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// TestOldListsOfLists reads old_list_structure.parquet of
// apache/parquet-testing as the data file of a table; the values are those of
// Spark and pyarrow.
func TestOldListsOfLists(t *testing.T) {
	body, err := os.ReadFile("testdata/old-list-structure.parquet")
	if err != nil {
		t.Fatal(err)
	}
	store := objstore.New(objstore.NewMem())
	schema := `{"type":"struct","fields":[{"name":"a","type":{"type":"array","elementType":{"type":"array","elementType":"integer","containsNull":true},"containsNull":true},"nullable":true,"metadata":{}}]}`
	for key, data := range map[string]string{
		"a.parquet": string(body),
		"_delta_log/00000000000000000000.json": fmt.Sprintf(`{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":%q,"partitionColumns":[],"configuration":{}}}
{"add":{"path":"a.parquet","partitionValues":{},"size":%d,"modificationTime":0,"dataChange":true}}
`, schema, len(body)),
	} {
		if err := store.Put(t.Context(), key, bytes.NewReader([]byte(data))); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := delta.New(store, &delta.Options{Now: time.Now}).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := ""
	for b, err := range sc.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			rows += b.Column(0).ValueStr(i)
		}
	}
	if want := "[[1,2],[3,4]]"; rows != want {
		t.Errorf("%s, want %s", rows, want)
	}
}

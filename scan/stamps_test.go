package scan_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// TestNestedInt96 reads 96-bit timestamps of the years 1 and 9999 in structs, lists and maps, from a file that pyarrow 26 wrote.
func TestNestedInt96(t *testing.T) {
	body, err := os.ReadFile("testdata/int96-nested.parquet")
	if err != nil {
		t.Fatal(err)
	}
	store := objstore.New(objstore.NewMem())
	put := func(key string, data []byte) {
		if err := store.Put(t.Context(), key, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	stamp := `"timestamp"`
	field := func(name, typ string) string {
		return fmt.Sprintf(`{"name":"%s","type":%s,"nullable":true,"metadata":{}}`, name, typ)
	}
	schema := `{"type":"struct","fields":[` + strings.Join([]string{field("k", `"long"`), field("s", `{"type":"struct","fields":[`+field("until", stamp)+`]}`),
		field("l", `{"type":"array","elementType":`+stamp+`,"containsNull":true}`), field("m", `{"type":"map","keyType":"string","valueType":`+stamp+`,"valueContainsNull":true}`)}, ",") + `]}`
	put("a.parquet", body)
	put("_delta_log/00000000000000000000.json", []byte(`{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":`+fmt.Sprintf("%q", schema)+`,"partitionColumns":[],"configuration":{}}}
{"add":{"path":"a.parquet","partitionValues":{},"size":`+fmt.Sprint(len(body))+`,"modificationTime":0,"dataChange":true}}
`))
	snap, err := delta.New(store, &delta.Options{Now: time.Now}).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	const late, early = 253402300799999999, -62135596800000000
	for b, err := range sc.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		s := b.Column(1).(*array.Struct)
		until := s.Field(0).(*array.Timestamp)
		if until.Value(0) != late || until.Value(1) != 0 || !s.IsNull(2) {
			t.Errorf("struct: %s", s)
		}
		l := b.Column(2).(*array.List)
		inside := l.ListValues().(*array.Timestamp)
		if start, end := l.ValueOffsets(0); end-start != 3 || inside.Value(0) != early || !inside.IsNull(1) || inside.Value(2) != late || l.IsNull(1) || !l.IsNull(2) {
			t.Errorf("list: %s", l)
		}
		m := b.Column(3).(*array.Map)
		if items := m.Items().(*array.Timestamp); items.Len() != 1 || items.Value(0) != late || m.Keys().ValueStr(0) != "a" || !m.IsNull(2) {
			t.Errorf("map: %s", m)
		}
	}
}

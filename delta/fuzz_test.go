package delta_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

const plainSchema = `{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{}},{"name":"p","type":"date","nullable":true,"metadata":{}}]}`

const plainStats = `{"numRecords":3,"minValues":{"id":1},"maxValues":{"id":2},"nullCount":{"id":1}}`

// schemaOfID is the schema of a column id of a type.
func schemaOfID(typ string) string {
	return `{"type":"struct","fields":[{"name":"id","type":` + typ + `,"nullable":true,"metadata":{"delta.columnMapping.id":1,"delta.columnMapping.physicalName":"id"}},{"name":"p","type":"date","nullable":true,"metadata":{}}]}`
}

func FuzzSchema(f *testing.F) {
	nested := func(inner string) string {
		return `{"type":"struct","fields":[{"name":"id","type":` + inner + `,"nullable":false,"metadata":{"delta.columnMapping.id":1,"delta.columnMapping.physicalName":"c"}}]}`
	}
	for _, schema := range []string{
		plainSchema, nested(`"decimal(38,18)"`), nested(`"decimal(99,-1)"`), nested(`{"type":"array","elementType":"timestamp_ntz","containsNull":true}`), nested(`{"type":"map","keyType":"string","valueType":"void","valueContainsNull":true}`),
		nested(`{"type":"struct","fields":[{"name":"a.b","type":"interval day","nullable":true,"metadata":{}}]}`), nested(strings.Repeat(`{"type":"array","containsNull":true,"elementType":`, 200) + `"long"` + strings.Repeat("}", 200)),
		`{}`, `[]`, `"long"`, `{"type":"struct","fields":null}`, strings.Replace(plainSchema, `"p"`, `"ID"`, 1),
	} {
		f.Add(schema)
	}
	f.Fuzz(func(t *testing.T, schema string) { openHostile(t, schema, plainStats, "2020-01-02") })
}

func FuzzStats(f *testing.F) {
	for _, stats := range []string{plainStats, `{"numRecords":-1}`, `{"numRecords":1e30,"minValues":{"id":"x"}}`, `{"minValues":{"id":{"id":{}}},"nullCount":[]}`, `{`, `null`, `{"numRecords":"3"}`, `{"tightBounds":1}`,
		`{"numRecords":1,"minValues":{"id":"2020-01-01T00:00:00.000+25:99"},"maxValues":{"id":"NaN"}}`, `{"minValues":{"id":"-99999-99-99"},"maxValues":{"id":-1.5e-400}}`, `{"numRecords":1,"numRecords":2}`} {
		for _, typ := range statTypes {
			f.Add(typ, stats)
		}
	}
	f.Fuzz(func(t *testing.T, typ, stats string) { openHostile(t, schemaOfID(typ), stats, "2020-01-02") })
}

func FuzzPartition(f *testing.F) {
	for _, text := range []string{"", "__HIVE_DEFAULT_PARTITION__", "2020-01-02", "-1.-50", "NaN", "1E400", "2024-01-02T03:04:05.678901Z", "1969-12-31 23:59:59.999999", "99999-12-31", "+0", "0x10", "true", "\x00\xff", "1_000"} {
		for _, typ := range statTypes {
			f.Add(typ, text)
		}
	}
	f.Fuzz(func(t *testing.T, typ, text string) {
		openHostile(t, strings.Replace(plainSchema, `"date"`, typ, 1), plainStats, text)
	})
}

var statTypes = []string{`"long"`, `"byte"`, `"string"`, `"double"`, `"float"`, `"date"`, `"timestamp"`, `"timestamp_ntz"`, `"decimal(10,2)"`, `"boolean"`, `"binary"`, `{"type":"struct","fields":[]}`}

// openHostile wants a log with any schema text, statistics and partition value opened, or refused by name: as damaged, as unsupported, or for its
// schema. What opens answers every question about its files.
func openHostile(t *testing.T, schema, stats, partition string) {
	quote := func(s string) string {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	store := objstore.New(objstore.NewMem())
	body := fmt.Sprintf(`{"protocol":{"minReaderVersion":2,"minWriterVersion":5}}
{"metaData":{"id":"m","format":{"provider":"parquet","options":{}},"schemaString":%s,"partitionColumns":["p"],"configuration":{"delta.columnMapping.mode":"name"},"createdTime":1}}
{"add":{"path":"a","partitionValues":{"p":%s},"size":1,"modificationTime":2,"dataChange":true,"stats":%s}}`, quote(schema), quote(partition), quote(stats))
	if err := store.Put(t.Context(), "_delta_log/00000000000000000000.json", strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	snap, err := delta.New(store, &delta.Options{}).Snapshot(t.Context())
	var unsupported *delta.UnsupportedError
	var bad *delta.SchemaError
	if err != nil {
		if !errors.Is(err, txlog.ErrCorrupt) && !errors.As(err, &unsupported) && !errors.As(err, &bad) {
			t.Fatalf("%T %v is neither damage nor a limit", err, err)
		}
		return
	}
	arrowSchema := snap.Schema().Arrow()
	for _, file := range snap.Files() {
		if file.Records() < -1 || file.Rows() < -1 {
			t.Fatalf("%d records, %d rows", file.Records(), file.Rows())
		}
		for _, field := range arrowSchema.Fields() {
			file.Range([]string{field.Name})
			file.Range([]string{field.Name, "a.b"})
			file.Constant([]string{field.Name})
		}
		if _, err := file.Partition("p"); err != nil && !errors.Is(err, txlog.ErrCorrupt) && !strings.Contains(err.Error(), "partition column") {
			t.Fatalf("partition: %T %v", err, err)
		}
	}
}

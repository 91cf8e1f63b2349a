package scan_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestTypesOfDataFiles reads one value of each Parquet type as each type of Delta: what internal/docs/formats.md lists is read as the same value, at the top
// and in a struct, and everything else is corrupt. The list is what delta-spark's readers take, less days and instants as bare numbers.
func TestTypesOfDataFiles(t *testing.T) {
	us := func(zone string, unit arrow.TimeUnit) arrow.DataType {
		return &arrow.TimestampType{Unit: unit, TimeZone: zone}
	}
	files := []struct {
		typ    arrow.DataType
		value  string
		readAs string // types of Delta
	}{
		{arrow.FixedWidthTypes.Boolean, "true", "boolean"},
		{arrow.PrimitiveTypes.Int8, "7", "byte short integer long double date decimal(12,2) decimal(22,2)"},
		{arrow.PrimitiveTypes.Int16, "7", "byte short integer long double date decimal(12,2) decimal(22,2)"},
		{arrow.PrimitiveTypes.Int32, "7", "byte short integer long double date decimal(12,2) decimal(22,2)"},
		{arrow.PrimitiveTypes.Uint8, "7", "byte short integer long double decimal(12,2) decimal(22,2)"},
		{arrow.PrimitiveTypes.Uint32, "7", "byte short integer long double decimal(12,2) decimal(22,2)"},
		{arrow.PrimitiveTypes.Int64, "7", "long decimal(22,2)"},
		{arrow.PrimitiveTypes.Uint64, "7", "long decimal(22,2)"},
		{arrow.PrimitiveTypes.Float32, "1.5", "float double"},
		{arrow.PrimitiveTypes.Float64, "1.5", "double"},
		{&arrow.Decimal128Type{Precision: 5, Scale: 2}, "1.25", "decimal(5,2) decimal(12,2) decimal(22,2)"},
		{&arrow.Decimal128Type{Precision: 12, Scale: 1}, "1.2", "decimal(22,2)"},
		{arrow.BinaryTypes.String, "x", "string binary"},
		{arrow.BinaryTypes.Binary, "eA==", "string binary"},
		{&arrow.FixedSizeBinaryType{ByteWidth: 1}, "eA==", "binary"},
		{arrow.FixedWidthTypes.Date32, "2024-01-02", "date timestamp_ntz"},
		{us("UTC", arrow.Microsecond), "2024-01-02T03:04:05Z", "timestamp"},
		{us("UTC", arrow.Millisecond), "2024-01-02T03:04:05Z", "timestamp"},
		{us("", arrow.Microsecond), "2024-01-02T03:04:05", "timestamp timestamp_ntz"},
		{arrow.FixedWidthTypes.Time64us, "03:04:05", ""},
	}
	for _, f := range files {
		for _, to := range []string{"boolean", "byte", "short", "integer", "long", "float", "double", "decimal(5,2)", "decimal(12,2)", "decimal(22,2)", "string", "binary", "date", "timestamp", "timestamp_ntz"} {
			read := false
			for _, r := range strings.Fields(f.readAs) {
				read = read || r == to
			}
			if to == "date" && (f.typ.ID() == arrow.INT8 || f.typ.ID() == arrow.INT16) {
				read = false // only plain 32-bit numbers are days
			}
			for _, nested := range []bool{false, true} {
				got, err := readOneAs(t, f.typ, f.value, to, nested)
				switch {
				case read && err != nil:
					t.Errorf("%s as %s, in a struct %t: %v", f.typ, to, nested, err)
				case !read && !errors.Is(err, txlog.ErrCorrupt):
					t.Errorf("%s as %s, in a struct %t: read as %s (%v), want it corrupt", f.typ, to, nested, got, err)
				case !read && !strings.Contains(err.Error(), "column x"):
					t.Errorf("%s as %s: the column is not named: %v", f.typ, to, err)
				}
			}
		}
	}
}

// readOneAs writes a file of one value and reads it by a table whose column x has another type.
func readOneAs(t *testing.T, typ arrow.DataType, value, to string, nested bool) (string, error) {
	b := array.NewBuilder(memory.DefaultAllocator, typ)
	if err := b.AppendValueFromString(value); err != nil {
		t.Fatal(typ, err)
	}
	a, wanted := b.NewArray(), `"`+to+`"`
	if nested {
		st, err := array.NewStructArray([]arrow.Array{a}, []string{"m"})
		if err != nil {
			t.Fatal(err)
		}
		a, wanted = st, `{"type":"struct","fields":[{"name":"m","type":`+wanted+`,"nullable":true,"metadata":{}}]}`
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: a.DataType(), Nullable: true}}, nil)
	var body bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &body, parquet.NewWriterProperties(parquet.WithStoreDecimalAsInteger(true)), pqarrow.NewArrowWriterProperties())
	if err == nil {
		err = errors.Join(w.Write(array.NewRecordBatch(schema, []arrow.Array{a}, 1)), w.Close())
	}
	if err != nil {
		t.Fatal(typ, err)
	}
	store := objstore.New(objstore.NewMem())
	text := `{"type":"struct","fields":[{"name":"x","type":` + wanted + `,"nullable":true,"metadata":{}}]}`
	log := `{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"writerFeatures":["timestampNtz"]}}
{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":` + fmt.Sprintf("%q", text) + `,"partitionColumns":[],"configuration":{}}}
{"add":{"path":"a.parquet","partitionValues":{},"size":` + fmt.Sprint(body.Len()) + `,"modificationTime":0,"dataChange":true}}
`
	if err := errors.Join(store.Put(t.Context(), "a.parquet", &body), store.Put(t.Context(), "_delta_log/00000000000000000000.json", strings.NewReader(log))); err != nil {
		t.Fatal(err)
	}
	snap, err := delta.New(store, &delta.Options{Now: time.Now}).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range sc.Batches(t.Context()) {
		if err != nil {
			return "", err
		}
		return b.Column(0).ValueStr(0), nil
	}
	return "", errors.New("no rows")
}

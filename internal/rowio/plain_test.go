package rowio_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// foreign are types that tables lack, JSON of their values, and the type and
// the values that they come in as.
var foreign = []struct {
	name  string
	t     arrow.DataType
	meta  string // name of an extension type that nobody registered
	json  string
	plain string
	want  string
}{
	{"string view", arrow.BinaryTypes.StringView, "", `["a", null, "a text that is longer than a view"]`, "utf8", `"a" null "a text that is longer than a view"`},
	{"large string", arrow.BinaryTypes.LargeString, "", `["a", null]`, "utf8", `"a" null`},
	{"binary view", arrow.BinaryTypes.BinaryView, "", `["AP8=", null]`, "binary", "bytes 00ff null"},
	{"large binary", arrow.BinaryTypes.LargeBinary, "", `["AP8=", null]`, "binary", "bytes 00ff null"},
	{"fixed size binary", &arrow.FixedSizeBinaryType{ByteWidth: 2}, "", `["AP8=", "AAA="]`, "binary", "bytes 00ff bytes 0000"},
	{"fixed size binary with null", &arrow.FixedSizeBinaryType{ByteWidth: 2}, "", `["AP8=", null]`, "binary", "bytes 00ff null"},
	{"fixed size binary of no size", &arrow.FixedSizeBinaryType{}, "", `["", null]`, "binary", "bytes  null"},
	{"fixed size binary in a list", arrow.ListOf(&arrow.FixedSizeBinaryType{ByteWidth: 2}), "", `[["AP8="], [], null, ["AAA=", null]]`, "list<element: binary, nullable>", "[bytes 00ff] [] null [bytes 0000 null]"},
	{"fixed size binary in a struct", arrow.StructOf(arrow.Field{Name: "h", Type: &arrow.FixedSizeBinaryType{ByteWidth: 2}}), "", `[{"h": "AP8="}]`, "struct<h: binary>", `{"h": bytes 00ff}`},
	{"large list of views", arrow.LargeListOf(arrow.BinaryTypes.StringView), "", `[["a"], null, ["b", "c"]]`, "list<item: utf8, nullable>", `["a"] null ["b" "c"]`},
	{"fixed size list", arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Int64), "", `[[1, 2], null, [3, 4]]`, "list<item: int64, nullable>", "[1 2] null [3 4]"},
	{"list view", arrow.ListViewOf(arrow.PrimitiveTypes.Int64), "", `[[1, 2], null, [], [3]]`, "list<item: int64, nullable>", "[1 2] null [] [3]"},
	{"dictionary", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, "", `["a", null, "a"]`, "utf8", `"a" null "a"`},
	{"map of views", arrow.MapOf(arrow.BinaryTypes.StringView, &arrow.FixedSizeBinaryType{ByteWidth: 1}), "", `[[{"key": "a", "value": "AA=="}], null]`, "map<utf8, binary, items_nullable>", `map["a"][bytes 00] null`},
	{"UUID", extensions.NewUUIDType(), "", `["00010203-0405-0607-0809-0a0b0c0d0e0f", null]`, "utf8", `"00010203-0405-0607-0809-0a0b0c0d0e0f" null`},
	{"booleans in bytes", extensions.NewBool8Type(), "", `[true, null, false]`, "bool", "true null false"},
	{"fixed size binary of no size in a list", arrow.ListOf(&arrow.FixedSizeBinaryType{}), "", `[[""]]`, "", "column c.element: bytes of size 0"},
	{"nulls", arrow.Null, "", `[null, null]`, "null", "null null"},
	{"nulls in lists", arrow.ListOf(arrow.Null), "", `[[null], null, []]`, "list<item: null, nullable>", "[null] null []"},
	{"nulls in a struct", arrow.StructOf(arrow.Field{Name: "a", Type: arrow.Null, Nullable: true}), "", `[{"a": null}]`, "struct<a: null>", `{"a": null}`},
	{"nulls in a map", arrow.MapOf(arrow.BinaryTypes.String, arrow.Null), "", `[[{"key": "a", "value": null}]]`, "map<utf8, null, items_nullable>", `map["a"][null]`},
	{"half floats", arrow.FixedWidthTypes.Float16, "", `[0.5, null]`, "float32", "float 3fe0000000000000 null"},
	{"polars map", arrow.ListOf(arrow.StructOf(arrow.Field{Name: "key", Type: arrow.BinaryTypes.StringView}, arrow.Field{Name: "value", Type: arrow.PrimitiveTypes.Int64, Nullable: true})), "polars_map.map",
		`[[{"key": "a", "value": 1}, {"key": "b", "value": null}], null, []]`, "map<utf8, int64, items_nullable>", `map["a" "b"][1 null] null map[][]`},
	{"large polars map", arrow.LargeListOf(arrow.StructOf(arrow.Field{Name: "key", Type: arrow.BinaryTypes.String}, arrow.Field{Name: "value", Type: arrow.PrimitiveTypes.Int64, Nullable: true})), "polars_map.map",
		`[[{"key": "a", "value": 1}]]`, "map<utf8, int64, items_nullable>", `map["a"][1]`},
	{"polars map with a null key", arrow.ListOf(arrow.StructOf(arrow.Field{Name: "key", Type: arrow.BinaryTypes.String, Nullable: true}, arrow.Field{Name: "value", Type: arrow.PrimitiveTypes.Int64, Nullable: true})), "polars_map.map",
		`[[{"key": null, "value": 1}]]`, "", "column c: a map with a null key"},
	{"polars map of something else", arrow.PrimitiveTypes.Int64, "polars_map.map", `[1]`, "", "column c: a map by polars_map.map wants lists of key and value, got int64"},
	{"months", arrow.FixedWidthTypes.MonthInterval, "", `[{"months": 1}]`, "", "column c: an interval has no type in a table"},
	{"intervals in a list", arrow.ListOf(arrow.FixedWidthTypes.MonthDayNanoInterval), "", `[null]`, "", "column c.element: an interval has no type in a table"},
}

// TestForeignTypes reads each type in Arrow's file form and stream form, and in
// Parquet where that has it.
func TestForeignTypes(t *testing.T) {
	dir := t.TempDir()
	for _, c := range foreign {
		t.Run(c.name, func(t *testing.T) {
			a, _, err := array.FromJSON(memory.DefaultAllocator, c.t, strings.NewReader(c.json))
			if err != nil {
				t.Fatal(err)
			}
			defer a.Release()
			f := arrow.Field{Name: "c", Type: c.t, Nullable: true}
			if c.meta != "" {
				f.Metadata = arrow.NewMetadata([]string{"ARROW:extension:name", "ARROW:extension:metadata"}, []string{c.meta, ""})
			}
			schema := arrow.NewSchema([]arrow.Field{f}, nil)
			b := array.NewRecordBatch(schema, []arrow.Array{a}, int64(a.Len()))
			defer b.Release()
			for _, form := range []string{"file.arrow", "stream.arrow", "f.parquet"} {
				data, err := encoded(form, b)
				if err != nil || form == "f.parquet" && c.name == "booleans in bytes" {
					continue // the form has no such type
				}
				path := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-")+form)
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				got, err := columnOf(t, path)
				want := strings.ReplaceAll(c.plain, " nullable", "") + " " + c.want
				if c.plain == "" && (err == nil || !strings.Contains(err.Error(), c.want)) || c.plain != "" && (err != nil || normal(got) != normal(want)) {
					t.Errorf("%s: got %s, %v\nwant %s", form, got, err, want)
				}
			}
		})
	}
}

// normal leaves out how elements are called.
func normal(s string) string {
	return strings.NewReplacer("element: ", "", "item: ", "", ", nullable>", ">", " nullable", "", ",>", ">").Replace(s)
}

func encoded(form string, b arrow.RecordBatch) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	var out bytes.Buffer
	var w interface {
		Write(arrow.RecordBatch) error
		Close() error
	}
	switch form {
	case "file.arrow":
		w, err = ipc.NewFileWriter(&out, ipc.WithSchema(b.Schema()))
	case "stream.arrow":
		w = ipc.NewWriter(&out, ipc.WithSchema(b.Schema()))
	default:
		w, err = pqarrow.NewFileWriter(b.Schema(), &out, nil, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	}
	if err != nil {
		return nil, err
	}
	if err := w.Write(b); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

// columnOf has the type and the values of the first column of a file.
func columnOf(t *testing.T, path string) (string, error) {
	f, err := rowio.Open(t.Context(), path, nil)
	if err != nil {
		return "", err
	}
	defer f.Close()
	out := []string{f.Schema.Field(0).Type.String()}
	for b, err := range f.Batches {
		if err != nil {
			return "", err
		}
		if !arrow.TypeEqual(b.Column(0).DataType(), f.Schema.Field(0).Type) {
			t.Errorf("a column of type %s in a schema with %s", b.Column(0).DataType(), f.Schema.Field(0).Type)
		}
		for i := range int(b.NumRows()) {
			out = append(out, valueOf(b.Column(0), i))
		}
	}
	return strings.Join(out, " "), nil
}

// TestDamagedArrow gives offsets that lead out of their buffers and texts that
// are none: the file is refused by the column, and nothing panics.
func TestDamagedArrow(t *testing.T) {
	for _, c := range []struct {
		t          arrow.DataType
		json       string
		find, with []byte
		want       string
	}{
		{arrow.BinaryTypes.String, `["x", "yyy"]`, offsets(0, 1, 4), offsets(0, 1, 1<<20), "string offsets out of bounds of data buffer"},
		{arrow.BinaryTypes.Binary, `["AP8=", "AP8A"]`, offsets(0, 2, 5), offsets(0, 7, 5), "column c: the rows from 1 on are damaged"},
		{arrow.ListOf(arrow.PrimitiveTypes.Int8), `[[1], [2, 3]]`, offsets(0, 1, 3), offsets(0, -1, 3), "column c: the rows from 1 on are damaged"},
		{&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, `["a", "b", "a", "b"]`, offsets(0, 1, 0, 1), offsets(0, 1, 9, 1), "column c"},
		{arrow.BinaryTypes.String, `["x", "yqy"]`, []byte("yqy"), []byte("y\xe9y"), `column c: row 2: "y\xe9y" is no UTF-8`},
	} {
		a, _, err := array.FromJSON(memory.DefaultAllocator, c.t, strings.NewReader(c.json))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		b := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "c", Type: c.t, Nullable: true}}, nil), []arrow.Array{a}, int64(a.Len()))
		defer b.Release()
		for _, form := range []string{"file.arrow", "stream.arrow"} {
			data, err := encoded(form, b)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(data, c.find); n != 1 {
				t.Fatalf("%s: the bytes stand there %d times", c.t, n)
			}
			path := filepath.Join(t.TempDir(), form)
			if err := os.WriteFile(path, bytes.Replace(data, c.find, c.with, 1), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := columnOf(t, path); err == nil || !strings.Contains(err.Error(), c.want) || unwanted(err.Error()) != "" {
				t.Errorf("%s %s: got %s, %v; want %q", form, c.t, got, err, c.want)
			}
		}
	}
}

func offsets(list ...int32) []byte { return arrow.Int32Traits.CastToBytes(list) }

func openPath(t *testing.T, path string) (*rowio.File, error) {
	t.Helper()
	return rowio.Open(t.Context(), path, nil)
}

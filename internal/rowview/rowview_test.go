package rowview_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/internal/rowview"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.BinaryTypes.String},
	{Name: "size", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "by", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
	{Name: "metaxy_created_at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
}, nil)

func batch(t *testing.T, rows string) arrow.RecordBatch {
	t.Helper()
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Release)
	return b
}

const rows = `[{"id": "a", "size": 1234, "by": {"x": "1"}, "metaxy_created_at": "2026-01-02 03:04:05.000000Z"},
	{"id": "b\u001b[31m\nb", "by": {}},
	{"id": "c", "size": 7, "by": null}]`

// TestTable: nothing steers a terminal; in one types are told, numbers stand at
// the right, and columns of the system go first where not all fit.
func TestTable(t *testing.T) {
	for _, c := range []struct {
		name  string
		style terminal.Style
		want  string
	}{
		{"free", terminal.Style{}, `id        size  by          metaxy_created_at
a         1234  {"x":"1"}   2026-01-02T03:04:05Z
b\ufffd[31m↵b  null  {"x":null}  null
c         7     null        null
`},
		{"40", terminal.Style{Width: 40}, `id        size  by          …
str        i64  struct[1]   …
a         1234  {"x":"1"}   …
b\ufffd[31m↵b  null  {"x":null}  …
c            7  null        …
… 1 more columns
`},
	} {
		var b strings.Builder
		w := rowview.NewTable(&b, c.style, schema)
		if err := w.Write(batch(t, rows)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.ReplaceAll(c.want, `\ufffd`, "\ufffd"), b.String()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// TestPreview has five rows of however many there are, as Polars would show them.
func TestPreview(t *testing.T) {
	var p rowview.Preview
	p.Add(batch(t, rows))
	p.Add(batch(t, rows))
	want := `Rows: 5
Columns: 4
$ id                     <str> 'a', 'b\ufffd[31m
b', 'c', 'a', 'b\ufffd[31m
b'
$ size                   <i64> 1234, null, 7, 1234, null
$ by               <struct[1]> {'x': '1'}, {'x': None}, null, {'x': '1'}, {'x': None}
$ metaxy_created_at <datetime[μs, UTC]> 2026-01-02 03:04:05+00:00, null, null, 2026-01-02 03:04:05+00:00, null`
	if got := p.Text(schema); p.Rows() != 5 || strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(strings.ReplaceAll(want, `\ufffd`, "\ufffd")), " ") {
		t.Errorf("%d rows:\n%s", p.Rows(), got)
	}
}

func TestType(t *testing.T) {
	for want, typ := range map[string]arrow.DataType{
		"str": arrow.BinaryTypes.LargeString, "i64": arrow.PrimitiveTypes.Int64, "i32": arrow.PrimitiveTypes.Int32, "f64": arrow.PrimitiveTypes.Float64, "bool": arrow.FixedWidthTypes.Boolean,
		"datetime[μs]": &arrow.TimestampType{Unit: arrow.Microsecond}, "list[struct[1]]": arrow.ListOf(arrow.StructOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String})), "date32": arrow.FixedWidthTypes.Date32,
	} {
		if got := rowview.Type(typ); got != want {
			t.Errorf("%s: %s", want, got)
		}
	}
}

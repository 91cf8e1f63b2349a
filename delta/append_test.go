package delta_test

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

func now() time.Time { return time.Now() }

func localTable(t testing.TB, dir string) *delta.Table {
	t.Helper()
	d, err := objstore.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return delta.New(objstore.New(d), &delta.Options{Now: now})
}

// rowsOf makes one batch from JSON rows.
func rowsOf(t testing.TB, schema *arrow.Schema, rows ...string) *delta.Rows {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, r := range rows {
		if err := b.UnmarshalJSON([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	rec := b.NewRecordBatch()
	var seq iter.Seq2[arrow.RecordBatch, error] = func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }
	return &delta.Rows{Schema: schema, Batches: seq}
}

func fields(list ...any) *arrow.Schema {
	var out []arrow.Field
	for i := 0; i < len(list); i += 2 {
		out = append(out, arrow.Field{Name: list[i].(string), Type: list[i+1].(arrow.DataType), Nullable: true})
	}
	return arrow.NewSchema(out, nil)
}

var utc = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

func TestAppendCreatesAndMerges(t *testing.T) {
	ctx := context.Background()
	tb := localTable(t, t.TempDir())
	st := arrow.StructOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true})
	st2 := arrow.StructOf(arrow.Field{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true})
	r, err := tb.Append(ctx, rowsOf(t, fields("id", arrow.PrimitiveTypes.Int32, "s", st, "at", utc), `{"id": 1, "s": {"a": "x"}, "at": "2024-01-02 03:04:05.678901Z"}`), &delta.AppendOptions{MergeSchema: true, Cast: true})
	if err != nil || r.Version != 0 || r.Rows != 1 || r.Files != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	r, err = tb.Append(ctx, rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64, "s", st2, "n", arrow.PrimitiveTypes.Float64), `{"id": 2, "s": {"b": "y"}, "n": 1.5}`, `{"id": 3}`), &delta.AppendOptions{MergeSchema: true, Cast: true})
	if err != nil || r.Version != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	snap, err := tb.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := snap.Schema().Arrow().String(); !strings.Contains(got, "id: type=int32") || !strings.Contains(got, "struct<a: utf8 nullable, b: utf8 nullable>") || !strings.Contains(got, "n: type=float64") {
		t.Errorf("schema %s", got)
	}
	if p := snap.State().Protocol; p.MinReaderVersion != 1 || p.MinWriterVersion != 2 {
		t.Errorf("protocol %+v", p)
	}
	files := snap.Files()
	if len(files) != 2 || files[0].Rows() != 1 || files[1].Rows() != 2 {
		t.Fatalf("files %+v", files)
	}
	if r := files[1].Range([]string{"id"}); r.Min != int64(2) || r.Max != int64(3) || r.Nulls != 0 {
		t.Errorf("range %+v", r)
	}
	if v, ok := files[1].Constant([]string{"s", "b"}); ok {
		t.Errorf("constant %v although one row has none", v)
	}
	_, err = tb.Append(ctx, rowsOf(t, fields("id", arrow.PrimitiveTypes.Int64), `{"id": 99999999999}`), &delta.AppendOptions{MergeSchema: true, Cast: true})
	var se *delta.SchemaError
	if !errors.As(err, &se) || se.Column != "id" {
		t.Errorf("an overflow gave %v", err)
	}
	if again, err := tb.Snapshot(ctx); err != nil || again.Version() != 1 {
		t.Errorf("version %v %v after a failed append", again.Version(), err)
	}
}

func TestMissingTable(t *testing.T) {
	if _, err := localTable(t, t.TempDir()+"/none").Snapshot(context.Background()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

package delta_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// habit is how the values of a column come.
type habit string

var habits = []habit{"one", "one then many", "few", "many", "null", "null then one", "empty"}

// text draws row i of a column with a habit, of batch k.
func (h habit) text(t *rapid.T, k, i int) any {
	many := func() string { return fmt.Sprintf("%08d", rapid.IntRange(0, 1<<20).Draw(t, "value")) }
	switch h {
	case "one":
		return "same"
	case "one then many":
		if k == 0 {
			return "same"
		}
		return many()
	case "few":
		return []string{"a", "b", "", strings.Repeat("c", 300)}[rapid.IntRange(0, 3).Draw(t, "few")]
	case "many":
		if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
			return nil
		}
		return many()
	case "null":
		return nil
	case "null then one":
		if k == 0 {
			return nil
		}
		return "late"
	}
	return ""
}

func (h habit) number(t *rapid.T, k, i int) any {
	switch v := h.text(t, k, i).(type) {
	case nil:
		return nil
	case string:
		if n := 0; len(v) == 8 {
			fmt.Sscan(v, &n)
			return n - 1<<19
		}
		return len(v)
	}
	return 0
}

// fill appends a value of any type; structs have a null now and then.
func fill(t *rapid.T, b array.Builder, h habit, k, i int) {
	switch b := b.(type) {
	case *array.StructBuilder:
		whole := rapid.IntRange(0, 7).Draw(t, "struct") > 0 || h == "one"
		b.Append(whole)
		for m := range b.NumField() {
			if whole {
				fill(t, b.FieldBuilder(m), h, k, i)
			} else {
				b.FieldBuilder(m).AppendNull()
			}
		}
	case *array.ListBuilder:
		n := rapid.IntRange(-1, 3).Draw(t, "list")
		b.Append(n >= 0)
		for range max(n, 0) {
			fill(t, b.ValueBuilder(), h, k, i)
		}
	case *array.StringBuilder:
		if v := h.text(t, k, i); v == nil {
			b.AppendNull()
		} else {
			b.Append(v.(string))
		}
	default:
		v := h.number(t, k, i)
		if v == nil {
			b.AppendNull()
		} else if err := b.AppendValueFromString(number(b.Type(), v.(int))); err != nil {
			t.Fatal(err)
		}
	}
}

func number(typ arrow.DataType, n int) string {
	switch typ.ID() {
	case arrow.BOOL:
		return fmt.Sprint(n%2 == 0)
	case arrow.INT8:
		return fmt.Sprint(int8(n))
	case arrow.DATE32:
		return time.Unix(int64(n%100000)*86400, 0).UTC().Format("2006-01-02")
	case arrow.TIMESTAMP:
		return time.UnixMicro(int64(n) * 1e6).UTC().Format("2006-01-02T15:04:05.000000Z")
	case arrow.DECIMAL128:
		return fmt.Sprintf("%d.%02d", n/100, max(n, -n)%100)
	}
	return fmt.Sprint(n)
}

var leafTypes = []arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int8, arrow.FixedWidthTypes.Date32, utc,
	arrow.PrimitiveTypes.Float64, arrow.FixedWidthTypes.Boolean, &arrow.Decimal128Type{Precision: 12, Scale: 2}}

func drawType(t *rapid.T, depth int, lists bool) arrow.DataType {
	switch n := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case n < 2 && depth < 3:
		return arrow.StructOf(arrow.Field{Name: "x", Type: drawType(t, depth+1, false), Nullable: true}, arrow.Field{Name: "y", Type: drawType(t, depth+1, false), Nullable: true})
	case n == 2 && lists:
		return arrow.ListOf(rapid.SampledFrom(leafTypes).Draw(t, "element"))
	}
	return rapid.SampledFrom(leafTypes).Draw(t, "type")
}

// batchesOf draws batches of a schema.
func batchesOf(t *rapid.T) (*arrow.Schema, []arrow.RecordBatch) {
	lists := rapid.IntRange(0, 4).Draw(t, "lists") == 0
	var fs []any
	var how []habit
	for c := range rapid.IntRange(1, 5).Draw(t, "columns") {
		fs = append(fs, fmt.Sprintf("c%d", c), drawType(t, 0, lists))
		how = append(how, rapid.SampledFrom(habits).Draw(t, "habit"))
	}
	schema := fields(fs...)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	var out []arrow.RecordBatch
	for k := range rapid.IntRange(1, 4).Draw(t, "batches") {
		for i := range rapid.IntRange(1, 40).Draw(t, "rows") {
			for c := range schema.Fields() {
				fill(t, b.Field(c), how[c], k, i)
			}
		}
		out = append(out, b.NewRecordBatch())
	}
	return schema, out
}

func textsOf(batches []arrow.RecordBatch) (out []string) {
	for _, b := range batches {
		for i := range int(b.NumRows()) {
			var row []string
			for _, c := range b.Columns() {
				row = append(row, c.ValueStr(i))
			}
			out = append(out, strings.Join(row, " | "))
		}
	}
	return out
}

// TestEncodedFiles writes rows of any types in batches and row groups of any
// size. The files hold these rows in their order, and their footers are true.
func TestEncodedFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		schema, batches := batchesOf(t)
		tb := delta.New(objstore.New(objstore.NewMem()), &delta.Options{Now: now})
		snap, err := createdAs(tb, schema)
		if err != nil {
			t.Fatal(err)
		}
		opts := &delta.FileOptions{GroupRows: int64(rapid.IntRange(1, 50).Draw(t, "group")), TargetBytes: rapid.SampledFrom([]int64{-1, 300}).Draw(t, "target")}
		adds, err := tb.WriteFiles(context.Background(), snap, &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
			for _, b := range batches {
				if !yield(b, nil) {
					return
				}
			}
		}}, opts)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range adds {
			rows, groups := readFile(t, tb, a)
			got = append(got, rows...)
			if groups == 0 {
				t.Fatalf("%s has no row group", a.Path)
			}
		}
		if want := textsOf(batches); !slices.Equal(got, want) {
			t.Fatalf("%s: read\n%s\nwant\n%s", schema, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func createdAs(tb *delta.Table, schema *arrow.Schema) (*delta.Snapshot, error) {
	none := &delta.Rows{Schema: schema, Batches: func(func(arrow.RecordBatch, error) bool) {}}
	if _, err := tb.Append(context.Background(), none, nil); err != nil {
		return nil, err
	}
	return tb.Snapshot(context.Background())
}

// readFile reads a data file with the library alone and judges its footer.
func readFile(t *rapid.T, tb *delta.Table, a *txlog.Add) (rows []string, groups int) {
	key, err := txlog.DecodePath(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	body, err := tb.Store().ReadAll(context.Background(), key, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fr, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	every := make([]int, r.MetaData().Schema.NumColumns())
	for i := range every {
		every[i] = i
	}
	for g := range r.NumRowGroups() {
		tbl, err := fr.ReadRowGroups(context.Background(), every, []int{g})
		if err != nil {
			t.Fatal(err)
		}
		tr := array.NewTableReader(tbl, -1)
		for tr.Next() {
			b := tr.RecordBatch()
			rows = append(rows, textsOf([]arrow.RecordBatch{b})...)
		}
		if err := tr.Err(); err != nil {
			t.Fatal(err)
		}
		for c := range tbl.NumCols() {
			judgeStats(t, r.MetaData().RowGroup(g), int(c), tbl)
		}
		tr.Release()
		tbl.Release()
	}
	return rows, r.NumRowGroups()
}

// judgeStats holds the statistics of a flat column of a row group against its rows.
func judgeStats(t *rapid.T, g *metadata.RowGroupMetaData, column int, tbl arrow.Table) {
	name := tbl.Schema().Field(column).Name
	for i := range g.NumColumns() {
		cc, err := g.ColumnChunk(i)
		if err != nil {
			t.Fatal(err)
		}
		if p := cc.PathInSchema(); len(p) != 1 || p[0] != name {
			continue
		}
		st, err := cc.Statistics()
		if err != nil {
			t.Fatal(err)
		}
		if st == nil {
			continue
		}
		nulls := int64(0)
		var texts []string
		for _, a := range tbl.Column(column).Data().Chunks() {
			nulls += int64(a.NullN())
			for k := range a.Len() {
				if a.IsValid(k) {
					texts = append(texts, a.ValueStr(k))
				}
			}
		}
		if st.NullCount() != nulls {
			t.Fatalf("%s: the footer counts %d nulls, there are %d", name, st.NullCount(), nulls)
		}
		if s, ok := st.(*metadata.ByteArrayStatistics); ok && cc.Type() == parquet.Types.ByteArray && len(texts) > 0 {
			if string(s.Min()) != slices.Min(texts) || string(s.Max()) != slices.Max(texts) || !s.HasMinMax() {
				t.Fatalf("%s: the footer has %q to %q, the rows %q to %q", name, s.Min(), s.Max(), slices.Min(texts), slices.Max(texts))
			}
		}
	}
}

// TestWriteFails breaks a write in every place: nothing stays behind, neither a
// file nor memory nor a goroutine.
func TestWriteFails(t *testing.T) {
	const batches, rows = 4, 5000
	schema := fields("id", arrow.PrimitiveTypes.Int64, "text", arrow.BinaryTypes.String)
	build := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range rows {
		build.Field(0).(*array.Int64Builder).Append(int64(i))
		build.Field(1).(*array.StringBuilder).Append(fmt.Sprint(i * 7919))
	}
	b := build.NewRecordBatch()
	build.Release()
	defer b.Release()
	broken := errors.New("broken")
	before := runtime.NumGoroutine()
	for at := range batches + 1 {
		for _, how := range []string{"rows", "panic", "store"} {
			mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
			under := objstoretest.NewFaulty(objstore.NewMem(), 1)
			store := objstore.New(under)
			tb := delta.New(store, &delta.Options{Now: now, Allocator: mem})
			if how == "store" {
				store = objstore.New(&deaf{Driver: under, after: at * 30_000})
				tb = delta.New(store, &delta.Options{Now: now, Allocator: mem})
			}
			_, err := tb.Append(t.Context(), &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
				for k := range batches {
					if k == at && how == "rows" {
						yield(nil, broken)
						return
					}
					if k == at && how == "panic" {
						panic(broken)
					}
					if !yield(b, nil) {
						return
					}
				}
			}}, nil)
			if at == batches && how != "store" {
				if err != nil {
					t.Fatal(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), "broken") {
				t.Fatalf("%s at %d: %v", how, at, err)
			}
			if n := mem.CurrentAlloc(); n != 0 {
				t.Errorf("%s at %d: %d bytes are kept", how, at, n)
			}
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// deaf takes so many bytes of a file and then breaks.
type deaf struct {
	objstore.Driver
	after int
}

func (d *deaf) Put(ctx context.Context, key string, body io.Reader) error {
	if _, err := io.CopyN(io.Discard, body, int64(d.after)); err != nil {
		return err
	}
	return errors.New("broken")
}

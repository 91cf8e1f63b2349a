package scan_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// toldTable is a table of one file by this engine, and the text of the commit that adds it.
func toldTable(t *testing.T, engine string) (objstore.Driver, *delta.Table, string) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "l", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "i", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, {Name: "b", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
		{Name: "f", Type: arrow.PrimitiveTypes.Float32, Nullable: true}, {Name: "d", Type: arrow.PrimitiveTypes.Float64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "da", Type: arrow.FixedWidthTypes.Date32, Nullable: true}, {Name: "ts", Type: arrow.FixedWidthTypes.Timestamp_us, Nullable: true},
		{Name: "dec", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}, Nullable: true},
		{Name: "st", Type: arrow.StructOf(arrow.Field{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
	}, nil)
	text := `[{"l":1,"i":2,"b":3,"f":0.5,"d":1.25,"s":"abcdefghij","da":"2024-01-02","ts":"2024-01-02T03:04:05.678901Z","dec":"1.50","st":{"a":"x"}},
		{"l":5,"i":6,"b":7,"f":2.5,"d":9.25,"s":"abcdefghik","da":"2024-03-04","ts":"2024-03-04T05:06:07.891234Z","dec":"7.25","st":{"a":"z"}},
		{"l":null,"i":null,"b":null,"f":null,"d":null,"s":null,"da":null,"ts":null,"dec":null,"st":null}]`
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	driver := objstore.NewMem()
	tb := delta.New(objstore.New(driver), &delta.Options{Now: time.Now, EngineInfo: engine})
	if _, err := tb.Append(t.Context(), &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}, nil); err != nil {
		t.Fatal(err)
	}
	body, err := tb.Store().ReadAll(t.Context(), "_delta_log/00000000000000000000.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return driver, tb, string(body)
}

// read gives the number of rows of each way to read a table.
func read(ctx context.Context, tb *delta.Table, o *scan.Options) (streamed, read, taken int64, err error) {
	snap, err := tb.Snapshot(ctx)
	if err != nil {
		return
	}
	sc, err := scan.New(snap, o)
	if err != nil {
		return
	}
	for b, e := range sc.Batches(ctx) {
		if err = e; err != nil {
			break
		}
		streamed += b.NumRows()
	}
	units, e := sc.Units(ctx)
	if e != nil {
		return streamed, 0, 0, e
	}
	columns := []string{"l", "i", "b", "f", "d", "s", "da", "ts", "dec", "st", "st.a"}
	for i := range units {
		for b, e := range sc.Read(ctx, i, frame.Span{To: units[i].Rows}, columns) {
			if e != nil {
				err = errors.Join(err, e)
				break
			}
			read += b.Batch.NumRows()
		}
		for b, e := range sc.Take(ctx, []frame.Ref{frame.RefOf(i, 0), frame.RefOf(i, 1), frame.RefOf(i, 2)}, columns) {
			if e != nil {
				err = errors.Join(err, e)
				break
			}
			taken += b.NumRows()
		}
	}
	return
}

// TestContradictions changes what the log says of a file: rows that do not fit are refused as damage that names the file and the column, whichever way they are
// read; those of a writer who is not believed are given.
func TestContradictions(t *testing.T) {
	for _, c := range []struct{ column, of, told, lie string }{
		{"l", "minValues", `"l":1`, `"l":2`}, {"l", "maxValues", `"l":5`, `"l":4`}, {"i", "minValues", `"i":2`, `"i":3`}, {"i", "maxValues", `"i":6`, `"i":5`},
		{"b", "minValues", `"b":3`, `"b":4`}, {"b", "maxValues", `"b":7`, `"b":6`}, {"f", "minValues", `"f":0.5`, `"f":0.75`}, {"f", "maxValues", `"f":2.5`, `"f":2.25`},
		{"d", "minValues", `"d":1.25`, `"d":1.5`}, {"d", "maxValues", `"d":9.25`, `"d":9.125`}, {"s", "minValues", "abcdefghij", "abcdefghik"}, {"s", "maxValues", "abcdefghik", "abcdefghij"},
		{"da", "minValues", "2024-01-02", "2024-01-03"}, {"da", "maxValues", "2024-03-04", "2024-03-03"},
		{"ts", "minValues", "03:04:05.678", "03:04:05.679"}, {"ts", "maxValues", "05:06:07.891", "05:06:07.890"}, {"dec", "minValues", `"dec":1.50`, `"dec":1.51`},
		{"dec", "maxValues", `"dec":7.25`, `"dec":7.24`}, {"st.a", "minValues", `"a":"x"`, `"a":"y"`}, {"st.a", "maxValues", `"a":"z"`, `"a":"y"`},
		{"l", "nullCount", `"l":1`, `"l":0`}, {"l", "nullCount", `"l":1`, `"l":2`}, {"st.a", "nullCount", `"a":1`, `"a":0`}, {"st.a", "nullCount", `"a":1`, `"a":2`},
	} {
		counted := c.of == "nullCount" // of a whole reading only
		for _, engine := range []string{"metaxy-delta test", "delta-rs:py-1.6.6"} {
			driver, tb, commit := toldTable(t, engine)
			at := strings.Index(commit, c.of)
			lie := commit[:at] + strings.Replace(commit[at:], strings.ReplaceAll(c.told, `"`, `\"`), strings.ReplaceAll(c.lie, `"`, `\"`), 1)
			if lie == commit {
				t.Fatalf("%s is not in %s", c.told, commit)
			}
			if err := driver.Put(t.Context(), "_delta_log/00000000000000000000.json", strings.NewReader(lie)); err != nil {
				t.Fatal(err)
			}
			streamed, read1, taken, err := read(t.Context(), tb, nil)
			var file *scan.FileError
			switch {
			case engine == "delta-rs:py-1.6.6":
				if err != nil || streamed != 3 || read1 != 3 || taken != 3 {
					t.Errorf("%s for %s by another engine: %d, %d, %d rows, %v", c.lie, c.told, streamed, read1, taken, err)
				}
				continue
			case !errors.Is(err, txlog.ErrCorrupt) || !errors.As(err, &file) || !strings.HasSuffix(file.Path, ".parquet") || !strings.Contains(err.Error(), "column "+c.column+":"):
				t.Errorf("%s for %s: %v", c.lie, c.told, err)
			case streamed != 0 || !counted && (read1 != 0 || taken != 0) || counted && read1 != 3:
				t.Errorf("%s for %s: %d, %d, %d rows came before %v", c.lie, c.told, streamed, read1, taken, err)
			}
			if streamed, read1, taken, err := read(t.Context(), tb, &scan.Options{Unverified: true}); err != nil || streamed != 3 || read1 != 3 || taken != 3 {
				t.Errorf("%s for %s, unverified: %d, %d, %d rows, %v", c.lie, c.told, streamed, read1, taken, err)
			}
		}
	}
}

// TestVerifiedColumns wants only columns that are read to matter, be it for a filter.
func TestVerifiedColumns(t *testing.T) {
	driver, tb, commit := toldTable(t, "metaxy-delta test")
	lie := strings.Replace(commit, `\"l\":1,`, `\"l\":2,`, 1)
	if err := driver.Put(t.Context(), "_delta_log/00000000000000000000.json", strings.NewReader(lie)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		columns, where string
		ok             bool
	}{{"i,s", "", true}, {"i,l", "", false}, {"i", "l > 3", false}, {"i", "i > 3", true}} {
		o := &scan.Options{Columns: strings.Split(c.columns, ",")}
		if c.where != "" {
			var err error
			if o.Filter, err = filter.ParseSQL(c.where); err != nil {
				t.Fatal(err)
			}
		}
		snap, err := tb.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sc, err := scan.New(snap, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range sc.Batches(t.Context()) {
			err = e
		}
		if (err == nil) != c.ok {
			t.Errorf("%s where %q: %v", c.columns, c.where, err)
		}
	}
}

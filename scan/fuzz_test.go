package scan_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// smallTable writes a table of one small file with every kind of column that a store has, and returns its store and the file's key and body.
func smallTable(tb testing.TB) (*objstore.Store, string, []byte) {
	tb.Helper()
	text := arrow.BinaryTypes.String
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "s", Type: arrow.StructOf(arrow.Field{Name: "a", Type: text, Nullable: true}), Nullable: true},
		{Name: "l", Type: arrow.ListOf(arrow.PrimitiveTypes.Float64), Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range 40 {
		row := fmt.Sprintf(`{"id": %d, "s": {"a": "v%d"}, "l": [%d.5, null], "at": "2024-01-02 03:04:%02d.000001Z"}`, i, i%7, i, i)
		if i%10 == 9 {
			row = `{"id": null, "s": null, "l": null, "at": null}`
		}
		if err := b.UnmarshalJSON([]byte(row)); err != nil {
			tb.Fatal(err)
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	store := objstore.New(objstore.NewMem())
	var batches iter.Seq2[arrow.RecordBatch, error] = func(yield func(arrow.RecordBatch, error) bool) { yield(batch, nil) }
	table := delta.New(store, &delta.Options{Now: func() time.Time { return time.UnixMilli(1) }})
	if _, err := table.Append(tb.Context(), &delta.Rows{Schema: schema, Batches: batches}, nil); err != nil {
		tb.Fatal(err)
	}
	snap, err := table.Snapshot(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	key := snap.Files()[0].Key
	body, err := store.ReadAll(tb.Context(), key, 1<<20)
	if err != nil {
		tb.Fatal(err)
	}
	return store, key, body
}

// readDamaged reads a table whose file was replaced, in both ways; the size in the log is made to fit, so that the bytes are what decides.
func readDamaged(t *testing.T, data []byte) (rows int64, err error) {
	store, key, body := smallTable(t)
	log, err := store.ReadAll(t.Context(), "_delta_log/00000000000000000000.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(log), fmt.Sprintf(`"size":%d`, len(body)), fmt.Sprintf(`"size":%d`, len(data)), 1)
	for k, b := range map[string][]byte{key: data, "_delta_log/00000000000000000000.json": []byte(text)} {
		if err := store.Put(t.Context(), k, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := delta.New(store, &delta.Options{}).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range s.Batches(t.Context()) {
		if err != nil {
			return 0, err
		}
		for _, c := range b.Columns() {
			for i := range c.Len() {
				_ = c.ValueStr(i)
			}
		}
		rows += b.NumRows()
	}
	units, err := s.Units(t.Context())
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for u := range units {
		for b, err := range s.Read(t.Context(), u, frame.Span{To: units[u].Rows}, []string{"id", "s.a"}) {
			if err != nil {
				return 0, err
			}
			for _, c := range b.Batch.Columns() {
				_ = c.String()
			}
			n += b.Batch.NumRows()
		}
	}
	if n != rows {
		t.Fatalf("streamed %d rows, read %d", rows, n)
	}
	return rows, nil
}

// FuzzDataFile wants any bytes in place of a data file read as the rows that the log promises, or refused as a *FileError.
func FuzzDataFile(f *testing.F) {
	_, _, body := smallTable(f)
	f.Add(body)
	for i := 0; i < len(body); i += len(body) / 60 {
		cut := bytes.Clone(body)
		cut[i] ^= 1 << (i % 8)
		f.Add(cut)
	}
	f.Add(body[:len(body)/2])
	f.Add([]byte("PAR1\xff\xff\xff\x7fPAR1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := readDamaged(t, data)
		var fe *scan.FileError
		if err != nil && !errors.As(err, &fe) {
			t.Fatalf("%T %v does not name the file", err, err)
		}
		if err == nil && rows != 40 {
			t.Fatalf("%d rows, the log promises 40", rows)
		}
	})
}

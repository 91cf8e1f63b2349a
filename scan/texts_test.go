package scan_test

import (
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// A batch of empty texts alone may come without memory for them. The footer must count them all the same: rows that it proves to match are not looked at.
func TestEmptyTextsInABatchOfTheirOwn(t *testing.T) {
	text := func(values ...string) arrow.Array {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.AppendValues(values, nil)
		return b.NewArray()
	}
	none := array.MakeFromData(array.NewData(arrow.BinaryTypes.String, 1, []*memory.Buffer{nil, memory.NewBufferBytes(make([]byte, 8)), memory.NewBufferBytes(nil)}, nil, 0, 0))
	schema := arrow.NewSchema([]arrow.Field{{Name: "k", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "s", Type: arrow.StructOf(arrow.Field{Name: "k", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true}}, nil)
	batches := func(yield func(arrow.RecordBatch, error) bool) {
		for _, a := range []arrow.Array{text("b", "b"), none} {
			s, err := array.NewStructArray([]arrow.Array{a}, []string{"k"})
			if err != nil {
				t.Fatal(err)
			}
			b := array.NewRecordBatch(schema, []arrow.Array{a, s}, int64(a.Len()))
			if !yield(b, nil) {
				return
			}
		}
	}
	tb := delta.New(objstore.New(objstore.NewMem()), &delta.Options{Now: time.Now})
	if _, err := tb.Append(t.Context(), &delta.Rows{Schema: schema, Batches: batches}, nil); err != nil {
		t.Fatal(err)
	}
	snap, err := tb.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]int64{"k = 'b'": 2, "k = ''": 1, "k >= 'a'": 2, "k < 'a'": 1, "s.k = 'b'": 2, "s.k = ''": 1} {
		e, err := filter.ParseSQL(where)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := scan.New(snap, &scan.Options{Filter: e})
		if err != nil {
			t.Fatal(err)
		}
		got := int64(0)
		for b, err := range sc.Batches(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got += b.NumRows()
		}
		if got != want {
			t.Errorf("%s: %d rows, want %d", where, got, want)
		}
	}
}

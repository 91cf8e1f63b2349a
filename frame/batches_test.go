package frame_test

import (
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "of", Type: arrow.StructOf(arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}), Nullable: true},
	{Name: "nothing", Type: arrow.Null, Nullable: true},
}, nil)

// drawn is a batch of rows, and what each is.
func drawn(t *rapid.T, mem memory.Allocator) (arrow.RecordBatch, []string) {
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	of := b.Field(1).(*array.StructBuilder)
	for range rapid.IntRange(0, 5).Draw(t, "rows") {
		if rapid.Bool().Draw(t, "null") {
			b.Field(0).AppendNull()
			of.AppendNull()
		} else {
			b.Field(0).(*array.StringBuilder).Append(rapid.String().Draw(t, "text"))
			of.Append(true)
			of.FieldBuilder(0).(*array.Int64Builder).Append(rapid.Int64().Draw(t, "n"))
		}
		b.Field(2).AppendNull()
	}
	rec := b.NewRecordBatch()
	return rec, rowsOf(rec)
}

func rowsOf(b arrow.RecordBatch) []string {
	out := make([]string, b.NumRows())
	for i := range out {
		for _, c := range b.Columns() {
			out[i] += c.ValueStr(i) + "|"
		}
	}
	return out
}

// TestBatches: chosen rows and joined batches are those of lists, and nothing of
// them is left.
func TestBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		ctx := compute.WithAllocator(t.Context(), mem)
		var list []arrow.RecordBatch
		var want []string
		size := int64(0)
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			b, rows := drawn(t, mem)
			list, want, size = append(list, b), append(want, rows...), size+frame.Size(b)
		}
		if size == 0 && slices.ContainsFunc(list, func(b arrow.RecordBatch) bool { return b.NumRows() > 0 }) {
			t.Error("rows that take no memory")
		}
		whole, err := frame.Concat(ctx, list)
		if err != nil {
			t.Fatal(err)
		}
		if got := rowsOf(whole); !slices.Equal(got, want) || !whole.Schema().Equal(schema) {
			t.Errorf("joined: %q, want %q", got, want)
		}
		var rows []int64
		var chosen []string
		for range rapid.IntRange(0, 9).Draw(t, "chosen") {
			if len(want) > 0 {
				i := rapid.IntRange(0, len(want)-1).Draw(t, "row")
				rows, chosen = append(rows, int64(i)), append(chosen, want[i])
			}
		}
		some, err := frame.Gather(ctx, whole, rows)
		if err != nil {
			t.Fatal(err)
		}
		if got := rowsOf(some); !slices.Equal(got, chosen) {
			t.Errorf("chosen %v: %q, want %q", rows, got, chosen)
		}
		for _, b := range append(list, whole, some) {
			b.Release()
		}
		mem.AssertSize(t, 0)
	})
}

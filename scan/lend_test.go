package scan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// TestLend wants lent blocks to be those that are read, what is retained of them
// to stay what it is, and all memory to come back, be it after the reader's end.
func TestLend(t *testing.T) {
	table := sought(t, objstore.NewMem())
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	s := scanOf(t, t.Context(), table, &scan.Options{BatchRows: 1000, Allocator: mem})
	cols := []string{"id", "word"}
	var kept []arrow.Array
	var first []int64
	rows := 0
	for b, err := range s.Lend(t.Context(), 0, frame.Span{To: soughtRows}, cols) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.Batch.NumRows()) {
			row := int(b.Row(i))
			if number(b.Batch.Column(0), i) != soughtID(row) || name(b.Batch.Column(1), i) != wordOf(row) {
				t.Fatalf("row %d is %d, %s", row, number(b.Batch.Column(0), i), name(b.Batch.Column(1), i))
			}
			rows++
		}
		if b.First%7000 == 0 { // held beyond the step
			b.Batch.Column(1).Retain()
			kept, first = append(kept, b.Batch.Column(1)), append(first, b.First)
		}
	}
	if rows != soughtRows {
		t.Errorf("%d rows", rows)
	}
	for k, a := range kept {
		for i := range a.Len() {
			if got, want := a.(*array.String).Value(i), wordOf(int(first[k])+i); got != want {
				t.Fatalf("row %d became %s, was %s", int(first[k])+i, got, want)
			}
		}
		a.Release()
	}
	// Spans of rows, as Read gives them.
	for _, span := range []frame.Span{{From: 1500, To: 1501}, {From: 40_000, To: 90_000}, {From: soughtRows - 1, To: soughtRows}} {
		var lent, read []string
		for b, err := range s.Lend(t.Context(), 0, span, cols[:1]) {
			if err != nil {
				t.Fatal(err)
			}
			lent = append(lent, fmt.Sprint(b.First, b.Batch.Column(0)))
		}
		for b, err := range s.Read(t.Context(), 0, span, cols[:1]) {
			if err != nil {
				t.Fatal(err)
			}
			read = append(read, fmt.Sprint(b.First, b.Batch.Column(0)))
		}
		if !slices.Equal(lent, read) {
			t.Errorf("rows %v: %d blocks lent, %d read, or others", span, len(lent), len(read))
		}
	}
}

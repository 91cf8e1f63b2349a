package delta_test

import (
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// benchRows are batches of ids and version-like texts that every append can stream again.
func benchRows(rows int) *delta.Rows {
	schema := fields("id", arrow.PrimitiveTypes.Int64, "version", arrow.BinaryTypes.String, "feature_version", arrow.BinaryTypes.String)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	var all []arrow.RecordBatch
	for id := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(id))
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprint(10_000_000 + id*7919%90_000_000))
		b.Field(2).(*array.StringBuilder).Append("constant")
		if id%65536 == 65535 || id == rows-1 {
			all = append(all, b.NewRecordBatch())
		}
	}
	return &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for _, batch := range all {
			if !yield(batch, nil) {
				return
			}
		}
	}}
}

// BenchmarkAppend appends batches to a local table, each a commit that is synced to disk. The table grows and is checkpointed on the way.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tb, rows := localTable(b, b.TempDir()), benchRows(n)
			b.ReportAllocs()
			for b.Loop() {
				if r, err := tb.Append(b.Context(), rows, &delta.AppendOptions{MergeSchema: true, Cast: true}); err != nil || r.Rows != int64(n) {
					b.Fatalf("%+v %v", r, err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkSnapshot opens a table of 500 appends, with its checkpoints.
func BenchmarkSnapshot(b *testing.B) {
	const appends = 500
	tb, rows := localTable(b, b.TempDir()), benchRows(1)
	for range appends {
		if _, err := tb.Append(b.Context(), rows, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		snap, err := tb.Snapshot(b.Context())
		if err != nil || len(snap.Files()) != appends {
			b.Fatal(err)
		}
	}
}

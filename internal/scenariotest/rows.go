package scenariotest

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// RowsFault compares rows in any order: "" when they are the same, else the first that differs. It sorts both.
func RowsFault(want, got []string) string {
	slices.Sort(want)
	slices.Sort(got)
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			return fmt.Sprintf("%d rows, want %d; extra %s", len(got), len(want), got[i])
		case i >= len(got):
			return fmt.Sprintf("%d rows, want %d; missing %s", len(got), len(want), want[i])
		case want[i] != got[i]:
			return fmt.Sprintf("row %s, want %s", got[i], want[i])
		}
	}
	return ""
}

// ClockColumns have values that a clock or a program version makes.
var ClockColumns = []string{"metaxy_created_at", "metaxy_updated_at", "recorded_at", "metaxy_deleted_at", "tags"}

// compareTable compares every stored row of a table, but for times.
func (c *run) compareTable(st *step, root, key string, want *frameFile) string {
	store := c.open(st, root, st.Target)
	got, err := TableRows(c.t.Context(), store, mustKey(c.t, key))
	if want == nil {
		if err == nil {
			return "table " + key + " should not exist"
		}
		return ""
	}
	if err != nil {
		return fmt.Sprintf("table %s: %v", key, err)
	}
	_, wantRows := c.expected(want, ClockColumns)
	if fault := RowsFault(wantRows, got); fault != "" {
		return "table " + key + ": " + fault
	}
	return ""
}

// TableRows renders every stored row of a feature's table, but for the columns that a clock makes.
func TableRows(ctx context.Context, s *metaxy.DeltaStore, key feature.Key) ([]string, error) {
	snap, err := s.Table(key).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		return nil, err
	}
	_, rows, err := CollectRows(&metaxy.Rows{Schema: sc.Schema(), Batches: sc.Batches(ctx)}, ClockColumns)
	return rows, err
}

// CollectRows gives the names of the columns and renders every row, in no order; columns in leaveOut are not looked at.
func CollectRows(r *metaxy.Rows, leaveOut []string) ([]string, []string, error) {
	var names, rows []string
	for _, f := range r.Schema.Fields() {
		if !slices.Contains(leaveOut, f.Name) {
			names = append(names, f.Name)
		}
	}
	sorted := slices.Sorted(slices.Values(names))
	for b, err := range r.Batches {
		if err != nil {
			return nil, nil, err
		}
		for i := range int(b.NumRows()) {
			var s strings.Builder
			for _, n := range sorted {
				fmt.Fprintf(&s, "%s=%s;", n, cellText(b.Column(b.Schema().FieldIndices(n)[0]), i))
			}
			rows = append(rows, s.String())
		}
	}
	return names, rows, nil
}

func cellText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.Struct:
		var parts []string
		for m, f := range a.DataType().(*arrow.StructType).Fields() {
			parts = append(parts, f.Name+":"+cellText(a.Field(m), i))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case *array.Map:
		start, end := a.ValueOffsets(i)
		var parts []string
		for j := int(start); j < int(end); j++ {
			parts = append(parts, cellText(a.Keys(), j)+">"+cellText(a.Items(), j))
		}
		sort.Strings(parts)
		return "map" + strings.Join(parts, ",")
	case array.ListLike:
		start, end := a.ValueOffsets(i)
		var parts []string
		for j := int(start); j < int(end); j++ {
			parts = append(parts, cellText(a.ListValues(), j))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		return a.Value(i).ToTime(t.Unit).UTC().Format(time.RFC3339Nano)
	case *array.Dictionary:
		return cellText(a.Dictionary(), a.GetValueIndex(i))
	}
	return fmt.Sprintf("%q", a.ValueStr(i))
}

func readParquet(t *testing.T, path string) (*arrow.Schema, []arrow.RecordBatch) {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fr, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 1 << 16}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := fr.Schema()
	if err != nil {
		t.Fatal(err)
	}
	rr, err := fr.GetRecordReader(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rr.Release()
	var out []arrow.RecordBatch
	for rr.Next() {
		b := rr.RecordBatch()
		b.Retain()
		out = append(out, b)
	}
	return schema, out
}

// Each yields batches that the caller keeps.
func Each(batches []arrow.RecordBatch) func(func(arrow.RecordBatch, error) bool) {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
	}
}

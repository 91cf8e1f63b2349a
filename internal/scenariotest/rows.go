package scenariotest

import (
	"context"
	"fmt"
	"path/filepath"
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

// leaked is a column of the reference that is not part of the answer (D36).
const leaked = "__stale_by_predicate"

func (c *run) expected(f *frameFile, leaveOut []string) ([]string, []string) {
	c.t.Helper()
	schema, batches := readParquet(c.t, filepath.Join(c.dir, f.File))
	names, rows, err := CollectRows(&metaxy.Rows{Schema: schema, Batches: Each(batches)}, append([]string{leaked}, leaveOut...))
	if err != nil {
		c.t.Fatal(err)
	}
	return names, rows
}

// compare compares columns, in order and with types, and rows, in any order.
func (c *run) compare(want *frameFile, schema *arrow.Schema, rows []string) string {
	c.t.Helper()
	if fault := c.compareColumns(want, schema); fault != "" {
		return fault
	}
	_, wantRows := c.expected(want, nil)
	return RowsFault(wantRows, rows)
}

func (c *run) compareColumns(want *frameFile, schema *arrow.Schema) string {
	c.t.Helper()
	recorded, _ := readParquet(c.t, filepath.Join(c.dir, want.File))
	if a, b := columnTexts(recorded), columnTexts(schema); !slices.Equal(a, b) {
		return fmt.Sprintf("columns %q, want %q", b, a)
	}
	return ""
}

// columnTexts are names with types.
func columnTexts(schema *arrow.Schema) []string {
	var out []string
	for _, f := range schema.Fields() {
		if f.Name != leaked {
			out = append(out, f.Name+" "+typeText(f.Type))
		}
	}
	return out
}

// typeText is a type as it matters to a user: large and dictionary forms are the plain type, members of a struct have no order.
func typeText(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.LargeStringType:
		return "utf8"
	case *arrow.LargeBinaryType, *arrow.FixedSizeBinaryType:
		return "binary"
	case *arrow.DictionaryType:
		return typeText(t.ValueType)
	case *arrow.MapType:
		return "map<" + typeText(t.KeyType()) + "," + typeText(t.ItemType()) + ">"
	case arrow.ListLikeType:
		return "list<" + typeText(t.Elem()) + ">"
	case *arrow.StructType:
		var members []string
		for _, f := range t.Fields() {
			members = append(members, f.Name+" "+typeText(f.Type))
		}
		sort.Strings(members)
		return "struct<" + strings.Join(members, ",") + ">"
	}
	return t.String()
}

// ClockColumns have values that a clock or a program version makes.
var ClockColumns = []string{"metaxy_created_at", "metaxy_updated_at", "recorded_at", "metaxy_deleted_at", "tags"}

// compareTable compares the columns and every stored row of a table; of what a clock makes, only whether it is there.
func (c *run) compareTable(st *step, root, key string, want *frameFile) string {
	store := c.open(st, root, st.Target)
	schema, got, err := tableRows(c.t.Context(), store, MustKey(c.t, key))
	if want == nil {
		if err == nil {
			return "table " + key + " should not exist"
		}
		return ""
	}
	if err != nil {
		return fmt.Sprintf("table %s: %v", key, err)
	}
	if fault := c.compareColumns(want, schema); fault != "" {
		return "table " + key + ": " + fault
	}
	_, wantRows := c.expected(want, ClockColumns)
	if fault := RowsFault(wantRows, got); fault != "" {
		return "table " + key + ": " + fault
	}
	return ""
}

// tableRows renders every stored row of a feature's table, without what a clock makes.
func tableRows(ctx context.Context, s *metaxy.DeltaStore, key feature.Key) (*arrow.Schema, []string, error) {
	snap, err := s.Table(key).Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		return nil, nil, err
	}
	_, rows, err := CollectRows(&metaxy.Rows{Schema: sc.Schema(), Batches: sc.Batches(ctx)}, ClockColumns)
	return sc.Schema(), rows, err
}

// CollectRows gives the names of the columns and renders every row, in no order; of ClockColumns in leaveOut only whether they are null, of other columns there nothing.
func CollectRows(r *metaxy.Rows, leaveOut []string) ([]string, []string, error) {
	var names, rows []string
	for _, f := range r.Schema.Fields() {
		if !slices.Contains(leaveOut, f.Name) || slices.Contains(ClockColumns, f.Name) {
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
				text := cellText(b.Column(b.Schema().FieldIndices(n)[0]), i)
				if text != "null" && slices.Contains(leaveOut, n) {
					text = "set"
				}
				fmt.Fprintf(&s, "%s=%s;", n, text)
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

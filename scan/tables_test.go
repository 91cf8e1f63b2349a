package scan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

type tableRead struct {
	Version      *int64
	Timestamp    string
	Columns      []string
	Filter       string
	Expected     string
	Error        json.RawMessage
	MaxFilesRead *int `json:"max_files_read"`
	VariantJSON  bool `json:"variant_as_json"`
}

type tableCase struct {
	Expect    string
	Tolerance string
	Supported string
	Archive   string
	Reads     []tableRead
}

// TestSparkTables reads every table that Spark made, at each recorded version, with each column subset and filter.
func TestSparkTables(t *testing.T) {
	root := deltatest.Data(t, "tables/spark")
	gaps := readGaps(t)
	cases, err := filepath.Glob(filepath.Join(root, "*", "case.json"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases in %s (%v)", root, err)
	}
	for _, path := range cases {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) {
			fault := checkTable(t, filepath.Dir(path))
			_, known := gaps[name]
			switch {
			case fault != "" && !known:
				t.Error(fault)
			case fault == "" && known:
				t.Errorf("listed in gaps.txt (%s), but passes", gaps[name])
			}
		})
	}
}

func readGaps(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/gaps.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if name, why, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && !strings.HasPrefix(name, "#") {
			out[name] = why
		}
	}
	return out
}

func checkTable(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c tableCase
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if c.Archive != "" {
		return ""
	}
	d, err := objstore.NewLocal(filepath.Join(dir, "delta"))
	if err != nil {
		t.Fatal(err)
	}
	table := delta.New(objstore.New(d), nil)
	for _, r := range c.Reads {
		if r.Timestamp != "" || r.VariantJSON {
			continue // times of files are not kept by every copy; the command's judge sets them
		}
		got, err := readTable(table, r)
		what := fmt.Sprintf("version %v columns %v filter %q: ", versionText(r.Version), r.Columns, r.Filter)
		switch {
		case len(r.Error) > 0 && string(r.Error) != "null":
			if err == nil {
				return what + "must fail"
			}
		case err != nil && c.Supported == "optional":
		case err != nil:
			return what + err.Error()
		default:
			if diff := compareRows(expectedRows(t, filepath.Join(dir, r.Expected)), got); diff != "" {
				return what + diff
			}
		}
	}
	return ""
}

func versionText(v *int64) string {
	if v == nil {
		return "newest"
	}
	return fmt.Sprint(*v)
}

func readTable(table *delta.Table, r tableRead) ([]string, error) {
	ctx := context.Background()
	version := int64(-1)
	if r.Version != nil {
		version = *r.Version
	}
	snap, err := table.SnapshotAt(ctx, version)
	if err != nil {
		return nil, err
	}
	opts := &scan.Options{Columns: r.Columns}
	if r.Filter != "" {
		if opts.Filter, err = filter.ParseSQL(r.Filter); err != nil {
			return nil, err
		}
	}
	s, err := scan.New(snap, opts)
	if err != nil {
		return nil, err
	}
	if r.MaxFilesRead != nil && len(s.Plan().Files) > *r.MaxFilesRead {
		return nil, fmt.Errorf("%d files left to read, at most %d are needed", len(s.Plan().Files), *r.MaxFilesRead)
	}
	var rows []string
	for b, err := range s.Batches(ctx) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, rowTexts(b)...)
	}
	return rows, nil
}

func expectedRows(t *testing.T, path string) []string {
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
	rr, err := fr.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rr.Release()
	var rows []string
	for rr.Next() {
		rows = append(rows, rowTexts(rr.RecordBatch())...)
	}
	return rows
}

// rowTexts renders rows so that equal ones have equal texts: columns by name, maps sorted, instants in microseconds.
func rowTexts(b arrow.RecordBatch) []string {
	order := make([]int, b.NumCols())
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return b.ColumnName(order[i]) < b.ColumnName(order[j]) })
	out := make([]string, b.NumRows())
	for i := range out {
		var s strings.Builder
		for _, c := range order {
			fmt.Fprintf(&s, "%s=%s;", b.ColumnName(c), valueText(b.Column(c), i))
		}
		out[i] = s.String()
	}
	return out
}

func valueText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.Struct:
		var parts []string
		for m, f := range a.DataType().(*arrow.StructType).Fields() {
			parts = append(parts, f.Name+":"+valueText(a.Field(m), i))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case *array.Map:
		start, end := a.ValueOffsets(i)
		var parts []string
		for j := int(start); j < int(end); j++ {
			parts = append(parts, valueText(a.Keys(), j)+">"+valueText(a.Items(), j))
		}
		slices.Sort(parts)
		return "map" + strings.Join(parts, ",")
	case *array.List:
		start, end := a.ValueOffsets(i)
		var parts []string
		for j := int(start); j < int(end); j++ {
			parts = append(parts, valueText(a.ListValues(), j))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *array.Float64:
		return floatText(a.Value(i))
	case *array.Float32:
		return floatText(float64(a.Value(i)))
	case *array.Timestamp:
		return fmt.Sprintf("%d%s", a.Value(i), a.DataType().(*arrow.TimestampType).Unit)
	case *array.String:
		return fmt.Sprintf("%q", a.Value(i))
	}
	return a.ValueStr(i)
}

func floatText(f float64) string {
	if math.IsNaN(f) {
		return "NaN"
	}
	return fmt.Sprintf("%x", f)
}

func compareRows(want, got []string) string {
	slices.Sort(want)
	slices.Sort(got)
	if slices.Equal(want, got) {
		return ""
	}
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			return fmt.Sprintf("%d rows, want %d; extra %s", len(got), len(want), got[i])
		case i >= len(got):
			return fmt.Sprintf("%d rows, want %d; missing %s", len(got), len(want), want[i])
		case want[i] != got[i]:
			return fmt.Sprintf("%d rows, want %d; got %s want %s", len(got), len(want), got[i], want[i])
		}
	}
	return ""
}

package filtereval_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

type filterFile struct {
	Table struct {
		Columns []struct{ Name, Type string }
		Rows    [][]any
	}
	Cases []struct {
		Filter, Result string
		IDs            []int64
	}
}

// TestFilterVectors compares kept ids with the reference's. Where the reference fails in evaluating and we answer on purpose, decisions.txt names the decision and the ids.
func TestFilterVectors(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "vectors"), "filters.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file filterFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	decided := readDecisions(t)
	batch := buildTable(t, file)
	defer batch.Release()
	checked := 0
	for _, c := range file.Cases {
		if c.Result == "parse_error" {
			continue
		}
		checked++
		got, err := apply(c.Filter, batch)
		want, ours := decided[c.Filter]
		switch {
		case ours && c.Result == "ids":
			t.Errorf("%q: decided although the reference answers", c.Filter)
		case ours && (err != nil || !slices.Equal(got, want)):
			t.Errorf("%q: %v (%v), decided %v", c.Filter, got, err, want)
		case ours:
		case c.Result == "evaluation_error" && err == nil:
			t.Errorf("%q: %v, want an error\nDECIDE\t%s\t%s", c.Filter, got, c.Filter, jsonText(got))
		case c.Result == "ids" && (err != nil || !slices.Equal(got, c.IDs)):
			t.Errorf("%q: %v (%v), want %v", c.Filter, got, err, c.IDs)
		}
	}
	if checked == 0 {
		t.Fatal("no cases")
	}
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func readDecisions(t *testing.T) map[string][]int64 {
	t.Helper()
	f, err := os.Open("testdata/decisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string][]int64{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		if s.Text() == "" || s.Text()[0] == '#' {
			continue
		}
		parts := strings.Split(s.Text(), "\t")
		if len(parts) != 3 {
			t.Fatalf("decisions.txt: %q", s.Text())
		}
		var ids []int64
		if err := json.Unmarshal([]byte(parts[2]), &ids); err != nil {
			t.Fatal(err)
		}
		out[parts[1]] = ids
	}
	return out
}

func apply(text string, b arrow.RecordBatch) ([]int64, error) {
	e, err := filter.Parse(text)
	if err != nil {
		return nil, err
	}
	p, err := filtereval.Bind(e, b.Schema())
	if err != nil {
		return nil, err
	}
	keep, err := p.Eval(b)
	if err != nil {
		return nil, err
	}
	ids := []int64{}
	for i, k := range keep {
		if k {
			ids = append(ids, b.Column(0).(*array.Int64).Value(i))
		}
	}
	return ids, nil
}

func buildTable(t *testing.T, file filterFile) arrow.RecordBatch {
	t.Helper()
	types := map[string]arrow.DataType{"int64": arrow.PrimitiveTypes.Int64, "float64": arrow.PrimitiveTypes.Float64, "string": arrow.BinaryTypes.String,
		"bool": arrow.FixedWidthTypes.Boolean, "date": arrow.FixedWidthTypes.Date32}
	var fields []arrow.Field
	for _, c := range file.Table.Columns {
		fields = append(fields, arrow.Field{Name: c.Name, Type: types[c.Type], Nullable: true})
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	var exact struct {
		Table struct{ Rows [][]json.RawMessage }
	}
	data, err := os.ReadFile(filepath.Join(deltatest.Data(t, "vectors"), "filters.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &exact); err != nil {
		t.Fatal(err)
	}
	for _, row := range exact.Table.Rows {
		for i, raw := range row {
			appendValue(t, b.Field(i), raw)
		}
	}
	return b.NewRecordBatch()
}

func appendValue(t *testing.T, b array.Builder, raw json.RawMessage) {
	t.Helper()
	if string(raw) == "null" {
		b.AppendNull()
		return
	}
	if d, ok := b.(*array.Date32Builder); ok {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		day, err := time.Parse("2006-01-02", s)
		if err != nil {
			t.Fatal(err)
		}
		d.Append(arrow.Date32FromTime(day))
		return
	}
	if err := b.UnmarshalJSON([]byte("[" + string(raw) + "]")); err != nil {
		t.Fatal(err)
	}
}

package metaxy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

type vectorCase struct {
	Name       string
	Algorithm  string
	Truncation int
	Maps       bool `json:"map_datatype"`
	Features   []struct {
		Project   string
		ClassPath *string `json:"feature_class_path"`
		Spec      string  `json:"feature_spec"`
		Schema    string  `json:"feature_schema"`
	}
	Steps []vectorStep
}

type vectorStep struct {
	Op, Feature string
	Schema      orderedTypes
	Rows        []json.RawMessage
	Samples     *struct {
		Schema orderedTypes
		Rows   []json.RawMessage
	}
	Ordered bool // the samples' columns stand as they were given
	Set     map[string]json.RawMessage
	Stored  []json.RawMessage
	Error   json.RawMessage
	Expect  map[string]json.RawMessage
}

// orderedTypes is a schema: columns with their types, in order.
type orderedTypes struct {
	names []string
	types []json.RawMessage
}

func (o *orderedTypes) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		o.names, o.types = append(o.names, fmt.Sprint(name)), append(o.types, raw)
	}
	return nil
}

// TestProvenanceVectors replays the recorded row versions: every write, update and increment of every case, with structs and with maps.
func TestProvenanceVectors(t *testing.T) { runVectors(t, metaxy.Options{}) }

// TestProvenanceVectorsSpilled resolves them with so little memory that the work is cut into partitions on disk.
func TestProvenanceVectorsSpilled(t *testing.T) {
	runVectors(t, metaxy.Options{MemoryLimit: littleMemory, SpillDir: t.TempDir()})
}

func runVectors(t *testing.T, options metaxy.Options) {
	dir := deltatest.Data(t, "vectors")
	listed := listed(t)
	for _, name := range []string{"provenance.json", "provenance_map.json", "differential.json"} {
		path := filepath.Join(dir, name)
		if name == "differential.json" { // what random sequences found, recorded from Metaxy by internal/interop/differential.py --record
			path = filepath.Join("testdata", name)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Cases []vectorCase }
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		if len(file.Cases) == 0 {
			t.Fatalf("%s holds no cases", name)
		}
		for _, c := range file.Cases {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				fault := runVector(t, &c, c.Maps || name == "provenance_map.json", options)
				why, known := listed[name+"/"+c.Name]
				switch {
				case fault != "" && !known:
					t.Error(fault)
				case fault == "" && known:
					t.Errorf("is listed (%s), but passes", why)
				}
			})
		}
	}
}

func runVector(t *testing.T, c *vectorCase, mapMode bool, options metaxy.Options) string {
	t.Helper()
	ctx := context.Background()
	g := feature.NewGraph(c.Truncation)
	for _, f := range c.Features {
		d, err := feature.Load(feature.Stored{Project: f.Project, FeatureSpec: f.Spec, FeatureSchema: f.Schema, ClassPath: f.ClassPath})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	tick := time.Unix(1_700_000_000, 0)
	s, err := metaxy.Open(ctx, t.TempDir(), &metaxy.Options{MemoryLimit: options.MemoryLimit, SpillDir: options.SpillDir, Graph: g, Project: c.Features[0].Project, HashAlgorithm: c.Algorithm, HashTruncation: c.Truncation, MapDatatype: mapMode,
		Now: func() time.Time { tick = tick.Add(time.Second); return tick }})
	if err != nil {
		return err.Error()
	}
	defer s.Close()
	store := s.AllowCrossProjectWrites()
	last := map[string]*metaxy.Increment{}
	for i, st := range c.Steps {
		fault, err := vectorStepFault(ctx, t, store, &st, last)
		if len(st.Error) > 0 && string(st.Error) != "null" {
			if err == nil {
				return fmt.Sprintf("step %d %s %s must fail: %s", i, st.Op, st.Feature, st.Error)
			}
			return ""
		}
		if err != nil {
			return fmt.Sprintf("step %d %s %s: %v", i, st.Op, st.Feature, err)
		}
		if fault != "" {
			return fmt.Sprintf("step %d %s %s: %s", i, st.Op, st.Feature, fault)
		}
	}
	return ""
}

func vectorStepFault(ctx context.Context, t *testing.T, s *metaxy.DeltaStore, st *vectorStep, last map[string]*metaxy.Increment) (string, error) {
	key := mustKey(t, st.Feature)
	switch st.Op {
	case "write":
		if _, err := s.Write(ctx, key, vectorRows(t, st.Schema, st.Rows), &metaxy.WriteOptions{AllowNullIDs: true}); err != nil {
			return "", err
		}
		return storedFault(ctx, t, s, key, st.Stored)
	case "resolve_update":
		o := &metaxy.ResolveOptions{}
		if st.Samples != nil {
			o.Samples = vectorRows(t, st.Samples.Schema, st.Samples.Rows)
		}
		inc, err := s.ResolveUpdate(ctx, key, o)
		if err != nil {
			return "", err
		}
		last[st.Feature] = inc
		return incrementFault(ctx, t, inc, st.Expect, st.Samples == nil || st.Ordered)
	case "write_increment":
		for _, rows := range []*metaxy.Rows{last[st.Feature].New(ctx), last[st.Feature].Stale(ctx)} {
			changed, n := setColumns(t, rows, st.Set)
			if n == 0 {
				continue
			}
			if _, err := s.Write(ctx, key, changed, &metaxy.WriteOptions{AllowNullIDs: true}); err != nil {
				return "", err
			}
		}
		return storedFault(ctx, t, s, key, st.Stored)
	}
	return "unknown op", nil
}

func vectorType(t *testing.T, raw json.RawMessage) arrow.DataType {
	t.Helper()
	var name string
	if json.Unmarshal(raw, &name) == nil {
		types := map[string]arrow.DataType{"string": arrow.BinaryTypes.String, "int64": arrow.PrimitiveTypes.Int64, "int32": arrow.PrimitiveTypes.Int32, "float64": arrow.PrimitiveTypes.Float64,
			"bool": arrow.FixedWidthTypes.Boolean, "date": arrow.FixedWidthTypes.Date32, "datetime[us,UTC]": &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
			"int8": arrow.PrimitiveTypes.Int8, "int16": arrow.PrimitiveTypes.Int16, "float32": arrow.PrimitiveTypes.Float32, "map": arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String)}
		if types[name] == nil {
			t.Fatalf("unknown type %s", raw)
		}
		return types[name]
	}
	var st struct{ Struct []string }
	if err := json.Unmarshal(raw, &st); err != nil {
		t.Fatalf("unknown type %s", raw)
	}
	var fields []arrow.Field
	for _, n := range st.Struct {
		fields = append(fields, arrow.Field{Name: n, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	return arrow.StructOf(fields...)
}

func vectorRows(t *testing.T, schema orderedTypes, rows []json.RawMessage) *metaxy.Rows {
	t.Helper()
	var fields []arrow.Field
	for i, n := range schema.names {
		fields = append(fields, arrow.Field{Name: n, Type: vectorType(t, schema.types[i]), Nullable: true})
	}
	s := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	for _, r := range rows {
		if err := b.UnmarshalJSON(withEntries(t, s, r)); err != nil {
			t.Fatalf("%s: %v", r, err)
		}
	}
	return &metaxy.Rows{Schema: s, Batches: each([]arrow.RecordBatch{b.NewRecordBatch()})}
}

// withEntries gives the maps of a row as lists of entries, which is how the builders want them.
func withEntries(t *testing.T, s *arrow.Schema, row json.RawMessage) json.RawMessage {
	t.Helper()
	type entry struct {
		Key   string  `json:"key"`
		Value *string `json:"value"`
	}
	var cells map[string]json.RawMessage
	if err := json.Unmarshal(row, &cells); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Fields() {
		if f.Type.ID() != arrow.MAP || string(cells[f.Name]) == "null" {
			continue
		}
		var m map[string]*string
		if err := json.Unmarshal(cells[f.Name], &m); err != nil {
			t.Fatal(err)
		}
		entries := []entry{}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			entries = append(entries, entry{k, m[k]})
		}
		raw, err := json.Marshal(entries)
		if err != nil {
			t.Fatal(err)
		}
		cells[f.Name] = raw
	}
	out, err := json.Marshal(cells)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// unseen are columns that the vectors leave out.
func unseen(name string) bool {
	return strings.HasPrefix(name, "metaxy_deleted_at") || name == "metaxy_created_at" || name == "metaxy_updated_at" || name == "metaxy_materialization_id"
}

// jsonRows renders rows as canonical JSON of chosen columns.
func jsonRows(t *testing.T, r *metaxy.Rows, keep func(string) bool) ([]string, error) {
	t.Helper()
	var out []string
	for b, err := range r.Batches {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			row := map[string]any{}
			for c, f := range b.Schema().Fields() {
				if keep(f.Name) {
					row[f.Name] = jsonCell(b.Column(c), i)
				}
			}
			text, err := json.Marshal(row)
			if err != nil {
				return nil, err
			}
			out = append(out, canonicalJSON(t, text))
		}
	}
	slices.Sort(out)
	return out, nil
}

func jsonCell(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Map:
		m := map[string]any{}
		start, end := a.ValueOffsets(i)
		for j := int(start); j < int(end); j++ {
			m[a.Keys().ValueStr(j)] = jsonCell(a.Items(), j)
		}
		return m
	case *array.Struct:
		m := map[string]any{}
		for c, f := range a.DataType().(*arrow.StructType).Fields() {
			m[f.Name] = jsonCell(a.Field(c), i)
		}
		return m
	}
	if ts, ok := a.(*array.Timestamp); ok {
		return ts.Value(i).ToTime(arrow.Microsecond).Format("2006-01-02T15:04:05.999999-07:00")
	}
	return a.GetOneForMarshal(i)
}

// canonicalJSON renders JSON with sorted members and numbers by value.
func canonicalJSON(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func storedFault(ctx context.Context, t *testing.T, s *metaxy.DeltaStore, key feature.Key, want []json.RawMessage) (string, error) {
	t.Helper()
	if want == nil {
		return "", nil
	}
	rows, err := s.Read(ctx, key, nil)
	if err != nil {
		return "", err
	}
	columns := map[string]bool{}
	var texts []string
	for _, w := range want {
		var row map[string]json.RawMessage
		if err := json.Unmarshal(w, &row); err != nil {
			t.Fatal(err)
		}
		for k := range row {
			columns[k] = true
		}
		texts = append(texts, canonicalJSON(t, w))
	}
	got, err := jsonRows(t, rows, func(n string) bool { return columns[n] })
	if err != nil {
		return "", err
	}
	return rowsFault(texts, got), nil
}

// incrementFault compares the parts. The files do not keep the order of the columns of frames that are given, so what comes from those is compared without order.
func incrementFault(ctx context.Context, t *testing.T, inc *metaxy.Increment, expect map[string]json.RawMessage, ordered bool) (string, error) {
	t.Helper()
	for name, rows := range map[string]*metaxy.Rows{"new": inc.New(ctx), "stale": inc.Stale(ctx), "orphaned": inc.Orphaned(ctx)} {
		raw, ok := expect[name]
		if !ok {
			continue
		}
		var want struct {
			Columns []string
			Rows    []json.RawMessage
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		got, err := jsonRows(t, rows, func(n string) bool { return !unseen(n) })
		if err != nil {
			return "", err
		}
		var columns []string
		for _, f := range rows.Schema.Fields() {
			columns = append(columns, f.Name)
		}
		if !ordered || name == "orphaned" {
			slices.Sort(columns)
			slices.Sort(want.Columns)
		}
		if want.Columns != nil && !slices.Equal(columns, want.Columns) {
			return fmt.Sprintf("%s: columns %q, want %q", name, columns, want.Columns), nil
		}
		var texts []string
		for _, w := range want.Rows {
			texts = append(texts, canonicalJSON(t, w))
		}
		if fault := rowsFault(texts, got); fault != "" {
			return name + ": " + fault, nil
		}
	}
	return "", nil
}

// setColumns overwrites columns with one value for every row.
func setColumns(t *testing.T, rows *metaxy.Rows, set map[string]json.RawMessage) (*metaxy.Rows, int64) {
	t.Helper()
	var batches []arrow.RecordBatch
	n := int64(0)
	schema := rows.Schema
	for b, err := range rows.Batches {
		if err != nil {
			t.Fatal(err)
		}
		n += b.NumRows()
		cols := slices.Clone(b.Columns())
		fields := schema.Fields()
		for name, raw := range set {
			i := slices.IndexFunc(fields, func(f arrow.Field) bool { return f.Name == name })
			if i < 0 {
				t.Fatalf("no column %s to set", name)
			}
			vb := array.NewBuilder(memory.DefaultAllocator, fields[i].Type)
			for range b.NumRows() {
				if err := vb.UnmarshalJSON([]byte("[" + string(raw) + "]")); err != nil {
					t.Fatal(err)
				}
			}
			cols[i] = vb.NewArray()
		}
		batches = append(batches, array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, b.NumRows()))
	}
	return &metaxy.Rows{Schema: schema, Batches: each(batches)}, n
}

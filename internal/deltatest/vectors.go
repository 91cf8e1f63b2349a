package deltatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// VectorCase is a recorded sequence of writes and resolves on an empty store.
type VectorCase struct {
	Name       string
	Algorithm  string
	Truncation int
	// Maps: the by-field columns are maps.
	Maps     bool `json:"map_datatype"`
	Features []struct {
		Project   string
		ClassPath *string `json:"feature_class_path"`
		Spec      string  `json:"feature_spec"`
		Schema    string  `json:"feature_schema"`
	}
	Steps []VectorStep
}

// VectorStep is one step of a case, with what Metaxy answered.
type VectorStep struct {
	Op, Feature string
	Frame
	Samples *Frame
	Ordered bool // the samples' columns stand as they were given
	Set     map[string]json.RawMessage
	Stored  []json.RawMessage
	Error   json.RawMessage
	Expect  map[string]json.RawMessage
}

// Fails reports whether the step must fail.
func (s *VectorStep) Fails() bool { return len(s.Error) > 0 && string(s.Error) != "null" }

// Frame is rows as JSON with the types of their columns, in order.
type Frame struct {
	Schema orderedTypes
	Rows   []json.RawMessage
}

// ProvenanceVectors returns the recorded row versions by file: those with
// structs, those with maps, and what random sequences found.
func ProvenanceVectors(t *testing.T) map[string][]VectorCase {
	t.Helper()
	dir := Data(t, "vectors")
	out := map[string][]VectorCase{}
	for _, name := range []string{"provenance.json", "provenance_map.json", "differential.json"} {
		path := filepath.Join(dir, name)
		if name == "differential.json" {
			path = filepath.Join(ModuleRoot(), "testdata", name)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Cases []VectorCase }
		if err := json.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		if len(file.Cases) == 0 {
			t.Fatalf("%s holds no cases", name)
		}
		for i := range file.Cases {
			c := &file.Cases[i]
			c.Maps = c.Maps || name == "provenance_map.json"
		}
		out[name] = file.Cases
	}
	return out
}

// Graph returns the definitions of a case.
func (c *VectorCase) Graph(t *testing.T) *feature.Graph {
	t.Helper()
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
	return g
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

func columnType(t *testing.T, raw json.RawMessage) arrow.DataType {
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

// Batch returns the rows as one batch.
func (f *Frame) Batch(t *testing.T) arrow.RecordBatch {
	t.Helper()
	var fields []arrow.Field
	for i, n := range f.Schema.names {
		fields = append(fields, arrow.Field{Name: n, Type: columnType(t, f.Schema.types[i]), Nullable: true})
	}
	s := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	for _, r := range f.Rows {
		if err := b.UnmarshalJSON(withEntries(t, s, r)); err != nil {
			t.Fatalf("%s: %v", r, err)
		}
	}
	return b.NewRecordBatch()
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

// JSONCell returns a cell as the value that encodes it as JSON.
func JSONCell(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Map:
		m := map[string]any{}
		start, end := a.ValueOffsets(i)
		for j := int(start); j < int(end); j++ {
			m[a.Keys().ValueStr(j)] = JSONCell(a.Items(), j)
		}
		return m
	case *array.Struct:
		m := map[string]any{}
		for c, f := range a.DataType().(*arrow.StructType).Fields() {
			m[f.Name] = JSONCell(a.Field(c), i)
		}
		return m
	}
	if ts, ok := a.(*array.Timestamp); ok {
		return ts.Value(i).ToTime(arrow.Microsecond).Format("2006-01-02T15:04:05.999999-07:00")
	}
	return a.GetOneForMarshal(i)
}

// CanonicalJSON renders JSON with sorted members and numbers by value.
func CanonicalJSON(t *testing.T, raw json.RawMessage) string {
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

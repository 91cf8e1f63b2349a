package resolve_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// TestVectors replays what Metaxy recorded of writes and resolves over tables
// in memory.
func TestVectors(t *testing.T) {
	better := decided(t)
	for name, cases := range deltatest.ProvenanceVectors(t) {
		for _, c := range cases {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				for _, o := range []resolve.Options{{}, {MemoryLimit: 1000, SpillDir: t.TempDir()}, {MemoryLimit: 1 << 20, SpillDir: t.TempDir()},
					{Force: hashjoin.Hash}, {Doubt: true}} {
					fault := (&replay{t: t, c: &c, options: o, tables: map[string]*stored{}}).run()
					switch why := better[name+"/"+c.Name]; {
					case fault != "" && why == "":
						t.Errorf("memory limit %d, %s, doubt %v: %s", o.MemoryLimit, o.Force, o.Doubt, fault)
					case fault == "" && why != "":
						t.Errorf("is listed (%s), but passes", why)
					}
				}
			})
		}
	}
}

// decided are the cases that we answer better.
func decided(t *testing.T) map[string]string {
	data, err := os.ReadFile(filepath.Join(deltatest.ModuleRoot(), "testdata", "decisions.txt"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, why, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			out[key] = why
		}
	}
	return out
}

// replay is a store of the smallest kind: plain rows by feature.
type replay struct {
	t         *testing.T
	c         *deltatest.VectorCase
	options   resolve.Options
	graph     *feature.Graph
	algorithm resolve.Algorithm
	tables    map[string]*stored
	now       int64
	last      *resolve.Increment
}

func (r *replay) run() string {
	r.graph = r.c.Graph(r.t)
	r.algorithm = resolve.Algorithm{Name: r.c.Algorithm, Truncation: max(8, r.c.Truncation)}
	for i, st := range r.c.Steps {
		fault, err := r.step(&st)
		switch {
		case st.Fails() && err == nil:
			return fmt.Sprintf("step %d %s %s must fail: %s", i, st.Op, st.Feature, st.Error)
		case st.Fails():
			return ""
		case err != nil:
			return fmt.Sprintf("step %d %s %s: %v", i, st.Op, st.Feature, err)
		case fault != "":
			return fmt.Sprintf("step %d %s %s: %s", i, st.Op, st.Feature, fault)
		}
	}
	return ""
}

func (r *replay) step(st *deltatest.VectorStep) (string, error) {
	plan, err := r.graph.Plan(key(st.Feature))
	if err != nil {
		return "", err
	}
	switch st.Op {
	case "write":
		if err := r.write(plan, st.Batch(r.t)); err != nil {
			return "", err
		}
	case "resolve_update":
		return r.resolve(plan, st)
	case "write_increment":
		for _, p := range []resolve.Part{resolve.New, resolve.Stale} {
			for b, err := range r.last.Part(r.t.Context(), p) {
				if err == nil {
					err = r.write(plan, with(r.t, b, st.Set))
				}
				if err != nil {
					return "", err
				}
			}
		}
	default:
		return "unknown op", nil
	}
	return r.storedFault(plan, st.Stored)
}

// with overwrites columns with one value for every row.
func with(t *testing.T, b arrow.RecordBatch, set map[string]json.RawMessage) arrow.RecordBatch {
	cols := slices.Clone(b.Columns())
	for name, raw := range set {
		i := b.Schema().FieldIndices(name)[0]
		vb := array.NewBuilder(memory.DefaultAllocator, cols[i].DataType())
		for range b.NumRows() {
			if err := vb.UnmarshalJSON([]byte("[" + string(raw) + "]")); err != nil {
				t.Fatal(err)
			}
		}
		cols[i] = vb.NewArray()
	}
	return array.NewRecordBatch(b.Schema(), cols, b.NumRows())
}

// write completes rows as a store does and adds them as one unit. The table's
// columns are the union of what was written.
func (r *replay) write(plan *feature.Plan, b arrow.RecordBatch) error {
	in := &resolve.Rows{Schema: b.Schema(), Batches: once([]arrow.RecordBatch{b})}
	done, err := resolve.Complete(r.t.Context(), in, plan, r.algorithm, r.c.Maps)
	if err != nil {
		return err
	}
	r.now += 1_000_000
	fields := done.Schema.Fields()
	for _, name := range []string{createdAt, updatedAt, deletedAt} {
		if !done.Schema.HasField(name) {
			fields = append(fields, arrow.Field{Name: name, Type: micros, Nullable: true})
		}
	}
	var rows []row
	for b, err := range done.Batches {
		if err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			cells := row{createdAt: r.now}
			for c, f := range b.Schema().Fields() {
				cells[f.Name] = cellOf(b.Column(c), i)
			}
			cells[updatedAt] = r.now
			rows = append(rows, cells)
		}
	}
	table := r.tables[plan.Feature.Spec.Key.String()]
	if table == nil {
		table = &stored{schema: arrow.NewSchema(nil, nil)}
		r.tables[plan.Feature.Spec.Key.String()] = table
	}
	table.schema = union(table.schema, fields)
	table.units = append(table.units, rows)
	return nil
}

// union adds columns, and members of structs, to a schema.
func union(s *arrow.Schema, more []arrow.Field) *arrow.Schema {
	fields := s.Fields()
	for _, f := range more {
		i := slices.IndexFunc(fields, func(o arrow.Field) bool { return o.Name == f.Name })
		if i < 0 {
			fields = append(fields, f)
			continue
		}
		own, ok := fields[i].Type.(*arrow.StructType)
		if other, ok2 := f.Type.(*arrow.StructType); ok && ok2 {
			fields[i].Type = arrow.StructOf(union(arrow.NewSchema(own.Fields(), nil), other.Fields()).Fields()...)
		}
	}
	return arrow.NewSchema(fields, nil)
}

func (r *replay) source(d *feature.Definition) resolve.Source {
	s := resolve.Source{IDs: d.Spec.IDColumns}
	if t := r.tables[d.Spec.Key.String()]; t != nil {
		s.Table = t.table(true)
	}
	return s
}

func (r *replay) resolve(plan *feature.Plan, st *deltatest.VectorStep) (string, error) {
	if err := plan.Check(); err != nil {
		return "", err
	}
	req := &resolve.Request{Plan: plan, Algorithm: r.algorithm, MapMode: r.c.Maps, Current: r.source(plan.Feature), Options: r.options}
	if st.Samples != nil {
		b := st.Samples.Batch(r.t)
		req.Samples = &resolve.Rows{Schema: b.Schema(), Batches: once([]arrow.RecordBatch{b})}
	}
	for _, d := range plan.Deps {
		req.Deps = append(req.Deps, r.source(d.Definition))
	}
	inc, err := resolve.Update(r.t.Context(), req)
	if err != nil {
		return "", err
	}
	r.last = inc
	for name, raw := range st.Expect {
		var want struct {
			Columns []string
			Rows    []json.RawMessage
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			r.t.Fatal(err)
		}
		p := resolve.Part(slices.Index(partNames, name))
		var columns, got []string
		for _, f := range inc.Schema(p).Fields() {
			columns = append(columns, f.Name)
		}
		if p != resolve.Orphaned && (st.Samples == nil || st.Ordered) && !slices.Equal(columns, want.Columns) {
			return fmt.Sprintf("%s: columns %q, want %q", name, columns, want.Columns), nil
		}
		for b, err := range inc.Part(r.t.Context(), p) {
			if err != nil {
				return "", err
			}
			got = append(got, r.json(b, nil)...)
		}
		if fault := r.rowsFault(want.Rows, got); fault != "" {
			return name + ": " + fault, nil
		}
	}
	return "", nil
}

// unseen are columns that the vectors leave out, or that this store lacks.
func unseen(name string) bool {
	return strings.HasPrefix(name, deletedAt) || slices.Contains([]string{createdAt, updatedAt, materializationID, featureVersion, projectVersion}, name)
}

// json renders rows as JSON of the columns that are seen, or of those chosen.
func (r *replay) json(b arrow.RecordBatch, only map[string]bool) []string {
	var out []string
	for i := range int(b.NumRows()) {
		cells := map[string]any{}
		for c, f := range b.Schema().Fields() {
			if only == nil && !unseen(f.Name) || only[f.Name] {
				cells[f.Name] = deltatest.JSONCell(b.Column(c), i)
			}
		}
		text, err := json.Marshal(cells)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, deltatest.CanonicalJSON(r.t, text))
	}
	return out
}

func (r *replay) rowsFault(want []json.RawMessage, got []string) string {
	var rows []string
	for _, raw := range want {
		var cells map[string]json.RawMessage
		if err := json.Unmarshal(raw, &cells); err != nil {
			r.t.Fatal(err)
		}
		for name := range cells {
			if unseen(name) {
				delete(cells, name)
			}
		}
		text, err := json.Marshal(cells)
		if err != nil {
			r.t.Fatal(err)
		}
		rows = append(rows, deltatest.CanonicalJSON(r.t, text))
	}
	slices.Sort(rows)
	slices.Sort(got)
	if slices.Equal(rows, got) {
		return ""
	}
	return difference(rows, got)
}

// storedFault compares the visible rows of a feature.
func (r *replay) storedFault(plan *feature.Plan, want []json.RawMessage) (string, error) {
	if want == nil {
		return "", nil
	}
	only := map[string]bool{}
	for _, raw := range want {
		var cells map[string]json.RawMessage
		if err := json.Unmarshal(raw, &cells); err != nil {
			r.t.Fatal(err)
		}
		for name := range cells {
			only[name] = !unseen(name)
		}
	}
	rows, err := resolve.Read(r.t.Context(), &resolve.ReadRequest{Source: r.source(plan.Feature), Options: r.options})
	if err != nil {
		return "", err
	}
	var got []string
	for b, err := range rows.Batches {
		if err != nil {
			return "", err
		}
		got = append(got, r.json(b, only)...)
	}
	return r.rowsFault(want, got), nil
}

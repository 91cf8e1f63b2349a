package metaxy_test

import (
	"context"
	"encoding/json"
	"fmt"
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

// TestProvenanceVectors replays the recorded row versions: every write, update and increment of every case, with structs and with maps.
func TestProvenanceVectors(t *testing.T) { runVectors(t, metaxy.Options{}) }

// TestProvenanceVectorsSpilled resolves them with so little memory that the work is cut into partitions on disk.
func TestProvenanceVectorsSpilled(t *testing.T) {
	runVectors(t, metaxy.Options{MemoryLimit: littleMemory, SpillDir: t.TempDir()})
}

func runVectors(t *testing.T, options metaxy.Options) {
	listed := listed(t)
	for name, cases := range deltatest.ProvenanceVectors(t) {
		for _, c := range cases {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				fault := runVector(t, &c, c.Maps, options)
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

func runVector(t *testing.T, c *deltatest.VectorCase, mapMode bool, options metaxy.Options) string {
	t.Helper()
	ctx := context.Background()
	g := c.Graph(t)
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
		if st.Fails() {
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

func vectorStepFault(ctx context.Context, t *testing.T, s *metaxy.DeltaStore, st *deltatest.VectorStep, last map[string]*metaxy.Increment) (string, error) {
	key := mustKey(t, st.Feature)
	switch st.Op {
	case "write":
		if _, err := s.Write(ctx, key, frameRows(t, &st.Frame), &metaxy.WriteOptions{AllowNullIDs: true}); err != nil {
			return "", err
		}
		return storedFault(ctx, t, s, key, st.Stored)
	case "resolve_update":
		o := &metaxy.ResolveOptions{}
		if st.Samples != nil {
			o.Samples = frameRows(t, st.Samples)
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

func frameRows(t *testing.T, f *deltatest.Frame) *metaxy.Rows {
	b := f.Batch(t)
	return &metaxy.Rows{Schema: b.Schema(), Batches: each([]arrow.RecordBatch{b})}
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
					row[f.Name] = deltatest.JSONCell(b.Column(c), i)
				}
			}
			text, err := json.Marshal(row)
			if err != nil {
				return nil, err
			}
			out = append(out, deltatest.CanonicalJSON(t, text))
		}
	}
	slices.Sort(out)
	return out, nil
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
		texts = append(texts, deltatest.CanonicalJSON(t, w))
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
			texts = append(texts, deltatest.CanonicalJSON(t, w))
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

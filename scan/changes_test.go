package scan_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

func tableAt(t *testing.T, dir string) *delta.Table {
	t.Helper()
	d, err := objstore.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return delta.New(objstore.New(d), &delta.Options{Now: func() time.Time { return time.UnixMilli(1_800_000_000_000) }})
}

// feedRows are the rows of a change feed as JSON objects with ordered names, sorted; stamps come from file times where a table has no others, which no copy keeps.
func feedRows(t *testing.T, tb *delta.Table, from, to int64, stamps bool, opts *scan.Options) ([]string, error) {
	t.Helper()
	rows, err := scan.Changes(t.Context(), tb, from, to, opts)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for b, err := range rows.Batches {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			row := map[string]any{}
			for j, f := range b.Schema().Fields() {
				c := b.Column(j)
				switch {
				case f.Name == scan.CommitTimestampColumn:
					if stamps {
						row[f.Name] = c.(*array.Timestamp).Value(i).ToTime(arrow.Microsecond).Format("2006-01-02 15:04:05.000000-07:00")
					}
				case c.IsNull(i):
					row[f.Name] = nil
				case f.Type.ID() == arrow.DATE32 || f.Type.ID() == arrow.STRING:
					row[f.Name] = c.ValueStr(i)
				default:
					row[f.Name] = json.RawMessage(c.ValueStr(i))
				}
			}
			text, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, sameJSON(t, string(text)))
		}
	}
	slices.Sort(out)
	return out, nil
}

// TestChanges compares change feeds of published tables with the rows that delta-spark 4.0.1 gave.
func TestChanges(t *testing.T) {
	data, err := os.ReadFile("testdata/changes.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string][]struct {
		From, To int64
		Rows     []string
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for name, feeds := range cases {
		t.Run(name, func(t *testing.T) {
			tb := tableAt(t, filepath.Join(deltatest.Data(t, "tables/"+filepath.ToSlash(filepath.Dir(name))), filepath.Base(name), "delta"))
			for _, c := range feeds {
				want := make([]string, len(c.Rows))
				for i, r := range c.Rows {
					want[i] = sameJSON(t, r)
				}
				slices.Sort(want)
				got, err := feedRows(t, tb, c.From, c.To, strings.Contains(r0(c.Rows), scan.CommitTimestampColumn), nil)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("changes %d to %d: %v\n got %v\nwant %v", c.From, c.To, err, got, want)
				}
			}
		})
	}
}

func r0(rows []string) string { return strings.Join(rows[:min(1, len(rows))], "") }

// TestChangesOfOwnTable goes through what a table can go through: schema growth, moves without change, and ranges that cannot be told.
func TestChangesOfOwnTable(t *testing.T) {
	dir := t.TempDir()
	tb := tableAt(t, dir)
	ids := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	wide := arrow.NewSchema(append(ids.Fields(), arrow.Field{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
	add := func(schema *arrow.Schema, rows ...string) {
		t.Helper()
		if _, err := tb.Append(t.Context(), jsonRows(t, schema, rows), &delta.AppendOptions{MergeSchema: true}); err != nil {
			t.Fatal(err)
		}
	}
	set := func(value string) {
		t.Helper()
		if _, err := tb.SetProperties(t.Context(), map[string]string{"delta.enableChangeDataFeed": value}, nil); err != nil {
			t.Fatal(err)
		}
	}
	add(ids, `{"id":0}`)             // 0
	set("true")                      // 1
	add(ids, `{"id":1}`, `{"id":2}`) // 2
	add(wide, `{"id":3,"s":"x"}`)    // 3
	if r, err := rewrite.Optimize(t.Context(), tb, nil); err != nil || r.Version != 4 {
		t.Fatal(r, err)
	}
	set("false")          // 5
	add(wide, `{"id":9}`) // 6
	one, two := `{"_change_type":"insert","_commit_version":2,"id":1}`, `{"_change_type":"insert","_commit_version":2,"id":2}`
	three := `{"_change_type":"insert","_commit_version":3,"id":3,"s":"x"}`
	widened := func(s string) string { return strings.TrimSuffix(s, "}") + `,"s":null}` }
	cases := []struct {
		from, to int64
		opts     *scan.Options
		want     []string
		fails    string
	}{
		{1, 2, nil, []string{one, two}, ""},
		{1, 3, nil, []string{widened(one), widened(two), three}, ""},
		{1, 4, &scan.Options{Columns: []string{"id"}, Filter: filter.Compare{Op: filter.Gt, Left: filter.Column{Path: []string{"id"}}, Right: filter.Literal{Value: int64(1)}}},
			[]string{two, `{"_change_type":"insert","_commit_version":3,"id":3}`}, ""},
		{4, 4, nil, []string{}, ""},
		{0, 3, nil, nil, "recorded no changes at version 0"},
		{1, 6, nil, nil, "recorded no changes at version 5"},
		{6, 6, nil, nil, "recorded no changes at version 6"},
		{3, 99, nil, nil, "99"},
		{7, -1, nil, nil, "no version 7"},
		{1, 3, &scan.Options{Columns: []string{"nope"}}, nil, "nope"},
	}
	for _, c := range cases {
		got, err := feedRows(t, tb, c.from, c.to, false, c.opts)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%d to %d: error %v, want one about %s", c.from, c.to, err, c.fails)
			}
			continue
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%d to %d: %v\n got %v\nwant %v", c.from, c.to, err, got, c.want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "_delta_log", "00000000000000000002.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := feedRows(t, tb, 1, 3, false, nil); err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, txlog.ErrCorrupt) {
		t.Errorf("a commit is gone, but the feed says %v", err)
	}
}

// TestChangesOfNullPartition removes a file of the partition null, whose tombstone has no value for it when Spark writes it.
func TestChangesOfNullPartition(t *testing.T) {
	dir := t.TempDir()
	tb := tableAt(t, dir)
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "p", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	opts := &delta.AppendOptions{PartitionBy: []string{"p"}, Configuration: map[string]string{"delta.enableChangeDataFeed": "true"}}
	if _, err := tb.Append(t.Context(), jsonRows(t, schema, []string{`{"id":1,"p":null}`, `{"id":2,"p":"x"}`}), opts); err != nil {
		t.Fatal(err)
	}
	if _, err := rewrite.Delete(t.Context(), tb, filter.IsNull{X: filter.Column{Path: []string{"p"}}}, nil); err != nil {
		t.Fatal(err)
	}
	commit := filepath.Join(dir, "_delta_log", "00000000000000000001.json")
	body, err := os.ReadFile(commit)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ told, instead, fails string }{{`"partitionValues":{"p":null}`, `"partitionValues":{}`, ""},
		{`"extendedFileMetadata":true,"partitionValues":{"p":null},`, ``, "without telling its partition"}} {
		text := strings.Replace(string(body), c.told, c.instead, 1)
		if text == string(body) {
			t.Fatalf("%s is not in %s", c.told, body)
		}
		if err := os.WriteFile(commit, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := feedRows(t, tb, 1, 1, false, nil)
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v %v", text, got, err)
			}
			continue
		}
		if want := []string{`{"_change_type":"delete","_commit_version":1,"id":1,"p":null}`}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
}

// TestChangesOfNarrowingRestore restores a table to before a type was widened: rows that do not fit the narrow type cannot be told, and are no damage.
func TestChangesOfNarrowingRestore(t *testing.T) {
	tb := tableAt(t, t.TempDir())
	narrow := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true}}, nil)
	wide := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	opts := &delta.AppendOptions{Configuration: map[string]string{"delta.enableChangeDataFeed": "true", "delta.enableTypeWidening": "true"}}
	if _, err := tb.Append(t.Context(), jsonRows(t, narrow, []string{`{"n":1}`}), opts); err != nil {
		t.Fatal(err)
	}
	snap, err := tb.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	meta := *snap.State().Metadata
	meta.SchemaString = `{"type":"struct","fields":[{"name":"n","type":"long","nullable":true,"metadata":{"delta.typeChanges":[{"fromType":"integer","toType":"long"}]}}]}`
	if _, err := tb.Commit(t.Context(), &delta.Change{Read: snap, Operation: "CHANGE COLUMN", Metadata: &meta}); err != nil {
		t.Fatal(err)
	}
	if _, err := tb.Append(t.Context(), jsonRows(t, wide, []string{`{"n":5000000000}`}), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := feedRows(t, tb, 0, 2, false, nil); err != nil || len(got) != 2 {
		t.Errorf("up to the wide row: %v %v", got, err)
	}
	if r, err := rewrite.Restore(t.Context(), tb, 0, nil); err != nil || r.Version != 3 {
		t.Fatal(r, err)
	}
	var schema *delta.SchemaError
	if got, err := feedRows(t, tb, 3, 3, false, nil); !errors.As(err, &schema) || errors.Is(err, txlog.ErrCorrupt) || !strings.Contains(err.Error(), "version 3 removed rows") {
		t.Errorf("the restore: %v %v", got, err)
	}
}

func jsonRows(t *testing.T, schema *arrow.Schema, rows []string) *delta.Rows {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, r := range rows {
		if err := b.UnmarshalJSON([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	rec := b.NewRecordBatch()
	return &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}
}

// sameJSON gives objects that hold the same one text.
func sameJSON(t *testing.T, text string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

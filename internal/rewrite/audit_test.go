package rewrite_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// edit changes a file of a table.
func edit(t *testing.T, tb *delta.Table, key string, change func([]byte) []byte) {
	t.Helper()
	body, err := tb.Store().ReadAll(t.Context(), key, 1<<20)
	if err == nil {
		err = tb.Store().Put(t.Context(), key, bytes.NewReader(change(bytes.Clone(body))))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// replacing edits a text within a file, which must be there.
func replacing(t *testing.T, old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("no %s in %s", old, b)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
}

func commitKey(v int) string { return fmt.Sprintf("_delta_log/%020d.json", v) }

// TestAudit does one damage at a time: the check names the kind of each, and the file. Damage that only reading shows is not found without.
func TestAudit(t *testing.T) {
	dataFile := func(t *testing.T, tb *delta.Table) string { return snapshot(t, tb).Files()[0].Key }
	stats := func(old, new string) func(*testing.T, *delta.Table) {
		return func(t *testing.T, tb *delta.Table) { edit(t, tb, commitKey(0), replacing(t, old, new)) }
	}
	vector := func(change func([]byte) []byte) func(*testing.T, *delta.Table) {
		return func(t *testing.T, tb *delta.Table) {
			for _, k := range keys(t, tb) {
				if strings.HasPrefix(k, "deletion_vector_") {
					edit(t, tb, k, change)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, *delta.Table)
		kind   string
		says   string
		read   bool // found by --read-data alone
	}{
		"nothing": {func(*testing.T, *delta.Table) {}, "", "", false},
		"a file is gone": {func(t *testing.T, tb *delta.Table) {
			if err := tb.Store().Delete(t.Context(), dataFile(t, tb)); err != nil {
				t.Fatal(err)
			}
		}, "missing", "missing", false},
		"a file is cut": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, dataFile(t, tb), func(b []byte) []byte { return b[:len(b)-1] })
		}, "size", "bytes", false},
		"a file has other bytes": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, dataFile(t, tb), func(b []byte) []byte { clear(b[4:60]); return b })
		}, "data", "", true},
		"a commit is gone": {func(t *testing.T, tb *delta.Table) {
			if err := tb.Store().Delete(t.Context(), commitKey(1)); err != nil {
				t.Fatal(err)
			}
		}, "log", "commits 1 to 1 are missing", false},
		"a commit is no JSON": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, commitKey(3), func(b []byte) []byte { return b[:len(b)-2] })
		}, "log", "line", false},
		"a file is added twice": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, commitKey(3), func(b []byte) []byte {
				lines := strings.Split(strings.TrimSpace(string(b)), "\n")
				return []byte(string(b) + lines[len(lines)-1] + "\n")
			})
		}, "log", "twice", false},
		"a file is live with two vectors": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, commitKey(2), func(b []byte) []byte {
				var out []string
				for line := range strings.Lines(string(b)) {
					if !strings.HasPrefix(line, `{"remove"`) {
						out = append(out, line)
					}
				}
				return []byte(strings.Join(out, ""))
			})
		}, "duplicate", "live more than once", false},
		"a minimum lies":             {stats(`\"minValues\":{\"id\":0`, `\"minValues\":{\"id\":3`), "statistics", `"id"`, true},
		"a maximum lies":             {stats(`\"maxValues\":{\"id\":4999`, `\"maxValues\":{\"id\":4000`), "statistics", `"id"`, true},
		"a count lies":               {stats(`\"numRecords\":5000`, `\"numRecords\":5001`), "data", "the log says 5001", true},
		"a member's maximum lies":    {stats(`\"n\":9998}`, `\"n\":9000}`), "statistics", `"s.n"`, true},
		"statistics are no JSON":     {stats(`{\"numRecords\":`, `{numRecords:`), "statistics", "not JSON", false},
		"the vector is gone":         {vector(func([]byte) []byte { return nil }), "vector", "", false},
		"the vector has other bytes": {vector(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), "vector", "", false},
		"the vector deletes more than there is": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, commitKey(2), replacing(t, `"cardinality":1000`, `"cardinality":6000`))
		}, "vector", "6000 of", false},
		"a checkpoint lacks a file": {func(t *testing.T, tb *delta.Table) {
			if err := tb.Checkpoint(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			edit(t, tb, commitKey(3), func(b []byte) []byte {
				i := bytes.Index(b, []byte(`{"add"`))
				return append(b[:i:i], bytes.Replace(b[i:], []byte("part-"), []byte("qart-"), 1)...)
			})
		}, "checkpoint", "qart-", false},
	} {
		t.Run(name, func(t *testing.T) {
			tb := open(objstore.New(objstore.NewMem()))
			o := with(vectors)
			if c.kind == "statistics" || c.kind == "data" {
				o = with() // bounds are tight and counts exact
			}
			nested := nestedRows(t, 0, 5000)
			if _, err := tb.Append(t.Context(), nested, o); err != nil {
				t.Fatal(err)
			}
			for _, n := range []int64{5000, 5010} {
				if _, err := tb.Append(t.Context(), nestedRows(t, n, n+10), nil); err != nil {
					t.Fatal(err)
				}
				if n == 5000 && o.Configuration[vectors] != "" {
					if _, err := rewrite.Delete(t.Context(), tb, where(t, "id < 4999 AND mod = 0"), &rewrite.DeleteOptions{Now: now}); err != nil {
						t.Fatal(err)
					}
				}
			}
			c.damage(t, tb)
			for _, read := range []bool{false, true} {
				problems, err := rewrite.Audit(t.Context(), tb, read)
				if err != nil {
					t.Fatal(err)
				}
				found := false
				for _, p := range problems {
					found = found || p.Kind == c.kind && strings.Contains(p.Message, c.says)
				}
				if want := c.kind != "" && (read || !c.read); found != want || !want && len(problems) > 0 {
					t.Errorf("with reading %v: %+v, want one of %q about %q", read, problems, c.kind, c.says)
				}
			}
		})
	}
}

// nestedRows have an id, its remainder by 5, and a struct with twice the id.
func nestedRows(t *testing.T, from, to int64) *delta.Rows {
	t.Helper()
	long := arrow.PrimitiveTypes.Int64
	wide := arrow.NewSchema([]arrow.Field{{Name: "id", Type: long, Nullable: true}, {Name: "mod", Type: long, Nullable: true},
		{Name: "s", Type: arrow.StructOf(arrow.Field{Name: "n", Type: long, Nullable: true}), Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, wide)
	for i := from; i < to; i++ {
		b.Field(0).(*array.Int64Builder).Append(i)
		b.Field(1).(*array.Int64Builder).Append(i * 7919 % 5)
		st := b.Field(2).(*array.StructBuilder)
		st.Append(true)
		st.FieldBuilder(0).(*array.Int64Builder).Append(2 * i)
	}
	rec := b.NewRecordBatch()
	return &delta.Rows{Schema: wide, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}
}

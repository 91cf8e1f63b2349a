package scan_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestDamagedVectors damages a deletion vector and what the log says of it: each is refused as damage that names the data file, none gives a deleted row.
func TestDamagedVectors(t *testing.T) {
	for name, c := range map[string]struct {
		told, lie string                   // in the commit
		file      func(body []byte) []byte // of the vector; nil result: no file
		outside   bool                     // refused for leading out of the table
	}{
		"undamaged":             {},
		"cardinality too great": {told: `"cardinality":200`, lie: `"cardinality":201`},
		"cardinality too small": {told: `"cardinality":200`, lie: `"cardinality":199`},
		"cardinality below 0":   {told: `"cardinality":200`, lie: `"cardinality":-1`},
		"size too small":        {told: `"sizeInBytes":`, lie: `"sizeInBytes":1`},
		"offset of the version": {told: `"offset":1`, lie: `"offset":0`},
		"offset beyond the end": {told: `"offset":1`, lie: `"offset":100000`},
		"unknown storage":       {told: `"storageType":"u","pathOrInlineDv":"`, lie: `"storageType":"x","pathOrInlineDv":"/`},
		"inline bytes":          {told: `"storageType":"u"`, lie: `"storageType":"i"`},
		"a path as a name":      {told: `"storageType":"u","pathOrInlineDv":"`, lie: `"storageType":"p","pathOrInlineDv":"name","was":"`},
		"a path out of it":      {told: `"storageType":"u","pathOrInlineDv":"`, lie: `"storageType":"p","pathOrInlineDv":"file:///etc/vector","was":"`, outside: true},
		"no feature":            {told: "", lie: "no feature"},
		"version byte":          {file: func(b []byte) []byte { b[0] = 2; return b }},
		"size in the file":      {file: func(b []byte) []byte { b[4]++; return b }},
		"magic":                 {file: func(b []byte) []byte { b[5]++; return b }},
		"a row":                 {file: func(b []byte) []byte { b[len(b)-6]++; return b }},
		"checksum":              {file: func(b []byte) []byte { b[len(b)-1]++; return b }},
		"cut":                   {file: func(b []byte) []byte { return b[:len(b)-1] }},
		"empty":                 {file: func([]byte) []byte { return []byte{} }},
		"missing":               {file: func([]byte) []byte { return nil }},
	} {
		dir := t.TempDir()
		tb := tableAt(t, dir)
		ids := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
		var rows, even []string
		for i := range 400 {
			rows = append(rows, fmt.Sprintf(`{"id":%d}`, i))
			even = append(even, fmt.Sprint(i/2*2))
		}
		opts := &delta.AppendOptions{Configuration: map[string]string{"delta.enableDeletionVectors": "true"}}
		if name == "no feature" {
			opts = nil
		}
		if _, err := tb.Append(t.Context(), jsonRows(t, ids, rows), opts); err != nil {
			t.Fatal(err)
		}
		if name == "no feature" {
			commit := filepath.Join(dir, "_delta_log", "00000000000000000000.json")
			body, err := os.ReadFile(commit)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(body), `"dataChange":true`, `"dataChange":true,"deletionVector":{"storageType":"i","pathOrInlineDv":"wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L","sizeInBytes":40,"cardinality":6}`, 1)
			if err := os.WriteFile(commit, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		} else {
			where, err := filter.ParseSQL("id IN (" + strings.Join(even, ", ") + ")")
			if err != nil {
				t.Fatal(err)
			}
			if r, err := rewrite.Delete(t.Context(), tb, where, nil); err != nil || r.Vectors != 1 {
				t.Fatalf("%+v %v", r, err)
			}
			damageVector(t, dir, c.told, c.lie, c.file)
		}
		n, err := countRows(t, tb)
		switch {
		case name == "undamaged":
			if err != nil || n != 200 {
				t.Errorf("%s: %d rows, %v", name, n, err)
			}
		case n > 0 || err == nil:
			t.Errorf("%s: %d rows, %v", name, n, err)
		case c.outside:
			if !errors.Is(err, delta.ErrOutsideRoot) {
				t.Errorf("%s: %v", name, err)
			}
		case !errors.Is(err, txlog.ErrCorrupt) || !strings.Contains(err.Error(), ".parquet") && !strings.Contains(err.Error(), ".json"):
			t.Errorf("%s: %v", name, err)
		}
	}
}

// damageVector changes commit 1, or the file of its deletion vector.
func damageVector(t *testing.T, dir, told, lie string, damage func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "deletion_vector*.bin"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if damage != nil {
		body, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		if body = damage(body); body != nil {
			if err := os.WriteFile(files[0], body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if told == "" {
		return
	}
	commit := filepath.Join(dir, "_delta_log", "00000000000000000001.json")
	body, err := os.ReadFile(commit)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(body), told, lie, 1)
	if text == string(body) {
		t.Fatalf("%s is not in %s", told, body)
	}
	if err := os.WriteFile(commit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func countRows(t *testing.T, tb *delta.Table) (n int64, err error) {
	snap, err := tb.Snapshot(t.Context())
	if err != nil {
		return 0, err
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		return 0, err
	}
	for b, err := range sc.Batches(t.Context()) {
		if err != nil {
			return n, err
		}
		n += b.NumRows()
	}
	return n, nil
}

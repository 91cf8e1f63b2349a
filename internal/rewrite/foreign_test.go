package rewrite_test

import (
	"bytes"
	"fmt"
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
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// problemsOf are what a check with reading finds, as "kind path: message".
func problemsOf(t *testing.T, tb *delta.Table) []string {
	t.Helper()
	found, err := rewrite.Audit(t.Context(), tb, true)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range found {
		out = append(out, p.Kind+" "+p.Path+": "+p.Message)
	}
	return out
}

// TestAbsolutePaths reads, deletes, compacts and sweeps a table whose log names a file below the root by its absolute path, in each spelling.
func TestAbsolutePaths(t *testing.T) {
	for name, spell := range map[string]func(string) string{"plain": func(p string) string { return p }, "file URL": func(p string) string { return "file://" + p }, "file:": func(p string) string { return "file:" + p },
		"localhost": func(p string) string { return "file://localhost" + p }} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d, err := objstore.NewLocal(dir)
			if err != nil {
				t.Fatal(err)
			}
			tb := open(objstore.New(d))
			write(t, tb, 0, 10, nil)
			write(t, tb, 10, 20, nil)
			key := snapshot(t, tb).Files()[0].Key
			edit(t, tb, commitKey(0), replacing(t, `"path":"`+key, `"path":"`+spell(filepath.Join(dir, key))))
			want := without(20, func(int64) bool { return false })
			check := func(what string) {
				t.Helper()
				if got := ids(t, snapshot(t, tb)); !slices.Equal(got, want) {
					t.Fatalf("%s: %v, want %v", what, got, want)
				}
				if p := problemsOf(t, tb); p != nil {
					t.Fatalf("%s: %q", what, p)
				}
			}
			sweep := func() {
				t.Helper()
				if _, err := rewrite.Vacuum(t.Context(), tb, &rewrite.VacuumOptions{Now: time.UnixMilli(now).AddDate(1, 0, 0), Retention: -1}); err != nil {
					t.Fatal(err)
				}
			}
			check("read")
			sweep()
			check("vacuum")
			if _, err := rewrite.Delete(t.Context(), tb, where(t, "id = 3"), &rewrite.DeleteOptions{Now: now}); err != nil {
				t.Fatal(err)
			}
			want = without(20, func(id int64) bool { return id == 3 })
			check("delete")
			sweep()
			check("vacuum after a delete")
			if _, err := os.Stat(filepath.Join(dir, key)); err == nil {
				t.Error("the vacuum left the file that the delete replaced")
			}
		})
	}
}

// badText commits a file whose column p holds bytes that are no UTF-8, as other writers have done: rows that are only moved are not judged.
func badText(t *testing.T, tb *delta.Table, text string) {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2}, nil)
	b.Field(1).(*array.StringBuilder).AppendValues([]string{"ok", text}, nil)
	rec := b.NewRecordBatch()
	snap := snapshot(t, tb)
	adds, err := tb.WriteFiles(t.Context(), snap, &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}, &delta.FileOptions{DataChange: true})
	if err == nil {
		_, err = tb.Commit(t.Context(), &delta.Change{Read: snap, Adds: adds, Operation: "WRITE"})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestForeignFaults makes a table with each fault that others have left in tables: the check names it, and rows that can be read are.
func TestForeignFaults(t *testing.T) {
	varchar := func(t *testing.T, tb *delta.Table) {
		edit(t, tb, commitKey(0), replacing(t, `\"name\":\"p\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}`,
			`\"name\":\"p\",\"type\":\"string\",\"nullable\":true,\"metadata\":{\"__CHAR_VARCHAR_TYPE_STRING\":\"varchar(3)\"}`))
	}
	for name, c := range map[string]struct {
		fault func(*testing.T, *delta.Table)
		want  []string // of the problem, in this order
		rows  bool     // can still be read
	}{
		"a text that is no UTF-8": {func(t *testing.T, tb *delta.Table) { badText(t, tb, "caf\xe9") }, []string{"data part-", "column p", "UTF-8", "row 2"}, true},
		"a text that is too long": {func(t *testing.T, tb *delta.Table) { varchar(t, tb); badText(t, tb, "four") }, []string{"data part-", "column p", "3 characters", "row 2"}, true},
		"an empty commit": {func(t *testing.T, tb *delta.Table) {
			if err := tb.Store().Put(t.Context(), commitKey(2), strings.NewReader("")); err != nil {
				t.Fatal(err)
			}
		}, []string{"log _delta_log/00000000000000000002.json", "no bytes"}, true},
		"a checksum file that lies": {func(t *testing.T, tb *delta.Table) {
			if err := tb.Checkpoint(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			edit(t, tb, "_delta_log/00000000000000000001.crc", replacing(t, `"numFiles":2`, `"numFiles":7`))
		}, []string{"checksum _delta_log/00000000000000000001.crc", "numFiles is 7, the log has 2"}, true},
		"a type that contradicts the schema": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, commitKey(0), replacing(t, `\"name\":\"id\",\"type\":\"long\"`, `\"name\":\"id\",\"type\":\"string\"`))
		}, []string{"data part-", "column id", "utf8", "int64"}, false},
		"a path that leads out": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, commitKey(0), replacing(t, `"path":"part-`, `"path":"file:///elsewhere/part-`))
		}, []string{"data file:///elsewhere/part-", "leads out"}, false},
		"a partition column of another spelling": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, commitKey(0), replacing(t, `"partitionColumns":[]`, `"partitionColumns":["P"]`))
		}, []string{"log _delta_log", `"P"`}, false},
		"a partition column twice": {func(t *testing.T, tb *delta.Table) {
			edit(t, tb, commitKey(0), replacing(t, `"partitionColumns":[]`, `"partitionColumns":["p","p"]`))
		}, []string{"log _delta_log", `"p" is named twice`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tb := open(objstore.New(objstore.NewMem()))
			write(t, tb, 0, 10, nil)
			write(t, tb, 10, 20, nil)
			c.fault(t, tb)
			found := problemsOf(t, tb)
			ok := slices.ContainsFunc(found, func(p string) bool {
				for _, w := range c.want {
					i := strings.Index(p, w)
					if i < 0 {
						return false
					}
					p = p[i+len(w):]
				}
				return true
			})
			if !ok {
				t.Errorf("found %q, want one with %q", found, c.want)
			}
			s, err := tb.Snapshot(t.Context())
			if !c.rows {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := len(ids(t, s)); n < 20 {
				t.Errorf("%d rows are read", n)
			}
			if _, err := tb.Append(t.Context(), frame(20, 21), nil); err != nil {
				t.Errorf("an append: %v", err)
			}
		})
	}
}

// TestChecksumWarning warns where the checksum file contradicts the log, and no more after the next commit.
func TestChecksumWarning(t *testing.T) {
	tb := table(t, nil)
	if err := tb.Checkpoint(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if w := snapshot(t, tb).Warnings(); w != nil {
		t.Errorf("a checksum file that is right: %v", w)
	}
	edit(t, tb, "_delta_log/00000000000000000001.crc", func(b []byte) []byte { return bytes.Replace(b, []byte(`"numFiles":2`), []byte(`"numFiles":1`), 1) })
	w := snapshot(t, tb).Warnings()
	if len(w) != 1 || w[0].Code != "CRC_MISMATCH" || !strings.Contains(w[0].Message, "numFiles is 1, the log has 2") {
		t.Errorf("a checksum file that is wrong: %v", w)
	}
	r, err := tb.Append(t.Context(), frame(110, 111), nil)
	if err != nil || len(r.Warnings) != 1 || r.Warnings[0].Code != "CRC_MISMATCH" {
		t.Errorf("an append: %+v %v", r, err)
	}
	if w := snapshot(t, tb).Warnings(); w != nil {
		t.Errorf("the next version: %v", w)
	}
}

// TestReadOrder reads files in the order of their commit, whatever their names, and row groups in the order of the file, each time; a few rows are the first.
func TestReadOrder(t *testing.T) {
	tb := open(objstore.New(objstore.NewMem()))
	if _, err := tb.Append(t.Context(), frame(0, 1), nil); err != nil {
		t.Fatal(err)
	}
	snap := snapshot(t, tb)
	var adds []*txlog.Add
	want := []int64{0}
	for n := int64(20); n > 0; n-- {
		list, err := tb.WriteFiles(t.Context(), snap, frame(n*100, n*100+50), &delta.FileOptions{DataChange: true, GroupRows: 7})
		if err != nil {
			t.Fatal(err)
		}
		adds = append(adds, list...)
		for i := range int64(50) {
			want = append(want, n*100+i)
		}
	}
	if _, err := tb.Commit(t.Context(), &delta.Change{Read: snap, Adds: adds, Operation: "WRITE"}); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		sc, err := scan.New(snapshot(t, tb), &scan.Options{Columns: []string{"id"}, Parallel: round + 1})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for b, err := range sc.Batches(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b.Column(0).(*array.Int64).Int64Values()...)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%d at once: %v", round+1, got)
		}
	}
}

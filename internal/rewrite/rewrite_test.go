package rewrite_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

const (
	vectors = "delta.enableDeletionVectors"
	feed    = "delta.enableChangeDataFeed"
)

var schema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "p", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)

func at(ms int64) func() time.Time { return func() time.Time { return time.UnixMilli(ms) } }

const now = 1_800_000_000_000

func open(store *objstore.Store) *delta.Table {
	return delta.New(store, &delta.Options{Now: at(now), Backoff: func(int) time.Duration { return 0 }})
}

// write appends rows with ids [from, to) in one file a partition; p is the id modulo 2, and null for multiples of 5.
func write(t testing.TB, tb *delta.Table, from, to int64, opts *delta.AppendOptions) {
	t.Helper()
	if _, err := tb.Append(t.Context(), frame(from, to), opts); err != nil {
		t.Fatal(err)
	}
}

func frame(from, to int64) *delta.Rows {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := from; i < to; i++ {
		b.Field(0).(*array.Int64Builder).Append(i)
		if i%5 == 0 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(fmt.Sprint(i % 2))
		}
	}
	rec := b.NewRecordBatch()
	return &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}
}

func table(t testing.TB, opts *delta.AppendOptions) *delta.Table {
	t.Helper()
	tb := open(objstore.New(objstore.NewMem()))
	write(t, tb, 0, 100, opts)
	write(t, tb, 100, 110, nil)
	return tb
}

func with(properties ...string) *delta.AppendOptions {
	o := &delta.AppendOptions{Configuration: map[string]string{}}
	for _, p := range properties {
		o.Configuration[p] = "true"
	}
	return o
}

func snapshot(t testing.TB, tb *delta.Table) *delta.Snapshot {
	t.Helper()
	s, err := tb.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ids are those of a version, ascending.
func ids(t testing.TB, s *delta.Snapshot) []int64 {
	t.Helper()
	sc, err := scan.New(s, &scan.Options{Columns: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	out := []int64{}
	for b, err := range sc.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b.Column(0).(*array.Int64).Int64Values()...)
	}
	slices.Sort(out)
	return out
}

// without are the ids below n that a test keeps.
func without(n int64, gone func(int64) bool) []int64 {
	out := []int64{}
	for i := range n {
		if !gone(i) {
			out = append(out, i)
		}
	}
	return out
}

func where(t testing.TB, text string) filter.Expr {
	t.Helper()
	if text == "" {
		return nil
	}
	e, err := filter.ParseSQL(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sound fails when an audit finds anything.
func sound(t testing.TB, tb *delta.Table) {
	t.Helper()
	problems, err := rewrite.Audit(t.Context(), tb, true)
	if err != nil || len(problems) > 0 {
		t.Errorf("audit: %v, %v", problems, err)
	}
}

// keys lists the objects below the root but for the log.
func keys(t testing.TB, tb *delta.Table) []string {
	t.Helper()
	var out []string
	for o, err := range tb.Store().List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(o.Key, "_delta_log/") {
			out = append(out, o.Key)
		}
	}
	return out
}

// feedOf counts the changes that a version tells, by kind.
func feedOf(t testing.TB, tb *delta.Table, version int64) string {
	t.Helper()
	rows, err := scan.Changes(t.Context(), tb, version, version, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for b, err := range rows.Batches {
		if err != nil {
			t.Fatal(err)
		}
		kinds := b.Column(b.Schema().FieldIndices(delta.ChangeColumn)[0]).(*array.String)
		for i := range kinds.Len() {
			n[kinds.Value(i)]++
		}
	}
	return fmt.Sprint(n)
}

func TestDelete(t *testing.T) {
	cases := []struct {
		where string
		gone  func(int64) bool
	}{
		{"id < 3", func(i int64) bool { return i < 3 }},
		{"id IN (0, 50, 99, 105)", func(i int64) bool { return i == 0 || i == 50 || i == 99 || i == 105 }},
		{"id >= 100", func(i int64) bool { return i >= 100 }},
		{"p = '1'", func(i int64) bool { return i%2 == 1 && i%5 != 0 }}, // null is not true: those rows stay
		{"NOT (p = '1')", func(i int64) bool { return i%2 == 0 && i%5 != 0 }},
		{"p IS NULL", func(i int64) bool { return i%5 == 0 }},
		{"id > 1000", func(int64) bool { return false }},
		{"", func(int64) bool { return true }},
	}
	for name, layout := range layouts {
		for _, c := range cases {
			t.Run(name+"/"+c.where, func(t *testing.T) {
				tb := table(t, layout)
				before := snapshot(t, tb)
				files := len(keys(t, tb))
				dry, err := rewrite.Delete(t.Context(), open(tb.Store().Rehearse()), where(t, c.where), &rewrite.DeleteOptions{Now: now})
				if err != nil || snapshot(t, tb).Version() != before.Version() || len(keys(t, tb)) != files {
					t.Fatalf("dry run: %+v, %v", dry, err)
				}
				got, err := rewrite.Delete(t.Context(), tb, where(t, c.where), &rewrite.DeleteOptions{Now: now})
				if err != nil {
					t.Fatal(err)
				}
				want := without(110, c.gone)
				gone := 110 - int64(len(want))
				if got.Rows != gone || dry != got {
					t.Errorf("%+v, dry run %+v, want %d rows", got, dry, gone)
				}
				if gone == 0 {
					if got.Version != -1 || len(keys(t, tb)) != files {
						t.Errorf("nothing matched, but %+v", got)
					}
					return
				}
				after := snapshot(t, tb)
				if list := ids(t, after); !slices.Equal(list, want) {
					t.Errorf("left: %v, want %v", list, want)
				}
				if before.UsesVectors() && got.FilesAdded > 0 || !before.UsesVectors() && got.Vectors > 0 {
					t.Errorf("the way of the delete is wrong: %+v", got)
				}
				sound(t, tb)
				if before.FeedsChanges() {
					if f, want := feedOf(t, tb, got.Version), fmt.Sprintf("map[delete:%d]", gone); f != want {
						t.Errorf("change feed %s, want %s", f, want)
					}
				}
			})
		}
	}
}

// TestDeleteMergesVectors deletes again and again from one file, until nothing is left of it.
func TestDeleteMergesVectors(t *testing.T) {
	tb := open(objstore.New(objstore.NewMem()))
	write(t, tb, 0, 5000, with(vectors, feed))
	left := 5000
	for i, text := range []string{"id < 10", "id BETWEEN 100 AND 199 OR id IN (301, 303, 305)", "p = '0'", "id < 4900", "id >= 0"} {
		r, err := rewrite.Delete(t.Context(), tb, where(t, text), &rewrite.DeleteOptions{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		left -= int(r.Rows)
		snap := snapshot(t, tb)
		if f := feedOf(t, tb, r.Version); f != fmt.Sprintf("map[delete:%d]", r.Rows) {
			t.Errorf("%s: change feed %s of %d rows", text, f, r.Rows)
		}
		if i == 4 {
			if len(snap.Files()) != 0 || left != 0 || r.FilesRemoved != 1 {
				t.Errorf("%d files, %d rows are left: %+v", len(snap.Files()), left, r)
			}
			return
		}
		f := snap.Files()[0]
		var stats struct {
			NumRecords  int64
			TightBounds bool
		}
		stats.TightBounds = true
		if err := json.Unmarshal([]byte(f.Stats), &stats); err != nil || stats.NumRecords != 5000 || stats.TightBounds {
			t.Errorf("%s: statistics %s", text, f.Stats)
		}
		if n := int64(left); len(ids(t, snap)) != left || f.Rows() != n || f.DeletionVector.Cardinality != 5000-n {
			t.Errorf("%s: %d rows, the log says %d, want %d", text, len(ids(t, snap)), f.Rows(), n)
		}
		if kind := f.DeletionVector.StorageType; kind != map[bool]string{true: "i", false: "u"}[f.DeletionVector.SizeInBytes <= 256] {
			t.Errorf("%s: a vector of %d bytes is stored as %q", text, f.DeletionVector.SizeInBytes, kind)
		}
		sound(t, tb)
	}
}

// TestDeleteCopyOnWrite rewrites on demand a table with vectors.
func TestDeleteCopyOnWrite(t *testing.T) {
	tb := table(t, with(vectors))
	r, err := rewrite.Delete(t.Context(), tb, where(t, "id < 3"), &rewrite.DeleteOptions{CopyOnWrite: true, Now: now})
	if err != nil || r.Vectors != 0 || r.FilesAdded != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := ids(t, snapshot(t, tb)); len(got) != 107 {
		t.Errorf("%d rows are left", len(got))
	}
}

// TestDeleteRefused names what a table forbids and leaves no file behind.
func TestDeleteRefused(t *testing.T) {
	for name, c := range map[string]struct{ property, says string }{
		"append only":  {"delta.appendOnly", "append-only"},
		"row tracking": {"delta.enableRowTracking", "row tracking"},
	} {
		t.Run(name, func(t *testing.T) {
			tb := table(t, with(c.property))
			before := len(keys(t, tb))
			_, err := rewrite.Delete(t.Context(), tb, where(t, "id < 3"), nil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one about %s", err, c.says)
			}
			if n := len(keys(t, tb)); n != before {
				t.Errorf("%d files were left behind", n-before)
			}
		})
	}
	t.Run("row tracking with vectors keeps the ids", func(t *testing.T) {
		tb := table(t, with("delta.enableRowTracking", vectors))
		first := snapshot(t, tb).Files()[0]
		if _, err := rewrite.Delete(t.Context(), tb, where(t, "id < 3"), nil); err != nil {
			t.Fatal(err)
		}
		for _, f := range snapshot(t, tb).Files() {
			if f.Key == first.Key && (f.BaseRowID == nil || *f.BaseRowID != *first.BaseRowID || *f.DefaultRowCommitVersion != *first.DefaultRowCommitVersion) {
				t.Errorf("row ids moved: %+v", f.Add)
			}
		}
	})
	t.Run("no table", func(t *testing.T) {
		if _, err := rewrite.Delete(t.Context(), open(objstore.New(objstore.NewMem())), nil, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
}

// TestDeleteConflicts lets another writer commit between the decision of a delete and its commit.
func TestDeleteConflicts(t *testing.T) {
	remove := func(text string) func(*testing.T, *delta.Table) {
		return func(t *testing.T, tb *delta.Table) {
			if _, err := rewrite.Delete(t.Context(), tb, where(t, text), &rewrite.DeleteOptions{Now: now}); err != nil {
				t.Error(err)
			}
		}
	}
	add := func(from, to int64) func(*testing.T, *delta.Table) {
		return func(t *testing.T, tb *delta.Table) { write(t, tb, from, to, nil) }
	}
	weak := &delta.AppendOptions{Configuration: map[string]string{"delta.isolationLevel": "WriteSerializable"}}
	cases := []struct {
		name   string
		layout *delta.AppendOptions
		other  func(*testing.T, *delta.Table)
		lost   bool
		left   int
	}{
		{"delete of the same file", with(), remove("id = 7"), true, 109},
		{"delete of the same file by vectors", with(vectors), remove("id = 7"), true, 109},
		{"delete of another file", with(), remove("id = 105"), false, 106},
		{"delete of another file by vectors", with(vectors), remove("id = 105"), false, 106},
		{"append of rows that match", with(), add(1, 2), true, 111},
		{"append of rows that cannot match", with(), add(200, 210), false, 117},
		{"append of rows that match, write serializable", weak, add(1, 2), false, 108},
		{"optimize", with(), func(t *testing.T, tb *delta.Table) {
			if _, err := rewrite.Optimize(t.Context(), tb, &rewrite.OptimizeOptions{Now: now}); err != nil {
				t.Error(err)
			}
		}, true, 110},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			mem := objstore.NewMem()
			other := open(objstore.New(mem))
			write(t, other, 0, 100, c.layout)
			write(t, other, 100, 110, nil)
			d := objstoretest.NewFaulty(mem, 1)
			d.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Times: 1, Fault: objstoretest.None, Do: func(objstoretest.Op, string) { c.other(t, other) }})
			_, err := rewrite.Delete(t.Context(), open(objstore.New(d)), where(t, "id < 3"), &rewrite.DeleteOptions{Now: now})
			var lost *txlog.ConflictError
			if errors.As(err, &lost) != c.lost || err != nil && !c.lost {
				t.Errorf("error %v, want a conflict: %v", err, c.lost)
			}
			if n := len(ids(t, snapshot(t, other))); n != c.left {
				t.Errorf("%d rows are left, want %d", n, c.left)
			}
			sound(t, other)
		})
	}
}

// TestDeleteFromLongFiles deletes by vectors from a file that is read in several batches: none, some or all of whose rows match.
func TestDeleteFromLongFiles(t *testing.T) {
	for text, left := range map[string]func(int64) bool{
		"id < 10 OR id >= 65536":                     func(i int64) bool { return i < 10 || i >= 65536 },
		"id >= 65536":                                func(i int64) bool { return i >= 65536 },
		"id BETWEEN 65536 AND 131071 OR id = 140000": func(i int64) bool { return i >= 65536 && i <= 131071 || i == 140000 },
	} {
		tb := open(objstore.New(objstore.NewMem()))
		write(t, tb, 0, 150_000, with(vectors))
		if _, err := rewrite.Delete(t.Context(), tb, where(t, text), &rewrite.DeleteOptions{Now: now}); err != nil {
			t.Fatal(err)
		}
		want, got := without(150_000, left), ids(t, snapshot(t, tb))
		for i := range want {
			if i >= len(got) || want[i] != got[i] {
				t.Errorf("%s: %d rows are left, %d of them should be, the first other one is %d", text, len(got), len(want), want[i])
				break
			}
		}
	}
}

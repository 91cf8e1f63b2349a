package rewrite_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// layouts are the tables that rows are taken out of.
var layouts = map[string]*delta.AppendOptions{"plain": with(), "vectors": with(vectors), "feed": with(feed), "vectors and feed": with(vectors, feed),
	"partitioned": {PartitionBy: []string{"p"}}, "partitioned vectors": {PartitionBy: []string{"p"}, Configuration: map[string]string{vectors: "true", feed: "true"}},
	"partitioned feed": {PartitionBy: []string{"p"}, Configuration: map[string]string{feed: "true", "delta.columnMapping.mode": "name"}}}

// pairs are rows of id and p, "-" for null.
func pairs(list ...string) *delta.Rows {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, text := range list {
		number, p, _ := strings.Cut(text, " ")
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			panic(err)
		}
		b.Field(0).(*array.Int64Builder).Append(id)
		if p == "-" {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(p)
		}
	}
	rec := b.NewRecordBatch()
	return &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for i := range rec.NumRows() { // a batch a row, so that numbers of rows are counted over batches
			if !yield(rec.NewSlice(i, i+1), nil) {
				return
			}
		}
	}}
}

func TestOverwrite(t *testing.T) {
	cases := []struct {
		where string
		rows  []string
		gone  func(int64) bool
	}{
		{"id < 3", []string{"1 1", "2 x"}, func(i int64) bool { return i < 3 }},
		{"id >= 100", []string{"200 0"}, func(i int64) bool { return i >= 100 }},
		{"p = '1'", []string{"300 1", "301 1", "301 1"}, func(i int64) bool { return i%2 == 1 && i%5 != 0 }},
		{"p IS NULL OR p = '0'", []string{"400 -", "401 0"}, func(i int64) bool { return i%5 == 0 || i%2 == 0 }},
		{"p = '1' AND id < 50", nil, func(i int64) bool { return i%2 == 1 && i%5 != 0 && i < 50 }},
		{"id > 1000", []string{"1001 7"}, func(int64) bool { return false }},
		{"id > 1000", nil, func(int64) bool { return false }},
		{"TRUE", []string{"1 -"}, func(int64) bool { return true }},
	}
	for name, layout := range layouts {
		for _, c := range cases {
			t.Run(name+"/"+c.where, func(t *testing.T) {
				tb := table(t, layout)
				before := snapshot(t, tb)
				opts := &rewrite.OverwriteOptions{Delete: rewrite.DeleteOptions{Now: now}}
				dry, err := rewrite.Overwrite(t.Context(), open(tb.Store().Rehearse()), pairs(c.rows...), where(t, c.where), opts)
				if err != nil || snapshot(t, tb).Version() != before.Version() {
					t.Fatalf("dry run: %+v, %v", dry, err)
				}
				got, err := rewrite.Overwrite(t.Context(), tb, pairs(c.rows...), where(t, c.where), opts)
				if err != nil || fmt.Sprint(got) != fmt.Sprint(dry) {
					t.Fatalf("%+v, dry run %+v, %v", got, dry, err)
				}
				want := without(110, c.gone)
				gone := 110 - int64(len(want))
				for _, r := range c.rows {
					var id int64
					if _, err := fmt.Sscan(r, &id); err != nil {
						t.Fatal(err)
					}
					want = append(want, id)
				}
				slices.Sort(want)
				after := snapshot(t, tb)
				if list := ids(t, after); !slices.Equal(list, want) {
					t.Errorf("holds %v, want %v", list, want)
				}
				if got.RowsRemoved != gone || got.Rows != int64(len(c.rows)) || got.Version != before.Version()+1 || after.Version() != got.Version {
					t.Errorf("%+v, want %d rows removed", got, gone)
				}
				sound(t, tb)
				if before.FeedsChanges() {
					changes := map[string]int{"delete": int(gone), "insert": len(c.rows)}
					for k, n := range changes {
						if n == 0 {
							delete(changes, k)
						}
					}
					if f := feedOf(t, tb, got.Version); f != fmt.Sprint(changes) {
						t.Errorf("change feed %s, want %v", f, changes)
					}
				}
			})
		}
	}
}

// TestOverwriteByPartition takes files out by their partition values without reading one.
func TestOverwriteByPartition(t *testing.T) {
	mem := objstore.NewMem()
	write(t, open(objstore.New(mem)), 0, 100, &delta.AppendOptions{PartitionBy: []string{"p"}})
	f := objstoretest.NewFaulty(mem, 1)
	r, err := rewrite.Overwrite(t.Context(), open(objstore.New(f)), pairs("7 1"), where(t, "p LIKE '1%'"), nil)
	if err != nil || r.RowsRemoved != 40 || r.FilesRemoved != 1 || r.Files != 1 || r.Vectors != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, q := range f.Requests() {
		if q.Op == objstoretest.OpRead && strings.HasSuffix(q.Key, ".parquet") {
			t.Errorf("%s was read", q.Key)
		}
	}
}

// TestOverwriteRefused: rows that do not match, and what the table forbids, leave nothing behind.
func TestOverwriteRefused(t *testing.T) {
	for name, c := range map[string]struct {
		layout *delta.AppendOptions
		where  string
		rows   []string
		says   []string
	}{
		"a row that does not match":   {with(), "id < 3", []string{"1 a", "2 b", "3 c"}, []string{"column id", "row 3", "id = 3"}},
		"a null":                      {with(), "p = 'x' OR id = 7", []string{"7 -", "8 -"}, []string{"column id, p", "row 2", "id = 8", "p = null"}},
		"by partition":                {&delta.AppendOptions{PartitionBy: []string{"p"}}, "p = '1'", []string{"1 1", "2 0"}, []string{"column p", "row 2", "p = 0"}},
		"an unknown column":           {with(), "nope = 1", nil, []string{"nope"}},
		"an append-only table":        {with("delta.appendOnly"), "id < 3", []string{"1 a"}, []string{"append-only"}},
		"moved rows of tracked files": {with("delta.enableRowTracking"), "id < 3", []string{"1 a"}, []string{"row tracking"}},
	} {
		t.Run(name, func(t *testing.T) {
			tb := table(t, c.layout)
			files, version := keys(t, tb), snapshot(t, tb).Version()
			_, err := rewrite.Overwrite(t.Context(), tb, pairs(c.rows...), where(t, c.where), nil)
			for _, text := range c.says {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("error %v, want one that says %q", err, text)
				}
			}
			if !slices.Equal(keys(t, tb), files) || snapshot(t, tb).Version() != version {
				t.Errorf("something was written")
			}
		})
	}
}

// TestOverwriteMissingTable creates the table, if all rows match.
func TestOverwriteMissingTable(t *testing.T) {
	tb := open(objstore.New(objstore.NewMem()))
	if _, err := rewrite.Overwrite(t.Context(), tb, pairs("1 a", "2 b"), where(t, "p = 'a'"), nil); err == nil || !strings.Contains(err.Error(), "row 2") {
		t.Errorf("error %v", err)
	}
	if left := keys(t, tb); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	r, err := rewrite.Overwrite(t.Context(), tb, pairs("1 a", "2 a"), where(t, "p = 'a'"), &rewrite.OverwriteOptions{Write: delta.AppendOptions{PartitionBy: []string{"p"}}})
	if err != nil || r.Version != 0 || r.Rows != 2 || len(snapshot(t, tb).PartitionColumns()) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestOverwriteOnce: a repeated write of an application changes nothing, wherever its first one is.
func TestOverwriteOnce(t *testing.T) {
	tb := table(t, with(feed))
	opts := &rewrite.OverwriteOptions{Write: delta.AppendOptions{AppID: "job", AppVersion: 3}, Delete: rewrite.DeleteOptions{Now: now}}
	for i, want := range []int64{2, -1} {
		if r, err := rewrite.Overwrite(t.Context(), tb, pairs("1 a"), where(t, "id < 3"), opts); err != nil || r.Version != want {
			t.Errorf("run %d: %+v, %v", i, r, err)
		}
	}
	mem := objstore.NewMem()
	write(t, open(objstore.New(mem)), 0, 10, with(feed))
	f := objstoretest.NewFaulty(mem, 1)
	f.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Times: 1, Fault: objstoretest.None, Do: func(objstoretest.Op, string) {
		if _, err := open(objstore.New(mem)).Append(t.Context(), pairs("50 a"), &opts.Write); err != nil {
			t.Error(err)
		}
	}})
	r, err := rewrite.Overwrite(t.Context(), open(objstore.New(f)), pairs("1 a"), where(t, "id < 3"), opts)
	if n := len(keys(t, open(objstore.New(mem)))); err != nil || r.Version != -1 || n != 2 {
		t.Errorf("%+v, %v, %d files", r, err, n)
	}
}

// TestOverwriteEvolves: the rows may bring a column, which the change files of the commit have too.
func TestOverwriteEvolves(t *testing.T) {
	tb := table(t, with(feed))
	wide := arrow.NewSchema(append(slices.Clone(schema.Fields()), arrow.Field{Name: "extra", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, wide, strings.NewReader(`[{"id": 1, "p": "a", "extra": "new"}]`))
	if err != nil {
		t.Fatal(err)
	}
	rows := &delta.Rows{Schema: wide, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}
	r, err := rewrite.Overwrite(t.Context(), tb, rows, where(t, "id < 3"), &rewrite.OverwriteOptions{Write: delta.AppendOptions{MergeSchema: true}, Delete: rewrite.DeleteOptions{Now: now}})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := scan.Changes(t.Context(), tb, r.Version, r.Version, nil)
	if err != nil {
		t.Fatal(err)
	}
	extra := []string{}
	for b, err := range changes.Batches {
		if err != nil {
			t.Fatal(err)
		}
		col := b.Column(b.Schema().FieldIndices("extra")[0])
		for i := range col.Len() {
			extra = append(extra, col.ValueStr(i))
		}
	}
	slices.Sort(extra)
	if !slices.Equal(extra, []string{"(null)", "(null)", "(null)", "new"}) {
		t.Errorf("change feed: %v", extra)
	}
	sound(t, tb)
}

// TestOverwriteConflicts lets another writer commit between the decision of an overwrite and its commit. What is left is what one of the two orders gives.
func TestOverwriteConflicts(t *testing.T) {
	overwrite := func(text string, rows ...string) func(*testing.T, *delta.Table) {
		return func(t *testing.T, tb *delta.Table) {
			if _, err := rewrite.Overwrite(t.Context(), tb, pairs(rows...), where(t, text), &rewrite.OverwriteOptions{Delete: rewrite.DeleteOptions{Now: now}}); err != nil {
				t.Error(err)
			}
		}
	}
	add := func(from, to int64) func(*testing.T, *delta.Table) {
		return func(t *testing.T, tb *delta.Table) { write(t, tb, from, to, nil) }
	}
	byP := &delta.AppendOptions{PartitionBy: []string{"p"}}
	weak := &delta.AppendOptions{Configuration: map[string]string{"delta.isolationLevel": "WriteSerializable"}}
	cases := []struct {
		name   string
		layout *delta.AppendOptions
		where  string
		rows   []string
		other  func(*testing.T, *delta.Table)
		lost   bool
		left   int
	}{
		{"the same rows", with(), "id < 3", []string{"1 a"}, overwrite("id < 3", "2 b", "2 c"), true, 109},
		{"the same rows by vectors", with(vectors), "id < 3", []string{"1 a"}, overwrite("id < 3", "2 b", "2 c"), true, 109},
		{"other rows of the same file", with(), "id < 3", []string{"1 a"}, overwrite("id = 50", "50 b"), true, 110},
		{"rows of another file", with(), "id < 3", []string{"1 a"}, overwrite("id = 105", "105 b"), false, 108},
		{"rows that match come in", with(), "id < 3", []string{"1 a"}, add(1, 2), true, 111},
		{"rows that match come in, write serializable", weak, "id < 3", []string{"1 a"}, add(1, 2), false, 109},
		{"rows that cannot match come in", with(), "id < 3", []string{"1 a"}, add(200, 210), false, 118},
		{"nothing is removed, and rows that match come in", with(), "id > 1000", []string{"1001 a"}, overwrite("id > 1000", "1002 a"), true, 111},
		{"another partition", byP, "p = '1'", []string{"1 1"}, overwrite("p = '0'", "2 0"), false, 24},
		{"the same partition", byP, "p = '1'", []string{"1 1"}, overwrite("p = '1'", "3 1"), true, 67},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			mem := objstore.NewMem()
			other := open(objstore.New(mem))
			write(t, other, 0, 100, c.layout)
			write(t, other, 100, 110, nil)
			d := objstoretest.NewFaulty(mem, 1)
			var there []string
			d.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Times: 1, Fault: objstoretest.None, Do: func(objstoretest.Op, string) {
				c.other(t, other)
				there = keys(t, other)
			}})
			before := keys(t, other)
			_, err := rewrite.Overwrite(t.Context(), open(objstore.New(d)), pairs(c.rows...), where(t, c.where), &rewrite.OverwriteOptions{Delete: rewrite.DeleteOptions{Now: now}})
			var lost *txlog.ConflictError
			if errors.As(err, &lost) != c.lost || err != nil && !c.lost {
				t.Errorf("error %v, want a conflict: %v", err, c.lost)
			}
			if n := len(ids(t, snapshot(t, other))); n != c.left {
				t.Errorf("%d rows are left, want %d", n, c.left)
			}
			if c.lost && len(keys(t, other)) >= len(there) {
				t.Errorf("files of the loser stay: %d before, %d in the race, %d now", len(before), len(there), len(keys(t, other)))
			}
			sound(t, other)
		})
	}
}

package rewrite_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// valuesOf are the values of a column in tie order.
func valuesOf(t testing.TB, s *delta.Snapshot, column string) []string {
	t.Helper()
	sc, err := scan.New(s, &scan.Options{Columns: []string{column}, Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for b, err := range sc.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Column(0).Len() {
			out = append(out, b.Column(0).ValueStr(i))
		}
	}
	return out
}

func optimize(t testing.TB, tb *delta.Table, o rewrite.OptimizeOptions) rewrite.OptimizeResult {
	t.Helper()
	o.Now = now
	r, err := rewrite.Optimize(t.Context(), tb, &o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOptimize merges what is small or worn, changes no row, and finds nothing to do when done again.
func TestOptimize(t *testing.T) {
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			tb := table(t, layout)
			if _, err := rewrite.Delete(t.Context(), tb, where(t, "id < 50 AND p = '1'"), &rewrite.DeleteOptions{Now: now}); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, tb)
			want, files := ids(t, before), len(before.Files())
			dry := optimize(t, tb, rewrite.OptimizeOptions{DryRun: true})
			if dry.Version != -1 || dry.FilesRemoved != files || snapshot(t, tb).Version() != before.Version() {
				t.Errorf("dry run %+v of %d files", dry, files)
			}
			r := optimize(t, tb, rewrite.OptimizeOptions{})
			after := snapshot(t, tb)
			parts := 1
			if len(layout.PartitionBy) > 0 {
				parts = 3
			}
			if r.Version != before.Version()+1 || r.FilesRemoved != files || r.FilesAdded != parts || r.Rows != int64(len(want)) || r.BytesRemoved != dry.BytesRemoved || r.BytesAdded == 0 {
				t.Errorf("%+v of %d files", r, files)
			}
			if got := ids(t, after); !slices.Equal(got, want) {
				t.Errorf("holds %v, want %v", got, want)
			}
			for _, f := range after.Files() {
				if f.DataChange || f.DeletionVector != nil {
					t.Errorf("%s: dataChange %v, deletion vector %v", f.Key, f.DataChange, f.DeletionVector)
				}
			}
			if before.FeedsChanges() {
				if f := feedOf(t, tb, r.Version); f != "map[]" {
					t.Errorf("change feed %s", f)
				}
			}
			sound(t, tb)
			if again := optimize(t, tb, rewrite.OptimizeOptions{}); again.Version != -1 || again.FilesRemoved != 0 {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

// TestOptimizeWhere leaves other partitions alone, and takes no other columns.
func TestOptimizeWhere(t *testing.T) {
	tb := table(t, &delta.AppendOptions{PartitionBy: []string{"p"}})
	if r := optimize(t, tb, rewrite.OptimizeOptions{Where: where(t, "p = '1' OR p IS NULL")}); r.FilesRemoved != 4 || r.FilesAdded != 2 {
		t.Errorf("%+v", r)
	}
	if n := len(snapshot(t, tb).Files()); n != 4 {
		t.Errorf("%d files", n)
	}
	if _, err := rewrite.Optimize(t.Context(), tb, &rewrite.OptimizeOptions{Where: where(t, "p = '1' AND id > 3")}); !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), "id") {
		t.Errorf("error %v", err)
	}
	var unknown *scan.ColumnError
	if _, err := rewrite.Optimize(t.Context(), tb, &rewrite.OptimizeOptions{Where: where(t, "p = '1' AND nope > 3")}); !errors.As(err, &unknown) || unknown.Column != "nope" {
		t.Errorf("error %v", err)
	}
	sound(t, tb)
}

// TestOptimizeRefused names what cannot be sorted, and leaves nothing behind.
func TestOptimizeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		layout *delta.AppendOptions
		by     []string
		says   string
	}{
		"no such column":     {with(), []string{"nope"}, "nope"},
		"a partition column": {&delta.AppendOptions{PartitionBy: []string{"p"}}, []string{"p"}, "partition column"},
		"twice":              {with(), []string{"id", "ID"}, "twice"},
		"row tracking":       {with("delta.enableRowTracking"), []string{"id"}, "row tracking"},
	} {
		t.Run(name, func(t *testing.T) {
			tb := table(t, c.layout)
			files := keys(t, tb)
			if _, err := rewrite.Optimize(t.Context(), tb, &rewrite.OptimizeOptions{SortBy: c.by}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one about %s", err, c.says)
			}
			if !slices.Equal(keys(t, tb), files) {
				t.Error("something was written")
			}
		})
	}
}

// TestSortOrder: the order of every type is that of delta-spark, nulls first and NaN last.
func TestSortOrder(t *testing.T) {
	for _, c := range []struct {
		typ  arrow.DataType
		want []string
	}{
		{arrow.PrimitiveTypes.Int64, []string{"null", "-9223372036854775808", "-1", "0", "1", "9223372036854775807"}},
		{arrow.PrimitiveTypes.Int32, []string{"null", "-2147483648", "-7", "3"}},
		{arrow.PrimitiveTypes.Int16, []string{"null", "-300", "5"}},
		{arrow.PrimitiveTypes.Int8, []string{"null", "-3", "5"}},
		{arrow.PrimitiveTypes.Float64, []string{"null", "-Inf", "-2.5", "-5e-324", "0", "5e-324", "1e300", "+Inf", "NaN"}},
		{arrow.PrimitiveTypes.Float32, []string{"null", "-Inf", "-1", "0.5", "+Inf", "NaN"}},
		{arrow.FixedWidthTypes.Boolean, []string{"null", "false", "true"}},
		{arrow.FixedWidthTypes.Date32, []string{"null", "1969-12-31", "1970-01-01", "2024-02-29"}},
		{arrow.FixedWidthTypes.Timestamp_us, []string{"null", "1969-12-31T23:59:59.999999Z", "2024-01-01T00:00:00Z"}},
		{&arrow.Decimal128Type{Precision: 38, Scale: 2}, []string{"null", "-184467440737095516160.00", "-1.50", "0.00", "0.01", "184467440737095516160.00"}},
		{arrow.BinaryTypes.String, []string{"null", "", "\x00", "\x00a", "a", "a\x00", "a\x00b", "aa", "b", "ä", "\U0010ffff"}},
		{arrow.BinaryTypes.Binary, []string{"null", "", "AA==", "AAA=", "AP8=", "/w=="}},
	} {
		t.Run(c.typ.String(), func(t *testing.T) {
			wide := arrow.NewSchema([]arrow.Field{{Name: "k", Type: c.typ, Nullable: true}, {Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
			tb := open(objstore.New(objstore.NewMem()))
			for _, i := range rand.Perm(len(c.want)) {
				b := array.NewRecordBuilder(memory.DefaultAllocator, wide)
				if c.want[i] == "null" {
					b.Field(0).AppendNull()
				} else if err := b.Field(0).AppendValueFromString(c.want[i]); err != nil {
					t.Fatal(err)
				}
				b.Field(1).(*array.Int64Builder).Append(int64(i))
				rec := b.NewRecordBatch()
				if _, err := tb.Append(t.Context(), &delta.Rows{Schema: wide, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }}, nil); err != nil {
					t.Fatal(err)
				}
			}
			optimize(t, tb, rewrite.OptimizeOptions{SortBy: []string{"k"}})
			var want []string
			for i := range c.want {
				want = append(want, fmt.Sprint(i))
			}
			if got := valuesOf(t, snapshot(t, tb), "n"); !slices.Equal(got, want) {
				t.Errorf("order %v", got)
			}
		})
	}
}

// keyed are rows of a key and a number that tells when they came.
func keyed(from int, texts []string) *delta.Rows {
	wide := arrow.NewSchema([]arrow.Field{{Name: "k", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "pad", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	random := rand.NewChaCha8([32]byte{byte(from), byte(from >> 8)})
	return &delta.Rows{Schema: wide, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		n := int64(from)
		for part := range slices.Chunk(texts, 500) {
			b := array.NewRecordBuilder(memory.DefaultAllocator, wide)
			for _, k := range part {
				if k == "" {
					b.Field(0).AppendNull()
				} else {
					b.Field(0).(*array.StringBuilder).Append(k)
				}
				b.Field(1).(*array.Int64Builder).Append(n)
				b.Field(2).(*array.StringBuilder).Append(fmt.Sprint(random.Uint64(), random.Uint64()))
				n++
			}
			rec := b.NewRecordBatch()
			b.Release()
			more := yield(rec, nil)
			rec.Release()
			if !more {
				return
			}
		}
	}}
}

// TestSortSpills sorts within a memory that holds a small part of the rows; the answer is that of a stable sort in memory. Keys that are all equal, or most of
// them, and nulls come up.
func TestSortSpills(t *testing.T) {
	spread := map[string]func(i int) string{
		"spread":       func(i int) string { return fmt.Sprintf("key-%08d", (i*7919)%100_003) },
		"few":          func(i int) string { return fmt.Sprint("k", i*i%7) },
		"one":          func(int) string { return "same" },
		"most are one": func(i int) string { return map[bool]string{true: fmt.Sprint(i), false: "same"}[i%10 == 0] },
		"nulls":        func(i int) string { return map[bool]string{true: fmt.Sprint(i % 100), false: ""}[i%3 == 0] },
	}
	const rows = 20_000
	for name, key := range spread {
		t.Run(name, func(t *testing.T) {
			tb := open(objstore.New(objstore.NewMem()))
			var all []string
			for i := range rows {
				all = append(all, key(i))
			}
			for i := 0; i < rows; i += rows / 4 {
				if _, err := tb.Append(t.Context(), keyed(i, all[i:i+rows/4]), nil); err != nil {
					t.Fatal(err)
				}
			}
			size := int64(0)
			for _, f := range snapshot(t, tb).Files() {
				size += f.Size
			}
			o := rewrite.OptimizeOptions{SortBy: []string{"k"}, MemoryLimit: 300 << 10, TargetBytes: size / 5}
			var short *hashjoin.LimitError
			if _, err := rewrite.Optimize(t.Context(), tb, &o); name != "one" && !errors.As(err, &short) {
				t.Fatalf("without a directory: %v", err)
			}
			if name != "one" && len(keys(t, tb)) != 4 {
				t.Errorf("left behind: %v", keys(t, tb))
			}
			o.SpillDir = t.TempDir()
			r := optimize(t, tb, o)
			if name == "one" {
				r = rewrite.OptimizeResult{FilesAdded: 1}
			}
			order := make([]int, rows)
			for i := range order {
				order[i] = i
			}
			slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(all[a], all[b]) })
			var want []string
			for _, i := range order {
				want = append(want, fmt.Sprint(i))
			}
			if got := valuesOf(t, snapshot(t, tb), "n"); !slices.Equal(got, want) {
				t.Errorf("the rows are in another order")
			}
			if name == "spread" && r.FilesAdded != 5 || r.FilesAdded < 1 {
				t.Errorf("%+v", r)
			}
			disjoint(t, snapshot(t, tb), "k")
			sound(t, tb)
			if again := optimize(t, tb, o); again.Version != -1 {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

// disjoint fails when two files may hold the same key.
func disjoint(t testing.TB, s *delta.Snapshot, column string) {
	t.Helper()
	last := ""
	files := s.Files()
	for i := range files {
		r := files[i].Range([]string{column})
		lo, _ := r.Min.(string)
		hi, _ := r.Max.(string)
		if i > 0 && lo <= last {
			t.Errorf("file %d begins at %q, the one before ends at %q", i, lo, last)
		}
		last = hi
	}
}

// TestSortedReadsSkip: a reader who asks for one key has one file to read, and the next sort touches what is new alone.
func TestSortedReadsSkip(t *testing.T) {
	tb := open(objstore.New(objstore.NewMem()))
	key := func(i int) string { return fmt.Sprintf("%034d", i+50) } // statistics keep 32, so that files seem to overlap at their ends
	for n := range 8 {
		var list []string
		for i := range 1000 {
			list = append(list, key(i*8+n))
		}
		if _, err := tb.Append(t.Context(), keyed(n*1000, list), nil); err != nil {
			t.Fatal(err)
		}
	}
	reads := func(i int) int {
		sc, err := scan.New(snapshot(t, tb), &scan.Options{Filter: where(t, "k = '"+key(i)+"'")})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := count(sc, t.Context()); err != nil || n != 1 {
			t.Errorf("%d rows, %v", n, err)
		}
		return len(sc.Plan().Files)
	}
	if n := reads(4000); n != 8 {
		t.Errorf("%d files before", n)
	}
	size := int64(0)
	for _, f := range snapshot(t, tb).Files() {
		size += f.Size
	}
	o := rewrite.OptimizeOptions{SortBy: []string{"k"}, TargetBytes: size / 8}
	r := optimize(t, tb, o)
	if r.FilesAdded != 8 {
		t.Errorf("%+v", r)
	}
	if again := optimize(t, tb, o); again.Version != -1 {
		t.Errorf("again: %+v", again)
	}
	var more []string
	for i := range 1000 {
		more = append(more, key(9000+i))
	}
	if _, err := tb.Append(t.Context(), keyed(9000, more), nil); err != nil {
		t.Fatal(err)
	}
	if r := optimize(t, tb, o); r.FilesRemoved != 1 || r.FilesAdded != 1 {
		t.Errorf("new rows behind the others: %+v", r)
	}
	if n := reads(4000); n > 2 {
		t.Errorf("%d files to read", n)
	}
}

func count(sc *scan.Scan, ctx context.Context) (n int64, err error) {
	for b, err := range sc.Batches(ctx) {
		if err != nil {
			return n, err
		}
		n += b.NumRows()
	}
	return n, nil
}

// TestOptimizeKeepsTies appends, compacts and sorts at random: rows of one key stay in the order in which they came, also as a checkpoint tells it.
func TestOptimizeKeepsTies(t *testing.T) {
	fewChecks(t, 30)
	rapid.Check(t, func(t *rapid.T) {
		clock := time.UnixMilli(now)
		mem := objstore.NewMem()
		o := &delta.Options{Now: func() time.Time { clock = clock.Add(time.Second); return clock }, CheckpointInterval: -1}
		tb := delta.New(objstore.New(mem), o)
		rows := 0
		more := func() {
			var list []string
			for range rapid.SampledFrom([]int{1, 3, 300}).Draw(t, "rows") {
				list = append(list, fmt.Sprint("k", rapid.Uint64().Draw(t, "key")%uint64(math.Pow10(rapid.IntRange(0, 4).Draw(t, "keys")))))
			}
			if _, err := tb.Append(context.Background(), keyed(rows, list), nil); err != nil {
				t.Fatal(err)
			}
			rows += len(list)
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			ctx := context.Background()
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				more()
			default:
				how := rewrite.OptimizeOptions{Now: clock.UnixMilli(), TargetBytes: 4000, KeepOrder: true, Lazy: rapid.Bool().Draw(t, "lazy")}
				if rapid.Bool().Draw(t, "sort") {
					how.SortBy = []string{"k"}
				}
				d := objstoretest.NewFaulty(mem, 1)
				for range rapid.IntRange(0, 2).Draw(t, "appends meanwhile") {
					d.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Times: 1, Fault: objstoretest.None, Do: func(objstoretest.Op, string) { more() }})
				}
				if rows > 0 {
					if _, err := rewrite.Optimize(ctx, delta.New(objstore.New(d), o), &how); err != nil {
						t.Fatal(err)
					}
				}
			}
			if rows == 0 {
				continue
			}
			inOrder(t, tb, rows)
			if rapid.Bool().Draw(t, "checkpoint") {
				snap, err := tb.Snapshot(ctx)
				if err == nil {
					err = tb.Checkpoint(ctx, snap.Version())
				}
				if err != nil {
					t.Fatal(err)
				}
				inOrder(t, tb, rows)
			}
		}
	})
}

// fewChecks makes a property be checked less often than rapid would, unless -rapid.checks says how often.
func fewChecks(t *testing.T, n int) {
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() != checks.DefValue {
		return
	}
	if err := flag.Set("rapid.checks", fmt.Sprint(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", checks.DefValue) })
}

func inOrder(t *rapid.T, tb *delta.Table, want int) {
	snap, err := tb.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scan.New(snap, &scan.Options{Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	last, n := map[string]int64{}, 0
	for b, err := range sc.Batches(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			k, v := b.Column(0).ValueStr(i), b.Column(1).(*array.Int64).Value(i)
			if before, ok := last[k]; ok && before > v {
				t.Fatalf("version %d: row %d of key %s comes after row %d", snap.Version(), v, k, before)
			}
			last[k] = v
			n++
		}
	}
	if n != want {
		t.Fatalf("%d rows, want %d", n, want)
	}
}

// TestOptimizeConflicts: an append beside a compaction is no conflict, a delete from a file that is moved or named again is.
func TestOptimizeConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		other func(*testing.T, *delta.Table)
		keep  bool
		lost  bool
		left  int
	}{
		"append": {func(t *testing.T, tb *delta.Table) { write(t, tb, 200, 210, nil) }, false, false, 3020},
		"delete from a small file": {func(t *testing.T, tb *delta.Table) {
			if _, err := rewrite.Delete(t.Context(), tb, where(t, "id = 1"), nil); err != nil {
				t.Error(err)
			}
		}, false, true, 3009},
		"delete from the large file": {func(t *testing.T, tb *delta.Table) {
			if _, err := rewrite.Delete(t.Context(), tb, where(t, "id = 2000"), nil); err != nil {
				t.Error(err)
			}
		}, false, false, 3009},
		"delete from the large file, whose place is kept": {func(t *testing.T, tb *delta.Table) {
			if _, err := rewrite.Delete(t.Context(), tb, where(t, "id = 2000"), nil); err != nil {
				t.Error(err)
			}
		}, true, false, 3009},
		"append, which comes later": {func(t *testing.T, tb *delta.Table) { write(t, tb, 200, 210, nil) }, true, false, 3020},
		"delete from a small file, whose place is kept": {func(t *testing.T, tb *delta.Table) {
			if _, err := rewrite.Delete(t.Context(), tb, where(t, "id = 1"), nil); err != nil {
				t.Error(err)
			}
		}, true, true, 3009},
		"another schema": {func(t *testing.T, tb *delta.Table) {
			rows := keyed(0, []string{"k"})
			if _, err := tb.Append(t.Context(), rows, &delta.AppendOptions{MergeSchema: true}); err != nil {
				t.Error(err)
			}
		}, true, true, 3011},
	} {
		t.Run(name, func(t *testing.T) {
			mem := objstore.NewMem()
			other := open(objstore.New(mem))
			write(t, other, 0, 5, nil)
			write(t, other, 5, 10, nil)
			write(t, other, 1000, 4000, nil)
			d := objstoretest.NewFaulty(mem, 1)
			d.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Times: 1, Fault: objstoretest.None, Do: func(objstoretest.Op, string) { c.other(t, other) }})
			_, err := rewrite.Optimize(t.Context(), open(objstore.New(d)), &rewrite.OptimizeOptions{Now: now, TargetBytes: 4000, KeepOrder: c.keep})
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

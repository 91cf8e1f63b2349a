package rewrite_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
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

// every makes TestTableCallFails break every call instead of one in several.
var every = flag.Bool("every", false, "break every single call")

// tableLife is what happens to a table. Its clock goes on a day with every look, so that what is removed is soon old enough to be deleted.
type tableLife struct{ days, vacuumed, cleaned atomic.Int64 }

func (l *tableLife) now() time.Time {
	return time.Now().UTC().AddDate(0, 0, int(l.days.Add(1)))
}

func (l *tableLife) table(d objstore.Driver) *delta.Table {
	return delta.New(objstore.New(d), &delta.Options{Now: l.now, CheckpointInterval: -1})
}

// numbered are rows of the partition p.
func numbered(p int64, from, to int64) *delta.Rows {
	number := arrow.PrimitiveTypes.Int64
	schema := arrow.NewSchema([]arrow.Field{{Name: "n", Type: number, Nullable: true}, {Name: "p", Type: number, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for n := from; n < to; n++ {
		b.Field(0).(*array.Int64Builder).Append(n)
		b.Field(1).(*array.Int64Builder).Append(p)
	}
	rec := b.NewRecordBatch()
	var batches iter.Seq2[arrow.RecordBatch, error] = func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }
	return &delta.Rows{Schema: schema, Batches: batches}
}

func (l *tableLife) steps() []objstoretest.Step {
	step := func(name string, run func(ctx context.Context, t *delta.Table) error) objstoretest.Step {
		return objstoretest.Step{Name: name, Run: func(ctx context.Context, d objstore.Driver) error { return run(ctx, l.table(d)) }}
	}
	write := func(rows func() *delta.Rows, o delta.AppendOptions) func(context.Context, *delta.Table) error {
		return func(ctx context.Context, t *delta.Table) error {
			_, err := t.Append(ctx, rows(), &o)
			return err
		}
	}
	remove := func(where string) func(context.Context, *delta.Table) error {
		return func(ctx context.Context, t *delta.Table) error {
			e, err := filter.ParseSQL(where)
			if err == nil {
				_, err = rewrite.Delete(ctx, t, e, &rewrite.DeleteOptions{Now: l.now().UnixMilli()})
			}
			return err
		}
	}
	replace := func(where string, rows func() *delta.Rows) func(context.Context, *delta.Table) error {
		return func(ctx context.Context, t *delta.Table) error {
			e, err := filter.ParseSQL(where)
			if err == nil {
				_, err = rewrite.Overwrite(ctx, t, rows(), e, &rewrite.OverwriteOptions{Delete: rewrite.DeleteOptions{Now: l.now().UnixMilli()}})
			}
			return err
		}
	}
	set := func(properties map[string]string, features ...string) func(context.Context, *delta.Table) error {
		return func(ctx context.Context, t *delta.Table) error {
			_, err := t.SetProperties(ctx, properties, &delta.PropertyOptions{Features: features})
			return err
		}
	}
	checkpoint := func(ctx context.Context, t *delta.Table) error {
		snap, err := t.Snapshot(ctx)
		if err == nil {
			err = t.Checkpoint(ctx, snap.Version())
		}
		return err
	}
	partitioned := delta.AppendOptions{PartitionBy: []string{"p"}}
	return []objstoretest.Step{
		step("create", write(func() *delta.Rows { return numbered(0, 0, 6) }, partitioned)),
		step("append", write(func() *delta.Rows { return numbered(1, 6, 12) }, delta.AppendOptions{})),
		step("set", set(map[string]string{"delta.logRetentionDuration": "interval 5 days", "metaxy.note": "x"})),
		step("append of an app", write(func() *delta.Rows { return numbered(0, 12, 14) }, delta.AppendOptions{AppID: "job", AppVersion: 1})),
		step("checkpoint", checkpoint),
		step("delete rows", remove("n IN (1, 7)")),
		step("optimize", func(ctx context.Context, t *delta.Table) error {
			_, err := rewrite.Optimize(ctx, t, &rewrite.OptimizeOptions{Now: l.now().UnixMilli()})
			return err
		}),
		step("sort", func(ctx context.Context, t *delta.Table) error {
			_, err := rewrite.Optimize(ctx, t, &rewrite.OptimizeOptions{SortBy: []string{"n"}, Now: l.now().UnixMilli()})
			return err
		}),
		step("overwrite a partition", write(func() *delta.Rows { return numbered(1, 20, 22) }, delta.AppendOptions{Overwrite: true, Replace: func(f *delta.File) bool { return *f.PartitionValues["p"] == "1" }})),
		step("overwrite", write(func() *delta.Rows { return numbered(2, 30, 33) }, delta.AppendOptions{Overwrite: true})),
		step("overwrite rows", replace("n < 32", func() *delta.Rows { return numbered(2, 28, 30) })),
		step("restore", func(ctx context.Context, t *delta.Table) error {
			_, err := rewrite.Restore(ctx, t, 5, &rewrite.RestoreOptions{Now: l.now().UnixMilli()})
			return err
		}),
		step("checkpoint again", checkpoint),
		step("vacuum", func(ctx context.Context, t *delta.Table) error {
			r, err := rewrite.Vacuum(ctx, t, &rewrite.VacuumOptions{Now: l.now(), Retention: time.Hour, Shorter: true})
			l.vacuumed.Add(int64(len(r.Deleted)))
			return err
		}),
		step("cleanup", func(ctx context.Context, t *delta.Table) error {
			r, err := t.Log().Cleanup(ctx, &txlog.CleanupOptions{Before: l.now(), Now: l.now()})
			l.cleaned.Add(int64(len(r.Deleted)))
			return err
		}),
		step("enable deletion vectors", set(map[string]string{"delta.enableDeletionVectors": "true"})),
		step("delete more rows", remove("n >= 12 OR n = 0")),
		step("overwrite rows by vectors", replace("n IN (2, 3)", func() *delta.Rows { return numbered(0, 2, 3) })),
		step("enable the change feed", set(map[string]string{"delta.enableDeletionVectors": "false", "delta.enableChangeDataFeed": "true"})),
		step("overwrite rows with a feed", replace("n IN (2, 4)", func() *delta.Rows { return numbered(0, 4, 5) })),
		step("append last", write(func() *delta.Rows { return numbered(3, 40, 41) }, delta.AppendOptions{})),
		step("delete everything", func(ctx context.Context, t *delta.Table) error {
			_, err := rewrite.Delete(ctx, t, nil, &rewrite.DeleteOptions{Now: l.now().UnixMilli()})
			return err
		}),
	}
}

// state is what a reader sees of the newest version: properties, features, rows.
func (l *tableLife) state(t *testing.T, d objstore.Driver) string {
	t.Helper()
	snap, err := l.table(d).Snapshot(t.Context())
	if errors.Is(err, fs.ErrNotExist) {
		return "no table"
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := scan.New(snap, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for b, err := range s.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			rows[b.Column(0).ValueStr(i)+" in "+b.Column(1).ValueStr(i)]++
		}
	}
	out := []string{fmt.Sprint(snap.State().Metadata.Configuration), fmt.Sprint(*snap.State().Protocol)}
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, fmt.Sprint(k, " x", rows[k]))
	}
	return strings.Join(out, "\n")
}

// TestTableCallFails breaks calls of a table's life one at a time, in each way that a call can break.
func TestTableCallFails(t *testing.T) {
	l := &tableLife{}
	stride := 3
	if *every {
		stride = 1
	}
	objstoretest.Sweep(t, &objstoretest.SweepOptions{Steps: l.steps(), State: l.state, Stride: stride})
	t.Cleanup(func() {
		if l.vacuumed.Load() == 0 || l.cleaned.Load() == 0 {
			t.Errorf("%d files were vacuumed and %d cleaned up", l.vacuumed.Load(), l.cleaned.Load())
		}
	})
}

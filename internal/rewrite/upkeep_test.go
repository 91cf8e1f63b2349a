package rewrite_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestRestore brings files, vectors, schema and properties of each older version back, and keeps what a protocol binds.
func TestRestore(t *testing.T) {
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			tb := table(t, layout)
			if _, err := rewrite.Delete(t.Context(), tb, where(t, "id < 50 AND p = '1'"), &rewrite.DeleteOptions{Now: now}); err != nil {
				t.Fatal(err)
			}
			if _, err := tb.Append(t.Context(), nestedRows(t, 200, 210), &delta.AppendOptions{MergeSchema: true}); err != nil {
				t.Fatal(err)
			}
			if _, err := tb.SetProperties(t.Context(), map[string]string{"delta.appendOnly": "false", "team": "x"}, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := rewrite.Optimize(t.Context(), tb, &rewrite.OptimizeOptions{Now: now}); err != nil {
				t.Fatal(err)
			}
			newest := snapshot(t, tb).Version()
			for v := range newest {
				then, err := tb.SnapshotAt(t.Context(), v)
				if err != nil {
					t.Fatal(err)
				}
				before := snapshot(t, tb)
				lost, back := len(ids(t, before)), len(ids(t, then))
				r, err := rewrite.Restore(t.Context(), tb, v, &rewrite.RestoreOptions{Now: now})
				if err != nil || r.Version < 0 {
					t.Fatalf("to version %d: %+v, %v", v, r, err)
				}
				after := snapshot(t, tb)
				if !slices.Equal(ids(t, after), ids(t, then)) || after.Schema().JSON() != then.Schema().JSON() {
					t.Errorf("version %d is not what it was: %d rows of %d, %d of them before", v, len(ids(t, after)), back, lost)
				}
				if c := after.State().Metadata.Configuration; c["team"] != then.State().Metadata.Configuration["team"] || c["delta.columnMapping.mode"] != before.State().Metadata.Configuration["delta.columnMapping.mode"] {
					t.Errorf("version %d: properties %v", v, c)
				}
				if len(after.State().Protocol.WriterFeatures) < len(before.State().Protocol.WriterFeatures) {
					t.Errorf("version %d: the protocol went down to %+v", v, after.State().Protocol)
				}
				sound(t, tb)
			}
			if r, err := rewrite.Restore(t.Context(), tb, newest-1, &rewrite.RestoreOptions{Now: now}); err != nil {
				t.Errorf("%+v, %v", r, err)
			}
			if r, err := rewrite.Restore(t.Context(), tb, snapshot(t, tb).Version(), &rewrite.RestoreOptions{Now: now}); err != nil || r.Version != -1 {
				t.Errorf("to the version that it is at: %+v, %v", r, err)
			}
		})
	}
}

// TestRestoreRefused: a version that was never there or whose files or vectors are gone, another mapping of columns, an append-only table.
func TestRestoreRefused(t *testing.T) {
	remove := func(t *testing.T, tb *delta.Table, prefix string) {
		for _, k := range keys(t, tb) {
			if strings.HasPrefix(k, prefix) {
				if err := tb.Store().Delete(t.Context(), k); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	corrupt := func(err error) bool { return errors.Is(err, txlog.ErrCorrupt) }
	for name, c := range map[string]struct {
		layout  *delta.AppendOptions
		prepare func(*testing.T, *delta.Table)
		version int64
		is      func(error) bool
	}{
		"no such version": {with(), func(*testing.T, *delta.Table) {}, 9, func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		"a file is gone": {with(), func(t *testing.T, tb *delta.Table) {
			if _, err := rewrite.Delete(t.Context(), tb, nil, &rewrite.DeleteOptions{Now: now}); err != nil {
				t.Fatal(err)
			}
			remove(t, tb, "part-")
		}, 1, corrupt},
		"a vector is gone": {with(vectors), func(t *testing.T, tb *delta.Table) {
			write(t, tb, 1000, 5000, nil)
			for _, text := range []string{"id >= 1000 AND p = '1'", "id < 60", ""} {
				if _, err := rewrite.Delete(t.Context(), tb, where(t, text), &rewrite.DeleteOptions{Now: now}); err != nil {
					t.Fatal(err)
				}
			}
			remove(t, tb, "deletion_vector")
		}, 4, corrupt},
		"columns were mapped since": {with(), func(t *testing.T, tb *delta.Table) {
			if _, err := tb.SetProperties(t.Context(), map[string]string{"delta.columnMapping.mode": "name"}, nil); err != nil {
				t.Fatal(err)
			}
		}, 0, func(err error) bool { return err != nil && strings.Contains(err.Error(), "columnMapping") }},
		"append-only": {with("delta.appendOnly"), func(*testing.T, *delta.Table) {}, 0, func(err error) bool { return err != nil && strings.Contains(err.Error(), "append-only") }},
	} {
		t.Run(name, func(t *testing.T) {
			tb := table(t, c.layout)
			c.prepare(t, tb)
			before := snapshot(t, tb).Version()
			if r, err := rewrite.Restore(t.Context(), tb, c.version, nil); !c.is(err) || r.Version != -1 || snapshot(t, tb).Version() != before {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// TestRestoreConflicts: whoever changed rows in between wins.
func TestRestoreConflicts(t *testing.T) {
	mem := objstore.NewMem()
	other := open(objstore.New(mem))
	write(t, other, 0, 100, nil)
	write(t, other, 100, 110, nil)
	d := objstoretest.NewFaulty(mem, 1)
	d.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Times: 1, Fault: objstoretest.None, Do: func(objstoretest.Op, string) { write(t, other, 200, 201, nil) }})
	var lost *txlog.ConflictError
	if _, err := rewrite.Restore(t.Context(), open(objstore.New(d)), 0, nil); !errors.As(err, &lost) {
		t.Errorf("error %v", err)
	}
	if n := len(ids(t, snapshot(t, other))); n != 111 {
		t.Errorf("%d rows", n)
	}
	// Also a restore that moves no file, only properties back, would undo a delete that it did not see.
	before := snapshot(t, other).Version()
	if _, err := other.SetProperties(t.Context(), map[string]string{"delta.dataSkippingNumIndexedCols": "1"}, nil); err != nil {
		t.Fatal(err)
	}
	d.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Times: 1, Fault: objstoretest.None, Do: func(objstoretest.Op, string) {
		if _, err := rewrite.Delete(t.Context(), other, nil, nil); err != nil {
			t.Error(err)
		}
	}})
	if _, err := rewrite.Restore(t.Context(), open(objstore.New(d)), before, nil); !errors.As(err, &lost) || len(ids(t, snapshot(t, other))) != 0 {
		t.Errorf("while all rows were deleted: %v", err)
	}
}

// aged makes every object as old as the test says.
type aged struct {
	objstore.Driver
	old map[string]time.Duration
}

func (d *aged) List(ctx context.Context, opts objstore.ListOptions) iter.Seq2[objstore.Object, error] {
	return func(yield func(objstore.Object, error) bool) {
		for o, err := range d.Driver.List(ctx, opts) {
			o.ModTime = time.UnixMilli(now).Add(-d.old[o.Key])
			if !yield(o, err) {
				return
			}
		}
	}
}

// TestVacuum deletes what is old and nobody needs: not live files by any spelling, vectors, change files of the retention, young files, hidden ones, the log, nor
// anything beyond the root. A dry run lists the same and deletes nothing.
func TestVacuum(t *testing.T) {
	const old = 30 * 24 * time.Hour
	d := &aged{objstore.NewMem(), map[string]time.Duration{}}
	tb := open(objstore.New(d))
	wide := &delta.AppendOptions{PartitionBy: []string{"p"}, Configuration: map[string]string{vectors: "true", feed: "true"}}
	if _, err := tb.Append(t.Context(), pairs("1 a b", "2 c%d", "3 _e", "4 ä", "5 -"), wide); err != nil {
		t.Fatal(err)
	}
	write(t, tb, 0, 3000, nil)
	remove := func(text string, ago time.Duration, rewritten bool) {
		t.Helper()
		at := time.UnixMilli(now).Add(-ago).UnixMilli()
		if _, err := rewrite.Delete(t.Context(), tb, where(t, text), &rewrite.DeleteOptions{Now: at, CopyOnWrite: rewritten}); err != nil {
			t.Fatal(err)
		}
	}
	remove("id < 2000 AND p = '1'", 0, false)                // leaves a vector file that is live
	remove("id > 2000 AND id < 2010 AND p = '0'", old, true) // leaves a file removed long ago, and a change file
	remove("p = 'c%d'", time.Hour, false)                    // leaves one removed an hour ago
	live := map[string]bool{}
	for _, f := range snapshot(t, tb).Files() {
		live[f.Key] = true
	}
	for _, k := range []string{"stray.parquet", "p=1/stray.parquet", "p=_e/stray.parquet", "_hidden/x", ".staging/x", "p=1/_tmp/x", "_delta_log/notes.txt"} {
		if err := d.Driver.Put(t.Context(), k, bytes.NewReader([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	young := []string{"p=0/young.parquet", "_change_data/young.parquet", "deletion_vector_young.bin"}
	for _, k := range young {
		if err := d.Driver.Put(t.Context(), k, bytes.NewReader([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	all := keys(t, tb)
	for _, k := range all {
		if !slices.Contains(young, k) {
			d.old[k] = old
		}
	}
	o := rewrite.VacuumOptions{Now: time.UnixMilli(now), Retention: -1}
	o.DryRun = true
	dry, err := rewrite.Vacuum(t.Context(), tb, &o)
	if err != nil || !slices.Equal(keys(t, tb), all) {
		t.Fatalf("dry run: %v, %v", dry, err)
	}
	o.DryRun = false
	got, err := rewrite.Vacuum(t.Context(), tb, &o)
	if err != nil || !slices.Equal(got.Deleted, dry.Deleted) || got.Bytes != dry.Bytes {
		t.Fatalf("%v, dry run %v, %v", got, dry, err)
	}
	kinds := map[string]int{}
	for _, k := range got.Deleted {
		switch {
		case live[k], slices.Contains(young, k), strings.HasPrefix(k, "deletion_vector"), strings.HasPrefix(k, "_hidden"), strings.HasPrefix(k, ".staging"), strings.Contains(k, "_tmp"), strings.HasPrefix(k, "_delta_log"):
			t.Errorf("deleted %s", k)
		case strings.HasPrefix(k, "_change_data/"):
			kinds["change file"]++
		case strings.HasSuffix(k, "stray.parquet"):
			kinds["stray"]++
		default:
			kinds["removed"]++
		}
	}
	if want := map[string]int{"change file": 1, "stray": 3, "removed": 1}; !maps.Equal(kinds, want) {
		t.Errorf("deleted %v: %v, want %v", kinds, got.Deleted, want)
	}
	sound(t, tb)
	if again, err := rewrite.Vacuum(t.Context(), tb, &o); err != nil || len(again.Deleted) != 0 {
		t.Errorf("again: %v, %v", again, err)
	}
}

// TestVacuumKnowsItsVectors: where the log keeps a deletion vector in a way that
// nobody knows, its file cannot be told from litter.
func TestVacuumKnowsItsVectors(t *testing.T) {
	tb := table(t, &delta.AppendOptions{Configuration: map[string]string{vectors: "true"}})
	write(t, tb, 0, 3000, nil)
	if r, err := rewrite.Delete(t.Context(), tb, where(t, "id < 2000 AND p = '1'"), nil); err != nil || r.Vectors == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	edit(t, tb, commitKey(int(snapshot(t, tb).Version())), func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte(`"storageType":"u"`), []byte(`"storageType":"x"`))
	})
	var corrupt *txlog.CorruptError
	_, err := rewrite.Vacuum(t.Context(), tb, &rewrite.VacuumOptions{Now: time.UnixMilli(now), Retention: 0, Shorter: true})
	if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), `storage of type "x"`) {
		t.Errorf("error %v", err)
	}
}

// TestVacuumRefused: a retention below the table's own must be asked for twice, and a table that this build must not write to is not cleaned up.
func TestVacuumRefused(t *testing.T) {
	tb := table(t, &delta.AppendOptions{Configuration: map[string]string{"delta.deletedFileRetentionDuration": "interval 3 days"}})
	var short *rewrite.RetentionError
	if _, err := rewrite.Vacuum(t.Context(), tb, &rewrite.VacuumOptions{Now: time.UnixMilli(now), Retention: 71 * time.Hour}); !errors.As(err, &short) || short.Table != 72*time.Hour {
		t.Errorf("error %v", err)
	}
	for _, o := range []rewrite.VacuumOptions{{Now: time.UnixMilli(now), Retention: 72 * time.Hour}, {Now: time.UnixMilli(now), Retention: 0, Shorter: true}} {
		if _, err := rewrite.Vacuum(t.Context(), tb, &o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := rewrite.Vacuum(t.Context(), tb, nil); err == nil {
		t.Error("a vacuum without a clock")
	}
	edit(t, tb, commitKey(0), func(b []byte) []byte {
		var out []string
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, `{"protocol"`) {
				line = `{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["checkpointProtection"]}}` + "\n"
			}
			out = append(out, line)
		}
		return []byte(strings.Join(out, ""))
	})
	var need *delta.UnsupportedError
	if _, err := rewrite.Vacuum(t.Context(), tb, &rewrite.VacuumOptions{Now: time.UnixMilli(now), Retention: -1}); !errors.As(err, &need) || need.Feature != "checkpointProtection" {
		t.Errorf("error %v", err)
	}
}

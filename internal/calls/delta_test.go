package calls_test

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

func tableCall(f func(w *world, t *delta.Table, ctx context.Context) error) func(w *world) call {
	return ctxCall((*world).table, f)
}

func snapCall(f func(w *world, s *delta.Snapshot, ctx context.Context) error) func(w *world) call {
	return ctxCall((*world).snapshot, f)
}

func scanCall(f func(w *world, s *scan.Scan, ctx context.Context) error) func(w *world) call {
	return ctxCall((*world).scan, f)
}

// fileCall looks at a file of a snapshot.
func fileCall(f func(file *delta.File)) func(w *world) call {
	return snapCall(func(_ *world, s *delta.Snapshot, _ context.Context) error { f(&s.Files()[0]); return nil })
}

// look is a look at a snapshot.
func look(f func(s *delta.Snapshot)) func(w *world) call {
	return snapCall(func(_ *world, s *delta.Snapshot, _ context.Context) error { f(s); return nil })
}

// logCall has the log of a table of two commits and its newest state.
func logCall(f func(w *world, l *txlog.Log, st *txlog.State, ctx context.Context) error) func(w *world) call {
	return snapCall(func(w *world, s *delta.Snapshot, ctx context.Context) error {
		return f(w, s.Table().Log(), s.State(), ctx)
	})
}

// there is the error of a commit that was made before.
func there(err error) bool { return lost(err) || errors.Is(err, fs.ErrExist) }

const (
	oneGoroutine = "a snapshot is for one goroutine"
	noMerge      = "Merge and Reads run when another commit came between, Replace when the append overwrites"
)

var deltaRows = []row{
	{fn: delta.New, quiet: "makes a value: the callbacks of the options run in the calls of the table", make: func(w *world) call {
		s := w.objects()
		return func(context.Context) error { delta.New(s, &delta.Options{}); return nil }
	}},
	{fn: (*delta.Table).Append, make: tableCall(func(w *world, t *delta.Table, ctx context.Context) error {
		return told(t.Append(ctx, w.deltaRows(10), &delta.AppendOptions{Overwrite: true, Replace: func(*delta.File) bool { w.inside(); return false }}))
	}), repeated: lost},
	{fn: (*delta.Table).Stage, make: tableCall(func(w *world, t *delta.Table, ctx context.Context) error {
		snap, err := t.Snapshot(ctx)
		if err != nil {
			return err
		}
		s, err := t.Stage(ctx, snap, w.deltaRows(10), nil)
		if err != nil {
			return err
		}
		s.Discard()
		return nil
	})},
	{fn: (*delta.Staged).Commit, make: tableCall(func(w *world, t *delta.Table, ctx context.Context) error {
		snap, err := t.Snapshot(ctx)
		if err != nil {
			return err
		}
		s, err := t.Stage(ctx, snap, w.deltaRows(10), nil)
		if err != nil {
			return err
		}
		return told(s.Commit(ctx))
	})},
	{fn: (*delta.Staged).Discard, make: tableCall(func(w *world, t *delta.Table, ctx context.Context) error {
		s, err := w.empty().Stage(ctx, nil, w.deltaRows(10), nil)
		if err != nil {
			return err
		}
		s.Discard()
		s.Discard()
		return nil
	})},
	{fn: (*delta.Table).Checkpoint, make: tableCall(func(_ *world, t *delta.Table, ctx context.Context) error { return t.Checkpoint(ctx, 1) })},
	{fn: (*delta.Table).Commit, quiet: noMerge, make: tableCall(func(_ *world, t *delta.Table, ctx context.Context) error {
		snap, err := t.Snapshot(ctx)
		if err != nil {
			return err
		}
		return told(t.Commit(ctx, &delta.Change{Read: snap, Operation: "TEST", Txns: []*txlog.Txn{{AppID: "a", Version: 1}}}))
	}), repeated: there},
	{fn: (*delta.Table).Create, make: func(w *world) call {
		t := w.empty()
		schema := sample(delta.SchemaOf(arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)))
		return func(ctx context.Context) error { return told(t.Create(ctx, schema, nil)) }
	}, repeated: there},
	{fn: (*delta.Table).SetProperties, make: tableCall(func(_ *world, t *delta.Table, ctx context.Context) error {
		return told(t.SetProperties(ctx, map[string]string{"delta.logRetentionDuration": "interval 30 days"}, nil))
	}), repeated: lost},
	{fn: (*delta.Table).SnapshotAsOf, make: tableCall(func(_ *world, t *delta.Table, ctx context.Context) error {
		return told(t.SnapshotAsOf(ctx, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)))
	})},
	{fn: (*delta.Table).SnapshotAt, make: tableCall(func(_ *world, t *delta.Table, ctx context.Context) error { return told(t.SnapshotAt(ctx, 0)) })},
	{fn: (*delta.Table).Snapshot, make: tableCall(func(_ *world, t *delta.Table, ctx context.Context) error { return told(t.Snapshot(ctx)) })},
	{fn: (*delta.Table).WriteChanges, make: tableCall(func(w *world, t *delta.Table, ctx context.Context) error {
		snap, err := t.Snapshot(ctx)
		if err != nil {
			return err
		}
		return told(t.WriteChanges(ctx, snap, w.deltaRows(10), "insert"))
	})},
	{fn: (*delta.Table).WriteFiles, make: tableCall(func(w *world, t *delta.Table, ctx context.Context) error {
		snap, err := t.Snapshot(ctx)
		if err != nil {
			return err
		}
		return told(t.WriteFiles(ctx, snap, w.deltaRows(10), nil))
	})},
	{fn: (*delta.Table).Log, make: tableCall(func(_ *world, t *delta.Table, _ context.Context) error { t.Log(); return nil })},
	{fn: (*delta.Table).Store, make: tableCall(func(_ *world, t *delta.Table, _ context.Context) error { t.Store(); return nil })},
	{fn: (*delta.Table).Allocator, make: tableCall(func(_ *world, t *delta.Table, _ context.Context) error { t.Allocator(); return nil })},
	{fn: (*delta.Table).AllowsOutsideRoot, make: tableCall(func(_ *world, t *delta.Table, _ context.Context) error { t.AllowsOutsideRoot(); return nil })},
	{fn: (*delta.Table).Within, make: tableCall(func(_ *world, t *delta.Table, _ context.Context) error { t.Within("a"); return nil })},
	{fn: (*delta.Snapshot).AddedSince, make: snapCall(func(_ *world, s *delta.Snapshot, ctx context.Context) error { return told(s.AddedSince(ctx, 0)) })},
	{fn: (*delta.Snapshot).AppendedSince, make: snapCall(func(_ *world, s *delta.Snapshot, ctx context.Context) error {
		_, _, err := s.AppendedSince(ctx, 0)
		return err
	})},
	{fn: (*delta.Snapshot).Allows, quiet: noMerge, make: look(func(s *delta.Snapshot) { _ = s.Allows(&delta.Change{Read: s}) })},
	{fn: (*delta.Snapshot).CanReadRowsOf, make: look(func(s *delta.Snapshot) { _ = s.CanReadRowsOf(s.State().Metadata) })},
	{fn: (*delta.Snapshot).CommitTimes, make: look(func(s *delta.Snapshot) { s.CommitTimes([]txlog.CommitFile{{}}) })},
	{fn: (*delta.Snapshot).FeedsChanges, make: look(func(s *delta.Snapshot) { s.FeedsChanges() })},
	{fn: (*delta.Snapshot).FileOf, make: look(func(s *delta.Snapshot) { _, _ = s.FileOf(s.Files()[0].Add) })},
	{fn: (*delta.Snapshot).Files, make: look(func(s *delta.Snapshot) { s.Files() })},
	{fn: (*delta.Snapshot).ForChangeFiles, make: look(func(s *delta.Snapshot) { s.ForChangeFiles() })},
	{fn: (*delta.Snapshot).MappingMode, make: look(func(s *delta.Snapshot) { s.MappingMode() })},
	{fn: (*delta.Snapshot).PartitionColumns, make: look(func(s *delta.Snapshot) { s.PartitionColumns() })},
	{fn: (*delta.Snapshot).Retention, make: look(func(s *delta.Snapshot) { s.Retention("delta.logRetentionDuration", time.Hour) })},
	{fn: (*delta.Snapshot).Rewritable, make: look(func(s *delta.Snapshot) { _ = s.Rewritable() })},
	{fn: (*delta.Snapshot).Schema, make: look(func(s *delta.Snapshot) { s.Schema() })},
	{fn: (*delta.Snapshot).Pinned, make: look(func(s *delta.Snapshot) { s.Pinned() })},
	{fn: (*delta.Table).Pin, make: snapCall(func(_ *world, s *delta.Snapshot, _ context.Context) error {
		p := s.Pinned()
		p.Adds = append(p.Adds, s.Files()[0].Add)
		return told(s.Table().Pin(p))
	})},
	{fn: (*delta.Snapshot).State, make: look(func(s *delta.Snapshot) { s.State() })},
	{fn: (*delta.Snapshot).Table, make: look(func(s *delta.Snapshot) { s.Table() })},
	{fn: (*delta.Snapshot).Timestamp, make: look(func(s *delta.Snapshot) { s.Timestamp() })},
	{fn: (*delta.Snapshot).UsesVectors, make: look(func(s *delta.Snapshot) { s.UsesVectors() })},
	{fn: (*delta.Snapshot).Version, make: look(func(s *delta.Snapshot) { s.Version() })},
	{fn: (*delta.Snapshot).Warnings, make: look(func(s *delta.Snapshot) { s.Warnings() })},
	{fn: (*delta.Snapshot).Writable, make: look(func(s *delta.Snapshot) { _ = s.Writable() })},
	{fn: (*delta.File).Constant, make: fileCall(func(f *delta.File) { f.Constant([]string{"id"}) })},
	{fn: (*delta.File).LooseStats, make: fileCall(func(f *delta.File) { f.LooseStats(4) })},
	{fn: (*delta.File).Partition, make: fileCall(func(f *delta.File) { _, _ = f.Partition("id") })},
	{fn: (*delta.File).Range, make: fileCall(func(f *delta.File) { f.Range([]string{"id"}) })},
	{fn: (*delta.File).Records, make: fileCall(func(f *delta.File) { f.Records() })},
	{fn: (*delta.File).Remove, make: fileCall(func(f *delta.File) { f.Remove(1, true) })},
	{fn: (*delta.File).Rows, make: fileCall(func(f *delta.File) { f.Rows() })},
	{fn: (*delta.File).Snapshot, make: fileCall(func(f *delta.File) { f.Snapshot() })},
	{fn: (*delta.File).Vouched, make: fileCall(func(f *delta.File) { f.Vouched("x", false) })},
	{fn: (*delta.AppendOptions).Written, make: look(func(s *delta.Snapshot) { (&delta.AppendOptions{AppID: "a"}).Written(s) })},
	{fn: (*delta.Rows).Check, make: func(w *world) call {
		r := w.deltaRows(1)
		return func(context.Context) error { return r.Check() }
	}},
	{fn: delta.NewCaster, make: func(w *world) call {
		r := w.deltaRows(1)
		return func(context.Context) error { delta.NewCaster(r.Schema, r.Schema, w.mem); return nil }
	}},
	{fn: (*delta.Caster).Batch, make: func(w *world) call {
		to := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
		return func(ctx context.Context) error {
			b := w.batch(1, 2)
			defer b.Release()
			c, err := delta.NewCaster(b.Schema(), to, w.mem).Batch(ctx, b)
			if err == nil {
				c.Release()
			}
			return err
		}
	}},
	{fn: delta.NewTextCheck, make: look(func(s *delta.Snapshot) { delta.NewTextCheck(s.Schema(), nil) })},
	{fn: (*delta.TextCheck).Batch, make: snapCall(func(w *world, s *delta.Snapshot, ctx context.Context) error {
		b := w.batch(1, 2)
		defer b.Release()
		return delta.NewTextCheck(s.Schema(), w.mem).Batch(ctx, b)
	})},
	{fn: delta.Retyped, make: func(w *world) call {
		return func(context.Context) error {
			b := w.batch(1)
			defer b.Release()
			delta.Retyped(b.Column(0), arrow.PrimitiveTypes.Uint64).Release()
			return nil
		}
	}},
	{fn: delta.WithTexts, make: func(w *world) call {
		return func(context.Context) error {
			b := w.batch(1)
			defer b.Release()
			delta.WithTexts(b.Column(1)).Release()
			return nil
		}
	}},
}

var scanRows = []row{
	{fn: scan.New, make: look(func(s *delta.Snapshot) { _, _ = scan.New(s, nil) })},
	{fn: scan.ByPartition, make: look(func(s *delta.Snapshot) { _, _ = scan.ByPartition(s, sample(filter.Parse("id = 1"))) })},
	{fn: scan.Changes, make: func(w *world) call {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		t := delta.New(objstore.New(w.driver).Sub("f"), &delta.Options{Allocator: w.mem, Now: func() time.Time { return at }})
		for _, from := range []int{0, 4} {
			_, err := t.Append(w.Context(), w.deltaRows(from), &delta.AppendOptions{Configuration: map[string]string{"delta.enableChangeDataFeed": "true"}})
			w.must(err)
		}
		return func(ctx context.Context) error {
			r, err := scan.Changes(ctx, t, 0, 1, &scan.Options{Allocator: w.mem})
			if err != nil {
				return err
			}
			return drained(w, r.Batches)
		}
	}},
	{fn: scan.DeletedRows, make: snapCall(func(_ *world, s *delta.Snapshot, ctx context.Context) error {
		return told(scan.DeletedRows(ctx, &s.Files()[0]))
	})},
	{fn: (*scan.Scan).Batches, make: scanCall(func(w *world, s *scan.Scan, ctx context.Context) error { return drained(w, s.Batches(ctx)) })},
	{fn: (*scan.Scan).FileOf, make: scanCall(func(_ *world, s *scan.Scan, ctx context.Context) error { return told(s.FileOf(ctx, 0)) })},
	{fn: (*scan.Scan).Plan, make: scanCall(func(_ *world, s *scan.Scan, _ context.Context) error { _ = s.Plan().String(); return nil })},
	{fn: (*scan.Scan).Schema, make: scanCall(func(_ *world, s *scan.Scan, _ context.Context) error { s.Schema(); return nil })},
	{fn: (*scan.Scan).RowGroups, make: scanCall(func(_ *world, s *scan.Scan, ctx context.Context) error { return told(s.RowGroups(ctx)) })},
	{fn: (*scan.Scan).Units, make: scanCall(func(_ *world, s *scan.Scan, ctx context.Context) error { return told(s.Units(ctx)) })},
	{fn: (*scan.Scan).Read, make: scanCall(func(w *world, s *scan.Scan, ctx context.Context) error {
		return drained(w, s.Read(ctx, 0, frame.Span{To: 4}, []string{"id", "metaxy_provenance_by_field.x"}))
	})},
	{fn: (*scan.Scan).Lend, make: scanCall(func(w *world, s *scan.Scan, ctx context.Context) error {
		return drained(w, s.Lend(ctx, 0, frame.Span{To: 4}, []string{"id", "metaxy_provenance_by_field.x"}))
	})},
	{fn: (*scan.Scan).Seek, make: scanCall(func(w *world, s *scan.Scan, ctx context.Context) error {
		return drained(w, s.Seek(ctx, 0, []string{"id", "path"}, func(filter.Range) bool { w.inside(); return true }))
	})},
	{fn: (*scan.Scan).Take, make: scanCall(func(w *world, s *scan.Scan, ctx context.Context) error {
		return drained(w, s.Take(ctx, []frame.Ref{frame.RefOf(0, 1), frame.RefOf(1, 2)}, []string{"path", "id"}))
	})},
	{fn: frame.Give[arrow.RecordBatch], make: func(w *world) call {
		return func(context.Context) error {
			b := w.batch(1)
			frame.Give(func(arrow.RecordBatch, error) bool { w.inside(); return true }, b, b)
			return nil
		}
	}},
}

var logRows = []row{
	{fn: txlog.Open, make: func(w *world) call {
		s := w.objects()
		return func(context.Context) error { txlog.Open(s); return nil }
	}},
	{fn: (*txlog.Log).Check, make: logCall(func(_ *world, l *txlog.Log, _ *txlog.State, ctx context.Context) error { return told(l.Check(ctx)) })},
	{fn: (*txlog.Log).Cleanup, make: logCall(func(_ *world, l *txlog.Log, _ *txlog.State, ctx context.Context) error {
		return told(l.Cleanup(ctx, &txlog.CleanupOptions{Before: time.Unix(1, 0), Now: time.Unix(2, 0)}))
	})},
	{fn: (*txlog.Log).Commits, make: logCall(func(w *world, l *txlog.Log, _ *txlog.State, ctx context.Context) error {
		return drained(w, l.Commits(ctx, 0))
	})},
	{fn: (*txlog.Log).Commit, make: logCall(func(_ *world, l *txlog.Log, _ *txlog.State, ctx context.Context) error {
		return l.Commit(ctx, 2, []txlog.Action{&txlog.CommitInfo{TxnID: "x"}, &txlog.Txn{AppID: "a", Version: 1}})
	}), repeated: there},
	{fn: (*txlog.Log).ReadChecksum, make: logCall(func(_ *world, l *txlog.Log, st *txlog.State, ctx context.Context) error {
		if err := l.WriteChecksum(ctx, st); err != nil {
			return err
		}
		return told(l.ReadChecksum(ctx, 1))
	})},
	{fn: (*txlog.Log).ReadCommit, make: logCall(func(_ *world, l *txlog.Log, _ *txlog.State, ctx context.Context) error {
		return told(l.ReadCommit(ctx, 1))
	})},
	{fn: (*txlog.Log).Segment, make: logCall(func(_ *world, l *txlog.Log, _ *txlog.State, ctx context.Context) error {
		return told(l.Segment(ctx, txlog.Newest))
	})},
	{fn: (*txlog.Log).Verify, make: logCall(func(_ *world, l *txlog.Log, st *txlog.State, ctx context.Context) error { return l.Verify(ctx, st) })},
	{fn: (*txlog.Log).WriteCheckpoint, make: logCall(func(_ *world, l *txlog.Log, st *txlog.State, ctx context.Context) error {
		return told(l.WriteCheckpoint(ctx, st, nil))
	})},
	{fn: (*txlog.Log).WriteChecksum, make: logCall(func(_ *world, l *txlog.Log, st *txlog.State, ctx context.Context) error {
		return l.WriteChecksum(ctx, st)
	})},
	{fn: (*txlog.Log).WriteCompaction, make: logCall(func(_ *world, l *txlog.Log, _ *txlog.State, ctx context.Context) error {
		return l.WriteCompaction(ctx, 0, 1)
	})},
	{fn: (*txlog.Segment).Replay, make: logCall(func(_ *world, l *txlog.Log, _ *txlog.State, ctx context.Context) error {
		s, err := l.Segment(ctx, txlog.Newest)
		if err != nil {
			return err
		}
		return told(s.Replay(ctx))
	})},
}

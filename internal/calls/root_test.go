package calls_test

import (
	"context"
	"errors"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

const lazyOptions = "opens without asking: the callbacks of the options run in the calls of the store"

func storeCall(f func(w *world, s *metaxy.DeltaStore, ctx context.Context) error) func(w *world) call {
	return ctxCall((*world).store, f)
}

// plainCall makes calls that take nothing of the world.
func plainCall(f func()) func(w *world) call {
	return func(*world) call { return func(context.Context) error { f(); return nil } }
}

func incCall(f func(w *world, i *metaxy.Increment, ctx context.Context) error) func(w *world) call {
	return ctxCall((*world).increment, f)
}

// recordFailed records every row of the root as failed.
func recordFailed(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
	given, err := readBy(ctx, w, s, root)
	if err != nil {
		return err
	}
	return told(s.WriteFailed(ctx, root, given))
}

// readBy are the rows of a feature, of a producer that does what a caller may do.
func readBy(ctx context.Context, w *world, s *metaxy.DeltaStore, key feature.Key) (*metaxy.Rows, error) {
	given, err := s.Read(ctx, key, nil)
	if err != nil {
		return nil, err
	}
	batches := given.Batches
	given.Batches = func(yield func(batch, error) bool) {
		for b, err := range batches {
			w.inside()
			if !yield(b, err) {
				return
			}
		}
	}
	return given, nil
}

// opened closes a store that was opened.
func opened(s *metaxy.DeltaStore, err error) error {
	if err != nil {
		return err
	}
	return s.Close()
}

// writerCall makes calls of a writer that holds rows.
func writerCall(f func(w *world, b *metaxy.Writer, ctx context.Context) error) func(w *world) call {
	return func(w *world) call {
		s := w.store()
		b := s.NewWriter(w.Context(), &metaxy.WriterOptions{Interval: -1, Flushed: func([]metaxy.WriteResult) {}})
		w.end(func() { b.Abort() })
		rows := w.batch(30, 31)
		defer rows.Release()
		w.must(b.Put(root, rows))
		return func(ctx context.Context) error { return f(w, b, ctx) }
	}
}

var rootRows = []row{
	{fn: metaxy.Open, quiet: lazyOptions, make: func(w *world) call {
		dir := w.TempDir()
		return func(ctx context.Context) error { return opened(metaxy.Open(ctx, dir, w.options())) }
	}},
	{fn: metaxy.OpenDriver, quiet: lazyOptions, make: func(w *world) call {
		return func(ctx context.Context) error { return opened(metaxy.OpenDriver(ctx, objstore.NewMem(), w.options())) }
	}},
	{fn: metaxy.OpenBucket, quiet: lazyOptions, make: func(w *world) call {
		b := memblob.OpenBucket(nil)
		w.end(func() { b.Close() })
		return func(ctx context.Context) error {
			return opened(metaxy.OpenBucket(ctx, blob.PrefixedBucket(b, "p/"), w.options()))
		}
	}, alone: "a prefixed bucket closes the bucket below"},
	{fn: metaxy.OpenConfig, quiet: lazyOptions, make: func(w *world) call {
		cfg := sample(config.Load(source(func(string) ([]byte, error) {
			return []byte("store = \"dev\"\nstores.dev.type = \"" + config.DeltaStoreType + "\"\nstores.dev.config.root_path = \"" + w.TempDir() + "\"\n"), nil
		})))
		return func(ctx context.Context) error { return opened(metaxy.OpenConfig(ctx, cfg, "dev", w.options())) }
	}},
	{fn: metaxy.OpenStorage, quiet: lazyOptions, make: func(w *world) call {
		return func(ctx context.Context) error {
			s, err := metaxy.OpenStorage(ctx, "mem://", w.options())
			if err != nil {
				return err
			}
			return s.Close()
		}
	}},
	{fn: (*metaxy.Options).Validate, quiet: lazyOptions},
	{fn: (*metaxy.DeltaStore).AllowCrossProjectWrites, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { s.AllowCrossProjectWrites(); return nil })},
	{fn: (*metaxy.DeltaStore).Name, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { _ = s.Name(); return nil })},
	{fn: (*metaxy.DeltaStore).URL, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { _ = s.URL(); return nil })},
	{fn: (*metaxy.DeltaStore).Storage, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { s.Storage(); return nil })},
	{fn: (*metaxy.DeltaStore).String, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { _ = s.String(); return nil })},
	{fn: (*metaxy.DeltaStore).Fallbacks, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { s.Fallbacks(); return nil })},
	{fn: (*metaxy.DeltaStore).Table, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { s.Table(root); return nil })},
	{fn: (*metaxy.DeltaStore).FailedTable, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { s.FailedTable(root); return nil })},
	{fn: (*metaxy.DeltaStore).ColumnTypes, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.ColumnTypes(ctx, root)) })},
	{fn: (*metaxy.DeltaStore).TableURL, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { s.TableURL(root); return nil })},
	{fn: (*metaxy.DeltaStore).Close, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { return s.Close() })},
	{fn: (*metaxy.DeltaStore).Reload, make: storeCall(func(_ *world, s *metaxy.DeltaStore, _ context.Context) error { s.Reload(); return nil })},
	{fn: (*metaxy.DeltaStore).Graph, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.Graph(ctx)) })},
	{fn: (*metaxy.DeltaStore).GraphWarnings, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.GraphWarnings(ctx)) })},
	{fn: (*metaxy.DeltaStore).Push, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.Push(ctx, nil)) })},
	{fn: (*metaxy.DeltaStore).History, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.History(ctx, "p")) })},
	{fn: (*metaxy.DeltaStore).SnapshotGraph, make: func(w *world) call {
		s := w.store()
		v := sample(s.ProjectVersion(w.Context()))
		return func(ctx context.Context) error { return told(s.SnapshotGraph(ctx, v, "p")) }
	}},
	{fn: (*metaxy.DeltaStore).ProjectVersion, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.ProjectVersion(ctx)) })},
	{fn: (*metaxy.DeltaStore).HasFeature, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.HasFeature(ctx, root, nil))
	})},
	{fn: (*metaxy.DeltaStore).Examine, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.Examine(ctx, root, nil))
	})},
	{fn: (*metaxy.DeltaStore).Status, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.Status(ctx, leaf, &metaxy.StatusOptions{Inspect: func(ctx context.Context, i *metaxy.Increment) error { w.inside(); return i.Count(ctx) }}))
	})},
	{fn: (*metaxy.DeltaStore).StatusAll, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.StatusAll(ctx, []feature.Key{root, leaf}, &metaxy.StatusOptions{Inspect: func(ctx context.Context, i *metaxy.Increment) error { w.inside(); return i.Count(ctx) }}))
	})},
	{fn: (*metaxy.DeltaStore).Plan, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.Plan(ctx, []feature.Key{root, leaf}, &metaxy.StatusOptions{Inspect: func(ctx context.Context, i *metaxy.Increment) error { w.inside(); return i.Count(ctx) }}))
	})},
	{fn: (*metaxy.DeltaStore).Why, quiet: "samples of the caller are refused: nothing of them is stored", make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.Why(ctx, leaf, [][]string{{"1"}, {"2"}, {"99"}}, nil))
	})},
	{fn: (*metaxy.DeltaStore).Verify, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.Verify(ctx, leaf, nil))
	})},
	{fn: (*metaxy.DeltaStore).ExternalFeatures, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error {
		_, _, _, err := s.ExternalFeatures(ctx, nil)
		return err
	})},
	{fn: (*metaxy.DeltaStore).Sync, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.Sync(ctx, nil)) })},
	{fn: (*metaxy.DeltaStore).Read, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		r, err := s.Read(ctx, root, nil)
		return drainedRows(w, r, err)
	})},
	{fn: (*metaxy.DeltaStore).Write, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		schema, batches := w.stream(10)
		return told(s.Write(ctx, root, &metaxy.Rows{Schema: schema, Batches: batches}, nil))
	})},
	{fn: (*metaxy.DeltaStore).WriteFailed, make: storeCall(recordFailed)},
	{fn: (*metaxy.DeltaStore).Failed, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		if err := recordFailed(w, s, ctx); err != nil {
			return err
		}
		r, err := s.Failed(ctx, root)
		return drainedRows(w, r, err)
	})},
	{fn: (*metaxy.DeltaStore).WriteMulti, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.WriteMulti(ctx, map[feature.Key]*metaxy.Rows{root: w.rows(20)}, nil))
	})},
	{fn: (*metaxy.DeltaStore).Delete, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.Delete(ctx, root, nil)) }), repeated: lost},
	{fn: (*metaxy.DeltaStore).Drop, make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error { return told(s.Drop(ctx, root, nil)) }), repeated: lost},
	{fn: (*metaxy.DeltaStore).Copy, make: func(w *world) call {
		s := w.store()
		to, err := metaxy.OpenDriver(w.Context(), objstore.NewMem(), w.options())
		w.must(err)
		w.end(func() { to.Close() })
		return func(ctx context.Context) error {
			return told(to.Copy(ctx, from{s, w}, &metaxy.CopyOptions{Features: []feature.Key{root}}))
		}
	}},
	{fn: (*metaxy.DeltaStore).Rebase, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		given, err := readBy(ctx, w, s, leaf)
		if err != nil {
			return err
		}
		r, err := s.Rebase(ctx, leaf, given, nil)
		if err != nil {
			return err
		}
		return drained(w, r.Rows.Batches)
	})},
	{fn: (*metaxy.DeltaStore).ResolveUpdate, make: storeCall(func(w *world, s *metaxy.DeltaStore, ctx context.Context) error {
		inc, err := s.ResolveUpdate(ctx, root, &metaxy.ResolveOptions{Samples: w.rows(2)})
		if err != nil {
			return err
		}
		defer inc.Close()
		return drained(w, inc.All(ctx))
	})},
	{fn: (*metaxy.DeltaStore).NewWriter, quiet: "Flushed runs in the background: it is run by Writer.Flush", make: storeCall(func(_ *world, s *metaxy.DeltaStore, ctx context.Context) error {
		return told(s.NewWriter(ctx, nil).Close(context.WithoutCancel(ctx)))
	})},
	{fn: (*metaxy.Increment).All, make: incCall(func(w *world, i *metaxy.Increment, ctx context.Context) error { return drained(w, i.All(ctx)) })},
	{fn: (*metaxy.Increment).New, make: incCall(func(w *world, i *metaxy.Increment, ctx context.Context) error { return drained(w, i.New(ctx).Batches) })},
	{fn: (*metaxy.Increment).Stale, make: incCall(func(w *world, i *metaxy.Increment, ctx context.Context) error {
		return drained(w, i.Stale(ctx).Batches)
	})},
	{fn: (*metaxy.Increment).Orphaned, make: incCall(func(w *world, i *metaxy.Increment, ctx context.Context) error {
		return drained(w, i.Orphaned(ctx).Batches)
	})},
	{fn: (*metaxy.Increment).Changes, make: incCall(func(w *world, i *metaxy.Increment, ctx context.Context) error {
		return drained(w, i.Changes(ctx).Batches)
	})},
	{fn: (*metaxy.Increment).Input, make: incCall(func(w *world, i *metaxy.Increment, ctx context.Context) error {
		r, err := i.Input(ctx)
		return drainedRows(w, r, err)
	})},
	{fn: (*metaxy.Increment).Feature, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.Feature(); return nil })},
	{fn: (*metaxy.Increment).Count, make: incCall(func(_ *world, i *metaxy.Increment, ctx context.Context) error { return i.Count(ctx) })},
	{fn: (*metaxy.Increment).Explain, make: incCall(func(_ *world, i *metaxy.Increment, ctx context.Context) error { return told(i.Explain(ctx)) })},
	{fn: (*metaxy.Increment).Close, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.Close(); return nil })},
	{fn: (*metaxy.Increment).Schema, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.Schema(metaxy.New); return nil })},
	{fn: (*metaxy.Increment).Warnings, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.Warnings(); return nil })},
	{fn: (*metaxy.Increment).Reasons, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.Reasons(); return nil })},
	{fn: (*metaxy.Increment).Stats, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.Stats(); return nil })},
	{fn: (*metaxy.Increment).LeftOut, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.LeftOut(); return nil })},
	{fn: (*metaxy.Increment).Remembered, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.Remembered(); return nil })},
	{fn: (*metaxy.Increment).Pinned, make: incCall(func(_ *world, i *metaxy.Increment, ctx context.Context) error { return told(i.Pinned(ctx)) })},
	{fn: (*metaxy.Increment).Sources, make: incCall(func(_ *world, i *metaxy.Increment, _ context.Context) error { i.Sources(); return nil })},
	{fn: (*metaxy.Writer).Put, make: writerCall(func(w *world, b *metaxy.Writer, _ context.Context) error {
		rows := w.batch(40)
		defer rows.Release()
		return b.Put(root, rows)
	})},
	{fn: (*metaxy.Writer).Flush, make: writerCall(func(_ *world, b *metaxy.Writer, ctx context.Context) error { return b.Flush(ctx) })},
	{fn: (*metaxy.Writer).Close, make: writerCall(func(_ *world, b *metaxy.Writer, ctx context.Context) error { return told(b.Close(ctx)) })},
	{fn: (*metaxy.Writer).Abort, make: writerCall(func(_ *world, b *metaxy.Writer, _ context.Context) error { b.Abort(); return nil })},
	{fn: (*metaxy.NotFoundError).Error}, {fn: (*metaxy.NotFoundError).Unwrap}, {fn: (*metaxy.PartialError).Error}, {fn: (*metaxy.PartialError).Unwrap}, {fn: (*metaxy.Status).NeedsUpdate}, {fn: (*metaxy.Status).Verdict},
}

// from is a store that runs code of the caller before each batch that it gives.
type from struct {
	metaxy.MetadataStore
	w *world
}

func (f from) Read(ctx context.Context, key feature.Key, o *metaxy.ReadOptions) (*metaxy.Rows, error) {
	f.w.inside()
	r, err := f.MetadataStore.Read(ctx, key, o)
	if err != nil {
		return nil, err
	}
	batches := r.Batches
	r.Batches = func(yield func(batch, error) bool) {
		for b, err := range batches {
			f.w.inside()
			if !yield(b, err) {
				return
			}
		}
	}
	return r, nil
}

// lost is a race that another writer won.
func lost(err error) bool {
	var c *txlog.ConflictError
	return errors.As(err, &c)
}

package metaxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

func ExampleDeltaStore_ResolveUpdate() {
	ctx := context.Background()
	store := filled(ctx)
	inc, err := store.ResolveUpdate(ctx, key("transcript"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	show(inc.New(ctx), "id", "metaxy_provenance_by_field")
	// Output: id=v2 metaxy_provenance_by_field={"text":"18185960"}
}

// The samples of a root feature are handed in; nothing is upstream of it.
func ExampleDeltaStore_ResolveUpdate_root() {
	ctx := context.Background()
	store := filled(ctx)
	inc, err := store.ResolveUpdate(ctx, key("video"), &metaxy.ResolveOptions{Samples: videos("v2 sound2-new frames2", "v3 sound3 frames3")})
	if err != nil {
		fmt.Println(err)
		return
	}
	for part, rows := range map[string]*metaxy.Rows{"new": inc.New(ctx), "stale": inc.Stale(ctx), "orphaned": inc.Orphaned(ctx)} {
		for batch, err := range rows.Batches {
			fmt.Println(part, batch.Column(0), err)
		}
	}
	// Unordered output:
	// new ["v3"] <nil>
	// stale ["v2"] <nil>
	// orphaned ["v1"] <nil>
}

func ExampleIncrement_All() {
	ctx := context.Background()
	store := filled(ctx)
	must(store.Write(ctx, key("video"), videos("v1 sound1-new frames1"), nil))
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	names := map[metaxy.Part]string{metaxy.New: "new", metaxy.Stale: "stale", metaxy.Orphaned: "orphaned"}
	for part, err := range inc.All(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(names[part.Part], part.Batch.NumRows()) // part.Batch is released after this step
	}
	// Unordered output:
	// new 1
	// stale 1
}

// Changes is the whole increment as one table, for what takes one stream.
func ExampleIncrement_Changes() {
	ctx := context.Background()
	store := filled(ctx)
	must(store.Write(ctx, key("video"), videos("v1 sound1-new frames1"), nil))
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	show(inc.Changes(ctx), "id", metaxy.ChangeColumn)
	// Unordered output:
	// id=v1 metaxy_change=stale
	// id=v2 metaxy_change=new
}

// Input is what upstream gives, whether it was processed or not.
func ExampleIncrement_Input() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), nil))
	show(must(inc.Input(ctx)), "id", "metaxy_provenance")
	// Unordered output:
	// id=v1 metaxy_provenance=20315270
	// id=v2 metaxy_provenance=18207498
}

// An increment holds rows in memory, and files on disk, until it is closed.
func ExampleIncrement_Close() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), nil))
	defer inc.Close()
	fmt.Println(inc.Count(ctx), inc.Stats().New)
	// Output: <nil> 1
}

func ExampleIncrement_Count() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), nil))
	err := inc.Count(ctx)
	fmt.Println(inc.Stats().New, inc.Stats().Stale, inc.Stats().Orphaned, err)
	// Output: 1 0 0 <nil>
}

// The first line says what is read in blocks, the last how much memory is held.
func ExampleIncrement_Explain() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), nil))
	defer inc.Close()
	first, _, _ := strings.Cut(must(inc.Explain(ctx)), "\n")
	fmt.Println(first)
	// Output: stream video: 2 rows in 2 units, units said to have one time each
}

// The second resolve looks only at what was outstanding and at what was written
// since the first.
func ExampleIncrement_Remembered() {
	ctx := context.Background()
	store := filled(ctx)
	for range 2 {
		inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
		err := inc.Count(ctx)
		fmt.Println(inc.Stats().New, inc.Stats().Stale, inc.Remembered(), err)
		must(store.Write(ctx, key("video"), videos("v1 sound1-new frames1"), nil))
	}
	// Output:
	// 1 0 false <nil>
	// 1 1 true <nil>
}

func ExampleIncrement_New() {
	ctx := context.Background()
	store := filled(ctx)
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	fmt.Println(must(store.Write(ctx, key("transcript"), inc.New(ctx), nil)).Rows)
	// Output: 1
}

func ExampleIncrement_Stale() {
	ctx := context.Background()
	store := filled(ctx)
	must(store.Write(ctx, key("video"), videos("v1 sound1-new frames1"), nil))
	show(must(store.ResolveUpdate(ctx, key("transcript"), nil)).Stale(ctx), "id")
	// Output: id=v1
}

func ExampleIncrement_Orphaned() {
	ctx := context.Background()
	store := filled(ctx)
	must(store.Delete(ctx, key("video"), &metaxy.DeleteOptions{Filters: only("id = 'v1'")}))
	show(must(store.ResolveUpdate(ctx, key("transcript"), nil)).Orphaned(ctx), "id")
	// Output: id=v1
}

func ExampleIncrement_Schema() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), nil))
	for _, f := range inc.Schema(metaxy.New).Fields() {
		fmt.Println(f.Name, f.Type)
	}
	// Output:
	// id utf8
	// metaxy_deleted_at timestamp[us, tz=UTC]
	// metaxy_provenance_by_field struct<text: utf8 nullable>
	// metaxy_provenance utf8
	// metaxy_data_version utf8
	// metaxy_data_version_by_field struct<text: utf8 nullable>
}

// Other processes can read the tables at these versions, without their logs.
func ExampleIncrement_Pinned() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), nil))
	defer inc.Close()
	pinned := must(inc.Pinned(ctx))
	for i, dep := range pinned.Request.Plan.Deps {
		table := pinned.Deps[i]
		fmt.Println(dep.Feature, "at version", table.Snapshot.Version(), "with", len(table.Snapshot.Files()), "files")
	}
	// Output: video at version 1 with 2 files
}

func ExampleIncrement_Sources() {
	ctx := context.Background()
	front := must(metaxy.Open(ctx, "mem://front", &metaxy.Options{Name: "front", Graph: graphFrom(mediaDefinitions), Fallbacks: []metaxy.Fallback{{Name: "media", Store: filled(ctx)}}}))
	inc := must(front.ResolveUpdate(ctx, key("transcript"), nil))
	for _, s := range inc.Sources() {
		fmt.Println(s.Feature, s.Store, s.TableVersion, s.Fallback)
	}
	// Output: video media 1 true
}

func ExampleIncrement_Stats() {
	ctx := context.Background()
	inc := must(filled(ctx).ResolveUpdate(ctx, key("transcript"), &metaxy.ResolveOptions{Progress: true}))
	if err := inc.Count(ctx); err != nil {
		fmt.Println(err)
	}
	st := inc.Stats()
	fmt.Println(st.Expected, "expected,", st.Current, "stored,", *st.Progress, "% processed")
	// Output: 2 expected, 1 stored, 50 % processed
}

func ExampleIncrement_Warnings() {
	ctx := context.Background()
	front := must(metaxy.Open(ctx, "mem://front", &metaxy.Options{Name: "front", Graph: graphFrom(mediaDefinitions), Fallbacks: []metaxy.Fallback{{Name: "media", Store: filled(ctx)}}}))
	inc := must(front.ResolveUpdate(ctx, key("transcript"), nil))
	if err := inc.Count(ctx); err != nil { // warnings are complete when a part has ended
		fmt.Println(err)
	}
	for _, w := range inc.Warnings() {
		fmt.Println(w.Code)
	}
	// Output: FALLBACK_USED
}

// A program's own batches become rows; what is read is released by whoever yields it.
func ExampleRows() {
	ctx := context.Background()
	store := openMedia(ctx)
	batch := videoBatch("v1 sound1 frames1", "v2 sound2 frames2")
	defer batch.Release()
	rows := &metaxy.Rows{Schema: batch.Schema(), Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(batch, nil) }}
	must(store.Write(ctx, key("video"), rows, nil))

	var kept []arrow.RecordBatch
	for b, err := range must(store.Read(ctx, key("video"), nil)).Batches {
		if err != nil {
			fmt.Println(err)
			return
		}
		b.Retain() // to use it after the step
		kept = append(kept, b)
	}
	for _, b := range kept {
		fmt.Println(b.NumRows(), "rows of", b.NumCols(), "columns")
		b.Release()
	}
	// Output: 2 rows of 11 columns
}

func ExampleDeltaStore_NewWriter() {
	ctx := context.Background()
	store := openMedia(ctx)
	w := store.NewWriter(ctx, &metaxy.WriterOptions{BatchRows: 10_000, Interval: time.Minute, Flushed: func(results []metaxy.WriteResult) {
		for _, r := range results {
			fmt.Println("stored", r.Rows, "rows of", r.Feature, r.Warnings)
		}
	}})
	for _, text := range []string{"v1 sound1 frames1", "v2 sound2 frames2"} {
		batch := videoBatch(text)
		if err := w.Put(key("video"), batch); err != nil {
			fmt.Println(err)
		}
		batch.Release() // the writer holds its own reference
	}
	written, err := w.Close(ctx)
	fmt.Println(written[key("video")], err)
	// Output:
	// stored 2 rows of video []
	// 2 <nil>
}

func ExampleWriter_Put() {
	ctx := context.Background()
	store := openMedia(ctx)
	w := store.NewWriter(ctx, nil)
	batch := videoBatch("v1 sound1 frames1")
	fmt.Println(w.Put(key("video"), batch, batch)) // queued; an error would be that of a flush before
	batch.Release()
	fmt.Println(w.Close(ctx))
	// Output:
	// <nil>
	// map[video:2] <nil>
}

func ExampleWriter_Flush() {
	ctx := context.Background()
	store := openMedia(ctx)
	w := store.NewWriter(ctx, &metaxy.WriterOptions{Interval: -1}) // never by time
	batch := videoBatch("v1 sound1 frames1")
	defer batch.Release()
	if err := w.Put(key("video"), batch); err != nil {
		fmt.Println(err)
	}
	fmt.Println(must(store.HasFeature(ctx, key("video"), nil)))
	fmt.Println(w.Flush(ctx), must(store.HasFeature(ctx, key("video"), nil)))
	must(w.Close(ctx))
	// Output:
	// false
	// <nil> true
}

// What a flush could not store waits on, and Close says so; it can be called again.
func ExampleWriter_Close() {
	ctx := context.Background()
	store := openMedia(ctx)
	w := store.NewWriter(ctx, &metaxy.WriterOptions{Interval: -1})
	batch := videoBatch("v1 sound1 frames1")
	defer batch.Release()
	if err := w.Put(key("nosuch"), batch); err != nil {
		fmt.Println(err)
	}
	_, err := w.Close(ctx)
	fmt.Println(errors.Is(err, metaxy.ErrFeatureNotFound))
	// Output: true
}

// What waits is forgotten; what was written is told.
func ExampleWriter_Abort() {
	ctx := context.Background()
	store := openMedia(ctx)
	w := store.NewWriter(ctx, &metaxy.WriterOptions{Interval: -1})
	batch := videoBatch("v1 sound1 frames1")
	defer batch.Release()
	if err := w.Put(key("video"), batch); err != nil {
		fmt.Println(err)
	}
	fmt.Println(w.Abort(), must(store.HasFeature(ctx, key("video"), nil)))
	// Output: map[] false
}

// Any store can be a fallback: here one that counts what it is asked for.
func ExampleMetadataStore() {
	ctx := context.Background()
	counting := &countingStore{MetadataStore: filled(ctx)}
	front := must(metaxy.Open(ctx, "mem://front", &metaxy.Options{Graph: graphFrom(mediaDefinitions), Fallbacks: []metaxy.Fallback{{Name: "counting", Store: counting}}}))
	show(must(front.Read(ctx, key("video"), nil)), "id")
	fmt.Println(counting.reads, "read")

	// A function over the interface works with every store.
	clear := func(s metaxy.MetadataStore) error {
		_, err := s.Delete(ctx, key("video"), nil)
		return errors.Join(err, s.Close())
	}
	fmt.Println(clear(counting))
	// Output:
	// id=v1
	// id=v2
	// 1 read
	// <nil>
}

type countingStore struct {
	metaxy.MetadataStore
	reads int
}

func (s *countingStore) Read(ctx context.Context, key feature.Key, opts *metaxy.ReadOptions) (*metaxy.Rows, error) {
	s.reads++
	return s.MetadataStore.Read(ctx, key, opts)
}

func ExampleNotFoundError() {
	ctx := context.Background()
	_, err := filled(ctx).Read(ctx, key("vidoe"), nil)
	var missing *metaxy.NotFoundError
	if errors.As(err, &missing) {
		fmt.Println(missing.Feature, missing.NoTable, missing.Nearest)
	}
	// Output: vidoe false [video]
}

func ExamplePartialError() {
	ctx := context.Background()
	store := openMedia(ctx)
	_, err := store.WriteMulti(ctx, map[feature.Key]*metaxy.Rows{key("video"): videos("v1 sound1 frames1"), key("nosuch"): videos("v1 sound1 frames1")}, nil)
	var partial *metaxy.PartialError
	if errors.As(err, &partial) {
		fmt.Println("done:", partial.Done)
		fmt.Println(err)
	}
	// Output:
	// done: [video]
	// 1 of 2 features failed; nosuch: feature nosuch is not defined
}

// A sample that failed stays away until an hour has gone by.
func ExampleDeltaStore_WriteFailed() {
	ctx := context.Background()
	store := filled(ctx)
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	fmt.Println(must(store.WriteFailed(ctx, key("transcript"), inc.New(ctx))).Rows, "failed")
	later := must(store.ResolveUpdate(ctx, key("transcript"), &metaxy.ResolveOptions{Failed: &metaxy.FailedOptions{After: time.Hour}}))
	fmt.Println(later.Count(ctx), later.Stats().New)
	// Output:
	// 1 failed
	// <nil> 0
}

func ExampleDeltaStore_Failed() {
	ctx := context.Background()
	store := filled(ctx)
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	must(store.WriteFailed(ctx, key("transcript"), inc.New(ctx)))
	show(must(store.Failed(ctx, key("transcript"))), "id", "metaxy_failed_attempt")
	// Output: id=v2 metaxy_failed_attempt=1
}

func ExampleIncrement_LeftOut() {
	ctx := context.Background()
	store := filled(ctx)
	inc := must(store.ResolveUpdate(ctx, key("transcript"), nil))
	must(store.WriteFailed(ctx, key("transcript"), inc.New(ctx)))
	again := must(store.ResolveUpdate(ctx, key("transcript"), &metaxy.ResolveOptions{Failed: &metaxy.FailedOptions{Skip: true}}))
	fmt.Println(again.Count(ctx), again.Stats().New, again.LeftOut())
	// Output: <nil> 0 1
}

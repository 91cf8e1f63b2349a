package metaxy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// TestBucket: a program's own bucket is a store: definitions, rows, resolves, deletes, and writers that race.
func TestBucket(t *testing.T) {
	ctx := t.Context()
	bucket := blob.PrefixedBucket(memblob.OpenBucket(nil), "team/metadata/")
	defer bucket.Close()
	open := func() *metaxy.DeltaStore {
		s, err := metaxy.OpenBucket(ctx, bucket, &metaxy.Options{Project: "p", Graph: graphOf(t, true, rootSpec, leafSpec)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, root := open(), mustKey(t, "root")
	if _, err := s.Push(ctx, nil); err != nil {
		t.Fatal(err)
	}
	const writers = 6
	failed := make(chan error, writers)
	for i := range writers {
		go func() {
			_, err := open().Write(ctx, root, frame(t, []string{"id int", byField + "{x}"}, fmt.Sprintf(`[{"id": %d, "metaxy_provenance_by_field": {"x": "a"}}]`, i)), nil)
			failed <- err
		}()
	}
	for range writers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Delete(ctx, root, &metaxy.DeleteOptions{Hard: true, Filters: must(parseAll("id = 0"))}); err != nil {
		t.Fatal(err)
	}
	st, err := s.Status(ctx, mustKey(t, "leaf"), nil)
	if err != nil || st.New != writers-1 {
		t.Errorf("status %+v, %v", st, err)
	}
	reader, err := metaxy.OpenBucket(ctx, bucket, &metaxy.Options{ReadOnly: true}) // with the definitions of the bucket
	if err != nil {
		t.Fatal(err)
	}
	if got, err := reader.Status(ctx, root, nil); err != nil || got.Rows != writers-1 {
		t.Errorf("another reader: %+v, %v", got, err)
	}
	if err := errors.Join(reader.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if ok, err := bucket.IsAccessible(ctx); !ok || err != nil {
		t.Errorf("the caller's bucket was closed: %v, %v", ok, err)
	}
}

// TestBucketOfFiles: fileblob's creates are not atomic, so it is for reading; the message says how to open the folder.
func TestBucketOfFiles(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 1, 2)
	bucket, err := fileblob.OpenBucket(b.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	s, err := metaxy.OpenBucket(t.Context(), bucket, &metaxy.Options{Project: "p", Graph: graphOf(t, true, rootSpec)})
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Status(t.Context(), mustKey(t, "root"), nil)
	if err != nil || st.Rows != 2 {
		t.Errorf("%+v, %v", st, err)
	}
	if _, err := s.Write(t.Context(), mustKey(t, "root"), frame(t, []string{"id int", byField + "{x}"}, `[{"id": 3, "metaxy_provenance_by_field": {"x": "a"}}]`), nil); !errors.Is(err, objstore.ErrNotAtomic) {
		t.Errorf("a write: %v", err)
	}
	want(t, b.count("root", nil), 2)
}

// TestOpenDriver: a store over a driver of the caller's.
func TestOpenDriver(t *testing.T) {
	driver := objstoretest.NewFaulty(objstore.NewMem(), 1)
	s, err := metaxy.OpenDriver(t.Context(), driver, &metaxy.Options{Project: "p", Graph: graphOf(t, true, rootSpec)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Push(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if len(driver.Requests()) == 0 {
		t.Error("the driver was asked for nothing")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, open := range map[string]func() (*metaxy.DeltaStore, error){
		"nil driver": func() (*metaxy.DeltaStore, error) { return metaxy.OpenDriver(t.Context(), nil, nil) }, "nil bucket": func() (*metaxy.DeltaStore, error) { return metaxy.OpenBucket(t.Context(), nil, nil) },
		"options": func() (*metaxy.DeltaStore, error) {
			return metaxy.OpenDriver(t.Context(), driver, &metaxy.Options{Parallel: -1})
		},
	} {
		if _, err := open(); !errors.Is(err, metaxy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := metaxy.OpenDriver(ended, driver, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

// A bucket of gocloud.dev/blob that the program has already.
func ExampleOpenBucket() {
	ctx := context.Background()
	bucket := blob.PrefixedBucket(memblob.OpenBucket(nil), "metadata/") // or that of any provider
	defer bucket.Close()
	store := must(metaxy.OpenBucket(ctx, bucket, &metaxy.Options{Graph: graphFrom(mediaDefinitions)}))
	defer store.Close()
	fmt.Println(must(store.Push(ctx, nil)).Recorded)
	// Output: true
}

// A driver of one's own, which passes objstoretest.Run.
func ExampleOpenDriver() {
	ctx := context.Background()
	store := must(metaxy.OpenDriver(ctx, objstore.NewMem(), nil))
	defer store.Close()
	fmt.Println(must(store.History(ctx, "")))
	// Output: []
}

// TestPushesAtOnce: however many push the same definitions at once, and those
// of another project beside them, each is recorded once.
func TestPushesAtOnce(t *testing.T) {
	ctx := t.Context()
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	const pushes = 24
	failed := make(chan error, pushes)
	for i := range pushes {
		project := []string{"p", "q"}[i%2]
		specs := []string{project + " " + rootSpec, project + " " + leafSpec}[:2-i%2]
		go func() {
			s, err := metaxy.OpenBucket(ctx, bucket, &metaxy.Options{Project: project, Graph: graphOf(t, true, specs...)})
			if err == nil {
				_, err = s.Push(ctx, nil)
			}
			failed <- err
		}()
	}
	for range pushes {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	s, err := metaxy.OpenBucket(ctx, bucket, nil)
	if err != nil {
		t.Fatal(err)
	}
	history, err := s.History(ctx, "")
	if err != nil || len(history) != 2 {
		t.Fatalf("%+v, %v", history, err)
	}
	for _, e := range history {
		if e.Features != e.Distinct || (e.Project == "p") != (e.Features == 2) {
			t.Errorf("%+v", e)
		}
	}
}

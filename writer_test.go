package metaxy_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// patience ends a test whose background work never comes; nothing is judged by it.
const patience = time.Minute

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// buffered is a writer over a driver that can be broken.
type buffered struct {
	*testing.T
	driver *objstoretest.Faulty
	store  *metaxy.DeltaStore
	writer *metaxy.Writer
	root   feature.Key
}

func newBuffered(t *testing.T, opts *metaxy.WriterOptions) *buffered {
	t.Helper()
	b := &buffered{T: t, driver: objstoretest.NewFaulty(objstore.NewMem(), 1), root: mustKey(t, "root")}
	s, err := metaxy.Open(t.Context(), "shared://x", &metaxy.Options{Project: "p", Graph: graphOf(t, true, rootSpec, leafSpec), Openers: []objstore.Opener{sharedOpener{b.driver}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b.store, b.writer = s, s.NewWriter(t.Context(), opts)
	return b
}

// batch has rows of ids.
func (b *buffered) batch(ids ...int) arrow.RecordBatch {
	b.Helper()
	text := "["
	for i, id := range ids {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(`{"id": %d, "metaxy_provenance_by_field": {"x": "v%d"}}`, id, id)
	}
	for batch := range frame(b.T, []string{"id int", byField + "{x}"}, text+"]").Batches {
		return batch
	}
	return nil
}

func (b *buffered) put(ids ...int) {
	b.Helper()
	if err := b.writer.Put(b.root, b.batch(ids...)); err != nil {
		b.Fatal(err)
	}
}

// stored are the ids in a feature's table, every row, sorted.
func (b *buffered) stored(key feature.Key) []int64 {
	b.Helper()
	r, err := b.store.Read(b.Context(), key, &metaxy.ReadOptions{SampleHistory: true})
	if errors.Is(err, metaxy.ErrFeatureNotFound) {
		return nil
	}
	if err != nil {
		b.Fatal(err)
	}
	var out []int64
	for batch, err := range r.Batches {
		if err != nil {
			b.Fatal(err)
		}
		for i := range int(batch.NumRows()) {
			out = append(out, batch.Column(batch.Schema().FieldIndices("id")[0]).(interface{ Value(int) int64 }).Value(i))
		}
	}
	slices.Sort(out)
	return out
}

// commits is the number of commits that a feature's table has.
func (b *buffered) commits(key feature.Key) int64 {
	b.Helper()
	snap, err := b.store.Table(key).Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return snap.Version() + 1
}

func (b *buffered) close(wanted int64) {
	b.Helper()
	written, err := b.writer.Close(b.Context())
	if err != nil || written[b.root] != wanted {
		b.Errorf("close: %v, %v; want %d rows", written, err, wanted)
	}
}

func TestWriterFlushesByRows(t *testing.T) {
	b := newBuffered(t, &metaxy.WriterOptions{BatchRows: 4, Interval: -1})
	b.put(1, 2, 3)
	want(t, len(b.stored(b.root)), 0) // nothing makes it flush
	b.put(4, 5)
	eventually(t, "no flush by rows", func() bool { return len(b.stored(b.root)) == 5 })
	want(t, b.commits(b.root), 1)
	b.put(6)
	b.close(6)
	want(t, b.stored(b.root), []int64{1, 2, 3, 4, 5, 6})
	want(t, b.commits(b.root), 2)
}

func TestWriterFlushesByTime(t *testing.T) {
	b := newBuffered(t, &metaxy.WriterOptions{Interval: time.Millisecond})
	b.put(1)
	eventually(t, "no flush by time", func() bool { return len(b.stored(b.root)) == 1 })
	b.put(2)
	eventually(t, "no second flush by time", func() bool { return len(b.stored(b.root)) == 2 })
	b.close(2)
}

// The error of a background flush comes out of a later Put, once; its rows wait and are stored by the next flush.
func TestWriterTellsOfAFailedBackgroundFlush(t *testing.T) {
	b := newBuffered(t, &metaxy.WriterOptions{BatchRows: 2, Interval: -1})
	b.driver.Add(objstoretest.Rule{Fault: objstoretest.FailBefore})
	b.put(1, 2)
	eventually(t, "the error does not surface", func() bool { return errors.Is(b.writer.Put(b.root), objstoretest.ErrInjected) })
	if err := b.writer.Put(b.root); err != nil {
		t.Errorf("the error surfaces twice: %v", err)
	}
	b.driver.Clear()
	if err := b.writer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, b.stored(b.root), []int64{1, 2})
	b.close(2)
}

// A failed Close keeps the rows, and can be repeated; after that nothing is accepted.
func TestWriterCloseCanBeRepeated(t *testing.T) {
	b := newBuffered(t, &metaxy.WriterOptions{Interval: -1})
	b.put(1)
	b.driver.Add(objstoretest.Rule{Fault: objstoretest.FailBefore})
	if _, err := b.writer.Close(t.Context()); !errors.Is(err, objstoretest.ErrInjected) {
		t.Fatal(err)
	}
	b.driver.Clear()
	b.close(1)
	want(t, b.stored(b.root), []int64{1})
	if err := b.writer.Put(b.root, b.batch(2)); !errors.Is(err, metaxy.ErrClosed) {
		t.Error(err)
	}
	if err := b.writer.Flush(t.Context()); !errors.Is(err, metaxy.ErrClosed) {
		t.Error(err)
	}
}

// Of several features the one that fails waits, the others are stored; frames of other columns are commits of their own.
func TestWriterKeepsFeaturesApart(t *testing.T) {
	b := newBuffered(t, &metaxy.WriterOptions{Interval: -1})
	leaf := mustKey(t, "leaf")
	b.put(1)
	for batch := range frame(t, []string{"id int", "n int", byField + "{x}"}, `[{"id": 2, "n": 5, "metaxy_provenance_by_field": {"x": "v"}}]`).Batches {
		if err := b.writer.Put(b.root, batch); err != nil {
			t.Fatal(err)
		}
	}
	for batch := range frame(t, []string{"id int"}, `[{"id": 1}]`).Batches { // no versions
		if err := b.writer.Put(leaf, batch); err != nil {
			t.Fatal(err)
		}
	}
	var partial *metaxy.PartialError
	if err := b.writer.Flush(t.Context()); !errors.As(err, &partial) || partial.Failed[leaf] == nil || len(partial.Failed) != 1 {
		t.Fatal(err)
	}
	if err := b.writer.Flush(t.Context()); !errors.As(err, &partial) || len(partial.Failed) != 1 {
		t.Fatal(err)
	}
	want(t, b.stored(b.root), []int64{1, 2})
	want(t, b.commits(b.root), 2)
	want(t, len(b.stored(leaf)), 0)
}

// Whatever fails in between, every row that was put is stored once when Close succeeds.
func TestWriterLosesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := newBuffered(t, &metaxy.WriterOptions{Interval: -1, BatchRows: rapid.Int64Range(0, 4).Draw(r, "batch rows")})
		var put []int64
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.IntRange(0, 3).Draw(r, "step") {
			case 0:
				_ = b.writer.Flush(t.Context()) // fails where a rule hits
			case 1:
				b.driver.Add(objstoretest.Rule{Op: objstoretest.Op(rapid.SampledFrom([]string{"read", "list", "put", "create"}).Draw(r, "op")), Times: 1, Fault: objstoretest.FailBefore})
			default:
				n := len(put)
				put = append(put, int64(n), int64(n+1))
				_ = b.writer.Put(b.root, b.batch(n, n+1)) // tells of an earlier flush; the rows are taken all the same
			}
		}
		b.driver.Clear()
		written, err := b.writer.Close(t.Context())
		if err != nil || written[b.root] != int64(len(put)) {
			r.Fatalf("close: %v, %v", written, err)
		}
		if got := b.stored(b.root); !slices.Equal(got, put) {
			r.Fatalf("stored %v, put %v", got, put)
		}
	})
}

package metaxy_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// TestWriterRefusesOptionsOfOneWrite: what holds for one write only is refused by every call, before a row is taken.
func TestWriterRefusesOptionsOfOneWrite(t *testing.T) {
	for name, o := range map[string]metaxy.WriterOptions{
		"application": {Write: metaxy.WriteOptions{AppID: "job", AppVersion: 1}}, "version alone": {Write: metaxy.WriteOptions{AppVersion: 1}},
		"resolved": {Write: metaxy.WriteOptions{Resolved: &metaxy.Resolved{TableVersion: -1}}}, "dry run": {Write: metaxy.WriteOptions{DryRun: true}},
		"negative rows": {BatchRows: -1}, "negative limit": {MaxRows: -1},
	} {
		o.Interval = -1
		b := newBuffered(t, &o)
		_, cerr := b.writer.Close(t.Context())
		for call, err := range map[string]error{"put": b.writer.Put(b.root, b.batch(1)), "flush": b.writer.Flush(t.Context()), "close": cerr} {
			if !errors.Is(err, metaxy.ErrInvalid) {
				t.Errorf("%s: %s: %v", name, call, err)
			}
		}
		if w := b.writer.Abort(); len(w) != 0 {
			t.Errorf("%s: abort tells of %v", name, w)
		}
	}
	b := newBuffered(t, &metaxy.WriterOptions{Interval: -1, Write: metaxy.WriteOptions{Resolved: &metaxy.Resolved{TableVersion: -1, Drop: true}}})
	for i := range 3 { // with Drop a second flush is no conflict
		b.put(i)
		if err := b.writer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.close(3)
}

// TestWriterCountsWhatIsStored: batches of different schemas in one flush are all stored.
func TestWriterCountsWhatIsStored(t *testing.T) {
	b := newBuffered(t, &metaxy.WriterOptions{Interval: -1})
	for batch := range frame(t, []string{"id int", "more", byField + "{x}"}, `[{"id": 9, "more": "m", "metaxy_provenance_by_field": {"x": "v"}}]`).Batches {
		b.put(1, 2)
		if err := b.writer.Put(b.root, batch); err != nil {
			t.Fatal(err)
		}
	}
	b.close(3)
	if got := b.stored(b.root); len(got) != 3 {
		t.Errorf("stored %v", got)
	}
}

// TestWriterSaysThatItsContextEnded: rows are not taken into a writer that no longer writes; what waited is written by Close.
func TestWriterSaysThatItsContextEnded(t *testing.T) {
	b := newBuffered(t, &metaxy.WriterOptions{Interval: -1})
	ctx, cancel := context.WithCancel(t.Context())
	w := b.store.NewWriter(ctx, &metaxy.WriterOptions{Interval: -1})
	if err := w.Put(b.root, b.batch(1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := w.Put(b.root, b.batch(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("put after the end: %v", err)
	}
	if got, err := w.Close(t.Context()); err != nil || got[b.root] != 1 {
		t.Errorf("close: %v, %v", got, err)
	}
	ro, err := metaxy.Open(t.Context(), "shared://x", &metaxy.Options{Project: "p", ReadOnly: true, Graph: graphOf(t, true, rootSpec), Openers: []objstore.Opener{sharedOpener{b.driver}}})
	if err != nil {
		t.Fatal(err)
	}
	w = ro.NewWriter(t.Context(), nil)
	if err := w.Put(b.root, b.batch(3)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("put into a store for reading: %v", err)
	}
	if err := errors.Join(ro.Close()); err != nil {
		t.Fatal(err)
	}
	if err := w.Put(b.root, b.batch(3)); !errors.Is(err, metaxy.ErrClosed) {
		t.Errorf("put into a closed store: %v", err)
	}
	w.Abort()
}

// TestWriterIsFull: MaxRows bounds what waits, whether or not flushes succeed, and a Put that is refused queued nothing.
func TestWriterIsFull(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer checked.AssertSize(t, 0)
	b := newBuffered(t, &metaxy.WriterOptions{Interval: -1, MaxRows: 4})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				b.put(g*100+i, g*100+i+50)
			}
		})
	}
	wg.Wait()
	b.driver.Add(objstoretest.Rule{Op: objstoretest.OpPut})
	taken := 0
	var err error
	for i := 0; err == nil || !errors.Is(err, metaxy.ErrWriterFull); i++ {
		if i > 100 {
			t.Fatal("the writer is never full")
		}
		if err = b.writer.Put(b.root, b.batch(1000+i)); !errors.Is(err, metaxy.ErrWriterFull) {
			taken++
		}
	}
	if !errors.Is(err, objstoretest.ErrInjected) {
		t.Errorf("full without the reason: %v", err)
	}
	b.driver.Clear()
	b.close(int64(160 + taken))
}

// TestWriterAbort: what waits is let go, also after a Close that failed.
func TestWriterAbort(t *testing.T) {
	b := newBuffered(t, &metaxy.WriterOptions{Interval: -1})
	b.put(1)
	if err := b.writer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	batch := idBatch(checked, 2)
	if err := b.writer.Put(b.root, batch); err != nil {
		t.Fatal(err)
	}
	batch.Release()
	b.driver.Add(objstoretest.Rule{Op: objstoretest.OpPut})
	if _, err := b.writer.Close(t.Context()); err == nil {
		t.Fatal("close succeeded")
	}
	b.driver.Clear()
	for range 2 {
		if got := b.writer.Abort(); got[b.root] != 1 {
			t.Errorf("abort tells of %v", got)
		}
	}
	checked.AssertSize(t, 0)
	if got := b.stored(b.root); len(got) != 1 {
		t.Errorf("stored %v", got)
	}
}

// idBatch has one row of the root feature in memory of mem.
func idBatch(mem memory.Allocator, id int) arrow.RecordBatch {
	return must(jsonBatch(mem, []string{"id int", byField + "{x}"}, fmt.Sprintf(`[{"id": %d, "metaxy_provenance_by_field": {"x": "v"}}]`, id)))
}

// longGraph is graphOf with versions of 16 characters.
func longGraph(t *testing.T, specs ...string) *feature.Graph {
	t.Helper()
	g := feature.NewGraph(16)
	for _, d := range graphOf(t, true, specs...).Definitions() {
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// TestTruncationOfAGraph: rows under versions of one length are never stored where readers look under another.
func TestTruncationOfAGraph(t *testing.T) {
	dir, long := t.TempDir(), longGraph(t, rootSpec)
	if _, err := metaxy.Open(t.Context(), dir, &metaxy.Options{Graph: graphOf(t, true, rootSpec), HashTruncation: 16}); !errors.Is(err, metaxy.ErrInvalid) {
		t.Errorf("a graph of 8 with 16: %v", err)
	}
	if _, err := metaxy.Open(t.Context(), dir, &metaxy.Options{Graph: long, HashTruncation: 8}); !errors.Is(err, metaxy.ErrInvalid) {
		t.Errorf("a graph of 16 with 8: %v", err)
	}
	s, err := metaxy.Open(t.Context(), dir, &metaxy.Options{Graph: long, Project: "p"}) // which says the length
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Push(t.Context(), &metaxy.PushOptions{Graph: graphOf(t, true, rootSpec)}); !errors.Is(err, metaxy.ErrInvalid) {
		t.Errorf("a push of another length: %v", err)
	}
	if _, err := s.Push(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	root := mustKey(t, "root")
	if _, err := s.Write(t.Context(), root, frame(t, []string{"id int", byField + "{x}"}, `[{"id": 3, "metaxy_provenance_by_field": {"x": "a"}}]`), nil); err != nil {
		t.Fatal(err)
	}
	reader, err := metaxy.Open(t.Context(), dir, &metaxy.Options{HashTruncation: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	rows, err := reader.Read(t.Context(), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for b, err := range rows.Batches {
		if err != nil {
			t.Fatal(err)
		}
		n += int(b.NumRows())
	}
	if n != 1 {
		t.Errorf("another reader sees %d rows", n)
	}
	if _, err := metaxy.Open(t.Context(), t.TempDir(), &metaxy.Options{Fallbacks: []metaxy.Fallback{{Name: "f", Store: reader}}}); !errors.Is(err, metaxy.ErrInvalid) {
		t.Errorf("a fallback store of another length: %v", err)
	}
}

// TestReloadIsNotLost: definitions that were being read when somebody asked for newer ones do not stay.
func TestReloadIsNotLost(t *testing.T) {
	driver := objstoretest.NewFaulty(objstore.NewMem(), 1)
	open := func(g *feature.Graph) *metaxy.DeltaStore {
		s, err := metaxy.Open(t.Context(), "shared://x", &metaxy.Options{Project: "p", Graph: g, Openers: []objstore.Opener{sharedOpener{driver}}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	push := func(g *feature.Graph) string {
		r, err := open(g).Push(t.Context(), nil)
		if err != nil {
			t.Error(err)
		}
		return r.ProjectVersion
	}
	push(graphOf(t, true, rootSpec))
	s := open(nil)
	var newest string
	var once atomic.Bool
	// The first read of the log's second half comes while the old definitions are on their way.
	driver.Add(objstoretest.Rule{Op: objstoretest.OpRead, Key: ".parquet", Fault: objstoretest.None, Do: func(objstoretest.Op, string) {
		if !once.Swap(true) {
			newest = push(graphOf(t, true, rootSpec, leafSpec))
			s.Reload()
		}
	}})
	if _, err := s.Graph(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ProjectVersion(t.Context()); err != nil || got != newest || newest == "" {
		t.Errorf("after Reload the store works with %s, %v; pushed is %s", got, err, newest)
	}
}

// TestOutcomeUnknown: an error after a commit that landed says so by a name of this package.
func TestOutcomeUnknown(t *testing.T) {
	b := newBuffered(t, nil)
	rows := func(id int) *metaxy.Rows {
		return frame(t, []string{"id int", byField + "{x}"}, fmt.Sprintf(`[{"id": %d, "metaxy_provenance_by_field": {"x": "a"}}]`, id))
	}
	if _, err := b.store.Write(t.Context(), b.root, rows(1), nil); err != nil {
		t.Fatal(err)
	}
	var landed atomic.Bool
	b.driver.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Fault: objstoretest.LandThenFail, Do: func(objstoretest.Op, string) {
		if !landed.Swap(true) {
			b.driver.Add(objstoretest.Rule{Op: objstoretest.OpRead})
		}
	}})
	_, err := b.store.Write(t.Context(), b.root, rows(2), nil)
	b.driver.Clear()
	var commit *txlog.CommitError
	if !errors.Is(err, metaxy.ErrOutcomeUnknown) || !errors.As(err, &commit) || !commit.Unknown {
		t.Errorf("%v", err)
	}
	if got := b.stored(b.root); len(got) != 2 {
		t.Errorf("stored %v: this test shows rows that are visible after an error", got)
	}
	b.driver.Add(objstoretest.Rule{Op: objstoretest.OpCreate})
	if _, err := b.store.Write(t.Context(), b.root, rows(3), nil); err == nil || errors.Is(err, metaxy.ErrOutcomeUnknown) {
		t.Errorf("a commit that is not there: %v", err)
	}
}

// foreignStore is a fallback store of another kind.
type foreignStore struct {
	metaxy.MetadataStore
	read func(o *metaxy.ReadOptions) (*metaxy.Rows, error)
}

func (f foreignStore) Read(_ context.Context, _ feature.Key, o *metaxy.ReadOptions) (*metaxy.Rows, error) {
	return f.read(o)
}

// TestForeignFallback: rows of a store of another kind come with the same words, and are narrowed as one's own.
func TestForeignFallback(t *testing.T) {
	answer := func(*metaxy.ReadOptions) (*metaxy.Rows, error) {
		return frame(t, []string{"id int", "length int", byField + "{x}"}, `[{"id": 1, "length": 3}, {"id": 2, "length": 7}, {"id": 3, "length": 9}]`), nil
	}
	root := mustKey(t, "root")
	open := func(read func(*metaxy.ReadOptions) (*metaxy.Rows, error)) *metaxy.DeltaStore {
		s, err := metaxy.Open(t.Context(), "mem://", &metaxy.Options{Project: "p", Graph: graphOf(t, true, rootSpec), Fallbacks: []metaxy.Fallback{{Name: "other", Store: foreignStore{read: read}}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := open(answer)
	long := must(filter.Parse("length > 5"))
	for _, c := range []struct {
		o    metaxy.ReadOptions
		want string
	}{
		{metaxy.ReadOptions{}, "[id length metaxy_provenance_by_field] 3"},
		{metaxy.ReadOptions{Filters: []filter.Expr{long}, Columns: []string{"id"}}, "[id] 2"},
		{metaxy.ReadOptions{Columns: []string{"length", "id"}, Limit: 2}, "[length id] 2"},
		{metaxy.ReadOptions{Filters: []filter.Expr{long}, Limit: 1}, "[id length metaxy_provenance_by_field] 1"},
	} {
		rows, err := s.Read(t.Context(), root, &c.o)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for b, err := range rows.Batches {
			if err != nil {
				t.Fatal(err)
			}
			n += b.NumRows()
		}
		var names []string
		for _, f := range rows.Schema.Fields() {
			names = append(names, f.Name)
		}
		if got := fmt.Sprintf("%v %d", names, n); got != c.want {
			t.Errorf("%+v: %s, want %s", c.o, got, c.want)
		}
		if !rows.Source.Fallback || rows.Source.Store != "other" || len(rows.Warnings) != 1 || rows.Warnings[0].Code != "FALLBACK_USED" {
			t.Errorf("%+v, %v", rows.Source, rows.Warnings)
		}
	}
	st, err := s.Status(t.Context(), root, nil)
	if err != nil || !st.Source.Fallback || len(st.Warnings) != 1 {
		t.Errorf("status %+v, %v", st, err)
	}
	if _, err := s.Read(t.Context(), root, &metaxy.ReadOptions{Columns: []string{"lenght"}}); !errors.Is(err, metaxy.ErrInvalid) || !strings.Contains(err.Error(), "length") {
		t.Errorf("an unknown column: %v", err)
	}
	if _, err := open(func(*metaxy.ReadOptions) (*metaxy.Rows, error) { return nil, nil }).Read(t.Context(), root, nil); err == nil {
		t.Error("no rows and no error was taken")
	}
	if _, err := open(func(*metaxy.ReadOptions) (*metaxy.Rows, error) {
		return nil, fmt.Errorf("%w: gone", metaxy.ErrFeatureNotFound)
	}).Read(t.Context(), root, nil); !errors.Is(err, metaxy.ErrFeatureNotFound) {
		t.Errorf("missing everywhere: %v", err)
	}
	if _, err := metaxy.Open(t.Context(), "mem://", &metaxy.Options{Fallbacks: []metaxy.Fallback{{Name: "nil"}}}); !errors.Is(err, metaxy.ErrInvalid) {
		t.Errorf("a fallback store that is nil: %v", err)
	}
}

// TestReadOnlyAllTheWay: neither the objects nor the tables of a store that is opened for reading can be changed.
func TestReadOnlyAllTheWay(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 1, 2)
	b.opts.ReadOnly = true
	b.reopen()
	ctx, root := t.Context(), mustKey(t, "root")
	objects := b.store.Storage()
	rows := frame(t, []string{"id int", byField + "{x}"}, `[{"id": 3}]`)
	_, append := b.store.Table(root).Append(ctx, &delta.Rows{Schema: rows.Schema, Batches: rows.Batches}, nil)
	probe, err := objstore.Probe(ctx, objects)
	if probe.Proven || probe.LeftErr != nil {
		t.Errorf("a probe: %+v", probe)
	}
	for name, err := range map[string]error{
		"append": append, "probe": err, "put": objects.Put(ctx, "x", strings.NewReader("x")), "create": objects.PutIfAbsent(ctx, "x", nil),
		"delete": objects.Delete(ctx, "root.delta/_delta_log/00000000000000000000.json"), "sub": objects.Sub("root.delta").Delete(ctx, "_delta_log/00000000000000000000.json"),
		"abandon": objects.Abandon(ctx, objstore.UnfinishedWrite{Key: ".tmp-metaxy-x"}), "view": b.store.AllowCrossProjectWrites().Storage().Put(ctx, "x", strings.NewReader("x")),
	} {
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "reading only") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.store.Write(ctx, root, frame(t, []string{"id int", byField + "{x}"}, `[{"id": 3, "metaxy_provenance_by_field": {"x": "a"}}]`), &metaxy.WriteOptions{DryRun: true}); err != nil {
		t.Errorf("a dry run: %v", err)
	}
}

// TestInvalid: a bad request has one test, errors.Is(err, ErrInvalid), wherever it is found.
func TestInvalid(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec)
	b.samples("root", 1)
	ctx, root := t.Context(), mustKey(t, "root")
	open := func(url string, o *metaxy.Options) error {
		s, err := metaxy.Open(ctx, url, o)
		if err == nil {
			s.Close()
		}
		return err
	}
	read := func(o *metaxy.ReadOptions) error { _, err := b.store.Read(ctx, root, o); return err }
	_, badKey := feature.ParseKey("A//b")
	_, badField := feature.ParseFieldKey("x__y")
	_, badFilter := filter.Parse("length >")
	var spec *feature.SpecError
	if !errors.As(badKey, &spec) || !errors.As(badField, &spec) {
		t.Errorf("%T, %T", badKey, badField)
	}
	for name, err := range map[string]error{
		"key": badKey, "field key": badField, "filter": badFilter,
		"unknown column": read(&metaxy.ReadOptions{Columns: []string{"ix"}}), "column twice": read(&metaxy.ReadOptions{Columns: []string{"id", "id"}}), "negative limit": read(&metaxy.ReadOptions{Limit: -1}),
		"filter on an unknown column": read(&metaxy.ReadOptions{Filters: []filter.Expr{must(filter.Parse("ix = 1"))}}),
		"filter of another type":      read(&metaxy.ReadOptions{Filters: []filter.Expr{must(filter.Parse("id = 'x'"))}}),
		"empty URL":                   open("", nil), "empty local URL": open("local://", nil), "another machine": open("file://host/x", nil), "neither URL nor path": open("s3:/b/x", nil), "unknown scheme": open("gopher://x", nil),
		"graph and snapshot": open("mem://", &metaxy.Options{Graph: graphOf(t, true, rootSpec), Snapshot: "x"}), "negative parallel": open("mem://", &metaxy.Options{Parallel: -1}),
		"spill directory": open("mem://", &metaxy.Options{MemoryLimit: 1 << 30, SpillDir: t.TempDir() + "/none"}), "nil fallback": open("mem://", &metaxy.Options{Fallbacks: []metaxy.Fallback{{}}}),
	} {
		if !errors.Is(err, metaxy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, examine := b.store.Examine(ctx, mustKey(t, "leaf"), nil)
	_, gone := newBench(t, metaxy.Options{}, rootSpec).store.Read(ctx, root, nil)
	for name, err := range map[string]error{"examine": examine, "read": gone} {
		if !errors.Is(err, metaxy.ErrFeatureNotFound) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of what is not there: %v", name, err)
		}
	}
}

// TestFileURL: file URLs name the folder that they say.
func TestFileURL(t *testing.T) {
	dir := t.TempDir()
	for _, url := range []string{"file://" + dir + "/a%20b", "file:" + dir + "/a b", "FILE://localhost" + dir + "/a%20b"} {
		s, err := metaxy.Open(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.URL(); got != dir+"/a b" {
			t.Errorf("%s is %s", url, got)
		}
		s.Close()
	}
}

// TestDeadlineWhileWaiting: a deadline that passes while a call waits to be tried again is one.
func TestDeadlineWhileWaiting(t *testing.T) {
	driver := objstoretest.NewFaulty(objstore.NewMem(), 1)
	driver.Add(objstoretest.Rule{Temporary: true})
	s := objstore.New(driver)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := s.Stat(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, objstoretest.ErrInjected) {
		t.Errorf("%v", err)
	}
}

// TestProducersThatPanicOrExit: nothing is stored, nothing is left, and a panic keeps its value.
func TestProducersThatPanicOrExit(t *testing.T) {
	mine := errors.New("mine")
	for name, end := range map[string]func(){"panic": func() { panic(mine) }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
			defer checked.AssertSize(t, 0)
			b := newBench(t, metaxy.Options{Allocator: checked}, rootSpec)
			before := runtime.NumGoroutine()
			var err error
			done := make(chan struct{})
			go func() {
				defer close(done)
				first := idBatch(checked, 1)
				defer first.Release()
				_, err = b.store.Write(t.Context(), mustKey(t, "root"), &metaxy.Rows{Schema: first.Schema(), Batches: func(yield func(arrow.RecordBatch, error) bool) {
					if yield(first, nil) {
						end()
					}
				}}, nil)
			}()
			<-done
			var caught *delta.PanicError
			if name == "panic" && (!errors.Is(err, mine) || !errors.As(err, &caught) || !strings.Contains(string(caught.Stack), "callers_test.go")) {
				t.Errorf("%v", err)
			}
			eventually(t, "goroutines stay", func() bool { return runtime.NumGoroutine() <= before })
			for o, err := range b.store.Storage().List(t.Context(), objstore.ListOptions{Recursive: true}) {
				t.Errorf("left: %s, %v", o.Key, err)
			}
			for u, err := range b.store.Storage().UnfinishedWrites(t.Context()) {
				t.Errorf("half written: %s, %v", u.Key, err)
			}
		})
	}
}

func parseAll(texts ...string) (out []filter.Expr, err error) {
	for _, text := range texts {
		e, err := filter.Parse(text)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

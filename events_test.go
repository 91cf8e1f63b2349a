package metaxy_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/event"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// recorder keeps events.
type recorder struct {
	mu   sync.Mutex
	list []event.Event
}

func (r *recorder) tell(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
}

// of are the events of a kind, each as a line.
func (r *recorder) of(kind event.Kind, line func(e event.Event) string) (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.list {
		if e.Kind == kind {
			out = append(out, line(e))
		}
	}
	return out
}

// TestObserve: every request that reaches the driver is told once, with its bytes, and so are retries, commits and rows.
func TestObserve(t *testing.T) {
	driver := objstoretest.NewFaulty(objstore.NewMem(), 1)
	var events recorder
	var text bytes.Buffer
	s, err := metaxy.OpenDriver(t.Context(), driver, &metaxy.Options{Project: "p", Graph: graphOf(t, true, rootSpec, leafSpec), Observe: events.tell, Logger: slog.New(slog.NewTextHandler(&text, nil))})
	if err != nil {
		t.Fatal(err)
	}
	rows := frame(t, []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}, {"id": 2, "metaxy_provenance_by_field": {"x": "b"}}]`)
	root, leaf := mustKey(t, "root"), mustKey(t, "leaf")
	if _, err := s.Write(t.Context(), root, rows, nil); err != nil {
		t.Fatal(err)
	}
	driver.Add(objstoretest.Rule{Op: objstoretest.OpRead, Key: ".parquet", Times: 1, Temporary: true})
	inc, err := s.ResolveUpdate(t.Context(), leaf, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer inc.Close()
	for _, err := range inc.New(t.Context()).Batches {
		if err != nil {
			t.Fatal(err)
		}
	}
	if told, made := len(events.of(event.Request, func(e event.Event) string { return e.Op })), len(driver.Requests()); told != made {
		t.Errorf("%d requests were told of %d", told, made)
	}
	var read, sent int64
	for _, e := range events.list {
		if e.Kind == event.Request && e.Op == "read" {
			read += e.Bytes
		} else if e.Kind == event.Request {
			sent += e.Bytes
		}
	}
	if read == 0 || sent == 0 {
		t.Errorf("%d bytes read, %d sent", read, sent)
	}
	retries := events.of(event.Retry, func(e event.Event) string { return fmt.Sprintf("%s %d %v", e.Op, e.Attempt, e.Err) })
	want(t, strings.Join(retries, ", "), "read 2 <nil>")
	commits := events.of(event.Commit, func(e event.Event) string { return fmt.Sprintf("%d %s", e.Version, e.Outcome) })
	want(t, strings.Join(commits, ", "), "0 stored")
	progress := events.of(event.Progress, func(e event.Event) string { return fmt.Sprintf("%s %s %d", e.Op, e.Feature, e.Rows) })
	want(t, strings.Join(progress, ", "), "write root 2, new leaf 2")
	joined := events.of(event.Join, func(e event.Event) string { return fmt.Sprintf("%s %s %d/%d", e.Op, e.Feature, e.Rows, e.Total) })
	want(t, joined[0]+", "+joined[len(joined)-1], "resolve leaf 0/2, resolve leaf 2/2")
	if log := text.String(); !strings.Contains(log, "level=INFO msg=commit") || !strings.Contains(log, "level=WARN msg=retry") || strings.Contains(log, "DEBUG") {
		t.Errorf("log:\n%s", log)
	}
	driver.Add(objstoretest.Rule{Op: objstoretest.OpCreate, Times: 1, Fault: objstoretest.LandThenFail})
	if _, err := s.Delete(t.Context(), root, &metaxy.DeleteOptions{Filters: must(parseAll("id = 1"))}); err != nil {
		t.Fatal(err)
	}
	commits = events.of(event.Commit, func(e event.Event) string { return fmt.Sprintf("%d %s", e.Version, e.Outcome) })
	want(t, strings.Join(commits, ", "), "0 stored, 1 unknown")
}

// counting adds up what was allocated.
type counting struct {
	memory.Allocator
	bytes atomic.Int64
}

func (c *counting) Allocate(size int) []byte {
	c.bytes.Add(int64(size))
	return c.Allocator.Allocate(size)
}

// TestWatchedTablesLend: a table that is watched gives its blocks the same
// memory again, as one that is not.
func TestWatchedTablesLend(t *testing.T) {
	const n = 300_000
	ids, versions := array.NewInt64Builder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	for i := range int64(n) {
		ids.Append(i)
		versions.Append("v")
	}
	provenance := must(array.NewStructArray([]arrow.Array{versions.NewArray()}, []string{"x"}))
	id := arrow.Field{Name: "id", Type: arrow.PrimitiveTypes.Int64}
	schema := arrow.NewSchema([]arrow.Field{id, {Name: strings.TrimSpace(byField), Type: provenance.DataType()}}, nil)
	batch := array.NewRecordBatch(schema, []arrow.Array{ids.NewArray(), provenance}, n)
	driver := objstore.NewMem()
	resolved := func(o *metaxy.Options) int64 {
		mem := &counting{Allocator: memory.DefaultAllocator}
		o.Project, o.Graph, o.Allocator, o.Parallel, o.NoRemember = "p", graphOf(t, true, rootSpec, leafSpec), mem, 1, true
		s := must(metaxy.OpenDriver(t.Context(), driver, o))
		if has := must(s.HasFeature(t.Context(), mustKey(t, "root"), nil)); !has {
			must(s.Write(t.Context(), mustKey(t, "root"), &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(batch, nil) }}, nil))
		}
		before := mem.bytes.Load()
		inc := must(s.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil))
		defer inc.Close()
		if err := inc.Count(t.Context()); err != nil || inc.Stats().New != n {
			t.Fatal(inc.Stats(), err)
		}
		return mem.bytes.Load() - before
	}
	alone := resolved(&metaxy.Options{})
	if watched := resolved(&metaxy.Options{Observe: func(event.Event) {}}); alone == 0 || watched > alone+alone/10 {
		t.Errorf("%d bytes allocated, %d when nobody watches", watched, alone)
	}
}

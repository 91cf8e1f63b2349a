package metaxy_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/objstoretest"
)

// sharedOpener gives every store that is opened the same driver, which none of them closes.
type sharedOpener struct{ driver objstore.Driver }

func (sharedOpener) Schemes() []string { return []string{"shared"} }

func (o sharedOpener) Open(context.Context, string, map[string]string) (objstore.Driver, error) {
	return unclosed{o.driver}, nil
}

type unclosed struct{ objstore.Driver }

func (unclosed) Close() error { return nil }

// life is what happens to a store, step by step; every step can be repeated by a store that is opened anew.
type life struct {
	t     *testing.T
	graph *feature.Graph
	root  feature.Key
	leaf  feature.Key
	ticks int64
}

// now is a millisecond later at every call, so that no two writes tie.
func (l *life) now() time.Time {
	return time.UnixMilli(1_700_000_000_000 + atomic.AddInt64(&l.ticks, 1)).UTC()
}

func newLife(t *testing.T) *life {
	g := feature.NewGraph(8)
	for _, spec := range []string{
		`{"key": "a/root", "id_columns": ["id"], "fields": [{"key": "x", "code_version": "1"}]}`,
		`{"key": "a/leaf", "id_columns": ["id"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "a/root"}]}`,
	} {
		d, err := feature.Load(feature.Stored{Project: "p", FeatureSpec: spec, FeatureSchema: "{}"})
		if err == nil {
			err = g.Add(d)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	defs := g.Definitions()
	return &life{t: t, graph: g, root: defs[0].Spec.Key, leaf: defs[1].Spec.Key}
}

func (l *life) open(d objstore.Driver) *metaxy.DeltaStore {
	l.t.Helper()
	s, err := metaxy.Open(l.t.Context(), "shared://x", &metaxy.Options{Project: "p", Openers: []objstore.Opener{sharedOpener{d}}, CheckpointInterval: 2, Now: l.now})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

type lifeStep struct {
	name string
	run  func(ctx context.Context, s *metaxy.DeltaStore) error
}

func (l *life) steps() []lifeStep {
	write := func(rows ...string) func(context.Context, *metaxy.DeltaStore) error {
		return func(ctx context.Context, s *metaxy.DeltaStore) error {
			_, err := s.Write(ctx, l.root, versionRows(rows), nil)
			return err
		}
	}
	remove := func(id string, hard bool) func(context.Context, *metaxy.DeltaStore) error {
		return func(ctx context.Context, s *metaxy.DeltaStore) error {
			e, err := filter.Parse("id = '" + id + "'")
			if err == nil {
				_, err = s.Delete(ctx, l.root, &metaxy.DeleteOptions{Filters: []filter.Expr{e}, Hard: hard})
			}
			return err
		}
	}
	advance := func(ctx context.Context, s *metaxy.DeltaStore) error {
		inc, err := s.ResolveUpdate(ctx, l.leaf, nil)
		if err == nil {
			_, err = s.Write(ctx, l.leaf, inc.New(ctx), nil)
		}
		return err
	}
	return []lifeStep{
		{"push", func(ctx context.Context, s *metaxy.DeltaStore) error {
			_, err := s.Push(ctx, &metaxy.PushOptions{Graph: l.graph})
			return err
		}},
		{"write", write("a 1", "b 1", "c 1", "d 1")}, {"advance", advance}, {"write again", write("b 2", "e 1")}, {"advance again", advance},
		{"soft delete", remove("c", false)}, {"hard delete", remove("a", true)}, {"write last", write("f 1")}, {"advance last", advance},
	}
}

// versionRows are rows of "id version".
func versionRows(rows []string) *metaxy.Rows {
	text := arrow.BinaryTypes.String
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: text}, {Name: "metaxy_provenance_by_field", Type: arrow.StructOf(arrow.Field{Name: "x", Type: text, Nullable: true})}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, r := range rows {
		id, v, _ := strings.Cut(r, " ")
		b.Field(0).(*array.StringBuilder).Append(id)
		b.Field(1).(*array.StructBuilder).Append(true)
		b.Field(1).(*array.StructBuilder).FieldBuilder(0).(*array.StringBuilder).Append(v)
	}
	batch := b.NewRecordBatch()
	return &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) { yield(batch, nil) }}
}

// state is everything a reader sees: each stored row of both tables with its version and whether it is deleted, and what is to do.
func (l *life) state(d objstore.Driver) string {
	l.t.Helper()
	s := l.open(d)
	defer s.Close()
	ctx := l.t.Context()
	g, err := s.Graph(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	counts := map[string]int{"definitions": len(g.Definitions())}
	for _, key := range []feature.Key{l.root, l.leaf} {
		rows, err := s.Read(ctx, key, &metaxy.ReadOptions{SampleHistory: true, SoftDeleted: true, Columns: []string{"id", "metaxy_provenance", "metaxy_deleted_at"}})
		if errors.Is(err, metaxy.ErrFeatureNotFound) {
			continue
		}
		if err != nil {
			l.t.Fatalf("read %s: %v", key, err)
		}
		for b, err := range rows.Batches {
			if err != nil {
				l.t.Fatalf("read %s: %v", key, err)
			}
			for i := range int(b.NumRows()) {
				counts[fmt.Sprintf("%s %s %s deleted=%v", key, b.Column(0).ValueStr(i), b.Column(1).ValueStr(i), b.Column(2).IsValid(i))]++
			}
		}
	}
	if inc, err := s.ResolveUpdate(ctx, l.leaf, nil); err == nil {
		if err := inc.Count(ctx); err != nil {
			l.t.Fatal(err)
		}
		st := inc.Stats()
		counts["new"], counts["stale"], counts["orphaned"] = int(st.New), int(st.Stale), int(st.Orphaned)
	} else if !errors.Is(err, metaxy.ErrFeatureNotFound) {
		l.t.Fatalf("resolve: %v", err)
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprint(k, " x", counts[k]))
	}
	return strings.Join(out, "\n")
}

// every makes TestEveryCallFails break every call instead of one in several.
var every = flag.Bool("every", false, "break every single call")

// TestCallFails breaks calls of a store's life one at a time, in each way that a call can break. The step either succeeds all the same, or fails and
// leaves the store as it was or as it would have been; repeated when it did nothing, it succeeds; and the next step is none the worse for it.
func TestCallFails(t *testing.T) {
	l := newLife(t)
	steps := l.steps()
	store := objstore.NewMem()
	before, states := []objstore.Driver{objstore.NewMem()}, []string{l.state(objstore.NewMem())}
	for _, st := range steps {
		s := l.open(store)
		if err := st.run(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		s.Close()
		before, states = append(before, copyOf(t, store)), append(states, l.state(store))
	}
	if last := states[len(states)-1]; !strings.Contains(last, "deleted=true") || strings.Contains(last, "a/root a") {
		t.Fatalf("the life does not end as it should:\n%s", last)
	}
	stride := 8
	if *every {
		stride = 1
	}
	for name, rule := range map[string]objstoretest.Rule{
		"fails":           {Fault: objstoretest.FailBefore},
		"lands and fails": {Fault: objstoretest.LandThenFail},
		"fails for once":  {Fault: objstoretest.FailBefore, Temporary: true},
		"lands for once":  {Fault: objstoretest.LandThenFail, Temporary: true},
		"is cut":          {Fault: objstoretest.Short},
		"ends early":      {Fault: objstoretest.Short, Err: io.EOF},
		"is cancelled":    {Fault: objstoretest.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken, told := 0, 0
			l := &life{t: t, graph: l.graph, root: l.root, leaf: l.leaf, ticks: 1_000_000}
			for i := range steps {
				for n := rand.IntN(stride); ; n += stride {
					d := &disturbance{life: l, t: t, step: i, call: n, want: states[i:], driver: copyOf(t, before[i])}
					hit, failed := d.run(steps[i:min(i+2, len(steps))], rule)
					if !hit {
						break
					}
					broken++
					if failed {
						told++
					}
				}
			}
			if broken == 0 {
				t.Error("no call was broken")
			}
			t.Logf("%d calls broken, %d of them failed their step", broken, told)
		})
	}
}

// copyOf is a store with the same objects.
func copyOf(t *testing.T, d objstore.Driver) objstore.Driver {
	t.Helper()
	from, out := objstore.New(d), objstore.NewMem()
	for o, err := range from.List(t.Context(), objstore.ListOptions{Recursive: true}) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := from.ReadAll(t.Context(), o.Key, o.Size)
		if err == nil {
			err = out.Put(t.Context(), o.Key, bytes.NewReader(body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// disturbance is one broken call of one step. want are the states before the step, after it, and so on.
type disturbance struct {
	*life
	t          *testing.T
	step, call int
	want       []string
	driver     objstore.Driver
}

// run takes the step with the call broken, and the next one undisturbed. hit: there was such a call; failed: the step reported it.
func (d *disturbance) run(steps []lifeStep, rule objstoretest.Rule) (hit, failed bool) {
	faulty := objstoretest.NewFaulty(d.driver, 1)
	rule.Skip, rule.Times = d.call, 1
	faulty.Add(rule)
	err := d.take(faulty, steps[0])
	if faulty.Hits() == 0 {
		if err != nil {
			d.t.Fatalf("%s failed undisturbed: %v", steps[0].name, err)
		}
		return false, false
	}
	got := d.state(d.driver)
	if err != nil && got == d.want[0] {
		if again := d.take(faulty, steps[0]); again != nil {
			d.t.Fatalf("call %d broken: %s failed with %v, and again with %v", d.call, steps[0].name, err, again)
		}
		got = d.state(d.driver)
	}
	if got != d.want[1] {
		d.t.Fatalf("call %d broken: %s gave %v and left\n%s\nneither\n%s\nnor\n%s", d.call, steps[0].name, err, got, d.want[0], d.want[1])
	}
	if len(steps) > 1 {
		if err := d.take(faulty, steps[1]); err != nil {
			d.t.Fatalf("call %d of %s broken: %s failed: %v", d.call, steps[0].name, steps[1].name, err)
		}
		if got := d.state(d.driver); got != d.want[2] {
			d.t.Fatalf("call %d of %s broken: %s left\n%s\nwant\n%s", d.call, steps[0].name, steps[1].name, got, d.want[2])
		}
	}
	return true, err != nil
}

func (d *disturbance) take(driver objstore.Driver, st lifeStep) error {
	s := d.open(driver)
	defer s.Close()
	return st.run(d.t.Context(), s)
}

// TestRequests bounds the requests of each step, which cost more than anything else on a remote store: none may grow with the number of columns.
func TestRequests(t *testing.T) {
	l := newLife(t)
	store := objstore.NewMem()
	most := map[string]int{"push": 8, "write": 16, "advance": 28, "write again": 26, "advance again": 46, "soft delete": 34, "hard delete": 36, "write last": 18, "advance last": 48}
	for _, st := range l.steps() {
		counted := objstoretest.NewFaulty(store, 1)
		s := l.open(counted)
		if err := st.run(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		s.Close()
		n := len(counted.Requests())
		t.Logf("%s: %d requests: %v", st.name, n, counted.Counts())
		if limit, ok := most[st.name]; !ok || n > limit {
			t.Errorf("%s takes %d requests, at most %d are expected: %v", st.name, n, limit, counted.Counts())
		}
	}
}

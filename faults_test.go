package metaxy_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
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

func (d unclosed) Origin() string {
	if t, ok := d.Driver.(objstore.Tagged); ok {
		return t.Origin()
	}
	return ""
}

func (d unclosed) ReadTagged(ctx context.Context, key, tag string, offset, length int64) (io.ReadCloser, string, error) {
	if t, ok := d.Driver.(objstore.Tagged); ok {
		return t.ReadTagged(ctx, key, tag, offset, length)
	}
	body, err := d.Driver.ReadRange(ctx, key, offset, length)
	return body, "", err
}

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

// moreSteps go on where steps end, with what is done more seldom.
func (l *life) moreSteps() []lifeStep {
	return []lifeStep{
		{"write of more", func(ctx context.Context, s *metaxy.DeltaStore) error {
			_, err := s.Write(ctx, l.root, versionRows([]string{"p 1"}), nil)
			return err
		}},
		{"write of two", l.writeTwo},
		{"buffered write", func(ctx context.Context, s *metaxy.DeltaStore) error {
			w := s.NewWriter(ctx, &metaxy.WriterOptions{Interval: -1})
			for b, err := range versionRows([]string{"h 1"}).Batches {
				if err == nil {
					err = w.Put(l.root, b)
				}
				if err != nil {
					return err
				}
			}
			_, err := w.Close(ctx)
			return err
		}},
		{"copy", func(ctx context.Context, s *metaxy.DeltaStore) error {
			_, err := s.Copy(ctx, l.elsewhere(ctx), &metaxy.CopyOptions{Features: []feature.Key{l.root}})
			return err
		}},
		{"rebase", func(ctx context.Context, s *metaxy.DeltaStore) error {
			rows, err := s.Read(ctx, l.leaf, nil)
			if err != nil {
				return err
			}
			r, err := s.Rebase(ctx, l.leaf, rows, nil)
			if err == nil {
				_, err = s.Write(ctx, l.leaf, r.Rows, &metaxy.WriteOptions{PreserveVersions: true})
			}
			return err
		}},
		{"drop", func(ctx context.Context, s *metaxy.DeltaStore) error {
			_, err := s.Drop(ctx, l.root, nil)
			return err
		}},
		{"write after the drop", func(ctx context.Context, s *metaxy.DeltaStore) error {
			_, err := s.Write(ctx, l.root, versionRows([]string{"i 1"}), nil)
			return err
		}},
	}
}

// writeTwo writes what is missing of two features, so that it can go on where it was interrupted between them.
func (l *life) writeTwo(ctx context.Context, s *metaxy.DeltaStore) error {
	absent, err := filter.Parse("id != 'g'")
	if err != nil {
		return err
	}
	inc, err := s.ResolveUpdate(ctx, l.leaf, &metaxy.ResolveOptions{GlobalFilters: []filter.Expr{absent}})
	if err != nil {
		return err
	}
	frames := map[feature.Key]*metaxy.Rows{l.leaf: inc.New(ctx)}
	there, err := s.Read(ctx, l.root, &metaxy.ReadOptions{Filters: []filter.Expr{filter.Not{X: absent}}})
	if err != nil {
		return err
	}
	frames[l.root] = versionRows([]string{"g 1"})
	for b, err := range there.Batches {
		if err != nil {
			return err
		}
		if b.NumRows() > 0 {
			delete(frames, l.root)
		}
	}
	_, err = s.WriteMulti(ctx, frames, nil)
	return err
}

// elsewhere is another store with rows of the root feature.
func (l *life) elsewhere(ctx context.Context) *metaxy.DeltaStore {
	s := l.open(objstore.NewMem())
	if _, err := s.Push(ctx, &metaxy.PushOptions{Graph: l.graph}); err != nil {
		l.t.Error(err)
	}
	if _, err := s.Write(ctx, l.root, versionRows([]string{"j 1", "k 1"}), nil); err != nil {
		l.t.Error(err)
	}
	return s
}

// versionRows are rows of "id version".
func versionRows(rows []string) *metaxy.Rows { return rowsWith("x", rows) }

// rowsWith are rows of "id version" of a feature with that one field.
func rowsWith(field string, rows []string) *metaxy.Rows {
	text := arrow.BinaryTypes.String
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: text}, {Name: "metaxy_provenance_by_field", Type: arrow.StructOf(arrow.Field{Name: field, Type: text, Nullable: true})}}, nil)
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
func (l *life) state(t *testing.T, d objstore.Driver) string {
	t.Helper()
	s := l.open(d)
	defer s.Close()
	ctx := t.Context()
	g, err := s.Graph(ctx)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{"definitions": len(g.Definitions())}
	for _, key := range []feature.Key{l.root, l.leaf} {
		rows, err := s.Read(ctx, key, &metaxy.ReadOptions{SampleHistory: true, SoftDeleted: true, Columns: []string{"id", "metaxy_provenance", "metaxy_deleted_at"}})
		if errors.Is(err, metaxy.ErrFeatureNotFound) {
			continue
		}
		if err != nil {
			t.Fatalf("read %s: %v", key, err)
		}
		for b, err := range rows.Batches {
			if err != nil {
				t.Fatalf("read %s: %v", key, err)
			}
			for i := range int(b.NumRows()) {
				counts[fmt.Sprintf("%s %s %s deleted=%v", key, b.Column(0).ValueStr(i), b.Column(1).ValueStr(i), b.Column(2).IsValid(i))]++
			}
		}
	}
	if inc, err := s.ResolveUpdate(ctx, l.leaf, nil); err == nil {
		if err := inc.Count(ctx); err != nil {
			t.Fatal(err)
		}
		st := inc.Stats()
		counts["new"], counts["stale"], counts["orphaned"] = int(st.New), int(st.Stale), int(st.Orphaned)
	} else if !errors.Is(err, metaxy.ErrFeatureNotFound) {
		t.Fatalf("resolve: %v", err)
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprint(k, " x", counts[k]))
	}
	return strings.Join(out, "\n")
}

// every makes TestEveryCallFails break every call instead of one in several.
var every = flag.Bool("every", false, "break every single call")

// TestCallFails breaks calls of a store's life one at a time, in each way that a call can break.
func TestCallFails(t *testing.T) {
	l := newLife(t)
	var steps []objstoretest.Step
	for _, st := range slices.Concat(l.steps(), l.moreSteps()) {
		steps = append(steps, objstoretest.Step{Name: st.name, Parts: st.name == "write of two", Run: func(ctx context.Context, d objstore.Driver) error {
			s := l.open(d)
			defer s.Close()
			return st.run(ctx, s)
		}})
	}
	stride := 16
	switch {
	case *every:
		stride = 1
	case testing.Short():
		stride = 80
	}
	objstoretest.Sweep(t, &objstoretest.SweepOptions{Steps: steps, State: l.state, Stride: stride})
}

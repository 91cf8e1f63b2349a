package calls_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

const (
	rootSpec = `{"key": ["root"], "id_columns": ["id"], "deps": [], "fields": [{"key": ["x"], "code_version": "1"}]}`
	leafSpec = `{"key": ["leaf"], "id_columns": ["id"], "deps": [{"feature": ["root"]}], "fields": [{"key": ["y"], "code_version": "1"}]}`
)

var root, leaf = sample(feature.ParseKey("root")), sample(feature.ParseKey("leaf"))

func sample[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func graph() *feature.Graph {
	g := feature.NewGraph(8)
	for _, spec := range []string{rootSpec, leafSpec} {
		d := sample(feature.Load(feature.Stored{Project: "p", FeatureSpec: spec, FeatureSchema: "{}"}))
		if err := g.Add(d); err != nil {
			panic(err)
		}
	}
	return g
}

// samples are arguments that reflection cannot make.
func samples() map[reflect.Type]any {
	g := graph()
	def, _ := g.Get(leaf)
	cfg := sample(config.Load(source(func(string) ([]byte, error) { return []byte(`stores.dev.type = "` + config.DeltaStoreType + `"`), nil })))
	value := sample(feature.ParseJSON(`{"a": [1, "b"]}`))
	out := map[reflect.Type]any{}
	for _, v := range []any{
		root, sample(feature.ParseFieldKey("x")), value, g, def, def.Spec, &def.Spec.Deps[0], sample(g.Plan(leaf)), cfg,
		sample(delta.ParseSchema(`{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{}}]}`)),
		service.NewSettings(map[string]string{"aws_region": "x"}, nil, "aws_"), time.Unix(1, 0), json.RawMessage("{}"),
		filter.And{}, filter.Compare{Left: filter.Column{Path: []string{"a"}}, Right: filter.Literal{Value: int64(1)}}, filter.In{X: filter.Column{Path: []string{"a"}}},
		filter.IsNull{X: filter.Column{Path: []string{"a"}}}, filter.Not{X: filter.IsNull{X: filter.Column{Path: []string{"a"}}}}, filter.Like{X: filter.Column{Path: []string{"a"}}},
		filter.Literal{Value: int64(1)},
	} {
		out[reflect.TypeOf(v)] = v
	}
	out[reflect.TypeFor[filter.Expr]()] = filter.IsNull{X: filter.Column{Path: []string{"a"}}}
	out[reflect.TypeFor[delta.Type]()] = delta.Type{Name: "long"}
	return out
}

func source(read func(string) ([]byte, error)) *config.Source {
	return &config.Source{Dir: "/d", Explicit: "/d/metaxy.toml", Environ: map[string]string{}, ReadFile: read}
}

// batch is rows of the root feature.
func (w *world) batch(ids ...int) arrow.RecordBatch {
	w.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "path", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "metaxy_provenance_by_field", Type: arrow.StructOf(arrow.Field{Name: "x", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
	}, nil)
	var rows []string
	for _, id := range ids {
		rows = append(rows, fmt.Sprintf(`{"id": %d, "path": "p%d", "metaxy_provenance_by_field": {"x": "v%d"}}`, id, id, id))
	}
	b, _, err := array.RecordFromJSON(w.mem, schema, strings.NewReader("["+strings.Join(rows, ",")+"]"))
	w.must(err)
	return b
}

// stream yields three batches that the world holds, with the caller's code before each.
func (w *world) stream(from int) (*arrow.Schema, iter.Seq2[arrow.RecordBatch, error]) {
	batches := []arrow.RecordBatch{w.batch(from, from+1), w.batch(from + 2), w.batch(from + 3)}
	w.end(func() {
		for _, b := range batches {
			b.Release()
		}
	})
	return batches[0].Schema(), func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range batches {
			w.inside()
			b.Retain()
			ok := yield(b, nil)
			b.Release()
			if !ok {
				return
			}
		}
		w.inside()
	}
}

func (w *world) rows(from int) *metaxy.Rows {
	s, b := w.stream(from)
	return &metaxy.Rows{Schema: s, Batches: b}
}

func (w *world) deltaRows(from int) *delta.Rows {
	s, b := w.stream(from)
	return &delta.Rows{Schema: s, Batches: b}
}

// options run the caller's code as clock and observer.
func (w *world) options() *metaxy.Options {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &metaxy.Options{Project: "p", Graph: graph(), Allocator: w.mem, Now: func() time.Time { return at }}
}

// store has two commits of the root and one of the leaf, over the world's driver.
func (w *world) store() *metaxy.DeltaStore {
	w.Helper()
	s, err := metaxy.OpenDriver(w.Context(), w.driver, w.options())
	w.must(err)
	w.end(func() { s.Close() })
	_, err = s.Push(w.Context(), nil)
	w.must(err)
	for _, from := range []int{0, 3} {
		_, err = s.Write(w.Context(), root, w.rows(from), nil)
		w.must(err)
	}
	inc, err := s.ResolveUpdate(w.Context(), leaf, &metaxy.ResolveOptions{Filters: map[feature.Key][]filter.Expr{root: {sample(filter.Parse("id < 3"))}}})
	w.must(err)
	defer inc.Close()
	_, err = s.Write(w.Context(), leaf, inc.New(w.Context()), nil)
	w.must(err)
	return s
}

func (w *world) increment() *metaxy.Increment {
	w.Helper()
	s := w.store()
	inc, err := s.ResolveUpdate(w.Context(), leaf, nil)
	w.must(err)
	w.end(inc.Close)
	return inc
}

// table is a table of two commits below t, beside no store.
func (w *world) table() *delta.Table {
	w.Helper()
	t := w.empty()
	for _, from := range []int{0, 4} {
		_, err := t.Append(w.Context(), w.deltaRows(from), nil)
		w.must(err)
	}
	return t
}

func (w *world) empty() *delta.Table {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return delta.New(objstore.New(w.driver).Sub("t"), &delta.Options{Allocator: w.mem, Now: func() time.Time { return at }})
}

func (w *world) snapshot() *delta.Snapshot {
	w.Helper()
	s, err := w.table().Snapshot(w.Context())
	w.must(err)
	return s
}

func (w *world) scan() *scan.Scan {
	w.Helper()
	s, err := scan.New(w.snapshot(), &scan.Options{Allocator: w.mem})
	w.must(err)
	return s
}

// objects has an object "a".
func (w *world) objects() *objstore.Store {
	w.Helper()
	s := objstore.New(w.driver)
	w.must(s.Put(w.Context(), "a", strings.NewReader("body")))
	return s
}

// drained consumes a stream as the world says.
func drained[T any](w *world, in iter.Seq2[T, error]) error {
	for _, err := range in {
		if err != nil || w.first {
			return err
		}
	}
	return nil
}

func drainedRows(w *world, r *metaxy.Rows, err error) error {
	if err != nil {
		return err
	}
	return drained(w, r.Batches)
}

// told drops a result.
func told[T any](_ T, err error) error { return err }

// ctxCall is a call of a value that is made in the world.
func ctxCall[T any](make func(w *world) T, f func(w *world, v T, ctx context.Context) error) func(w *world) call {
	return func(w *world) call {
		v := make(w)
		return func(ctx context.Context) error { return f(w, v, ctx) }
	}
}

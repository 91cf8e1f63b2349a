package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// Shape is the graph of a store: Simple is one root of two fields and a leaf of
// one, Wide two roots of four fields and a leaf of two.
type Shape string

// The shapes.
const (
	Simple Shape = "simple"
	Wide   Shape = "wide"
)

// Phase is what the leaf holds: nothing, every sample, or every sample of which
// one in ten, or one in ten thousand, of the first root has changed since; Near
// ones are neighbours, the others spread.
type Phase string

// The phases.
const (
	New       Phase = "new"
	Unchanged Phase = "unchanged"
	Stale     Phase = "stale"
	Few       Phase = "few"
	Near      Phase = "near"
)

// IDs are the sample ids: Ints are int64 that ascend, Texts are UUIDs in no order.
type IDs string

// The kinds of ids.
const (
	Ints  IDs = "int"
	Texts IDs = "text"
)

// StoreConfig says which store Make writes. Zero fields = simple, new, 100,000
// rows, int ids, xxhash32.
type StoreConfig struct {
	Shape     Shape
	Phase     Phase
	Rows      int
	IDs       IDs
	Algorithm string
}

// String names the configuration as a path of five parts.
func (c StoreConfig) String() string {
	c = c.filled()
	return fmt.Sprintf("%s/%s/%s/%s/%d", c.Shape, c.Phase, c.IDs, c.Algorithm, c.Rows)
}

func (c StoreConfig) filled() StoreConfig {
	if c.Shape == "" {
		c.Shape = Simple
	}
	if c.Phase == "" {
		c.Phase = New
	}
	if c.Rows == 0 {
		c.Rows = 100_000
	}
	if c.IDs == "" {
		c.IDs = Ints
	}
	if c.Algorithm == "" {
		c.Algorithm = "xxhash32"
	}
	return c
}

// Leaf is the feature that the workload resolves.
const Leaf = "bench/leaf"

const (
	project = "bench"
	idName  = "sample_uid"
	// batchRows of what Make writes at a time.
	batchRows = 1 << 16
)

// changed is one row in how many of the first root is written again.
var changed = map[Phase]uint64{Stale: 10, Few: 10_000, Near: 10_000}

var rootFields = map[Shape][]string{Simple: {"audio", "frames"}, Wide: {"audio", "frames", "optical_flow", "embedding"}}

func roots(s Shape) []string {
	if s == Wide {
		return []string{"bench/root_0", "bench/root_1"}
	}
	return []string{"bench/root"}
}

func leafFields(s Shape) []string {
	if s == Wide {
		return []string{"prediction_a", "prediction_b"}
	}
	return []string{"prediction"}
}

func graph(s Shape) (*feature.Graph, error) {
	list := func(format string, items []string) string {
		out := make([]string, len(items))
		for i, it := range items {
			out[i] = fmt.Sprintf(format, it)
		}
		return strings.Join(out, ", ")
	}
	const field = `{"key": %q, "code_version": "1"}`
	var specs []string
	for _, r := range roots(s) {
		specs = append(specs, fmt.Sprintf(`{"key": %q, "id_columns": [%q], "fields": [%s]}`, r, idName, list(field, rootFields[s])))
	}
	specs = append(specs, fmt.Sprintf(`{"key": %q, "id_columns": [%q], "fields": [%s], "deps": [%s]}`, Leaf, idName, list(field, leafFields(s)), list(`{"feature": %q}`, roots(s))))
	g := feature.NewGraph(8)
	for _, text := range specs {
		d, err := feature.Load(feature.Stored{Project: project, FeatureSpec: text, FeatureSchema: "{}"})
		if err == nil {
			err = g.Add(d)
		}
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Make writes a store below dir and returns its path. A store that is complete
// there already is left alone; one of its rows costs about 100 bytes of disk.
func Make(ctx context.Context, dir string, c StoreConfig) (string, error) {
	c = c.filled()
	if rootFields[c.Shape] == nil {
		return "", fmt.Errorf("no shape %q: want simple or wide", c.Shape)
	}
	if c.Phase != New && c.Phase != Unchanged && changed[c.Phase] == 0 {
		return "", fmt.Errorf("no phase %q: want new, unchanged, stale, few or near", c.Phase)
	}
	path := filepath.Join(dir, filepath.FromSlash(c.String()))
	done := path + ".done"
	if _, err := os.Stat(done); err == nil {
		return path, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.RemoveAll(path); err != nil {
		return "", err
	}
	g, err := graph(c.Shape)
	if err != nil {
		return "", err
	}
	s, err := metaxy.Open(ctx, path, &metaxy.Options{Project: project, Graph: g, HashAlgorithm: c.Algorithm})
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := fill(ctx, s, g, c); err != nil {
		return "", fmt.Errorf("make the store %s: %w", c, err)
	}
	return path, os.WriteFile(done, nil, 0o644)
}

func fill(ctx context.Context, s *metaxy.DeltaStore, g *feature.Graph, c StoreConfig) error {
	if _, err := s.Push(ctx, nil); err != nil {
		return err
	}
	defs := g.Definitions()
	for i, d := range defs[:len(defs)-1] {
		if _, err := s.Write(ctx, d.Spec.Key, samples(c, uint64(i), false), nil); err != nil {
			return err
		}
	}
	if c.Phase == New {
		return nil
	}
	leaf := defs[len(defs)-1].Spec.Key
	inc, err := s.ResolveUpdate(ctx, leaf, nil)
	if err != nil {
		return err
	}
	defer inc.Close()
	if _, err := s.Write(ctx, leaf, inc.New(ctx), nil); err != nil || changed[c.Phase] == 0 {
		return err
	}
	return writeAgain(ctx, s, g, c)
}

// Touch writes again what c changes in a store that Make made without changes.
func Touch(ctx context.Context, path string, c StoreConfig) error {
	c = c.filled()
	if changed[c.Phase] == 0 {
		return fmt.Errorf("phase %q changes nothing", c.Phase)
	}
	g, err := graph(c.Shape)
	if err != nil {
		return err
	}
	s, err := metaxy.Open(ctx, path, &metaxy.Options{Project: project, Graph: g, HashAlgorithm: c.Algorithm})
	if err != nil {
		return err
	}
	defer s.Close()
	return writeAgain(ctx, s, g, c)
}

func writeAgain(ctx context.Context, s *metaxy.DeltaStore, g *feature.Graph, c StoreConfig) error {
	_, err := s.Write(ctx, g.Definitions()[0].Spec.Key, samples(c, 0, true), nil)
	return err
}

// samples are the rows of a root; again gives those that change, with another
// audio. The caller of Batches releases nothing.
func samples(c StoreConfig, root uint64, again bool) *metaxy.Rows {
	fields := rootFields[c.Shape]
	members := make([]arrow.Field, len(fields))
	for i, f := range fields {
		members[i] = arrow.Field{Name: f, Type: arrow.BinaryTypes.String, Nullable: true}
	}
	var id arrow.DataType = arrow.PrimitiveTypes.Int64
	if c.IDs == Texts {
		id = arrow.BinaryTypes.String
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: idName, Type: id}, {Name: "metaxy_provenance_by_field", Type: arrow.StructOf(members...)}}, nil)
	return &metaxy.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		for row := range chosen(c, again) {
			addSample(b, c, fields, root, row, again)
			if b.Field(0).Len() == batchRows && !emit(b, yield) {
				return
			}
		}
		if b.Field(0).Len() > 0 {
			emit(b, yield)
		}
	}}
}

func emit(b *array.RecordBuilder, yield func(arrow.RecordBatch, error) bool) bool {
	batch := b.NewRecordBatch()
	defer batch.Release()
	return yield(batch, nil)
}

// chosen are the numbers of the rows to write.
func chosen(c StoreConfig, again bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		for row := range c.Rows {
			if again && !changes(c, row) {
				continue
			}
			if !yield(row) {
				return
			}
		}
	}
}

// changes reports whether a row is written again.
func changes(c StoreConfig, row int) bool {
	if c.Phase == Near {
		from := c.Rows / 2
		return row >= from && row < from+max(c.Rows/int(changed[Near]), 1)
	}
	return mix(row, 99)%changed[c.Phase] == 0
}

// mix is a random number that is the same in every run.
func mix(row int, seed uint64) uint64 { return rand.NewPCG(uint64(row), seed).Uint64() }

func addSample(b *array.RecordBuilder, c StoreConfig, fields []string, root uint64, row int, again bool) {
	switch id := b.Field(0).(type) {
	case *array.Int64Builder:
		id.Append(int64(row))
	case *array.StringBuilder:
		a, b := mix(row, 7), uint64(row)
		id.Append(fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff))
	}
	st := b.Field(1).(*array.StructBuilder)
	st.Append(true)
	for i, f := range fields {
		v := f[:1] + strconv.FormatUint(mix(row, 100*root+uint64(i)+1)&(1<<20-1), 10)
		if again && i == 0 {
			v += "_changed"
		}
		st.FieldBuilder(i).(*array.StringBuilder).Append(v)
	}
}

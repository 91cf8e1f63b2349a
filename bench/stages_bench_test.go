package bench_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/bench"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

const stageRows = 1_000_000

// stages are the steps of a resolve and of the write after it, each over what
// the one before it would hand on. A stage prepares its input and returns one
// run, which says how many rows it took.
var stages = []struct {
	name    string
	prepare func(tb testing.TB, s *stageStore) func() int
}{
	{"decode", decodeStage},
	{"latest", latestStage},
	{"join", joinStage},
	{"hash", hashStage},
	{"compare", compareStage},
	{"emit", emitStage},
	{"write", writeStage},
}

// BenchmarkStage times one stage after the other.
func BenchmarkStage(b *testing.B) {
	base := dir(b)
	for _, st := range stages {
		b.Run(st.name, func(b *testing.B) {
			run := st.prepare(b, openStage(b, base, stageRows))
			runtime.GC()
			rows := 0
			b.ReportAllocs()
			cpu := bench.CPUSeconds()
			for b.Loop() {
				rows += run()
			}
			b.ReportMetric((bench.CPUSeconds()-cpu)*1e9/float64(rows), "cpu-ns/row")
		})
	}
}

// TestStages runs each stage over a small store: it must take all of its rows.
func TestStages(t *testing.T) {
	const rows = 5000
	s := openStage(t, t.TempDir(), rows)
	for _, st := range stages {
		if n := st.prepare(t, s)(); n != rows {
			t.Errorf("%s took %d rows, want %d", st.name, n, rows)
		}
	}
}

// stageStore is a store in sync with its plan.
type stageStore struct {
	store *metaxy.DeltaStore
	plan  *feature.Plan
	rows  int
}

func openStage(tb testing.TB, base string, rows int) *stageStore {
	tb.Helper()
	path, err := bench.Make(tb.Context(), base, bench.StoreConfig{Phase: bench.Unchanged, Rows: rows})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := metaxy.Open(tb.Context(), path, &metaxy.Options{Project: "bench", HashAlgorithm: "xxhash32"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	g, err := s.Graph(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := feature.ParseKey(bench.Leaf)
	if err != nil {
		tb.Fatal(err)
	}
	plan, err := g.Plan(leaf)
	if err != nil {
		tb.Fatal(err)
	}
	return &stageStore{s, plan, rows}
}

func (s *stageStore) scan(tb testing.TB, key feature.Key) *scan.Scan {
	tb.Helper()
	snap, err := s.store.Table(key).Snapshot(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	sc, err := scan.New(snap, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return sc
}

// read decodes columns of a table and hands on the blocks.
func (s *stageStore) read(tb testing.TB, key feature.Key, cols []string, each func(frame.Block)) {
	tb.Helper()
	sc := s.scan(tb, key)
	units, err := sc.Units(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for i, u := range units {
		for block, err := range sc.Read(tb.Context(), i, frame.Span{To: u.Rows}, cols) {
			if err != nil {
				tb.Fatal(err)
			}
			each(block)
		}
	}
}

// batches are columns of a table in memory; nil = all of them.
func (s *stageStore) batches(tb testing.TB, key feature.Key, cols ...string) []arrow.RecordBatch {
	tb.Helper()
	if cols == nil {
		for _, f := range s.scan(tb, key).Schema().Fields() {
			cols = append(cols, f.Name)
		}
	}
	var out []arrow.RecordBatch
	s.read(tb, key, cols, func(b frame.Block) {
		b.Batch.Retain()
		out = append(out, b.Batch)
	})
	tb.Cleanup(func() {
		for _, b := range out {
			b.Release()
		}
	})
	return out
}

func (s *stageStore) root() feature.Key { return s.plan.Deps[0].Feature }

// decodeStage reads the deciding columns of the root, texts in any layout.
func decodeStage(tb testing.TB, s *stageStore) func() int {
	cols := []string{"sample_uid", "metaxy_data_version_by_field.audio", "metaxy_data_version_by_field.frames"}
	return func() (rows int) {
		s.read(tb, s.root(), cols, func(b frame.Block) { rows += int(b.Batch.NumRows()) })
		return rows
	}
}

// ids are the keys of the root's samples, in blocks.
func (s *stageStore) ids(tb testing.TB) (*hashjoin.Layout, []*hashjoin.Keys) {
	tb.Helper()
	batches := s.batches(tb, s.root(), "sample_uid")
	l, err := hashjoin.NewLayout([]arrow.DataType{batches[0].Column(0).DataType()})
	if err != nil {
		tb.Fatal(err)
	}
	var out []*hashjoin.Keys
	for _, b := range batches {
		k := &hashjoin.Keys{}
		if err := l.Encode(b.Columns(), k); err != nil {
			tb.Fatal(err)
		}
		out = append(out, k)
	}
	return l, out
}

// latestStage puts the keys of all rows into an index, which tells the rows of
// one sample from each other.
func latestStage(tb testing.TB, s *stageStore) func() int {
	l, keys := s.ids(tb)
	return func() (rows int) { return index(tb, s, l, keys).Len() }
}

func index(tb testing.TB, s *stageStore, l *hashjoin.Layout, keys []*hashjoin.Keys) *hashjoin.Index {
	tb.Helper()
	x := hashjoin.NewIndex(l, hashjoin.Hints{Rows: int64(s.rows)})
	var slots []int32
	for _, k := range keys {
		slots = slices.Grow(slots[:0], k.Len())[:k.Len()]
		if err := x.Insert(k, slots); err != nil {
			tb.Fatal(err)
		}
	}
	return x
}

// joinStage finds the keys of one side in the index of the other.
func joinStage(tb testing.TB, s *stageStore) func() int {
	l, keys := s.ids(tb)
	x := index(tb, s, l, keys)
	var slots []int32
	return func() (rows int) {
		for _, k := range keys {
			slots = slices.Grow(slots[:0], k.Len())[:k.Len()]
			x.Find(k, slots)
			for _, slot := range slots {
				if slot >= 0 {
					rows++
				}
			}
		}
		return rows
	}
}

// hashStage makes field and sample provenances.
func hashStage(tb testing.TB, s *stageStore) func() int {
	var blocks [][]rowhash.Strings
	for _, b := range s.batches(tb, s.root(), "metaxy_data_version_by_field.audio", "metaxy_data_version_by_field.frames") {
		const block = 4096
		for from := int64(0); from < b.NumRows(); from += block {
			part := b.NewSlice(from, min(from+block, b.NumRows()))
			tb.Cleanup(part.Release)
			var texts []rowhash.Strings
			for _, c := range part.Columns() {
				t, err := rowhash.StringsOf(c)
				if err != nil {
					tb.Fatal(err)
				}
				texts = append(texts, t)
			}
			blocks = append(blocks, texts)
		}
	}
	h, err := rowhash.New("xxhash32", 8)
	if err != nil {
		tb.Fatal(err)
	}
	parents := []string{"bench/root.audio", "bench/root.frames"}
	fields, sample := h.Field(rowhash.NewTemplate("prediction", "1", parents, make([]bool, len(parents)))), h.Sample()
	field, out := &rowhash.Texts{}, &rowhash.Texts{}
	return func() (rows int) {
		for _, texts := range blocks {
			fields.Hash(texts, texts[0].Len(), field)
			sample.Hash([]*rowhash.Texts{field}, field.Len(), out)
			rows += out.Len()
		}
		return rows
	}
}

// request resolves the leaf from tables in memory.
func (s *stageStore) request(tb testing.TB) *resolve.Request {
	tb.Helper()
	source := func(key feature.Key) resolve.Source {
		batches := s.batches(tb, key)
		return resolve.Source{Table: resolve.MemTable(batches[0].Schema(), batches), IDs: []string{"sample_uid"}}
	}
	return &resolve.Request{Plan: s.plan, Algorithm: resolve.Algorithm{Name: "xxhash32", Truncation: 8}, Deps: []resolve.Source{source(s.root())}, Current: source(s.plan.Feature.Spec.Key)}
}

// compareStage decides on rows in memory, all of which are stored already: the
// stages from latest to compare without decoding and emitting.
func compareStage(tb testing.TB, s *stageStore) func() int {
	req := s.request(tb)
	return func() int {
		inc, err := resolve.Update(tb.Context(), req)
		if err == nil {
			err = inc.Count(tb.Context())
		}
		if st := inc.Stats(); err != nil || st.New+st.Stale+st.Orphaned > 0 {
			tb.Fatal(err, st)
		}
		return int(inc.Stats().Current)
	}
}

// emitStage gives out every sample, which nothing is compared with: the stages
// before it, without decoding, and the increment's batches.
func emitStage(tb testing.TB, s *stageStore) func() int {
	req := s.request(tb)
	req.SkipComparison = true
	return func() (rows int) {
		inc, err := resolve.Update(tb.Context(), req)
		if err != nil {
			tb.Fatal(err)
		}
		for pb, err := range inc.All(tb.Context()) {
			if err != nil {
				tb.Fatal(err)
			}
			rows += int(pb.Batch.NumRows())
		}
		return rows
	}
}

// writeStage stores an increment in a store of its own.
func writeStage(tb testing.TB, s *stageStore) func() int {
	req := s.request(tb)
	req.SkipComparison = true
	inc, err := resolve.Update(tb.Context(), req)
	if err != nil {
		tb.Fatal(err)
	}
	var batches []arrow.RecordBatch
	for b, err := range inc.Part(tb.Context(), resolve.New) {
		if err != nil {
			tb.Fatal(err)
		}
		b.Retain()
		tb.Cleanup(b.Release)
		batches = append(batches, b)
	}
	g, err := s.store.Graph(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	return func() int {
		to, err := metaxy.Open(tb.Context(), fmt.Sprintf("%s/%d", tb.TempDir(), n), &metaxy.Options{Project: "bench", Graph: g, HashAlgorithm: "xxhash32"})
		if err != nil {
			tb.Fatal(err)
		}
		defer to.Close()
		n++
		r, err := to.Write(tb.Context(), s.plan.Feature.Spec.Key, &metaxy.Rows{Schema: inc.Schema(resolve.New), Batches: func(yield func(arrow.RecordBatch, error) bool) {
			for _, b := range batches {
				if !yield(b, nil) {
					return
				}
			}
		}}, nil)
		if err != nil {
			tb.Fatal(err)
		}
		return int(r.Rows)
	}
}

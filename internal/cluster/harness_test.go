package cluster_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/cluster"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// build is that of plans in tests.
const build = "test"

// engine is what stands in the place of Spark: it moves pieces between the verbs.
type engine struct {
	t    *testing.T
	rng  *rand.Rand
	data []byte // the plan as workers get it
	plan *cluster.Plan
}

func openObjects(ctx context.Context, url string) (*objstore.Store, error) {
	return metaxy.OpenStorage(ctx, url, nil)
}

func newEnv(t testing.TB, out *bytes.Buffer) *cluster.Env {
	return &cluster.Env{Open: openObjects, TempDir: t.TempDir(), Out: out, Table: delta.Options{Now: time.Now, Check: rewrite.Checker}}
}

// newEngine plans a resolve.
func newEngine(t *testing.T, s *metaxy.DeltaStore, key feature.Key, o *cluster.Options, seed uint64) (*engine, error) {
	o.Build = build
	p, err := cluster.New(t.Context(), s, key, o)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(p.Worker)
	if err != nil {
		t.Fatal(err)
	}
	return &engine{t, rand.New(rand.NewPCG(seed, 1)), data, p}, nil
}

// worker loads the plan anew, as every task does.
func (e *engine) worker() *cluster.Worker {
	w, err := cluster.LoadWorker(e.data, build)
	if err != nil {
		e.t.Fatal(err)
	}
	return w
}

// piece is a row of a stream of pieces.
type piece struct {
	p    int32
	body []byte
}

func (x piece) rows() int64 { return int64(binary.LittleEndian.Uint64(x.body[24:])) }

// textStream is a stream of one column of texts.
func textStream(column string, texts ...string) []byte {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues(texts, nil)
	a := b.NewArray()
	return streamOf(arrow.NewSchema([]arrow.Field{{Name: column, Type: a.DataType()}}, nil), a)
}

func streamOf(schema *arrow.Schema, cols ...arrow.Array) []byte {
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(schema))
	if err := w.Write(array.NewRecordBatch(schema, cols, int64(cols[0].Len()))); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

// files is the input of a cut.
func files(list []string) []byte {
	return textStream("file", append(slices.Clone(list), fmt.Sprintf("#end %d", len(list)))...)
}

var pieceSchema = arrow.NewSchema([]arrow.Field{{Name: "p", Type: arrow.PrimitiveTypes.Int32}, {Name: "body", Type: arrow.BinaryTypes.Binary}}, nil)

// pieceStream is a stream of pieces with a trailer; nil = one that counts them.
func pieceStream(list []piece, trailer []byte) []byte {
	rows := int64(0)
	pb, bb := array.NewInt32Builder(memory.DefaultAllocator), array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	for _, x := range list {
		pb.Append(x.p)
		bb.Append(x.body)
		if len(x.body) >= 32 {
			rows += x.rows()
		}
	}
	if trailer == nil {
		trailer = fmt.Appendf(nil, `{"pieces": %d, "rows": %d}`, len(list), rows)
	}
	if len(trailer) > 0 {
		pb.Append(-1)
		bb.Append(trailer)
	}
	return streamOf(pieceSchema, pb.NewArray(), bb.NewArray())
}

// readPieces reads a stream of pieces and holds its trailer against them.
func readPieces(t *testing.T, data []byte) []piece {
	t.Helper()
	var out []piece
	rows := int64(0)
	for _, b := range readStream(t, data) {
		for i := range int(b.NumRows()) {
			x := piece{b.Column(0).(*array.Int32).Value(i), bytes.Clone(b.Column(1).(*array.Binary).Value(i))}
			if out = append(out, x); x.p >= 0 {
				rows += x.rows()
			}
		}
	}
	if len(out) == 0 || out[len(out)-1].p != -1 {
		t.Fatal("the pieces end without a trailer")
	}
	var said struct{ Pieces, Rows int64 }
	if err := json.Unmarshal(out[len(out)-1].body, &said); err != nil || said.Pieces != int64(len(out)-1) || said.Rows != rows {
		t.Fatalf("trailer %s (%v) behind %d pieces with %d rows", out[len(out)-1].body, err, len(out)-1, rows)
	}
	return out[:len(out)-1]
}

// pieceBodies are the bodies of a stream of pieces.
func pieceBodies(data []byte) (out [][]byte) {
	r, err := ipc.NewReader(bytes.NewReader(data))
	if err != nil {
		panic(err)
	}
	for r.Next() {
		b := r.RecordBatch()
		for i := range int(b.NumRows()) {
			if b.Column(0).(*array.Int32).Value(i) >= 0 {
				out = append(out, bytes.Clone(b.Column(1).(*array.Binary).Value(i)))
			}
		}
	}
	return out
}

func readStream(t *testing.T, data []byte) (out []arrow.RecordBatch) {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
		b := r.RecordBatch()
		b.Retain()
		out = append(out, b)
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return out
}

// cut runs every task, and gives the rows of samples.
func (e *engine) cut(samples *metaxy.Rows) []piece {
	var out []piece
	for _, task := range e.plan.Tasks {
		var buf bytes.Buffer
		list := slices.Clone(task.Files)
		e.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if err := e.worker().Cut(e.t.Context(), newEnv(e.t, &buf), bytes.NewReader(files(list))); err != nil {
			e.t.Fatalf("cut: %v", err)
		}
		out = append(out, readPieces(e.t, buf.Bytes())...)
	}
	for i, t := range e.plan.Tables {
		if t.Role == "samples" {
			var buf bytes.Buffer
			if err := e.worker().CutRows(e.t.Context(), newEnv(e.t, &buf), i, bytes.NewReader(e.placed(samples))); err != nil {
				e.t.Fatalf("cut --rows: %v", err)
			}
			out = append(out, readPieces(e.t, buf.Bytes())...)
		}
	}
	e.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// placed are rows with places, and a trailer.
func (e *engine) placed(rows *metaxy.Rows) []byte {
	fields := append([]arrow.Field{{Name: "__f", Type: arrow.PrimitiveTypes.Int32}, {Name: "__b", Type: arrow.PrimitiveTypes.Int64}, {Name: "__r", Type: arrow.PrimitiveTypes.Int64}}, rows.Schema.Fields()...)
	for i := range fields {
		fields[i].Nullable = true
	}
	schema := arrow.NewSchema(fields, nil)
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(schema))
	at := int64(0)
	write := func(n int, file int32, number int64, cols []arrow.Array) {
		f, b, r := array.NewInt32Builder(memory.DefaultAllocator), array.NewInt64Builder(memory.DefaultAllocator), array.NewInt64Builder(memory.DefaultAllocator)
		for i := range n {
			f.Append(file)
			b.Append(0)
			r.Append(number + int64(i))
		}
		if err := w.Write(array.NewRecordBatch(schema, append([]arrow.Array{f.NewArray(), b.NewArray(), r.NewArray()}, cols...), int64(n))); err != nil {
			e.t.Fatal(err)
		}
	}
	for b, err := range rows.Batches {
		if err != nil {
			e.t.Fatal(err)
		}
		write(int(b.NumRows()), 0, at, b.Columns())
		at += b.NumRows()
	}
	var nulls []arrow.Array
	for _, f := range rows.Schema.Fields() {
		nulls = append(nulls, array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 1))
	}
	write(1, -1, at, nulls)
	if err := w.Close(); err != nil {
		e.t.Fatal(err)
	}
	return buf.Bytes()
}

// groups are pieces by partition, some partitions together, as tasks get them.
func (e *engine) groups(list []piece) [][]piece {
	by := map[int32][]piece{}
	for _, x := range list {
		by[x.p] = append(by[x.p], x)
	}
	var out [][]piece
	for p := range int32(e.plan.Partitions) {
		if len(by[p]) == 0 {
			continue
		}
		if len(out) > 0 && e.rng.IntN(3) == 0 {
			out[len(out)-1] = append(out[len(out)-1], by[p]...)
			continue
		}
		out = append(out, by[p])
	}
	for _, g := range out {
		e.rng.Shuffle(len(g), func(i, j int) { g[i], g[j] = g[j], g[i] })
	}
	return out
}

// newest sends pieces of tables that are cut by ids through that stage.
func (e *engine) newest(list []piece) []piece {
	if !slices.ContainsFunc(e.plan.Tables, func(t cluster.Described) bool { return t.NewestFirst }) {
		return list
	}
	var out []piece
	for _, g := range e.groups(list) {
		var buf bytes.Buffer
		if err := e.worker().Newest(e.t.Context(), newEnv(e.t, &buf), bytes.NewReader(pieceStream(g, nil))); err != nil {
			e.t.Fatalf("newest: %v", err)
		}
		out = append(out, readPieces(e.t, buf.Bytes())...)
	}
	e.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// answer is what the tasks of a resolve gave.
type answer struct {
	schemas [3]*arrow.Schema
	batches [3][]arrow.RecordBatch
	cluster.Summary
}

// resolve resolves all partitions; the first failure ends it.
func (e *engine) resolve(list []piece) (*answer, error) {
	a := &answer{}
	for part, name := range []string{"new", "stale", "orphaned"} {
		s, err := cluster.SchemaOf(e.plan.Results[name])
		if err != nil {
			e.t.Fatal(err)
		}
		a.schemas[part] = s
	}
	for _, g := range e.groups(list) {
		var buf bytes.Buffer
		if err := e.worker().Resolve(e.t.Context(), newEnv(e.t, &buf), bytes.NewReader(pieceStream(g, nil))); err != nil {
			return nil, err
		}
		a.take(e.t, buf.Bytes())
	}
	return a, nil
}

// take adds what one task gave.
func (a *answer) take(t *testing.T, data []byte) {
	t.Helper()
	ended := false
	for _, b := range readStream(t, data) {
		part := b.Column(0).(*array.Int8).Value(0)
		if ended {
			t.Fatal("rows stand behind the trailer")
		}
		if part < 0 {
			var sum cluster.Summary
			if err := json.Unmarshal([]byte(b.Column(3).(*array.String).Value(0)), &sum); err != nil {
				t.Fatal(err)
			}
			a.New, a.Stale, a.Orphaned, a.Expected, a.Current = a.New+sum.New, a.Stale+sum.Stale, a.Orphaned+sum.Orphaned, a.Expected+sum.Expected, a.Current+sum.Current
			for _, w := range sum.Warnings {
				i := slices.IndexFunc(a.Warnings, func(o cluster.Warning) bool { return o.Code == w.Code })
				if i < 0 {
					a.Warnings = append(a.Warnings, w)
				} else {
					a.Warnings[i].Count += w.Count
				}
			}
			ended = true
			continue
		}
		col := 1
		if part == int8(metaxy.Orphaned) {
			col = 2
		}
		st := b.Column(col).(*array.Struct)
		var cols []arrow.Array
		for i := range st.NumField() {
			cols = append(cols, st.Field(i))
		}
		a.batches[part] = append(a.batches[part], array.NewRecordBatch(arrow.NewSchema(st.DataType().(*arrow.StructType).Fields(), nil), cols, b.NumRows()))
	}
	if !ended {
		t.Fatal("the rows end without a trailer")
	}
}

package cluster_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/cluster"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

const awkwardDefinitions = `project = "p"
[[features]]
key = "rec/raw"
id_columns = ["rec"]
fields = [{ key = "audio", code_version = "1" }, { key = "frames", code_version = "1" }]
[[features]]
key = "rec/rights"
id_columns = ["recording"]
fields = [{ key = "owner", code_version = "1" }]
[[features]]
key = "rec/norm"
id_columns = ["rec"]
fields = [{ key = "norm", code_version = "1" }]
deps = [{ feature = "rec/raw" }, { feature = "rec/rights", optional = true, rename = { recording = "rec" } }]
[[features]]
key = "rec/both"
id_columns = ["rec"]
fields = [{ key = "any", code_version = "1" }]
deps = [{ feature = "rec/raw", optional = true }, { feature = "rec/rights", optional = true, rename = { recording = "rec" } }]
[[features]]
key = "spk/voice"
id_columns = ["speaker"]
fields = [{ key = "voice", code_version = "1" }]
deps = [{ feature = "rec/raw", lineage = { relationship = { type = "N:1", on = ["speaker"] } } }]
[[features]]
key = "rec/chunk"
id_columns = ["chunk"]
fields = [{ key = "chunk", code_version = "1" }]
deps = [{ feature = "rec/raw", lineage = { relationship = { type = "1:N", on = ["rec"], id_generation_pattern = "{rec}_{n}" } } }]
`

// awkward is a store in which every row has one time, so that places decide: ids
// come again within a file and in later ones, with other versions and other
// parents; tables are partitioned, have mapped columns and deletion vectors; keys
// are null, and numbers of other widths on the other side.
type awkward struct {
	t   *testing.T
	s   *metaxy.DeltaStore
	rng *rand.Rand
}

var byField = func(names ...string) arrow.DataType {
	var fields []arrow.Field
	for _, n := range names {
		fields = append(fields, arrow.Field{Name: n, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	return arrow.StructOf(fields...)
}

func newAwkward(t *testing.T, algorithm string, maps bool) *awkward {
	g := feature.NewGraph(8)
	defs, err := config.Definitions("defs.toml", []byte(awkwardDefinitions), "p")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range defs {
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s, err := metaxy.Open(t.Context(), t.TempDir(), &metaxy.Options{Graph: g, Project: "p", HashAlgorithm: algorithm, MapDatatype: maps, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a := &awkward{t, s, rand.New(rand.NewPCG(7, 7))}
	a.fill(maps)
	return a
}

func (a *awkward) write(k string, rows *metaxy.Rows) {
	a.t.Helper()
	if _, err := a.s.Write(a.t.Context(), key(a.t, k), rows, &metaxy.WriteOptions{AllowNullIDs: true}); err != nil {
		a.t.Fatal(k, err)
	}
}

// raw are recordings, some of them several times.
func (a *awkward) raw(from, to int, tag string) *metaxy.Rows {
	schema := arrow.NewSchema([]arrow.Field{{Name: "rec", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "speaker", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "note", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}, {Name: "metaxy_provenance_by_field", Type: byField("audio", "frames"), Nullable: true}}, nil)
	var list []string
	for i := from; i < to; i++ {
		for range 1 + a.rng.IntN(3)/2 {
			rec, speaker := fmt.Sprint(i), fmt.Sprintf(`"s%d"`, i%17)
			if i%41 == 7 {
				speaker = "null"
			}
			if i%53 == 3 {
				rec = "null"
			}
			list = append(list, fmt.Sprintf(`{"rec": %s, "speaker": %s, "note": ["n%d", null], "metaxy_provenance_by_field": {"audio": "a%d%s%d", "frames": "f%d"}}`, rec, speaker, i, i, tag, a.rng.IntN(3), i))
		}
	}
	a.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return rowsFrom(a.t, schema, "["+strings.Join(list, ",")+"]")
}

func (a *awkward) rights(from, to int, tag string) *metaxy.Rows {
	schema := arrow.NewSchema([]arrow.Field{{Name: "recording", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, {Name: "holder", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "metaxy_provenance_by_field", Type: byField("owner"), Nullable: true}}, nil)
	var list []string
	for i := from; i < to; i += 2 {
		list = append(list, fmt.Sprintf(`{"recording": %d, "holder": "h%d", "metaxy_provenance_by_field": {"owner": "o%d%s%d"}}`, i, i%3, i, tag, a.rng.IntN(2)))
	}
	return rowsFrom(a.t, schema, "["+strings.Join(list, ",")+"]")
}

func (a *awkward) fill(maps bool) {
	ctx := a.t.Context()
	// A first write makes the table; its schema goes into one with mapped
	// columns, a partition and deletion vectors.
	a.write("rec/rights", a.rights(0, 2, "x"))
	first, err := a.s.Table(key(a.t, "rec/rights")).Snapshot(ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.RemoveAll(a.s.TableURL(key(a.t, "rec/rights"))); err != nil {
		a.t.Fatal(err)
	}
	_, err = a.s.Table(key(a.t, "rec/rights")).Create(ctx, first.Schema(), &delta.CreateOptions{PartitionBy: []string{"holder"},
		Configuration: map[string]string{"delta.columnMapping.mode": "name", "delta.enableDeletionVectors": "true", "metaxy.hash_algorithm": first.State().Metadata.Configuration["metaxy.hash_algorithm"], "metaxy.hash_truncation_length": "8"}})
	if err != nil {
		a.t.Fatal(err)
	}
	a.write("rec/raw", a.raw(0, 200, "x"))
	a.write("rec/rights", a.rights(0, 150, "x"))
	if _, err := rewrite.Delete(ctx, a.s.Table(key(a.t, "rec/rights")), parsed(a.t, "recording >= 10 AND recording < 24"), nil); err != nil {
		a.t.Fatal(err)
	}
	for _, k := range []string{"rec/norm", "rec/both", "spk/voice", "rec/chunk"} {
		rows := resolved(a.t, a.s, key(a.t, k), metaxy.New)
		if k == "rec/chunk" {
			a.chunks(rows)
			continue
		}
		a.write(k, rows)
	}
	a.write("rec/raw", a.raw(150, 230, "y"))
	a.write("rec/raw", a.raw(20, 60, "z"))
	a.write("rec/rights", a.rights(100, 240, "y"))
	if _, err := a.s.Delete(ctx, key(a.t, "rec/raw"), &metaxy.DeleteOptions{Filters: []filter.Expr{parsed(a.t, "rec >= 5 AND rec < 12")}}); err != nil {
		a.t.Fatal(err)
	}
}

// chunks stores some chunks of each recording, and some of them again with other
// parents.
func (a *awkward) chunks(rows *metaxy.Rows) {
	for round := range 2 {
		for b, err := range rows.Batches {
			if err != nil {
				a.t.Fatal(err)
			}
			ids := array.NewStringBuilder(memory.DefaultAllocator)
			n := b.NumRows()
			if round == 1 {
				n /= 4
			}
			for i := range n {
				ids.Append(fmt.Sprintf("c%d", i*int64(1+round*3)))
			}
			fields := append(b.Schema().Fields(), arrow.Field{Name: "chunk", Type: arrow.BinaryTypes.String, Nullable: true})
			cut := b.NewSlice(0, n)
			schema := arrow.NewSchema(fields, nil)
			made := array.NewRecordBatch(schema, append(slices.Clone(cut.Columns()), ids.NewArray()), n)
			a.write("rec/chunk", &metaxy.Rows{Schema: schema, Batches: scenariotest.Each([]arrow.RecordBatch{made})})
		}
		rows = expected(a.t, a.s, key(a.t, "rec/chunk"))
	}
}

// expected is every expected row.
func expected(t *testing.T, s *metaxy.DeltaStore, k feature.Key) *metaxy.Rows {
	inc, err := s.ResolveUpdate(t.Context(), k, &metaxy.ResolveOptions{SkipComparison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inc.Close)
	return inc.New(t.Context())
}

func parsed(t testing.TB, text string) filter.Expr {
	e, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// cutRows cuts the files of a plan as rows that another engine has read, in
// batches of any order, with row groups as blocks.
func (e *engine) cutRows(s *metaxy.DeltaStore) (out []piece) {
	for i, t := range e.plan.Tables {
		snap, err := s.Table(key(e.t, t.Feature)).SnapshotAt(e.t.Context(), t.Version)
		if err != nil {
			e.t.Fatal(err)
		}
		schema, err := cluster.SchemaOf(t.Schema)
		if err != nil {
			e.t.Fatal(err)
		}
		var columns []string
		for _, f := range schema.Fields()[3:] {
			columns = append(columns, f.Name)
		}
		var batches []arrow.RecordBatch
		for ordinal, url := range t.Paths {
			files := snap.Files()
			at := slices.IndexFunc(files, func(f delta.File) bool { return strings.HasSuffix(url, "/"+f.Path) })
			if at < 0 {
				e.t.Fatalf("no file %s", url)
			}
			batches = append(batches, e.readFile(snap, files[at], int32(ordinal), columns)...)
		}
		e.rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
		var buf, pieces bytes.Buffer
		n := int64(0)
		if len(batches) == 0 {
			continue
		}
		w := ipc.NewWriter(&buf, ipc.WithSchema(batches[0].Schema()))
		for _, b := range batches {
			if err := w.Write(b); err != nil {
				e.t.Fatal(err)
			}
			n += b.NumRows()
		}
		if err := w.Write(trailerOf(batches[0].Schema(), n)); err != nil {
			e.t.Fatal(err)
		}
		w.Close()
		if err := e.worker().CutRows(e.t.Context(), newEnv(e.t, &pieces), i, &buf); err != nil {
			e.t.Fatal(err)
		}
		out = append(out, readPieces(e.t, pieces.Bytes())...)
	}
	e.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func trailerOf(s *arrow.Schema, n int64) arrow.RecordBatch {
	cols := make([]arrow.Array, s.NumFields())
	for i, f := range s.Fields() {
		cols[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 1)
	}
	f, r := array.NewInt32Builder(memory.DefaultAllocator), array.NewInt64Builder(memory.DefaultAllocator)
	f.Append(-1)
	r.Append(n)
	cols[0], cols[2] = f.NewArray(), r.NewArray()
	return array.NewRecordBatch(s, cols, 1)
}

func (e *engine) readFile(snap *delta.Snapshot, f delta.File, ordinal int32, columns []string) (out []arrow.RecordBatch) {
	sc, err := scan.New(snap, &scan.Options{Files: []delta.File{f}, Unverified: true, BatchRows: 13})
	if err != nil {
		e.t.Fatal(err)
	}
	groups, err := sc.RowGroups(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	for i, g := range groups {
		for b, err := range sc.Read(e.t.Context(), i, frame.Span{To: g.Rows}, columns) {
			if err != nil {
				e.t.Fatal(err)
			}
			fb, bb, rb := array.NewInt32Builder(memory.DefaultAllocator), array.NewInt64Builder(memory.DefaultAllocator), array.NewInt64Builder(memory.DefaultAllocator)
			fields := []arrow.Field{{Name: "__f", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, {Name: "__b", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "__r", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}
			for row := range int(b.Batch.NumRows()) {
				fb.Append(ordinal)
				bb.Append(g.First)
				rb.Append(b.Row(row))
			}
			cols := []arrow.Array{fb.NewArray(), bb.NewArray(), rb.NewArray()}
			for c, field := range b.Batch.Schema().Fields() {
				a := b.Batch.Column(c)
				if a.DataType().ID() == arrow.STRING_VIEW || a.DataType().ID() == arrow.LARGE_STRING { // engines give one layout
					sb := array.NewStringBuilder(memory.DefaultAllocator)
					for i := range a.Len() {
						if a.IsNull(i) {
							sb.AppendNull()
						} else {
							sb.Append(strings.Clone(a.ValueStr(i)))
						}
					}
					a, field.Type = sb.NewArray(), arrow.BinaryTypes.String
				}
				a.Retain()
				field.Nullable = true
				fields, cols = append(fields, field), append(cols, a)
			}
			out = append(out, array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, b.Batch.NumRows()))
		}
	}
	return out
}

// texts are the rows of all parts of an answer, sorted.
func (a *answer) texts(t *testing.T) [][]string {
	out := make([][]string, len(a.batches))
	for part := range a.batches {
		var err error
		if _, out[part], err = scenariotest.CollectRows(&metaxy.Rows{Schema: a.schemas[part], Batches: scenariotest.Each(a.batches[part])}, nil); err != nil {
			t.Fatal(err)
		}
		slices.Sort(out[part])
	}
	return out
}

// TestAwkward compares both readers with one process where places decide, and the
// table of ids with its columns.
func TestAwkward(t *testing.T) {
	for _, kind := range []struct {
		algorithm string
		maps      bool
	}{{"xxhash32", false}, {"xxhash64", true}, {"sha256", false}, {"md5", false}, {"wyhash", true}, {"xxh3_64", false}} {
		t.Run(kind.algorithm, func(t *testing.T) {
			a := newAwkward(t, kind.algorithm, kind.maps)
			deleted := 0
			for _, k := range []string{"rec/rights"} {
				snap, err := a.s.Table(key(t, k)).Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range snap.Files() {
					if f.DeletionVector != nil {
						deleted++
					}
				}
				if len(snap.PartitionColumns()) != 1 || snap.MappingMode() != delta.MappingName || deleted == 0 {
					t.Fatalf("%s is not as awkward as it should be: partitions %v, mapping %v, %d deletion vectors", k, snap.PartitionColumns(), snap.MappingMode(), deleted)
				}
			}
			for i, k := range []string{"rec/norm", "rec/both", "spk/voice", "rec/chunk"} {
				want := inOneProcess(t, a.s, key(t, k))
				for _, parts := range partitionCounts {
					if !*long && parts != partitionCounts[i%3] {
						continue
					}
					e, err := newEngine(t, a.s, key(t, k), &cluster.Options{Partitions: parts, TaskBytes: 1}, uint64(parts))
					if err != nil {
						t.Fatal(err)
					}
					for name, pieces := range map[string][]piece{"files": e.cut(nil), "rows": e.cutRows(a.s)} {
						got, err := e.resolve(e.newest(pieces))
						if err != nil {
							t.Fatal(err)
						}
						if !slices.EqualFunc(got.texts(t), want, slices.Equal) {
							t.Errorf("%s in %d partitions from %s: %d new, %d stale, %d orphaned, want %d, %d, %d, or other rows", k, parts, name, got.New, got.Stale, got.Orphaned, len(want[0]), len(want[1]), len(want[2]))
						}
					}
				}
				if len(want[1]) == 0 && k != "spk/voice" {
					t.Errorf("%s has nothing stale", k)
				}
			}
		})
	}
}

func inOneProcess(t *testing.T, s *metaxy.DeltaStore, k feature.Key) [][]string {
	out := make([][]string, 3)
	for part := range out {
		_, list, err := scenariotest.CollectRows(resolved(t, s, k, metaxy.Part(part)), nil)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(list)
		out[part] = list
	}
	return out
}

// TestOrderMatters is the control of TestAwkward: files in another order give
// another answer.
func TestOrderMatters(t *testing.T) {
	a := newAwkward(t, "xxhash32", false)
	want := inOneProcess(t, a.s, key(t, "rec/norm"))
	e, err := newEngine(t, a.s, key(t, "rec/norm"), &cluster.Options{Partitions: 7}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range e.plan.Tasks {
		for j, text := range e.plan.Tasks[i].Files {
			var f cluster.File
			if err := json.Unmarshal([]byte(text), &f); err != nil {
				t.Fatal(err)
			}
			f.Ordinal = 1000 - f.Ordinal
			data, _ := json.Marshal(f)
			e.plan.Tasks[i].Files[j] = string(data)
		}
	}
	got, err := e.resolve(e.newest(e.cut(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if slices.EqualFunc(got.texts(t), want, slices.Equal) {
		t.Error("the order of files does not matter: nothing shows that it is right")
	}
}

// TestIDsOnly: --columns ids gives the same samples and versions, and cuts fewer columns.
func TestIDsOnly(t *testing.T) {
	a := newAwkward(t, "xxhash32", false)
	for _, k := range []string{"rec/norm", "rec/both", "spk/voice", "rec/chunk"} {
		e, err := newEngine(t, a.s, key(t, k), &cluster.Options{Partitions: 7, IDsOnly: true}, 1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.resolve(e.newest(e.cut(nil)))
		if err != nil {
			t.Fatal(err)
		}
		for part := range got.batches {
			whole := resolved(t, a.s, key(t, k), metaxy.Part(part))
			var out []string
			for _, f := range whole.Schema.Fields() {
				if !got.schemas[part].HasField(f.Name) {
					out = append(out, f.Name)
				}
			}
			if slices.Contains(out, "metaxy_provenance") || slices.Contains(out, "rec") && k != "spk/voice" || !slices.Contains(out, "note") && k == "rec/norm" && part < 2 {
				t.Errorf("%s part %d lacks %v", k, part, out)
			}
			kept := &metaxy.Rows{Schema: got.schemas[part], Batches: func(yield func(arrow.RecordBatch, error) bool) {
				for b, err := range whole.Batches {
					if err != nil {
						yield(nil, err)
						return
					}
					var cols []arrow.Array
					for _, f := range got.schemas[part].Fields() {
						cols = append(cols, b.Column(b.Schema().FieldIndices(f.Name)[0]))
					}
					if !yield(array.NewRecordBatch(got.schemas[part], cols, b.NumRows()), nil) {
						return
					}
				}
			}}
			_, want, err := scenariotest.CollectRows(kept, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, have, err := scenariotest.CollectRows(&metaxy.Rows{Schema: got.schemas[part], Batches: scenariotest.Each(got.batches[part])}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if fault := scenariotest.RowsFault(want, have); fault != "" {
				t.Errorf("%s part %d: %s", k, part, fault)
			}
		}
	}
}

package cluster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/cluster"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// counted is a stream of rows with the column that counts them, in batches; said
// is what the last row says, -1 = as many as there are.
func counted(t testing.TB, rows *metaxy.Rows, said int64) []byte {
	schema := arrow.NewSchema(append(rows.Schema.Fields(), arrow.Field{Name: "__rows", Type: arrow.PrimitiveTypes.Int64, Nullable: true}), nil)
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(schema))
	n := int64(0)
	write := func(cols []arrow.Array, rows int64, count arrow.Array) {
		if err := w.Write(array.NewRecordBatch(schema, append(slices.Clone(cols), count), rows)); err != nil {
			t.Fatal(err)
		}
	}
	for b, err := range rows.Batches {
		if err != nil {
			t.Fatal(err)
		}
		write(b.Columns(), b.NumRows(), array.MakeArrayOfNull(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64, int(b.NumRows())))
		n += b.NumRows()
	}
	if said < 0 {
		said = n
	}
	var nulls []arrow.Array
	for _, f := range rows.Schema.Fields() {
		nulls = append(nulls, array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 1))
	}
	c := array.NewInt64Builder(memory.DefaultAllocator)
	c.Append(said)
	write(nulls, 1, c.NewArray())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// write runs a task of writing and gives its texts.
func (e *engine) write(rows *metaxy.Rows) []string {
	var buf bytes.Buffer
	if err := e.worker().Write(e.t.Context(), newEnv(e.t, &buf), bytes.NewReader(counted(e.t, rows, -1))); err != nil {
		e.t.Fatal(err)
	}
	var out []string
	for _, b := range readStream(e.t, buf.Bytes()) {
		for i := range int(b.NumRows()) {
			out = append(out, strings.Clone(b.Column(0).(*array.String).Value(i)))
		}
	}
	if n := len(out) - 1; n < 0 || out[n] != fmt.Sprintf("#end %d", n) {
		e.t.Fatalf("the texts end with %q", out)
	}
	return out[:len(out)-1]
}

func (e *engine) commit(adds []string, version int64, drop bool) (*cluster.Committed, error) {
	in := textStream("add", append(slices.Clone(adds), fmt.Sprintf("#end %d", len(adds)))...)
	return e.worker().Commit(e.t.Context(), newEnv(e.t, &bytes.Buffer{}), bytes.NewReader(in), &cluster.CommitOptions{AppID: "job", AppVersion: version, Drop: drop})
}

// halves are rows as two tasks get them.
func halves(t *testing.T, rows *metaxy.Rows) (out []*metaxy.Rows) {
	t.Helper()
	var all []arrow.RecordBatch
	for b, err := range rows.Batches {
		if err != nil {
			t.Fatal(err)
		}
		n := b.NumRows() / 2
		all = append(all, b.NewSlice(0, n), b.NewSlice(n, b.NumRows()))
	}
	for i := range 2 {
		var own []arrow.RecordBatch
		for j, b := range all {
			if j%2 == i {
				own = append(own, b)
			}
		}
		out = append(out, &metaxy.Rows{Schema: rows.Schema, Batches: scenariotest.Each(own)})
	}
	return out
}

// TestWriteAndCommit: what two tasks store, one of them twice, becomes one commit;
// the same commit again is none; nothing is stale then.
func TestWriteAndCommit(t *testing.T) {
	s, dir := newStore(t)
	for round, k := range []string{"a/leaf", "a/leaf", "a/group"} {
		if round == 1 { // onto a table that is there
			if _, err := s.Write(t.Context(), key(t, "a/root"), rootRows(t, 20, 60, "d"), nil); err != nil {
				t.Fatal(err)
			}
		}
		e, err := newEngine(t, s, key(t, k), &cluster.Options{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		part := metaxy.New
		if round == 1 {
			part = metaxy.Stale
		}
		parts := halves(t, resolved(t, s, key(t, k), part))
		first := e.write(parts[0])
		e.write(parts[0]) // another attempt, whose files belong to nothing
		adds := append(first, e.write(parts[1])...)
		got, err := e.commit(adds, 1, false)
		if round == 1 {
			if err != nil || !got.WrittenAlready { // the id has written version 1 in the first round
				t.Fatalf("%s: version 1 again: %+v, %v", k, got, err)
			}
			got, err = e.commit(adds, 2, false)
		}
		want := int64(100)
		if round == 1 {
			want = 40
		}
		if err != nil || got.WrittenAlready || got.Rows != want || got.Files != 2 || got.TableVersion != int64(round%2) {
			t.Fatalf("%s: %+v, %v; want %d rows", k, got, err, want)
		}
		again, err := e.commit(adds, got.TableVersion+1, false)
		if err != nil || !again.WrittenAlready || again.TableVersion != got.TableVersion {
			t.Errorf("%s again: %+v, %v", k, again, err)
		}
		if _, err := e.commit(adds, 9, false); !errors.As(err, new(*txlog.ConflictError)) {
			t.Errorf("%s: the older plan with another version: %v", k, err)
		}
		inc, err := s.ResolveUpdate(t.Context(), key(t, k), nil)
		if err == nil {
			err = inc.Count(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if st := inc.Stats(); st.New+st.Stale+st.Orphaned != 0 || st.Expected == 0 {
			t.Errorf("%s: %+v after the commit", k, st)
		}
		inc.Close()
		onDisk, _ := filepath.Glob(filepath.Join(dir, strings.ReplaceAll(k, "/", string(filepath.Separator))+".delta", "*.parquet"))
		snap, err := s.Table(key(t, k)).Snapshot(t.Context())
		if err != nil || len(onDisk) <= len(snap.Files()) {
			t.Errorf("%s: %d files on disk, %d in the table, %v", k, len(onDisk), len(snap.Files()), err)
		}
	}
}

// TestSameAsWrite: the table is the one that a write of one process makes, but for
// stamps.
func TestSameAsWrite(t *testing.T) {
	tables := [2][]string{}
	var schemas [2]*arrow.Schema
	for i := range tables {
		s, _ := newStore(t)
		k := key(t, "a/leaf")
		rows := resolved(t, s, k, metaxy.New)
		if i == 0 {
			if _, err := s.Write(t.Context(), k, rows, nil); err != nil {
				t.Fatal(err)
			}
		} else {
			e, err := newEngine(t, s, k, &cluster.Options{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.commit(e.write(rows), 1, false); err != nil {
				t.Fatal(err)
			}
		}
		read, err := s.Read(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, tables[i], err = scenariotest.CollectRows(read, scenariotest.ClockColumns); err != nil {
			t.Fatal(err)
		}
		snap, err := s.Table(k).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		schemas[i] = snap.Schema().Arrow()
		if c := snap.State().Metadata.Configuration; c["metaxy.hash_algorithm"] != "xxhash32" {
			t.Errorf("the table has the properties %v", c)
		}
	}
	if fault := scenariotest.RowsFault(tables[0], tables[1]); fault != "" || !schemas[0].Equal(schemas[1]) || len(tables[0]) != 100 {
		t.Errorf("%s\n%s\n%s", fault, schemas[0], schemas[1])
	}
}

// TestDrop: rows that others have written since the plan are left out, and the
// others are committed.
func TestDrop(t *testing.T) {
	s, _ := newStore(t)
	k := key(t, "a/leaf")
	e, err := newEngine(t, s, k, &cluster.Options{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	parts := halves(t, resolved(t, s, k, metaxy.New))
	adds := append(e.write(parts[0]), e.write(parts[1])...)
	all := resolved(t, s, k, metaxy.New)
	some := &metaxy.Rows{Schema: all.Schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range all.Batches {
			if err != nil {
				yield(nil, err)
				return
			}
			cut := b.NewSlice(0, 30)
			if !yield(cut, nil) {
				return
			}
			return
		}
	}}
	wrote, err := s.Write(t.Context(), k, some, nil)
	if err != nil || wrote.Rows != 30 {
		t.Fatal(wrote, err)
	}
	if _, err := e.commit(adds, 1, false); !errors.As(err, new(*txlog.ConflictError)) {
		t.Errorf("without drop: %v", err)
	}
	// The plan had no table, so that its columns may be any: plan anew.
	if e, err = newEngine(t, s, k, &cluster.Options{}, 2); err != nil {
		t.Fatal(err)
	}
	parts = halves(t, resolved(t, s, k, metaxy.New))
	adds = append(e.write(parts[0]), e.write(parts[1])...)
	more := resolved(t, s, k, metaxy.New)
	batches := more.Batches
	more.Batches = func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range batches {
			if err != nil || !yield(b.NewSlice(0, 10), nil) {
				return
			}
			return
		}
	}
	if _, err := s.Write(t.Context(), k, more, nil); err != nil {
		t.Fatal(err)
	}
	got, err := e.commit(adds, 1, true)
	if err != nil || got.Dropped != 10 || got.Rows != 60 {
		t.Fatalf("%+v, %v; want 60 rows and 10 dropped", got, err)
	}
	inc, err := s.ResolveUpdate(t.Context(), k, nil)
	if err == nil {
		err = inc.Count(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer inc.Close()
	if st := inc.Stats(); st.New+st.Stale+st.Orphaned != 0 || st.Current != 100 {
		t.Errorf("%+v after the commit", st)
	}
	rows, err := s.Read(t.Context(), k, &metaxy.ReadOptions{SampleHistory: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, list, err := scenariotest.CollectRows(rows, nil); err != nil || len(list) != 100 {
		t.Errorf("%d rows are stored, %v", len(list), err)
	}
}

// TestWriteFaults: rows that did not come whole leave no file, and no text.
func TestWriteFaults(t *testing.T) {
	s, dir := newStore(t)
	k := key(t, "a/leaf")
	e, err := newEngine(t, s, k, &cluster.Options{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	rows := func() *metaxy.Rows { return resolved(t, s, k, metaxy.New) }
	write := func(env *cluster.Env, in []byte) error {
		return e.worker().Write(t.Context(), env, bytes.NewReader(in))
	}
	whole := counted(t, rows(), -1)
	var without bytes.Buffer
	{
		list := readStream(t, whole)
		w := ipc.NewWriter(&without, ipc.WithSchema(list[0].Schema()))
		for _, b := range list[:len(list)-1] {
			if err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
	}
	streamFaults(t, "write", whole, without.Bytes(), write)
	broken(t, "write: fewer rows", cutOff, "100 rows came, the trailer counts 101", func(env *cluster.Env) error { return write(env, counted(t, rows(), 101)) })
	broken(t, "write: more rows", damage, "the trailer counts 3", func(env *cluster.Env) error { return write(env, counted(t, rows(), 3)) })
	broken(t, "write: no column that counts", refusal, "no column __rows", func(env *cluster.Env) error { return write(env, textStream("x", "y")) })
	if left, _ := filepath.Glob(filepath.Join(dir, "a", "leaf.delta", "*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}

	adds := e.write(rows())
	commit := func(env *cluster.Env, in []byte) error {
		_, err := e.worker().Commit(t.Context(), env, bytes.NewReader(in), &cluster.CommitOptions{AppID: "job", AppVersion: 1})
		return err
	}
	streamFaults(t, "commit", textStream("add", append(slices.Clone(adds), fmt.Sprintf("#end %d", len(adds)))...), textStream("add", adds...), commit)
	other := strings.ReplaceAll(adds[0], e.plan.Run, "another")
	for name, f := range map[string]struct {
		list []string
		want kind
		says string
	}{
		"one is missing":  {append(slices.Clone(adds[1:]), fmt.Sprintf("#end %d", len(adds))), cutOff, "the trailer counts"},
		"a file twice":    {append(append(slices.Clone(adds), adds[len(adds)-1]), fmt.Sprintf("#end %d", len(adds)+1)), damage, "twice"},
		"another run":     {[]string{other, "#end 1"}, refusal, `run "another"`},
		"no text of ours": {[]string{"{}", "#end 1"}, refusal, "run"},
		"no JSON":         {[]string{"x", "#end 1"}, refusal, "none of the texts"},
	} {
		broken(t, "commit: "+name, f.want, f.says, func(env *cluster.Env) error { return commit(env, textStream("add", f.list...)) })
	}
	if _, err := s.Table(k).Snapshot(t.Context()); err == nil {
		t.Error("a table was made")
	}

	var plan map[string]any
	if err := json.Unmarshal(e.data, &plan); err != nil {
		t.Fatal(err)
	}
	plan["target"].(map[string]any)["refused"] = "the feature is of project p"
	text, _ := json.Marshal(plan)
	e.data = text
	broken(t, "write: refused by the plan", refusal, "project p", func(env *cluster.Env) error { return write(env, whole) })
	broken(t, "commit: refused by the plan", refusal, "project p", func(env *cluster.Env) error { return commit(env, textStream("add", "#end 0")) })
}

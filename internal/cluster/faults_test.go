package cluster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/cluster"
	"github.com/metaxy-delta/metaxy-delta/internal/pinned"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// kind of a failure: what an engine does about it.
type kind string

const (
	cutOff  kind = "cut off"
	damage  kind = "damaged"
	refusal kind = "refused"
)

func kindOf(err error) kind {
	switch {
	case errors.As(err, new(*cluster.CutOffError)):
		return cutOff
	case errors.Is(err, txlog.ErrCorrupt):
		return damage
	case errors.As(err, new(*cluster.RefusedError)):
		return refusal
	}
	return kind(fmt.Sprintf("%T", err))
}

// broken runs a verb and wants a kind of failure, a sentence, and nothing on stdout.
func broken(t *testing.T, name string, want kind, says string, run func(env *cluster.Env) error) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		var out bytes.Buffer
		err := run(newEnv(t, &out))
		switch {
		case err == nil:
			t.Fatal("succeeds")
		case kindOf(err) != want || !strings.Contains(err.Error(), says):
			t.Errorf("%s: %v; want %s: ...%s...", kindOf(err), err, want, says)
		}
		if out.Len() > 0 {
			t.Errorf("%d bytes came out", out.Len())
		}
	})
}

// streamFaults are faults that every stream can have; without is the stream
// without its trailer.
func streamFaults(t *testing.T, verb string, whole, without []byte, run func(env *cluster.Env, in []byte) error) {
	t.Helper()
	for _, f := range []struct {
		name string
		want kind
		in   []byte
	}{
		{"no trailer", cutOff, without},
		{"empty", cutOff, nil},
		{"three bytes", cutOff, whole[:3]},
		{"cut in the schema", cutOff, whole[:40]},
		{"cut in a batch", cutOff, whole[:len(whole)-len(whole)/4]},
		{"no end mark", cutOff, whole[:len(whole)-8]},
		{"garbage", damage, []byte("this is no Arrow stream at all, but it is long enough to be one")},
		{"a file", damage, append([]byte("ARROW1\x00\x00"), whole...)},
	} {
		broken(t, verb+": "+f.name, f.want, "", func(env *cluster.Env) error { return run(env, f.in) })
	}
}

// TestFaults feeds every verb whatever can become of its input on the way: it says
// so, with the kind of failure that tells an engine whether to try again, and
// gives nothing out.
func TestFaults(t *testing.T) {
	s, dir := newStore(t)
	e, err := newEngine(t, s, key(t, "a/leaf"), &cluster.Options{Partitions: 3, TaskBytes: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	all := e.plan.Tasks[0].Files

	cut := func(env *cluster.Env, in []byte) error { return e.worker().Cut(ctx, env, bytes.NewReader(in)) }
	streamFaults(t, "cut", files(all), textStream("file", all...), cut)
	for name, f := range map[string]struct {
		in   []byte
		want kind
		says string
	}{
		"fewer":            {textStream("file", all[0], "#end 2"), cutOff, "1 rows came, the trailer counts 2"},
		"more":             {textStream("file", all[0], "#end 0"), damage, "the trailer counts 0"},
		"behind the end":   {textStream("file", "#end 0", all[0]), damage, "behind the trailer"},
		"no number":        {textStream("file", "#end many"), damage, "trailer"},
		"no file":          {files([]string{"{}"}), refusal, "no file of a plan"},
		"no JSON":          {files([]string{"x"}), refusal, "no file of a plan"},
		"twice":            {files([]string{all[0], all[0]}), refusal, "twice"},
		"an unknown table": {files([]string{strings.Replace(all[0], `"table":0`, `"table":7`, 1)}), refusal, "table 7"},
		"another column":   {textStream("name", "#end 0"), refusal, "no column file"},
	} {
		broken(t, "cut: "+name, f.want, f.says, func(env *cluster.Env) error { return cut(env, f.in) })
	}

	pieces := e.cut(nil)
	resolve := func(env *cluster.Env, in []byte) error { return e.worker().Resolve(ctx, env, bytes.NewReader(in)) }
	newest := func(env *cluster.Env, in []byte) error { return e.worker().Newest(ctx, env, bytes.NewReader(in)) }
	for verb, run := range map[string]func(*cluster.Env, []byte) error{"resolve": resolve, "newest": newest} {
		streamFaults(t, verb, pieceStream(pieces, nil), pieceStream(pieces, []byte{}), run)
		pieceFaults(t, verb, pieces, run)
	}
	other, err := newEngine(t, s, key(t, "a/leaf"), &cluster.Options{Partitions: 3}, 1)
	if err != nil {
		t.Fatal(err)
	}
	broken(t, "resolve: a piece of another run", damage, "of another run", func(env *cluster.Env) error { return resolve(env, pieceStream(other.cut(nil), nil)) })
	group, err := newEngine(t, s, key(t, "a/group"), &cluster.Options{Partitions: 3}, 1)
	if err != nil {
		t.Fatal(err)
	}
	broken(t, "resolve: a piece that newest must see", refusal, "cluster newest", func(env *cluster.Env) error {
		return group.worker().Resolve(ctx, env, bytes.NewReader(pieceStream(group.cut(nil), nil)))
	})

	rowFaults(t, e)

	var file struct{ Add *txlog.Add }
	if err := json.Unmarshal([]byte(all[0]), &file); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "a", "root.delta", file.Add.Path)); err != nil {
		t.Fatal(err)
	}
	broken(t, "cut: a file that a vacuum took", damage, "missing", func(env *cluster.Env) error { return cut(env, files(all)) })
	if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	broken(t, "cut: a table that is gone", damage, "missing", func(env *cluster.Env) error { return cut(env, files(all)) })
}

// pieceFaults are those of bodies, and of how many came.
func pieceFaults(t *testing.T, verb string, pieces []piece, run func(*cluster.Env, []byte) error) {
	t.Helper()
	count := func(n, rows int64) []byte { return fmt.Appendf(nil, `{"pieces": %d, "rows": %d}`, n, rows) }
	n, rows := int64(len(pieces)), int64(0)
	for _, x := range pieces {
		rows += x.rows()
	}
	last := pieces[len(pieces)-1]
	with := func(body []byte) []byte {
		return pieceStream(append(slices.Clone(pieces[1:]), piece{pieces[0].p, body}), count(n, rows))
	}
	first := pieces[0].body
	for _, f := range []struct {
		name string
		in   []byte
		want kind
		says string
	}{
		{"one is missing", pieceStream(pieces[1:], count(n, rows)), cutOff, "the trailer counts"},
		{"one came twice, uncounted", pieceStream(append(slices.Clone(pieces), last), count(n, rows)), damage, "the trailer counts"},
		{"fewer rows", pieceStream(pieces, count(n, rows+1)), cutOff, "rows came"},
		{"no rows counted", pieceStream(pieces, fmt.Appendf(nil, `{"pieces": %d}`, n)), damage, "the trailer is"},
		{"a trailer of garbage", pieceStream(pieces, []byte("7")), damage, "the trailer is"},
		{"a body cut", with(first[:len(first)-1]), damage, "changed or cut"},
		{"a body that ends after its header", with(first[:32]), damage, "changed or cut"},
		{"a body cut in its header", with(first[:20]), damage, "changed or cut"},
		{"an empty body", with(nil), damage, "changed or cut"},
		{"a body of garbage", with(bytes.Repeat([]byte("garbage "), 20)), damage, "changed or cut"},
		{"a body and more", with(append(bytes.Clone(first), 0)), damage, "changed or cut"},
	} {
		broken(t, verb+": "+f.name, f.want, f.says, func(env *cluster.Env) error { return run(env, f.in) })
	}
	t.Run(verb+": a flipped byte", func(t *testing.T) {
		for at := range first {
			if at >= 64 && at%13 != 0 {
				continue
			}
			body := bytes.Clone(first)
			body[at] ^= 0x10
			var out bytes.Buffer
			if err := run(newEnv(t, &out), with(body)); kindOf(err) != damage || out.Len() > 0 {
				t.Fatalf("byte %d: %v, %d bytes came out", at, err, out.Len())
			}
		}
	})
	if verb == "resolve" {
		broken(t, "resolve: one came twice, counted", damage, "two rows of one place", func(env *cluster.Env) error { return run(env, pieceStream(append(slices.Clone(pieces), last), nil)) })
	}
	// A body that the library would read as something else, under a header that holds.
	sealed := func(body []byte, tag uint64, rows int64) []byte {
		b := append(make([]byte, hashjoin.BlockHeader), body...)
		hashjoin.SealBlock(b, 1, tag, rows)
		return b
	}
	broken(t, verb+": a header with another seed", damage, "another run", func(env *cluster.Env) error { return run(env, with(sealed(first[32:], 1<<32, pieces[0].rows()))) })
}

// rowFaults are those of rows that another engine has read.
func rowFaults(t *testing.T, e *engine) {
	t.Helper()
	schema, err := cluster.SchemaOf(e.plan.Tables[0].Schema)
	if err != nil {
		t.Fatal(err)
	}
	nullable := schema.Fields()
	for i := range nullable {
		nullable[i].Nullable = true
	}
	row := func(f, r int) string {
		return fmt.Sprintf(`{"__f": %d, "__b": 0, "__r": %d, "id": %d, "metaxy_updated_at": "2026-01-01T00:00:00Z", "metaxy_feature_version": "00000000"}`, f, r, r)
	}
	end := func(n int) string { return fmt.Sprintf(`{"__f": -1, "__r": %d}`, n) }
	stream := func(s *arrow.Schema, rows ...string) []byte {
		b, _, err := array.RecordFromJSON(memory.DefaultAllocator, s, strings.NewReader("["+strings.Join(rows, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		return streamOf(s, b.Columns()...)
	}
	own := arrow.NewSchema(nullable, nil)
	run := func(env *cluster.Env, in []byte) error {
		return e.worker().CutRows(t.Context(), env, 0, bytes.NewReader(in))
	}
	streamFaults(t, "cut --rows", stream(own, row(0, 0), row(0, 1), end(2)), stream(own, row(0, 0), row(0, 1)), run)
	id := slices.IndexFunc(nullable, func(f arrow.Field) bool { return f.Name == "id" })
	text := slices.Clone(nullable)
	text[id].Type = arrow.BinaryTypes.String
	for _, f := range []struct {
		name string
		in   []byte
		want kind
		says string
	}{
		{"fewer", stream(own, row(0, 0), end(2)), cutOff, "1 rows came, the trailer counts 2"},
		{"more", stream(own, row(0, 0), end(0)), damage, "the trailer counts 0"},
		{"behind the end", stream(own, end(0), row(0, 0)), damage, "a row of file -1"},
		{"a row of no file", stream(own, `{"__b": 0, "__r": 0}`, end(1)), damage, "a row of file"},
		{"a row without a number", stream(own, `{"__f": 0, "__b": 0}`, end(1)), damage, "without __r"},
		{"a missing column", stream(arrow.NewSchema(slices.Delete(slices.Clone(nullable), id, id+1), nil), end(0)), refusal, "column id is missing"},
		{"another type", stream(arrow.NewSchema(text, nil), end(0)), refusal, "column id: want int64, got utf8"},
	} {
		broken(t, "cut --rows: "+f.name, f.want, f.says, func(env *cluster.Env) error { return run(env, f.in) })
	}
	broken(t, "cut --rows: an unknown table", refusal, "table 9", func(env *cluster.Env) error {
		return e.worker().CutRows(t.Context(), env, 9, bytes.NewReader(stream(own, end(0))))
	})
}

// TestPlansRefused: a worker takes no plan but that of its own build, format and
// definitions.
func TestPlansRefused(t *testing.T) {
	s, _ := newStore(t)
	e, err := newEngine(t, s, key(t, "a/leaf"), &cluster.Options{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	plan := string(e.data)
	for _, f := range []struct{ name, old, new, says string }{
		{"another format", `"format":1`, `"format":2`, "format 2"},
		{"another build", `"build":"test"`, `"build":"of yesterday"`, `build "of yesterday"`},
		{"another version", `"feature_version":"` + e.plan.FeatureVersion, `"feature_version":"00000000`, "its definitions make " + e.plan.FeatureVersion},
		{"other definitions", `\"code_version\": \"1\"`, `\"code_version\": \"2\"`, "its definitions make"},
		{"a missing column", `"columns":["id",`, `"columns":["id","other",`, "the table has no column other"},
		{"a key that is not cut", `"keys":["id"]`, `"keys":["other"]`, "other"},
		{"no partitions", `"partitions":1`, `"partitions":0`, "0 partitions"},
		{"no run", `"run":"` + e.plan.Run, `"run":"`, "no run"},
		{"half of it", plan[len(plan)/2:], "", "no JSON object"},
	} {
		text := strings.ReplaceAll(plan, f.old, f.new)
		if text == plan {
			t.Errorf("%s: the plan has no %s", f.name, f.old)
			continue
		}
		_, err := cluster.LoadWorker([]byte(text), build)
		if kindOf(err) != refusal || !strings.Contains(err.Error(), f.says) {
			t.Errorf("%s: %v", f.name, err)
		}
	}
	if _, err := cluster.LoadWorker(nil, build); kindOf(err) != refusal {
		t.Errorf("an empty plan: %v", err)
	}
	whole, err := json.Marshal(e.plan)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.LoadWorker(whole, build); err != nil {
		t.Errorf("a whole plan: %v", err)
	}
}

// foreign hides that a store is one of Delta tables.
type foreign struct{ metaxy.MetadataStore }

// TestForeign: rows of a fallback store of another kind lie in no files, and the
// plan says so.
func TestForeign(t *testing.T) {
	there, _ := newStore(t)
	g, err := there.Graph(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	here, err := metaxy.Open(t.Context(), t.TempDir(), &metaxy.Options{Graph: g, Project: "p", Fallbacks: []metaxy.Fallback{{Name: "elsewhere", Store: foreign{there}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	_, err = newEngine(t, here, key(t, "a/leaf"), &cluster.Options{}, 1)
	var no *pinned.ForeignError
	if !errors.As(err, &no) || no.Store != there.Name() || no.Feature != "a/root" {
		t.Errorf("%v", err)
	}
}

// TestOneKey: a partition that does not fit names the share of its most frequent key.
func TestOneKey(t *testing.T) {
	s, _ := newStore(t)
	for _, f := range []struct {
		feature, says string
	}{{"a/leaf", "more partitions help"}, {"a/group", "only a higher memory limit helps"}} {
		if f.feature == "a/group" {
			text := ""
			for i := range 400 {
				text += fmt.Sprintf(`,{"id": %d, "parent": "p1", "metaxy_provenance_by_field": {"x": "v"}}`, 1000+i)
			}
			if _, err := s.Write(t.Context(), key(t, "a/root"), rowsFrom(t, rootSchema, "["+text[1:]+"]"), nil); err != nil {
				t.Fatal(err)
			}
		}
		e, err := newEngine(t, s, key(t, f.feature), &cluster.Options{Partitions: 1, MemoryLimit: 1 << 40}, 1)
		if err != nil {
			t.Fatal(err)
		}
		pieces := e.newest(e.cut(nil))
		e.data = bytes.Replace(e.data, []byte(fmt.Sprint(1<<40)), []byte("8000"), 1)
		_, err = e.resolve(pieces)
		var limit *hashjoin.LimitError
		if !errors.As(err, &limit) || !strings.Contains(err.Error(), f.says) || !strings.Contains(err.Error(), "percent") {
			t.Errorf("%s: %v", f.feature, err)
		}
	}
}

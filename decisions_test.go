package metaxy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// The tests of decisions are named after the numbers of internal/docs/coming-from-metaxy.md.

// bench is a store with definitions and a clock that moves on by a second at every look.
type bench struct {
	*testing.T
	dir   string
	clock time.Time
	graph *feature.Graph
	opts  metaxy.Options
	store *metaxy.DeltaStore
}

// newBench opens an empty store with loaded definitions of project p.
func newBench(t *testing.T, opts metaxy.Options, specs ...string) *bench {
	t.Helper()
	b := &bench{T: t, dir: t.TempDir(), clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), opts: opts}
	b.graph = graphOf(t, true, specs...)
	b.reopen()
	return b
}

func (b *bench) reopen() {
	b.Helper()
	o := b.opts
	o.Graph, o.Now = b.graph, func() time.Time { b.clock = b.clock.Add(time.Second); return b.clock }
	if o.Project == "" {
		o.Project = "p"
	}
	s, err := metaxy.Open(b.Context(), b.dir, &o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	b.store = s
}

// graphOf holds specs of project p; a spec may begin with another project's name and a space.
func graphOf(t *testing.T, loaded bool, specs ...string) *feature.Graph {
	t.Helper()
	g := feature.NewGraph(8)
	for _, spec := range specs {
		project := "p"
		if i := strings.Index(spec, "{"); i > 0 {
			project, spec = strings.TrimSpace(spec[:i]), spec[i:]
		}
		d, err := feature.Load(feature.Stored{Project: project, FeatureSpec: spec, FeatureSchema: "{}"})
		if err != nil {
			t.Fatal(err)
		}
		d.Loaded = loaded
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// frame makes rows: columns as "name type" with int, text, float, stamp, naive, or {a b} for a struct of texts; rows as JSON.
func frame(t *testing.T, columns []string, rows string) *metaxy.Rows {
	t.Helper()
	b, err := jsonBatch(memory.DefaultAllocator, columns, rows)
	if err != nil {
		t.Fatal(err)
	}
	return &metaxy.Rows{Schema: b.Schema(), Batches: each([]arrow.RecordBatch{b})}
}

// jsonBatch is the batch of a frame in memory of mem.
func jsonBatch(mem memory.Allocator, columns []string, rows string) (arrow.RecordBatch, error) {
	var fields []arrow.Field
	for _, c := range columns {
		name, typ, _ := strings.Cut(c, " ")
		f := arrow.Field{Name: name, Nullable: true, Type: arrow.BinaryTypes.String}
		switch {
		case typ == "int":
			f.Type = arrow.PrimitiveTypes.Int64
		case typ == "float":
			f.Type = arrow.PrimitiveTypes.Float64
		case typ == "time":
			f.Type = arrow.FixedWidthTypes.Time32s
		case strings.HasPrefix(typ, "{"):
			var members []arrow.Field
			for _, m := range strings.Fields(strings.Trim(typ, "{}")) {
				members = append(members, arrow.Field{Name: m, Type: arrow.BinaryTypes.String, Nullable: true})
			}
			f.Type = arrow.StructOf(members...)
		}
		fields = append(fields, f)
	}
	schema := arrow.NewSchema(fields, nil)
	b, _, err := array.RecordFromJSON(mem, schema, strings.NewReader(rows))
	return b, err
}

const byField = "metaxy_provenance_by_field "

// put writes rows and returns the codes of the warnings.
func (b *bench) put(key string, columns []string, rows string) []string {
	b.Helper()
	r, err := b.store.Write(b.Context(), mustKey(b.T, key), frame(b.T, columns, rows), nil)
	if err != nil {
		b.Fatal(err)
	}
	return codes(r.Warnings)
}

// samples writes rows of ids with one version member x.
func (b *bench) samples(key string, ids ...int) {
	b.Helper()
	b.versions(key, "1", ids...)
}

func (b *bench) versions(key, version string, ids ...int) {
	b.Helper()
	var rows []string
	for _, id := range ids {
		rows = append(rows, fmt.Sprintf(`{"id": %d, "metaxy_provenance_by_field": {"x": "%s-%d"}}`, id, version, id))
	}
	b.put(key, []string{"id int", byField + "{x}"}, "["+strings.Join(rows, ",")+"]")
}

// update resolves a feature and gives the three counts as text, and the codes of the warnings.
func (b *bench) update(key string, o *metaxy.ResolveOptions) (string, []string) {
	b.Helper()
	inc, err := b.store.ResolveUpdate(b.Context(), mustKey(b.T, key), o)
	if err == nil {
		err = inc.Count(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	s := inc.Stats()
	return fmt.Sprintf("%d new, %d stale, %d orphaned", s.New, s.Stale, s.Orphaned), codes(inc.Warnings())
}

// advance writes what is new and stale.
func (b *bench) advance(key string) {
	b.Helper()
	for _, part := range []metaxy.Part{metaxy.New, metaxy.Stale} {
		inc, err := b.store.ResolveUpdate(b.Context(), mustKey(b.T, key), nil)
		if err != nil {
			b.Fatal(err)
		}
		rows := inc.New(b.Context())
		if part == metaxy.Stale {
			rows = inc.Stale(b.Context())
		}
		if _, err := b.store.Write(b.Context(), mustKey(b.T, key), rows, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) read(key string, o *metaxy.ReadOptions) (names, rows []string, warnings []string, err error) {
	r, err := b.store.Read(b.Context(), mustKey(b.T, key), o)
	if err != nil {
		return nil, nil, nil, err
	}
	names, rows, err = collectRows(r, nil)
	return names, rows, codes(r.Warnings), err
}

func (b *bench) count(key string, o *metaxy.ReadOptions) int {
	b.Helper()
	_, rows, _, err := b.read(key, o)
	if err != nil {
		b.Fatal(err)
	}
	return len(rows)
}

func codes(warnings []metaxy.Warning) []string {
	var out []string
	for _, w := range warnings {
		out = append(out, w.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func where(t *testing.T, text string) []filter.Expr {
	t.Helper()
	e, err := filter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return []filter.Expr{e}
}

// fails checks that an error is there and says each of the words.
func fails(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in the error: %v", w, err)
		}
	}
}

func want(t *testing.T, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

const (
	rootSpec = `{"key": "root", "id_columns": ["id"], "fields": [{"key": "x", "code_version": "1"}]}`
	leafSpec = `{"key": "leaf", "id_columns": ["id"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "root"}]}`
)

// openAuthored opens a store with definitions that somebody wrote.
func openAuthored(t *testing.T, specs ...string) error {
	t.Helper()
	s, err := metaxy.Open(t.Context(), t.TempDir(), &metaxy.Options{Graph: graphOf(t, false, specs...)})
	if err == nil {
		s.Close()
	}
	return err
}

func TestD1Cycles(t *testing.T) {
	a := `{"key": "a", "id_columns": ["id"], "fields": [{"key": "x", "code_version": "1"}], "deps": [{"feature": "b"}]}`
	b := `{"key": "b", "id_columns": ["id"], "fields": [{"key": "x", "code_version": "1"}], "deps": [{"feature": "a"}]}`
	fails(t, openAuthored(t, a, b), "a -> b -> a")
	fails(t, openAuthored(t, strings.ReplaceAll(a, `"b"`, `"a"`)), "depends on itself")
	loaded := newBench(t, metaxy.Options{}, a, b, rootSpec, leafSpec)
	loaded.samples("root", 1)
	got, _ := loaded.update("leaf", nil)
	want(t, got, "1 new, 0 stale, 0 orphaned")
	_, err := loaded.store.ResolveUpdate(t.Context(), mustKey(t, "a"), nil)
	fails(t, err, "a -> b -> a")
}

func TestD2Duplicates(t *testing.T) {
	deps := strings.Replace(leafSpec, `{"feature": "root"}`, `{"feature": "root"}, {"feature": "root"}`, 1)
	ids := strings.Replace(rootSpec, `["id"]`, `["id", "id"]`, 1)
	fails(t, openAuthored(t, rootSpec, deps), "depends on root twice")
	fails(t, openAuthored(t, ids), "id column id is named twice")
	loaded := newBench(t, metaxy.Options{}, rootSpec, deps)
	if _, err := loaded.graph.FeatureVersion(mustKey(t, "leaf")); err != nil {
		t.Error(err)
	}
	loaded.samples("root", 1)
	_, err := loaded.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	fails(t, err, "root")
}

func TestD3Collisions(t *testing.T) {
	members := strings.Replace(rootSpec, `[{"key": "x"`, `[{"key": "a/b", "code_version": "1"}, {"key": "a_b"`, 1)
	fails(t, openAuthored(t, members), "a/b", "a_b")
	flat := strings.Replace(rootSpec, `"root"`, `"ro-ot"`, 1)
	fails(t, openAuthored(t, flat, strings.Replace(rootSpec, `"root"`, `"ro_ot"`, 1)), "ro_ot")
	leaf := strings.Replace(leafSpec, `[{"feature": "root"}]`, `[{"feature": "a"}, {"feature": "a_b"}]`, 1)
	b := newBench(t, metaxy.Options{},
		`{"key": "a", "id_columns": ["id"], "fields": [{"key": "b_c", "code_version": "1"}]}`,
		`{"key": "a_b", "id_columns": ["id"], "fields": [{"key": "c", "code_version": "1"}]}`, leaf)
	b.put("a", []string{"id int", byField + "{b_c}"}, `[{"id": 1, "metaxy_provenance_by_field": {"b_c": "u"}}]`)
	b.put("a_b", []string{"id int", byField + "{c}"}, `[{"id": 1, "metaxy_provenance_by_field": {"c": "v"}}]`)
	_, warnings := b.update("leaf", nil)
	want(t, slices.Contains(warnings, "NAME_COLLISION"), true)
}

func TestD4TrailingNewline(t *testing.T) {
	spec := strings.Replace(rootSpec, `"root"`, `"root\n"`, 1)
	fails(t, openAuthored(t, spec), "newline")
	newBench(t, metaxy.Options{}, spec)
	_, err := feature.Load(feature.Stored{Project: "p", FeatureSpec: strings.Replace(rootSpec, `"root"`, `""`, 1), FeatureSchema: "{}"})
	fails(t, err, "key")
}

func TestD6BadFilterOfADep(t *testing.T) {
	spec := strings.Replace(leafSpec, `{"feature": "root"}`, `{"feature": "root", "sql_filters": ["id >"]}`, 1)
	fails(t, openAuthored(t, rootSpec, spec), "root", "id >")
	loaded := newBench(t, metaxy.Options{}, rootSpec, spec)
	loaded.samples("root", 1)
	_, err := loaded.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	fails(t, err, "id >")
}

func TestD7MissingDependencies(t *testing.T) {
	other := strings.ReplaceAll(strings.Replace(leafSpec, `"leaf"`, `"other"`, 1), `"root"`, `"gone"`)
	fails(t, openAuthored(t, strings.ReplaceAll(leafSpec, `"root"`, `"away"`), other), "away", "gone")
	loaded := newBench(t, metaxy.Options{}, leafSpec)
	_, err := loaded.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	fails(t, err, "root")
}

func TestD11HashRecord(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	b.samples("root", 1)
	b.advance("leaf")
	snap, err := b.store.Table(mustKey(t, "leaf")).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := snap.State().Metadata.Configuration
	want(t, c["metaxy.hash_algorithm"]+" "+c["metaxy.hash_truncation_length"], "xxhash32 8")
	b.opts.HashAlgorithm = "sha256"
	b.reopen()
	_, err = b.store.Write(t.Context(), mustKey(t, "root"), frame(t, []string{"id int", byField + "{x}"}, `[{"id": 2, "metaxy_provenance_by_field": {"x": "1"}}]`), nil)
	if !errors.Is(err, metaxy.ErrHashMismatch) {
		t.Errorf("a write with other settings: %v", err)
	}
	_, warnings := b.update("leaf", nil)
	want(t, slices.Contains(warnings, "HASH_MISMATCH"), true)
	b.opts.IgnoreHashRecord = true
	b.reopen()
	want(t, b.put("root", []string{"id int", byField + "{x}"}, `[{"id": 2, "metaxy_provenance_by_field": {"x": "1"}}]`), []string{"HASH_MISMATCH"})
}

func TestD13Farmhash(t *testing.T) {
	_, err := metaxy.Open(t.Context(), t.TempDir(), &metaxy.Options{HashAlgorithm: "farmhash"})
	fails(t, err, "farmhash")
}

func TestD14NullVersions(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, leafSpec)
	b.put("root", []string{"id int", byField + "{x}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a"}}, {"id": 2, "metaxy_provenance_by_field": {"x": null}}]`)
	got, warnings := b.update("leaf", nil)
	want(t, got, "2 new, 0 stale, 0 orphaned")
	want(t, warnings, []string{"NULL_VERSIONS"})
	b.advance("leaf")
	got, _ = b.update("leaf", nil)
	want(t, got, "0 new, 1 stale, 0 orphaned")
}

func TestD15NoFields(t *testing.T) {
	b := newBench(t, metaxy.Options{}, rootSpec, strings.Replace(leafSpec, `[{"key": "y", "code_version": "1"}]`, `[]`, 1))
	if _, err := b.graph.DefinitionVersion(mustKey(t, "leaf")); err != nil {
		t.Error(err)
	}
	b.samples("root", 1)
	_, err := b.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	fails(t, err, "without fields")
}

func TestD17UnescapedBars(t *testing.T) {
	spec := strings.Replace(rootSpec, `[{"key": "x", "code_version": "1"}]`, `[{"key": "x", "code_version": "1"}, {"key": "y", "code_version": "1"}]`, 1)
	b := newBench(t, metaxy.Options{}, spec)
	b.put("root", []string{"id int", byField + "{x y}"}, `[{"id": 1, "metaxy_provenance_by_field": {"x": "a|b", "y": "c"}}, {"id": 2, "metaxy_provenance_by_field": {"x": "a", "y": "b|c"}}]`)
	_, rows, _, err := b.read("root", &metaxy.ReadOptions{Columns: []string{"metaxy_provenance"}})
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	want(t, rows[0], rows[1])
}

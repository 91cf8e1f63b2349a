package metaxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/remember"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/scenariotest"
)

// toucher changes the tables of a store at random, as users, other programs and
// maintenance do.
type toucher struct {
	*bench
	r     *rand.Rand
	roots []rootTable
	leaf  string
	// leafIDs are the columns of the leaf's ids, with their types.
	leafIDs []string
	ids     func(i int) string // of the domain, as JSON members
	domain  int
}

// rootTable is an upstream feature: its key, columns, and rows from an id.
type rootTable struct {
	key     string
	columns []string
	row     func(i int, version string) string
}

// plans are the shapes that are remembered.
func plans() map[string]func(t *testing.T, o metaxy.Options) *toucher {
	root := func(key, field string, ids ...string) rootTable {
		return rootTable{key: key, columns: append(slices.Clone(ids), "n_"+field+" int", byField+"{"+field+"}"), row: func(i int, v string) string {
			return fmt.Sprintf(`{"id": %d, "n_%s": %d, "metaxy_provenance_by_field": {"%s": %q}}`, i, field, i%7, field, v)
		}}
	}
	text := func(key, field, id string) rootTable {
		return rootTable{key: key, columns: []string{id + " text", byField + "{" + field + "}"}, row: func(i int, v string) string {
			return fmt.Sprintf(`{"%s": "id %d", "metaxy_provenance_by_field": {"%s": %q}}`, id, i, field, v)
		}}
	}
	return map[string]func(t *testing.T, o metaxy.Options) *toucher{
		"identity": func(t *testing.T, o metaxy.Options) *toucher {
			b := newBench(t, o, `{"key": "a", "id_columns": ["id"], "fields": [{"key": "x", "code_version": "1"}]}`,
				`{"key": "leaf", "id_columns": ["id"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "a"}]}`)
			return &toucher{bench: b, roots: []rootTable{root("a", "x", "id int")}, leaf: "leaf", leafIDs: []string{"id int"}, ids: func(i int) string { return fmt.Sprintf(`"id": %d`, i) }}
		},
		"two renamed": func(t *testing.T, o metaxy.Options) *toucher {
			b := newBench(t, o, `{"key": "a", "id_columns": ["id"], "fields": [{"key": "x", "code_version": "1"}]}`,
				`{"key": "b", "id_columns": ["own"], "fields": [{"key": "z", "code_version": "1"}]}`,
				`{"key": "leaf", "id_columns": ["id"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "a", "select": []}, {"feature": "b", "rename": {"own": "id"}, "optional": true}]}`)
			return &toucher{bench: b, roots: []rootTable{text("a", "x", "id"), text("b", "z", "own")}, leaf: "leaf", leafIDs: []string{"id text"}, ids: func(i int) string { return fmt.Sprintf(`"id": "id %d"`, i) }}
		},
		"expansion": func(t *testing.T, o metaxy.Options) *toucher {
			b := newBench(t, o, `{"key": "a", "id_columns": ["id"], "fields": [{"key": "x", "code_version": "1"}]}`,
				`{"key": "leaf", "id_columns": ["id", "sub"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "a", "lineage": {"relationship": {"type": "1:N", "on": ["id"]}}}]}`)
			return &toucher{bench: b, roots: []rootTable{root("a", "x", "id int")}, leaf: "leaf", leafIDs: []string{"id int", "sub int"}, ids: func(i int) string { return fmt.Sprintf(`"id": %d, "sub": %d`, i, i%2) }}
		},
		"aggregation": func(t *testing.T, o metaxy.Options) *toucher {
			b := newBench(t, o, `{"key": "a", "id_columns": ["id", "chunk"], "fields": [{"key": "x", "code_version": "1"}]}`,
				`{"key": "leaf", "id_columns": ["id"], "fields": [{"key": "y", "code_version": "1"}], "deps": [{"feature": "a", "lineage": {"relationship": {"type": "N:1", "on": ["id"]}}}]}`)
			chunks := rootTable{key: "a", columns: []string{"id int", "chunk int", byField + "{x}"}, row: func(i int, v string) string {
				return fmt.Sprintf(`{"id": %d, "chunk": %d, "metaxy_provenance_by_field": {"x": %q}}`, i/3, i%3, v)
			}}
			return &toucher{bench: b, roots: []rootTable{chunks}, leaf: "leaf", leafIDs: []string{"id int"}, ids: func(i int) string { return fmt.Sprintf(`"id": %d`, i/3) }}
		},
	}
}

// some is up to n numbers of the domain, and of what lies beyond.
func (c *toucher) some(n int) []int {
	var out []int
	for range 1 + c.r.IntN(n) {
		out = append(out, c.r.IntN(c.domain+3))
	}
	c.domain += c.r.IntN(2)
	return out
}

// touch does one thing and says what.
func (c *toucher) touch() string {
	root := c.roots[c.r.IntN(len(c.roots))]
	switch n := c.r.IntN(20); {
	case n < 6:
		var rows []string
		for _, i := range c.some(4) {
			rows = append(rows, root.row(i, fmt.Sprint("v", c.r.IntN(3))))
		}
		c.put(root.key, root.columns, "["+strings.Join(rows, ",")+"]")
		return "write " + root.key
	case n < 12:
		c.writeBack()
		return "write back"
	case n < 13:
		i := c.r.IntN(c.domain)
		c.put(c.leaf, append(slices.Clone(c.leafIDs), "metaxy_provenance text", byField+"{y}"), fmt.Sprintf(`[{%s, "metaxy_provenance": "12345678", "metaxy_provenance_by_field": {"y": "1"}}]`, c.ids(i)))
		return "write a foreign row"
	case n < 15:
		key := []string{root.key, c.leaf}[c.r.IntN(2)]
		c.remove(key, c.r.IntN(3) == 0)
		return "delete from " + key
	case n < 17:
		key := []string{root.key, c.leaf}[c.r.IntN(2)]
		o := &rewrite.OptimizeOptions{Now: c.clock.UnixMilli()}
		if _, err := rewrite.Optimize(c.Context(), c.store.Table(mustKey(c.T, key)), o); err != nil {
			c.Fatal(err)
		}
		return "optimize " + key
	}
	return "nothing"
}

func (c *toucher) remove(key string, hard bool) {
	id := strings.Fields(c.leafIDs[0])[0]
	if key != c.leaf {
		for _, r := range c.roots {
			if r.key == key {
				id = strings.Fields(r.columns[0])[0]
			}
		}
	}
	value := fmt.Sprint(c.r.IntN(c.domain))
	if strings.HasSuffix(c.leafIDs[0], "text") {
		value = "'id " + value + "'"
	}
	if _, err := c.store.Delete(c.Context(), mustKey(c.T, key), &metaxy.DeleteOptions{Filters: where(c.T, id+" = "+value), Hard: hard}); err != nil {
		c.Fatal(err)
	}
}

// writeBack writes the increment, as it is or in part.
func (c *toucher) writeBack() {
	inc, err := c.store.ResolveUpdate(c.Context(), mustKey(c.T, c.leaf), nil)
	if err != nil {
		c.Fatal(err)
	}
	for _, rows := range []*metaxy.Rows{inc.New(c.Context()), inc.Stale(c.Context())} {
		if slices.ContainsFunc(c.leafIDs, func(id string) bool { return id == "sub int" }) {
			rows = c.withSub(rows)
		}
		if _, err := c.store.Write(c.Context(), mustKey(c.T, c.leaf), rows, nil); err != nil {
			c.Fatal(err)
		}
		if c.r.IntN(4) == 0 {
			return
		}
	}
}

// withSub gives parents a child each.
func (c *toucher) withSub(rows *metaxy.Rows) *metaxy.Rows {
	var list []string
	for b, err := range rows.Batches {
		if err != nil {
			c.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			cell := func(name string) string { return b.Column(b.Schema().FieldIndices(name)[0]).ValueStr(i) }
			for sub := range 2 {
				list = append(list, fmt.Sprintf(`{"id": %s, "sub": %d, "metaxy_provenance": %q, "metaxy_provenance_by_field": {"y": "1"}}`, cell("id"), sub, cell("metaxy_provenance")))
			}
		}
	}
	return frame(c.T, append(slices.Clone(c.leafIDs), "metaxy_provenance text", byField+"{y}"), "["+strings.Join(list, ",")+"]")
}

// seen is all that an increment tells.
type seen struct {
	Parts    [3][]string
	Stats    metaxy.Stats
	Warnings []metaxy.Warning
}

// look consumes an increment in one of the ways there are.
func (c *toucher) look(o *metaxy.ResolveOptions, way int) (seen, bool) {
	inc, err := c.store.ResolveUpdate(c.Context(), mustKey(c.T, c.leaf), o)
	if err != nil {
		c.Fatal(err)
	}
	var out seen
	if way == 0 {
		if err := inc.Count(c.Context()); err != nil {
			c.Fatal(err)
		}
	}
	for i, rows := range []*metaxy.Rows{inc.Orphaned(c.Context()), inc.New(c.Context()), inc.Stale(c.Context())} {
		_, texts, err := scenariotest.CollectRows(rows, nil)
		if err != nil {
			c.Fatal(err)
		}
		slices.Sort(texts)
		out.Parts[i] = texts
	}
	out.Stats, out.Warnings = inc.Stats(), inc.Warnings()
	out.Stats.RowsRead = 0
	return out, inc.Remembered()
}

// TestRemembered touches stores at random and compares what stands on memory
// with what is resolved from all rows, 50 times.
func TestRemembered(t *testing.T) {
	for name, plan := range plans() {
		t.Run(name, func(t *testing.T) { rememberRounds(t, plan, 12) })
	}
}

// TestRememberedPages is TestRemembered of tables whose keys lie in several
// pages of a file, most of which are not read.
func TestRememberedPages(t *testing.T) {
	for _, name := range []string{"identity", "two renamed"} {
		t.Run(name, func(t *testing.T) { rememberRounds(t, plans()[name], 100_000) })
	}
}

// rememberRounds begins with so many samples.
func rememberRounds(t *testing.T, plan func(t *testing.T, o metaxy.Options) *toucher, domain int) {
	c := plan(t, metaxy.Options{})
	c.r, c.domain = rand.New(rand.NewPCG(20, 26)), domain
	for _, root := range c.roots {
		var rows []string
		for i := range c.domain {
			rows = append(rows, root.row(i, "v0"))
		}
		c.put(root.key, root.columns, "["+strings.Join(rows, ",")+"]")
	}
	c.writeBack()
	remembered, counted := 0, 0
	for round := range 50 {
		did := c.touch()
		full, stood := c.look(&metaxy.ResolveOptions{NoRemember: true}, 1)
		if stood {
			t.Fatal("NoRemember stood on memory")
		}
		for way := range 2 {
			got, stood := c.look(nil, way)
			if !reflect.DeepEqual(got, full) {
				t.Fatalf("round %d, after %s (remembered %v, way %d):\n%+v\nwant\n%+v", round, did, stood, way, got, full)
			}
			if stood {
				remembered++
			}
		}
		c.checkStatus(full)
		if full.Stats.New+full.Stats.Stale+full.Stats.Orphaned == 0 {
			counted++
		}
	}
	t.Logf("%d of 100 resolves stood on memory, %d rounds were in sync", remembered, counted)
	if remembered < 50 {
		t.Errorf("only %d of 100 resolves stood on memory", remembered)
	}
}

func (c *toucher) checkStatus(want seen) {
	s, err := c.store.Status(c.Context(), mustKey(c.T, c.leaf), nil)
	if err != nil {
		c.Fatal(err)
	}
	if s.New != want.Stats.New || s.Stale != want.Stats.Stale || s.Orphaned != want.Stats.Orphaned || s.Rows != want.Stats.Current {
		c.Fatalf("status %+v, want %+v", s, want.Stats)
	}
}

// memoryFile is where the memory of the leaf lies.
func (c *toucher) memoryFile() string {
	return filepath.Join(c.dir, "leaf.delta", "_metaxy_delta", "resolve")
}

// touched is a store whose memory is of some use: one sample is outstanding and
// one was written again since.
func touched(t *testing.T, o metaxy.Options) *toucher {
	c := plans()["identity"](t, o)
	c.r, c.domain = rand.New(rand.NewPCG(1, 1)), 5
	write := func(version string, ids ...int) {
		var rows []string
		for _, i := range ids {
			rows = append(rows, c.roots[0].row(i, version))
		}
		c.put("a", c.roots[0].columns, "["+strings.Join(rows, ",")+"]")
	}
	write("v0", 0, 1, 2, 3)
	c.writeBack()
	write("v1", 1)
	c.look(nil, 1)
	write("v2", 2)
	return c
}

// TestMemoryDamaged cuts and changes the memory everywhere: the answer is that
// of all rows each time.
func TestMemoryDamaged(t *testing.T) {
	c := touched(t, metaxy.Options{})
	whole, err := os.ReadFile(c.memoryFile())
	if err != nil {
		t.Fatal(err)
	}
	want, _ := c.look(&metaxy.ResolveOptions{NoRemember: true}, 1)
	if want.Stats.Stale != 2 {
		t.Fatalf("%+v", want.Stats)
	}
	got, stood := c.look(nil, 1)
	if !stood || !reflect.DeepEqual(got, want) {
		t.Fatalf("the memory is of no use: %+v", got)
	}
	variants := map[string][]byte{
		"empty":          {},
		"zeros":          make([]byte, len(whole)),
		"another format": bytes.Replace(whole, []byte("memory 1 "), []byte("memory 2 "), 1),
		"twice":          append(slices.Clone(whole), whole...),
		"other keys":     bytes.Replace(whole, []byte(`"Ints":[1]`), []byte(`"Ints":[0]`), 1),
	}
	for i := 0; i < len(whole); i += 1 + len(whole)/40 {
		variants[fmt.Sprint("cut at ", i)] = whole[:i]
		changed := slices.Clone(whole)
		changed[i] ^= 1
		variants[fmt.Sprint("changed at ", i)] = changed
	}
	for name, data := range variants {
		if err := os.WriteFile(c.memoryFile(), data, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, stood := c.look(nil, 1); stood || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: stood on it: %v\n%+v\nwant\n%+v", name, stood, got, want)
		}
	}
	if err := os.WriteFile(c.memoryFile(), whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, stood := c.look(nil, 1); !stood || !reflect.DeepEqual(got, want) {
		t.Fatal("the whole memory is of no use any more")
	}
}

// TestMemoryLies gives sound memories that are not true: one of another plan,
// of other tables, of the future.
func TestMemoryLies(t *testing.T) {
	c := touched(t, metaxy.Options{})
	whole, err := os.ReadFile(c.memoryFile())
	if err != nil {
		t.Fatal(err)
	}
	want, _ := c.look(&metaxy.ResolveOptions{NoRemember: true}, 1)
	for name, change := range map[string]func(m *remember.Memory){
		"another plan":        func(m *remember.Memory) { m.Plan = "x" },
		"another table":       func(m *remember.Memory) { m.Tables[0].ID = "x" },
		"the future":          func(m *remember.Memory) { m.Tables[1].Version = 1000 },
		"a file that is none": func(m *remember.Memory) { m.Tables[0].Files[0][0] ^= 1; m.Tables[0].Files.Sort() },
		"one table":           func(m *remember.Memory) { m.Tables = m.Tables[:1] },
		"other columns":       func(m *remember.Memory) { m.Tables[0].Schema = "x" },
		"keys of another kind": func(m *remember.Memory) {
			m.Keys = remember.NewKeys([]remember.Kind{remember.Text})
			m.Counts.Stale = 0
		},
	} {
		m, err := remember.Decode(whole)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.memoryFile(), data, 0o644); err != nil {
			t.Fatal(err)
		}
		got, stood := c.look(nil, 1)
		if stood || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: stood on it: %v\n%+v\nwant\n%+v", name, stood, got.Stats, want.Stats)
		}
	}
}

// TestMemoryAway resolves where nothing can be kept, and where nothing is to be.
func TestMemoryAway(t *testing.T) {
	for name, o := range map[string]metaxy.Options{"read only": {ReadOnly: true}, "not wanted": {NoRemember: true}} {
		c := touched(t, metaxy.Options{})
		if err := os.Remove(c.memoryFile()); err != nil {
			t.Fatal(err)
		}
		c.opts = o
		c.reopen()
		for range 2 {
			if got, stood := c.look(nil, 1); stood || got.Stats.Stale != 2 {
				t.Errorf("%s: %+v, stood on memory: %v", name, got.Stats, stood)
			}
		}
		if _, err := os.Stat(c.memoryFile()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a memory is kept (%v)", name, err)
		}
	}
	c := touched(t, metaxy.Options{})
	c.opts = metaxy.Options{ReadOnly: true}
	c.reopen()
	before, err := os.ReadFile(c.memoryFile())
	if err != nil {
		t.Fatal(err)
	}
	if got, stood := c.look(nil, 1); !stood || got.Stats.Stale != 2 {
		t.Errorf("a store for reading does not use the memory: %+v", got.Stats)
	}
	if after, err := os.ReadFile(c.memoryFile()); err != nil || !bytes.Equal(after, before) {
		t.Errorf("a store for reading changed the memory (%v)", err)
	}
}

// TestMemoryKeptOnlyWhole breaks off the consumption: nothing is proved then.
func TestMemoryKeptOnlyWhole(t *testing.T) {
	c := touched(t, metaxy.Options{})
	if err := os.Remove(c.memoryFile()); err != nil {
		t.Fatal(err)
	}
	inc, err := c.store.ResolveUpdate(t.Context(), mustKey(t, "leaf"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range inc.All(t.Context()) {
		break
	}
	for _, rows := range []*metaxy.Rows{inc.New(t.Context()), inc.Orphaned(t.Context())} {
		if _, _, err := scenariotest.CollectRows(rows, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(c.memoryFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a memory of part of a resolve (%v)", err)
	}
	if _, _, err := scenariotest.CollectRows(inc.Stale(t.Context()), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.memoryFile()); err != nil {
		t.Error(err)
	}
}

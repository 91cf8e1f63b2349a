package resolve_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// TestResolveIsTheModel compares resolves of every shape with the plain one:
// rows of every part, columns, counts and warnings, in every order in which
// parts can be consumed.
func TestResolveIsTheModel(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		m := newMaker(t).request()
		want := m.answer()
		req := m.build(t, drawTables(t))
		req.Options = drawOptions(t, dir)
		req.Options.WithInput = m.progress
		all := int64(0)
		req.Options.Joined = func(done, total int64) {
			if done < 0 || done > total || all > 0 && total != all {
				t.Errorf("%d of %d rows are joined, before of %d", done, total, all)
			}
			all = total
		}
		inc, err := resolve.Update(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		checkSchemas(t, inc, want)
		for range rapid.IntRange(1, 3).Draw(t, "times consumed") {
			consume(t, inc, want)
		}
		checkEnd(t, inc, want)
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v left in the spill directory (%v)", left, err)
	}
}

func drawOptions(t *rapid.T, dir string) resolve.Options {
	o := resolve.Options{SpillDir: dir, Parallel: pickOf(t, "parallel", 1, 4)}
	o.Force = pickOf(t, "force", hashjoin.Auto, hashjoin.Dense, hashjoin.Hash)
	o.Doubt = rapid.Bool().Draw(t, "doubt")
	o.MemoryLimit = pickOf[int64](t, "memory", 0, 0, 1<<20, 1000)
	return o
}

// drawTables draws what the tables are: batches in memory with or without
// statistics, or what a scan of files gives.
func drawTables(t *rapid.T) func(*stored) frame.Table {
	switch pickOf(t, "tables", "memory", "footed", "files", "files", "files without statistics") {
	case "memory":
		return func(s *stored) frame.Table { return s.table(false) }
	case "footed":
		return func(s *stored) frame.Table { return s.table(true) }
	case "files":
		return drawFiles(t, true)
	}
	return drawFiles(t, false)
}

func drawFiles(t *rapid.T, statistics bool) func(*stored) frame.Table {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "files"), 1))
	deletes, views := pickOf(t, "deleted rows", false, false, true), rapid.Bool().Draw(t, "views")
	block := pickOf(t, "block", 1000, 64, 7, 1)
	return func(s *stored) frame.Table {
		f := s.files(r, deletes, block)
		f.views, f.stats = views, statistics
		return f
	}
}

// build makes the request of a model over tables of a kind.
func (m *model) build(t *rapid.T, table func(*stored) frame.Table) *resolve.Request {
	req := &resolve.Request{Plan: m.plan, Algorithm: m.algorithm, MapMode: m.mapMode, SkipComparison: m.skip}
	source := func(in *input) resolve.Source {
		s := resolve.Source{IDs: in.ids, Filters: parsed(t, in.filters)}
		if in.table != nil {
			s.Table = table(in.table)
		}
		return s
	}
	for i := range m.deps {
		req.Deps = append(req.Deps, source(&m.deps[i]))
	}
	req.Current = source(&m.current)
	req.StaleIf = parsed(t, m.staleIf)
	if m.samples != nil {
		req.Samples = &resolve.Rows{Schema: m.samples.schema, Batches: once(m.samples.batches(memory.DefaultAllocator))}
	}
	return req
}

// once yields batches and releases each after the step.
func once(batches []arrow.RecordBatch) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range batches {
			ok := yield(b, nil)
			b.Release()
			if !ok {
				return
			}
		}
	}
}

func parsed(t *rapid.T, list []predicate) []filter.Expr {
	var out []filter.Expr
	for _, p := range list {
		e, err := filter.Parse(p.text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

var partNames = []string{"new", "stale", "orphaned"}

func checkSchemas(t *rapid.T, inc *resolve.Increment, want *answer) {
	for p := range want.columns {
		s := arrow.NewSchema(want.columns[p], nil)
		if got := inc.Schema(resolve.Part(p)); !got.Equal(s) {
			t.Fatalf("%s has the columns\n%v\nwant\n%v", partNames[p], got, s)
		}
	}
}

// consume takes parts in one of the ways there are.
func consume(t *rapid.T, inc *resolve.Increment, want *answer) {
	ctx := t.Context()
	switch way := pickOf(t, "consume", "all", "new", "stale", "orphaned", "count", "break", "break all"); way {
	case "count":
		if err := inc.Count(ctx); err != nil {
			t.Fatal(err)
		}
		checkEnd(t, inc, want)
	case "all":
		var got [3][]string
		for b, err := range inc.All(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			got[b.Part] = append(got[b.Part], texts(t, inc, b.Part, b.Batch)...)
		}
		for p := range got {
			checkRows(t, resolve.Part(p), want, got[p])
		}
		checkEnd(t, inc, want)
	case "break":
		for _, err := range inc.Part(ctx, resolve.Part(rapid.IntRange(0, 2).Draw(t, "part"))) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	case "break all":
		for _, err := range inc.All(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	default:
		p := resolve.Part(slices.Index(partNames, way))
		checkRows(t, p, want, partTexts(ctx, t, inc, p))
		checkEnd(t, inc, want)
	}
}

func partTexts(ctx context.Context, t *rapid.T, inc *resolve.Increment, p resolve.Part) []string {
	var got []string
	for b, err := range inc.Part(ctx, p) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, texts(t, inc, p, b)...)
	}
	return got
}

func texts(t *rapid.T, inc *resolve.Increment, p resolve.Part, b arrow.RecordBatch) []string {
	if !b.Schema().Equal(inc.Schema(p)) {
		t.Fatalf("a batch of %s has the columns\n%v\nwant\n%v", partNames[p], b.Schema(), inc.Schema(p))
	}
	return batchTexts(b)
}

func checkRows(t *rapid.T, p resolve.Part, want *answer, got []string) {
	var names []string
	for _, f := range want.columns[p] {
		names = append(names, f.Name)
	}
	var rows []string
	for _, r := range want.parts[p] {
		rows = append(rows, rowText(names, r))
	}
	slices.Sort(rows)
	slices.Sort(got)
	if !slices.Equal(rows, got) {
		t.Fatalf("%s: %s", partNames[p], difference(rows, got))
	}
}

// difference shows what one sorted list has beyond the other.
func difference(want, got []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d rows, want %d", len(got), len(want))
	left := slices.Clone(got)
	shown := 0
	for _, w := range want {
		if i, ok := slices.BinarySearch(left, w); ok {
			left = slices.Delete(left, i, i+1)
		} else if shown++; shown < 4 {
			out.WriteString("\n  missing " + w)
		}
	}
	for _, g := range left[:min(3, len(left))] {
		out.WriteString("\n  extra   " + g)
	}
	return out.String()
}

// checkEnd compares counts and warnings, which are complete after a part ended.
func checkEnd(t *rapid.T, inc *resolve.Increment, want *answer) {
	if err := inc.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := inc.Stats()
	got.RowsRead = 0
	if got.Progress != nil && want.stats.Progress != nil && *got.Progress == *want.stats.Progress {
		got.Progress = want.stats.Progress
	}
	if got != want.stats {
		t.Fatalf("stats %+v (progress %v), want %+v (progress %v)", got, deref(got.Progress), want.stats, deref(want.stats.Progress))
	}
	found := warningCounts(inc)
	if _, ok := found["HASH_MISMATCH"]; ok && want.native || !ok && want.foreign {
		t.Fatalf("HASH_MISMATCH: %v, foreign rows: %v, none: %v", ok, want.foreign, want.native)
	}
	delete(found, "HASH_MISMATCH")
	if fmt.Sprint(found) != fmt.Sprint(want.warnings) {
		t.Fatalf("warnings %v, want %v", found, want.warnings)
	}
}

func deref(p *float64) any {
	if p == nil {
		return nil
	}
	return *p
}

var firstNumber = regexp.MustCompile(`\b(\d+) `)

// warningCounts are the warnings by code with the number in them; a
// warning without a number counts itself.
func warningCounts(inc *resolve.Increment) map[string]int {
	out := map[string]int{}
	for _, w := range inc.Warnings() {
		n := 1
		if m := firstNumber.FindStringSubmatch(w.Message); m != nil {
			n, _ = strconv.Atoi(m[1])
		}
		out[w.Code] += n
	}
	return out
}

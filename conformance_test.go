package metaxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// scenario is a recorded store with operations and their results.
type scenario struct {
	Config scenarioConfig
	Stores map[string]struct {
		HashAlgorithm string   `json:"hash_algorithm"`
		Layout        string   `json:"layout"`
		Fallbacks     []string `json:"fallback_stores"`
	}
	Steps []scenarioStep
}

type scenarioConfig struct {
	Project    string
	Truncation int  `json:"hash_truncation_length"`
	Map        bool `json:"enable_map_datatype"`
}

type frameFile struct {
	File    string
	Rows    int
	Columns [][2]string
}

type scenarioStep struct {
	Step     int
	Op       string
	Target   string
	Feature  string
	Args     scenarioArgs
	Config   json.RawMessage
	Inputs   map[string]frameFile
	Unstable json.RawMessage
	Before   struct {
		Snapshot *string
		Replay   []int `json:"then_replay"`
	} `json:"state_before"`
	Expect struct {
		Rows, New, Stale, Orphaned *frameFile
		Candidates                 *frameFile
		Error                      *struct{ Class, Message string }
		Rebased                    *frameFile
		ProjectVersion             string   `json:"project_version"`
		AlreadyPushed              *bool    `json:"already_pushed"`
		Updated                    []string `json:"updated_features"`
		HasFeature                 *bool    `json:"has_feature"`
		HasAfter                   *bool    `json:"has_feature_after"`
		Progress                   *float64 `json:"input_progress"`
		Counts                     struct {
			Snapshots, Rebased   *int
			New, Stale, Orphaned *int64
		}
		Stats *struct {
			Features int   `json:"features_copied"`
			Rows     int64 `json:"rows_copied"`
		}
		Tables map[string]*frameFile `json:"tables_after"`
	}
}

type scenarioArgs struct {
	Project         string
	Tags            map[string]string
	Definitions     string     `json:"definitions_file"`
	Filters         stringList `json:"filters"`
	Global          stringList `json:"global_filters"`
	Target          stringList `json:"target_filters"`
	StaleIf         stringList `json:"staleness_predicates"`
	Skip            bool       `json:"skip_comparison"`
	Columns         []string
	FeatureHistory  *bool  `json:"with_feature_history"`
	SampleHistory   bool   `json:"with_sample_history"`
	SoftDeleted     bool   `json:"include_soft_deleted"`
	AllowFallback   *bool  `json:"allow_fallback"`
	FeatureVersion  string `json:"feature_version"`
	Materialization string `json:"materialization_id"`
	Preserve        bool   `json:"preserve_feature_version"`
	Soft            *bool
	From, Action    string
	Argv            []string
	Features        []string
	Frames          map[string]string `json:"frames_by_feature"`
	CheckFallback   bool              `json:"check_fallback"`
	ToVersion       string            `json:"to_feature_version"`
}

// history tells whether rows of all feature versions are meant, where that is not the default.
func (a *scenarioArgs) history() bool { return a.FeatureHistory != nil && *a.FeatureHistory }

// stringList is a text, a list of texts, or lists by feature.
type stringList struct {
	list  []string
	byKey map[string][]string
}

func (s *stringList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		s.list = []string{one}
		return nil
	}
	if json.Unmarshal(data, &s.list) == nil {
		return nil
	}
	var m map[string]stringList
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	s.byKey = map[string][]string{}
	for k, v := range m {
		s.byKey[k] = v.list
	}
	return nil
}

// TestScenarios runs every operation of every recorded store on the store as it was before.
// Steps that cannot pass yet stand in testdata/gaps.txt, those that a decision answers better in testdata/decisions.txt: a listed step that passes fails the test too.
func TestScenarios(t *testing.T) { runScenarios(t, metaxy.Options{}) }

// TestScenariosSpilled runs them with so little memory that all but the smallest work is cut into partitions on disk.
func TestScenariosSpilled(t *testing.T) {
	dir := t.TempDir()
	runScenarios(t, metaxy.Options{MemoryLimit: littleMemory, SpillDir: dir})
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v left in the spill directory (%v)", left, err)
		}
	})
}

// littleMemory holds about five rows.
const littleMemory = 1000

func runScenarios(t *testing.T, options metaxy.Options) {
	root := deltatest.Data(t, "scenarios")
	files, err := filepath.Glob(filepath.Join(root, "*", "scenario.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s (%v)", root, err)
	}
	listed := readListed(t, "testdata/gaps.txt", "testdata/decisions.txt")
	for _, f := range files {
		name := filepath.Base(filepath.Dir(f))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newScenario(t, filepath.Dir(f))
			c.options = options
			for i := range c.s.Steps {
				st := &c.s.Steps[i]
				fault := c.check(st)
				why, known := listed[fmt.Sprintf("%s/%d", name, st.Step)]
				switch {
				case fault != "" && !known:
					t.Errorf("step %d %s %s: %s", st.Step, st.Op, st.Feature, fault)
				case fault == "" && known:
					t.Errorf("step %d is listed (%s), but passes", st.Step, why)
				}
			}
		})
	}
}

func readListed(t *testing.T, files ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if key, why, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && !strings.HasPrefix(key, "#") {
				out[key] = why
			}
		}
	}
	return out
}

type scenarioRun struct {
	t     *testing.T
	dir   string
	s     scenario
	snaps map[string]map[string]string
	// options hold the limits to work within.
	options metaxy.Options
}

func newScenario(t *testing.T, dir string) *scenarioRun {
	t.Helper()
	c := &scenarioRun{t: t, dir: dir}
	for name, v := range map[string]any{"scenario.json": &c.s, "snapshots.json": &c.snaps} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return c
}

// build lays out a snapshot in an empty directory.
func (c *scenarioRun) build(snapshot *string) string {
	c.t.Helper()
	root := c.t.TempDir()
	if snapshot == nil {
		return root
	}
	for dest, src := range c.snaps[*snapshot] {
		data, err := os.ReadFile(filepath.Join(c.dir, src))
		if err != nil {
			c.t.Fatal(err)
		}
		path := filepath.Join(root, dest)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
	return root
}

func (c *scenarioRun) open(st *scenarioStep, root, name string) *metaxy.DeltaStore {
	c.t.Helper()
	cfg := c.s.Config
	if len(st.Config) > 0 {
		if err := json.Unmarshal(st.Config, &cfg); err != nil {
			c.t.Fatal(err)
		}
	}
	def := c.s.Stores[name]
	o := &metaxy.Options{MemoryLimit: c.options.MemoryLimit, SpillDir: c.options.SpillDir, Name: name, Project: cfg.Project, HashTruncation: cfg.Truncation, MapDatatype: cfg.Map, Layout: metaxy.Layout(def.Layout), HashAlgorithm: def.HashAlgorithm, Now: func() time.Time { return time.Now().UTC() }}
	for _, f := range def.Fallbacks {
		o.Fallbacks = append(o.Fallbacks, metaxy.Fallback{Name: f, Store: c.open(st, root, f)})
	}
	s, err := metaxy.Open(context.Background(), filepath.Join(root, name), o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { s.Close() })
	return s
}

// check runs a step; "" is a pass. Command lines are run by the tests of the command; what the Delta library or a program did to a store is
// only looked at by the steps after it.
func (c *scenarioRun) check(st *scenarioStep) string {
	switch st.Op {
	case "cli", "status", "command", "external":
		return ""
	}
	root := c.build(st.Before.Snapshot)
	for _, n := range st.Before.Replay {
		i := slices.IndexFunc(c.s.Steps, func(s scenarioStep) bool { return s.Step == n })
		before := &c.s.Steps[i]
		if err := c.act(before, root); err != nil && before.Expect.Error == nil {
			return fmt.Sprintf("replayed step %d (%s) failed: %v", n, before.Op, err)
		}
	}
	switch st.Op {
	case "read":
		return c.checkRead(st, root)
	case "resolve_update":
		return c.checkResolve(st, root)
	case "history":
		list, err := c.open(st, root, st.Target).History(context.Background(), st.Args.Project)
		if err == nil && st.Expect.Counts.Snapshots != nil && len(list) != *st.Expect.Counts.Snapshots {
			return fmt.Sprintf("%d snapshots, want %d", len(list), *st.Expect.Counts.Snapshots)
		}
		return faultOf(st, err)
	case "rebase":
		return c.checkRebase(st, root)
	case "has_feature":
		has, err := c.open(st, root, st.Target).HasFeature(context.Background(), mustKey(c.t, st.Feature), &metaxy.HasOptions{CheckFallback: st.Args.CheckFallback})
		if err == nil && has != *st.Expect.HasFeature {
			return fmt.Sprintf("has feature: %v", has)
		}
		return faultOf(st, err)
	}
	err := c.act(st, root)
	if fault := faultOf(st, err); fault != "" || err != nil || st.Unstable != nil {
		return fault
	}
	for key, want := range st.Expect.Tables {
		if fault := c.compareTable(st, root, key, want); fault != "" {
			return fault
		}
	}
	return ""
}

// faultOf compares failing with failing.
func faultOf(st *scenarioStep, err error) string {
	switch {
	case st.Expect.Error != nil && err == nil:
		return fmt.Sprintf("must fail (%s: %s)", st.Expect.Error.Class, st.Expect.Error.Message)
	case st.Expect.Error == nil && err != nil:
		return err.Error()
	}
	return ""
}

func mustKey(t *testing.T, s string) feature.Key {
	t.Helper()
	k, err := feature.DecodeKey(feature.StringValue(s))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func parseAll(texts []string) ([]filter.Expr, error) {
	var out []filter.Expr
	for _, s := range texts {
		e, err := filter.Parse(s)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// act runs a changing step.
func (c *scenarioRun) act(st *scenarioStep, root string) error {
	ctx := context.Background()
	store := c.open(st, root, st.Target)
	switch st.Op {
	case "external", "cli": // as part of the way to another step
		switch {
		case st.Args.Action == "create_checkpoint":
			t := store.Table(mustKey(c.t, st.Feature))
			snap, err := t.Snapshot(ctx)
			if err != nil {
				return err
			}
			return t.Checkpoint(ctx, snap.Version())
		case !slices.Equal(st.Args.Argv, []string{"push"}):
			return fmt.Errorf("this test does not know %s %q %q", st.Op, st.Args.Action, st.Args.Argv)
		}
		fallthrough
	case "push":
		g, err := c.definitions(st)
		if err != nil {
			return err
		}
		r, err := store.Push(ctx, &metaxy.PushOptions{Graph: g, Project: st.Args.Project, Tags: st.Args.Tags})
		if err != nil || st.Expect.ProjectVersion == "" {
			return err
		}
		if r.ProjectVersion != st.Expect.ProjectVersion || r.Recorded == *st.Expect.AlreadyPushed {
			return fmt.Errorf("project version %s (recorded %v), want %s (already there: %v)", r.ProjectVersion, r.Recorded, st.Expect.ProjectVersion, *st.Expect.AlreadyPushed)
		}
		if want := slices.Sorted(slices.Values(st.Expect.Updated)); !slices.Equal(slices.Sorted(slices.Values(r.Updated)), want) {
			return fmt.Errorf("updated %q, want %q", r.Updated, want)
		}
		return nil
	case "write":
		schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs["frame"].File))
		_, err := store.AllowCrossProjectWrites().Write(ctx, mustKey(c.t, st.Feature), &metaxy.Rows{Schema: schema, Batches: each(batches)},
			&metaxy.WriteOptions{PreserveVersions: st.Args.Preserve, MaterializationID: st.Args.Materialization, AllowNullIDs: true})
		return err
	case "delete":
		filters, err := parseAll(st.Args.Filters.list)
		if err != nil {
			return err
		}
		_, err = store.AllowCrossProjectWrites().Delete(ctx, mustKey(c.t, st.Feature), &metaxy.DeleteOptions{Filters: filters, Hard: st.Args.Soft != nil && !*st.Args.Soft,
			FeatureHistory: st.Args.history(), SampleHistory: st.Args.SampleHistory})
		return err
	case "write_multi":
		frames := map[feature.Key]*metaxy.Rows{}
		for key, name := range st.Args.Frames {
			schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs[name].File))
			frames[mustKey(c.t, key)] = &metaxy.Rows{Schema: schema, Batches: each(batches)}
		}
		_, err := store.AllowCrossProjectWrites().WriteMulti(ctx, frames, nil)
		return err
	case "drop":
		key := mustKey(c.t, st.Feature)
		_, err := store.AllowCrossProjectWrites().Drop(ctx, key, nil)
		if err != nil || st.Expect.HasAfter == nil {
			return err
		}
		if has, err := store.HasFeature(ctx, key, nil); err != nil || has != *st.Expect.HasAfter {
			return fmt.Errorf("after the drop the store has the feature: %v (%v)", has, err)
		}
		return nil
	case "copy":
		return c.copy(st, root, store)
	}
	return fmt.Errorf("this test knows no step %q", st.Op)
}

func (c *scenarioRun) copy(st *scenarioStep, root string, store *metaxy.DeltaStore) error {
	o := &metaxy.CopyOptions{SampleHistory: st.Args.SampleHistory, CurrentVersionOnly: st.Args.FeatureHistory != nil && !*st.Args.FeatureHistory, Filters: map[feature.Key][]filter.Expr{}}
	for _, f := range st.Args.Features {
		o.Features = append(o.Features, mustKey(c.t, f))
	}
	var err error
	if o.GlobalFilters, err = parseAll(st.Args.Global.list); err != nil {
		return err
	}
	for k, texts := range st.Args.Filters.byKey {
		if o.Filters[mustKey(c.t, k)], err = parseAll(texts); err != nil {
			return err
		}
	}
	r, err := store.AllowCrossProjectWrites().Copy(context.Background(), c.open(st, root, st.Args.From), o)
	if want := st.Expect.Stats; err == nil && want != nil && (r.Features != want.Features || r.Rows != want.Rows) {
		return fmt.Errorf("%d features and %d rows copied, want %d and %d", r.Features, r.Rows, want.Features, want.Rows)
	}
	return err
}

func (c *scenarioRun) checkRebase(st *scenarioStep, root string) string {
	schema, batches := readParquet(c.t, filepath.Join(c.dir, st.Inputs["frame"].File))
	var names, rows []string
	r, err := c.open(st, root, st.Target).Rebase(context.Background(), mustKey(c.t, st.Feature), &metaxy.Rows{Schema: schema, Batches: each(batches)}, &metaxy.RebaseOptions{ToVersion: st.Args.ToVersion})
	if err == nil {
		names, rows, err = collectRows(r.Rows, nil)
	}
	if fault := faultOf(st, err); fault != "" || err != nil {
		return fault
	}
	return c.compare(st.Expect.Rebased, names, rows)
}

func (c *scenarioRun) definitions(st *scenarioStep) (*feature.Graph, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, st.Args.Definitions))
	if err != nil {
		return nil, err
	}
	var list []struct {
		Project   string
		ClassPath *string         `json:"feature_class_path"`
		Spec      json.RawMessage `json:"feature_spec"`
		Schema    json.RawMessage `json:"feature_schema"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	g := feature.NewGraph(c.s.Config.Truncation)
	text := func(raw json.RawMessage) string {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
		return string(raw)
	}
	for _, d := range list {
		def, err := feature.Load(feature.Stored{Project: d.Project, FeatureSpec: text(d.Spec), FeatureSchema: text(d.Schema), ClassPath: d.ClassPath})
		if err != nil {
			return nil, err
		}
		if err := g.Add(def); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (c *scenarioRun) checkRead(st *scenarioStep, root string) string {
	filters, err := parseAll(st.Args.Filters.list)
	var names []string
	var rows []string
	if err == nil {
		o := &metaxy.ReadOptions{Filters: filters, Columns: st.Args.Columns, FeatureHistory: st.Args.history(), SampleHistory: st.Args.SampleHistory, SoftDeleted: st.Args.SoftDeleted,
			FeatureVersion: st.Args.FeatureVersion, NoFallback: st.Args.AllowFallback != nil && !*st.Args.AllowFallback}
		var r *metaxy.Rows
		if r, err = c.open(st, root, st.Target).Read(context.Background(), mustKey(c.t, st.Feature), o); err == nil {
			names, rows, err = collectRows(r, nil)
		}
	}
	if fault := faultOf(st, err); fault != "" || err != nil || st.Unstable != nil && st.Expect.Candidates == nil {
		return fault
	}
	if st.Expect.Candidates != nil {
		_, allowed := c.expected(st.Expect.Candidates, nil)
		for _, r := range rows {
			if !slices.Contains(allowed, r) {
				return "row outside the candidates: " + r
			}
		}
		return ""
	}
	return c.compare(st.Expect.Rows, names, rows)
}

func (c *scenarioRun) checkResolve(st *scenarioStep, root string) string {
	o, err := c.resolveOptions(st)
	var inc *metaxy.Increment
	ctx := context.Background()
	if err == nil {
		if inc, err = c.open(st, root, st.Target).ResolveUpdate(ctx, mustKey(c.t, st.Feature), o); err == nil {
			err = inc.Count(ctx)
		}
	}
	if fault := faultOf(st, err); fault != "" || err != nil || st.Unstable != nil {
		return fault
	}
	for want, got := range map[*frameFile]*metaxy.Rows{st.Expect.New: inc.New(ctx), st.Expect.Stale: inc.Stale(ctx), st.Expect.Orphaned: inc.Orphaned(ctx)} {
		names, rows, err := collectRows(got, nil)
		if err != nil {
			return err.Error()
		}
		if fault := c.compare(want, names, rows); fault != "" {
			return filepath.Base(want.File) + ": " + fault
		}
	}
	return countFault(st, inc.Stats())
}

// countFault compares what a resolve says of itself.
func countFault(st *scenarioStep, got metaxy.Stats) string {
	for _, n := range []struct {
		name string
		want *int64
		got  int64
	}{{"new", st.Expect.Counts.New, got.New}, {"stale", st.Expect.Counts.Stale, got.Stale}, {"orphaned", st.Expect.Counts.Orphaned, got.Orphaned}} {
		if n.want != nil && *n.want != n.got {
			return fmt.Sprintf("%d %s counted, want %d", n.got, n.name, *n.want)
		}
	}
	want := st.Expect.Progress
	switch {
	case want == nil && got.Progress == nil:
		return ""
	case want == nil || got.Progress == nil:
		return fmt.Sprintf("input progress known: %v, want %v", got.Progress != nil, want != nil)
	case math.Abs(*want-*got.Progress) > 1e-9:
		return fmt.Sprintf("input progress %v, want %v", *got.Progress, *want)
	}
	return ""
}

func (c *scenarioRun) resolveOptions(st *scenarioStep) (*metaxy.ResolveOptions, error) {
	o := &metaxy.ResolveOptions{SkipComparison: st.Args.Skip, Progress: true, Filters: map[feature.Key][]filter.Expr{}}
	var err error
	for _, p := range []struct {
		to   *[]filter.Expr
		from []string
	}{{&o.GlobalFilters, st.Args.Global.list}, {&o.TargetFilters, st.Args.Target.list}, {&o.StaleIf, st.Args.StaleIf.list}} {
		if *p.to, err = parseAll(p.from); err != nil {
			return nil, err
		}
	}
	for k, texts := range st.Args.Filters.byKey {
		if o.Filters[mustKey(c.t, k)], err = parseAll(texts); err != nil {
			return nil, err
		}
	}
	if in, ok := st.Inputs["samples"]; ok {
		schema, batches := readParquet(c.t, filepath.Join(c.dir, in.File))
		o.Samples = &metaxy.Rows{Schema: schema, Batches: each(batches)}
	}
	return o, nil
}

// leaked is a column of the reference that is not part of the answer (D36).
const leaked = "__stale_by_predicate"

func (c *scenarioRun) expected(f *frameFile, leaveOut []string) ([]string, []string) {
	c.t.Helper()
	schema, batches := readParquet(c.t, filepath.Join(c.dir, f.File))
	names, rows, err := collectRows(&metaxy.Rows{Schema: schema, Batches: each(batches)}, append([]string{leaked}, leaveOut...))
	if err != nil {
		c.t.Fatal(err)
	}
	return names, rows
}

func (c *scenarioRun) compare(want *frameFile, names, rows []string) string {
	c.t.Helper()
	wantNames, wantRows := c.expected(want, nil)
	if !slices.Equal(names, wantNames) {
		return fmt.Sprintf("columns %q, want %q", names, wantNames)
	}
	return multisetFault(wantRows, rows)
}

func multisetFault(want, got []string) string {
	slices.Sort(want)
	slices.Sort(got)
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			return fmt.Sprintf("%d rows, want %d; extra %s", len(got), len(want), got[i])
		case i >= len(got):
			return fmt.Sprintf("%d rows, want %d; missing %s", len(got), len(want), want[i])
		case want[i] != got[i]:
			return fmt.Sprintf("row %s, want %s", got[i], want[i])
		}
	}
	return ""
}

// clockColumns have values that a clock or a program version makes.
var clockColumns = []string{"metaxy_created_at", "metaxy_updated_at", "recorded_at", "metaxy_deleted_at", "tags"}

// compareTable compares every stored row of a table, but for times.
func (c *scenarioRun) compareTable(st *scenarioStep, root, key string, want *frameFile) string {
	store := c.open(st, root, st.Target)
	got, err := tableRows(store, mustKey(c.t, key))
	if want == nil {
		if err == nil {
			return "table " + key + " should not exist"
		}
		return ""
	}
	if err != nil {
		return fmt.Sprintf("table %s: %v", key, err)
	}
	_, wantRows := c.expected(want, clockColumns)
	if fault := multisetFault(wantRows, got); fault != "" {
		return "table " + key + ": " + fault
	}
	return ""
}

// collectRows renders every row; columns in leaveOut are not looked at.
func collectRows(r *metaxy.Rows, leaveOut []string) ([]string, []string, error) {
	var names, rows []string
	for _, f := range r.Schema.Fields() {
		if !slices.Contains(leaveOut, f.Name) {
			names = append(names, f.Name)
		}
	}
	sorted := slices.Sorted(slices.Values(names))
	for b, err := range r.Batches {
		if err != nil {
			return nil, nil, err
		}
		for i := range int(b.NumRows()) {
			var s strings.Builder
			for _, n := range sorted {
				fmt.Fprintf(&s, "%s=%s;", n, cellText(b.Column(b.Schema().FieldIndices(n)[0]), i))
			}
			rows = append(rows, s.String())
		}
	}
	return names, rows, nil
}

func cellText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.Struct:
		var parts []string
		for m, f := range a.DataType().(*arrow.StructType).Fields() {
			parts = append(parts, f.Name+":"+cellText(a.Field(m), i))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case *array.Map:
		start, end := a.ValueOffsets(i)
		var parts []string
		for j := int(start); j < int(end); j++ {
			parts = append(parts, cellText(a.Keys(), j)+">"+cellText(a.Items(), j))
		}
		sort.Strings(parts)
		return "map" + strings.Join(parts, ",")
	case array.ListLike:
		start, end := a.ValueOffsets(i)
		var parts []string
		for j := int(start); j < int(end); j++ {
			parts = append(parts, cellText(a.ListValues(), j))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		return a.Value(i).ToTime(t.Unit).UTC().Format(time.RFC3339Nano)
	case *array.Dictionary:
		return cellText(a.Dictionary(), a.GetValueIndex(i))
	}
	return fmt.Sprintf("%q", a.ValueStr(i))
}

func readParquet(t *testing.T, path string) (*arrow.Schema, []arrow.RecordBatch) {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fr, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 1 << 16}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := fr.Schema()
	if err != nil {
		t.Fatal(err)
	}
	rr, err := fr.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rr.Release()
	var out []arrow.RecordBatch
	for rr.Next() {
		b := rr.RecordBatch()
		b.Retain()
		out = append(out, b)
	}
	return schema, out
}

func each(batches []arrow.RecordBatch) func(func(arrow.RecordBatch, error) bool) {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
	}
}

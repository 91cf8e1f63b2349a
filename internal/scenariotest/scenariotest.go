// Package scenariotest replays the recorded scenarios: stores that Metaxy wrote, with operations and what Metaxy answered.
//
// Run lays out each store as it was before an operation, on local disk or wherever a test copies it to, runs the operation and compares what comes
// of it with the recorded answer. No shipping file imports this package; failures are reported through testing.T.
package scenariotest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// scenario is a recorded store with operations and their results.
type scenario struct {
	Config settings
	Stores map[string]struct {
		HashAlgorithm string   `json:"hash_algorithm"`
		Layout        string   `json:"layout"`
		Fallbacks     []string `json:"fallback_stores"`
	}
	Steps []step
}

type settings struct {
	Project    string
	Truncation int  `json:"hash_truncation_length"`
	Map        bool `json:"enable_map_datatype"`
}

type frameFile struct {
	File    string
	Rows    int
	Columns [][2]string
}

type step struct {
	Step     int
	Op       string
	Target   string
	Feature  string
	Args     args
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
		Rebased, Snapshots         *frameFile
		Warnings                   []struct{ Category, Message string }
		ProjectVersion             string              `json:"project_version"`
		AlreadyPushed              *bool               `json:"already_pushed"`
		Versions                   map[string]versions `json:"versions"`
		Updated                    []string            `json:"updated_features"`
		HasFeature                 *bool               `json:"has_feature"`
		HasAfter                   *bool               `json:"has_feature_after"`
		Progress                   *float64            `json:"input_progress"`
		Counts                     struct {
			Snapshots, Rebased, Rows *int
			New, Stale, Orphaned     *int64
		}
		Stats *struct {
			Features int   `json:"features_copied"`
			Rows     int64 `json:"rows_copied"`
		}
		Tables map[string]*frameFile `json:"tables_after"`
	}
}

type args struct {
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
func (a *args) history() bool { return a.FeatureHistory != nil && *a.FeatureHistory }

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

// Options say how the scenarios are run.
type Options struct {
	// Store holds the limits to work within, and the openers and storage options where the stores are copied to a service.
	Store metaxy.Options
	// Upload copies the stores in a directory, each a subdirectory, to a new place and returns its URL. nil = they are opened where they are.
	Upload func(t *testing.T, dir string) string
	// Only are the names of the scenarios to run, nil = all.
	Only []string
	// Listed are the steps, as name/number, that do not pass and why: a listed step that passes fails the test too.
	Listed map[string]string
	// Ops are the operations that are looked at, nil = all.
	Ops []string
	// Reasons asks every resolve for its reasons, too, which must agree with it.
	Reasons bool
	// Again makes every resolve a second time, on what the first one
	// remembered; Remembered counts those that did stand on it.
	Again      bool
	Remembered *atomic.Int64
	// Resolved is called behind every resolve that is as recorded, also where that
	// is a failure, and says what is wrong, "" for nothing. nil = nobody is asked.
	Resolved func(t *testing.T, r *Resolve) string
}

// Resolve is a resolve of a scenario.
type Resolve struct {
	Name  string // of the scenario, and the step
	Store *metaxy.DeltaStore
	Key   feature.Key
	// Options makes them anew: samples can be read once.
	Options func() (*metaxy.ResolveOptions, error)
	// Err is what came of it; Unstable says that rows of equal age have no order.
	Err      error
	Unstable bool
}

// Run runs every operation of every recorded store on the store as it was before, as parallel subtests, and logs how many there were.
func Run(t *testing.T, o *Options) {
	root := deltatest.Data(t, "scenarios")
	files, err := filepath.Glob(filepath.Join(root, "*", "scenario.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s (%v)", root, err)
	}
	var scenarios, steps, others atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d scenarios: %d steps run, %d are for other tests", scenarios.Load(), steps.Load(), others.Load())
		if steps.Load() == 0 {
			t.Error("no step was run")
		}
	})
	for _, f := range files {
		name := filepath.Base(filepath.Dir(f))
		if o.Only != nil && !slices.Contains(o.Only, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenarios.Add(1)
			c := newScenario(t, filepath.Dir(f), o)
			for i := range c.s.Steps {
				st := &c.s.Steps[i]
				if !st.runs() || o.Ops != nil && !slices.Contains(o.Ops, st.Op) {
					others.Add(1)
					continue
				}
				steps.Add(1)
				fault := c.check(st)
				why, known := o.Listed[fmt.Sprintf("%s/%d", name, st.Step)]
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

// runs tells the steps that are run here. Command lines and programs are run by the tests of the command (TestCapturedCommandLines, TestExampleProjects); what the Delta library did to a store is
// only looked at by the steps after it.
func (st *step) runs() bool {
	return !slices.Contains([]string{"cli", "status", "command", "external"}, st.Op)
}

// ReadListed reads files of lines "name/step<tab>reason".
func ReadListed(t *testing.T, files ...string) map[string]string {
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

type run struct {
	t     *testing.T
	dir   string
	s     scenario
	snaps map[string]map[string]string
	o     *Options
	laid  laid
}

// laid is a copy of a store: a snapshot, and the steps that changed it since.
type laid struct {
	root     string
	snapshot *string
	steps    []int
}

func newScenario(t *testing.T, dir string, o *Options) *run {
	t.Helper()
	c := &run{t: t, dir: dir, o: o}
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

// reads are the operations that change no store.
var reads = []string{"read", "resolve_update", "rebase", "history", "has_feature"}

// before lays out the store as it was before a step. A step that follows
// another finds the copy that the other left, where that is what would be laid
// out again.
func (c *run) before(st *step) (root, fault string) {
	c.t.Helper()
	b, was := &st.Before, c.laid
	same := was.snapshot == b.Snapshot || was.snapshot != nil && b.Snapshot != nil && *was.snapshot == *b.Snapshot
	if root = was.root; root == "" || !same || !slices.Equal(was.steps, b.Replay) {
		c.laid = laid{} // what fails half-way is not gone on with
		root = c.build(b.Snapshot)
		for _, n := range b.Replay {
			i := slices.IndexFunc(c.s.Steps, func(s step) bool { return s.Step == n })
			before := &c.s.Steps[i]
			if _, err := c.act(before, root); err != nil && before.Expect.Error == nil {
				return root, fmt.Sprintf("replayed step %d (%s) failed: %v", n, before.Op, err)
			}
		}
	}
	c.laid = laid{root, b.Snapshot, b.Replay}
	if !slices.Contains(reads, st.Op) {
		c.laid.steps = append(slices.Clone(b.Replay), st.Step)
	}
	return root, ""
}

// build lays out a snapshot in an empty place.
func (c *run) build(snapshot *string) string {
	c.t.Helper()
	root := c.t.TempDir()
	files := map[string]string{}
	if snapshot != nil {
		files = c.snaps[*snapshot]
	}
	for dest, src := range files {
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
	if c.o.Upload != nil {
		return c.o.Upload(c.t, root)
	}
	return root
}

func (c *run) open(st *step, root, name string) *metaxy.DeltaStore {
	c.t.Helper()
	cfg := c.s.Config
	if len(st.Config) > 0 {
		if err := json.Unmarshal(st.Config, &cfg); err != nil {
			c.t.Fatal(err)
		}
	}
	def := c.s.Stores[name]
	o := c.o.Store
	o.Name, o.Project, o.HashTruncation, o.MapDatatype, o.Layout, o.HashAlgorithm = name, cfg.Project, cfg.Truncation, cfg.Map, metaxy.Layout(def.Layout), def.HashAlgorithm
	for _, f := range def.Fallbacks {
		o.Fallbacks = append(o.Fallbacks, metaxy.Fallback{Name: f, Store: c.open(st, root, f)})
	}
	s, err := metaxy.Open(c.t.Context(), root+"/"+name, &o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { s.Close() })
	return s
}

// check runs a step; "" is a pass.
func (c *run) check(st *step) string {
	root, fault := c.before(st)
	if fault != "" {
		return fault
	}
	switch st.Op {
	case "read":
		return c.checkRead(st, root)
	case "resolve_update":
		fault := c.checkResolve(st, root)
		if fault == "" && c.o.Again {
			if fault = c.checkResolve(st, root); fault != "" {
				fault = "once more: " + fault
			}
		}
		return fault
	case "history":
		return c.checkHistory(st, root)
	case "rebase":
		return c.checkRebase(st, root)
	case "has_feature":
		has, err := c.open(st, root, st.Target).HasFeature(c.t.Context(), MustKey(c.t, st.Feature), &metaxy.HasOptions{CheckFallback: st.Args.CheckFallback})
		if err == nil && has != *st.Expect.HasFeature {
			return fmt.Sprintf("has feature: %v", has)
		}
		return faultOf(st, err)
	}
	before := c.logFiles(st, root)
	warnings, err := c.act(st, root)
	if err != nil && !maps.Equal(before, c.logFiles(st, root)) {
		return fmt.Sprintf("failed (%v), but changed a log", err)
	}
	if fault := faultOf(st, err); fault != "" || err != nil {
		return fault
	}
	if fault := warningFault(st, warnings); fault != "" || st.Unstable != nil {
		return fault
	}
	for key, want := range st.Expect.Tables {
		if fault := c.compareTable(st, root, key, want); fault != "" {
			return fault
		}
	}
	return ""
}

// MustKey is the key that a text spells.
func MustKey(t *testing.T, s string) feature.Key {
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

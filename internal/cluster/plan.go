package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/uuid"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/pinned"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Options of a plan.
type Options struct {
	Build string
	// Resolve is what is asked; Shard, Failed and Reasons have no place in a plan.
	Resolve metaxy.ResolveOptions
	// Partitions, 0 = one for PartitionRows rows (0 = 500,000).
	Partitions    int
	PartitionRows int64
	// TaskBytes of data files are cut by one task, about; 0 = 256 MiB.
	TaskBytes int64
	// IDsOnly gives ids, join columns and versions alone.
	IDsOnly bool
	// MemoryLimit of a worker in bytes; 0 = what its machine has.
	MemoryLimit int64
}

// Plan is what a driver needs of a resolve.
type Plan struct {
	Format int     `json:"format"`
	Build  string  `json:"build"`
	Run    string  `json:"run"`
	Worker *Worker `json:"worker"`
	// Tasks are for Cut.
	Tasks          []Task            `json:"tasks"`
	Tables         []Described       `json:"tables"`
	Partitions     int               `json:"partitions"`
	Rows           int64             `json:"rows"`
	Bytes          int64             `json:"bytes"`
	Results        map[string]string `json:"results"`
	Feature        string            `json:"feature"`
	FeatureVersion string            `json:"feature_version"`
	Project        string            `json:"project"`
	TableVersion   *int64            `json:"table_version"`
	Warnings       []Warning         `json:"warnings"`
	Sources        []Source          `json:"sources"`
	// Single says that one process is faster.
	Single bool `json:"single"`
}

// Task is files of one table, each as JSON text.
type Task struct {
	Table int      `json:"table"`
	Files []string `json:"files"`
	Bytes int64    `json:"bytes"`
	Rows  int64    `json:"rows"`
}

// Described is what a driver needs of a table.
type Described struct {
	Index       int      `json:"index"`
	Role        string   `json:"role"`
	Feature     string   `json:"feature"`
	URL         string   `json:"url"`
	Version     int64    `json:"version"`
	NewestFirst bool     `json:"newest_first"`
	Columns     []string `json:"columns"`
	Schema      string   `json:"schema"`
	Where       string   `json:"where"`
	// Paths are the files by ordinal.
	Paths []string `json:"paths"`
	Rows  int64    `json:"rows"`
	Bytes int64    `json:"bytes"`
}

// Warning has a code and a sentence, and how many rows it is about, 0 where that is not known.
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Count   int64  `json:"count,omitempty"`
}

// Source says which store serves a feature.
type Source struct {
	Feature      string `json:"feature"`
	Store        string `json:"store"`
	TableVersion int64  `json:"table_version"`
	Fallback     bool   `json:"fallback"`
}

// singleRows is how many rows a cluster must have to be faster than one process:
// its tasks start within half a minute, in which one process has read them.
const singleRows = 50_000_000

const (
	defaultPartitionRows = 500_000
	defaultTaskBytes     = 256 << 20
	// rowBytes is about what a row takes in a file whose log does not tell.
	rowBytes = 64
)

// New plans a resolve of a feature. It reads logs and no data files. A fallback
// store that is no Delta store is a *pinned.ForeignError.
func New(ctx context.Context, s *metaxy.DeltaStore, key feature.Key, o *Options) (*Plan, error) {
	ro := o.Resolve
	ro.NoRemember, ro.Progress = true, false
	inc, err := s.ResolveUpdate(ctx, key, &ro)
	if err != nil {
		return nil, err
	}
	defer inc.Close()
	from, err := inc.Pinned(ctx)
	if err != nil {
		return nil, err
	}
	p := &Plan{Format: Format, Build: o.Build, Run: uuid.NewString(), Feature: key.String(), FeatureVersion: inc.FeatureVersion, Project: from.Request.Plan.Feature.Project,
		Warnings: []Warning{}, Sources: []Source{}, Tasks: []Task{}, Results: map[string]string{}}
	if inc.TableVersion >= 0 {
		p.TableVersion = &inc.TableVersion
	}
	if err := p.worker(s, from, o); err != nil {
		return nil, err
	}
	if err := p.tables(ctx, from, o); err != nil {
		return nil, err
	}
	for _, w := range inc.Warnings() {
		p.Warnings = append(p.Warnings, Warning{Code: w.Code, Message: w.Message})
	}
	for _, src := range inc.Sources() {
		p.Sources = append(p.Sources, Source{src.Feature.String(), src.Store, src.TableVersion, src.Fallback})
	}
	return p, p.judge(ctx, o)
}

// judge makes sure that workers will take the plan.
func (p *Plan) judge(ctx context.Context, o *Options) error {
	data, err := json.Marshal(p.Worker)
	if err != nil {
		return err
	}
	w, err := LoadWorker(data, o.Build)
	if err != nil {
		return err
	}
	j, err := w.job(ctx)
	if err != nil {
		return err
	}
	for part, name := range partNames {
		if p.Results[name], err = schemaText(j.results[part]); err != nil {
			return err
		}
	}
	return nil
}

// partNames are the parts of an increment by their number.
var partNames = [...]string{metaxy.New: "new", metaxy.Stale: "stale", metaxy.Orphaned: "orphaned"}

// worker makes what workers get, without tables.
func (p *Plan) worker(s *metaxy.DeltaStore, from *pinned.Increment, o *Options) error {
	req := &from.Request
	w := &Worker{Format: Format, Build: p.Build, Run: p.Run, Feature: p.Feature, FeatureVersion: p.FeatureVersion,
		Project: p.Project, ProjectVersion: from.ProjectVersion, Algorithm: req.Algorithm.Name, Truncation: req.Algorithm.Truncation, Maps: req.MapMode,
		Filters: make([][]string, len(req.Plan.Deps)), TargetFilters: sqlOf(req.Current.Filters), StaleIf: sqlOf(req.StaleIf), SkipComparison: req.SkipComparison,
		IDsOnly: o.IDsOnly, MemoryLimit: o.MemoryLimit}
	for i := range req.Deps {
		w.Filters[i] = sqlOf(req.Deps[i].Filters)
	}
	if from.Unjudged != nil {
		w.Unjudged = from.Unjudged.Error()
	}
	w.Target = target{URL: s.TableURL(req.Plan.Feature.Spec.Key), Properties: from.Properties, MaterializationID: from.MaterializationID}
	if snap := from.Current.Snapshot; snap != nil {
		w.Target.Pinned, w.Target.URL = pin(snap), snap.Table().Store().URL()
	}
	if from.Unwritable != nil {
		w.Target.Refused = from.Unwritable.Error()
	}
	need := closure(from.Definitions, req.Plan.Feature.Spec.Key)
	for _, d := range from.Definitions.Definitions() {
		if need[d.Spec.Key] {
			w.Definitions = append(w.Definitions, d.Stored())
		}
	}
	p.Worker = w
	return nil
}

// closure is a feature and everything upstream of it.
func closure(g *feature.Graph, key feature.Key) map[feature.Key]bool {
	need := map[feature.Key]bool{}
	var walk func(feature.Key)
	walk = func(k feature.Key) {
		d, ok := g.Get(k)
		if need[k] || !ok {
			return
		}
		need[k] = true
		for _, dep := range d.Spec.Deps {
			walk(dep.Feature)
		}
	}
	walk(key)
	return need
}

// bare is a table that has columns and is not read, so that no statistics answer
// for its rows.
type bare struct{ schema *arrow.Schema }

func (t bare) Schema() *arrow.Schema                       { return t.schema }
func (t bare) Units(context.Context) ([]frame.Unit, error) { return nil, nil }
func (t bare) Take(context.Context, []frame.Ref, []string) noRows {
	return func(func(arrow.RecordBatch, error) bool) {}
}
func (t bare) Read(context.Context, int, frame.Span, []string) iter.Seq2[frame.Block, error] {
	return func(func(frame.Block, error) bool) {}
}

type noRows = iter.Seq2[arrow.RecordBatch, error]

// tables plans what is cut, and the tasks.
func (p *Plan) tables(ctx context.Context, from *pinned.Increment, o *Options) error {
	req := from.Request
	req.Deps = slices.Clone(req.Deps)
	for i := range req.Deps {
		if req.Deps[i].Table != nil {
			req.Deps[i].Table = bare{req.Deps[i].Table.Schema()}
		}
	}
	if req.Current.Table != nil {
		req.Current.Table = bare{req.Current.Table.Schema()}
	}
	inc, err := resolve.Update(ctx, &req)
	if err != nil {
		return err
	}
	inputs, err := inc.Inputs(ctx)
	if err != nil {
		return err
	}
	for _, in := range inputs {
		if err := p.table(from, &in, o); err != nil {
			return err
		}
		d := &p.Tables[len(p.Tables)-1]
		p.Rows, p.Bytes = p.Rows+d.Rows, p.Bytes+d.Bytes
		if in.Dep >= 0 && req.Algorithm.Weak(d.Rows) {
			w := resolve.WeakWarning(p.Feature, d.Feature)
			p.Warnings = append(p.Warnings, Warning{Code: w.Code, Message: w.Message})
		}
	}
	p.Single = p.Rows < singleRows
	p.Partitions = o.Partitions
	if p.Partitions == 0 {
		rows := cmp.Or(o.PartitionRows, defaultPartitionRows)
		p.Partitions = int(max(1, (p.Rows+rows-1)/rows))
	}
	p.Worker.Partitions = p.Partitions
	return nil
}

// table plans one table.
func (p *Plan) table(from *pinned.Increment, in *resolve.Input, o *Options) error {
	index := len(p.Tables)
	t := &Table{Dep: in.Dep, IDs: in.IDs, Keys: in.Keys, Columns: in.Deciding, NewestFirst: in.NewestFirst()}
	if !o.IDsOnly {
		for _, c := range in.Late {
			if !slices.Contains(t.Columns, c) {
				t.Columns = append(t.Columns, c)
			}
		}
	}
	d := Described{Index: index, Version: -1, NewestFirst: t.NewestFirst, Columns: t.Columns, Paths: []string{}, Feature: p.Feature}
	at := from.Current
	switch {
	case in.Dep == resolve.SamplesInput:
		d.Role = "samples"
		var err error
		// Samples are cut as they come; what they lack is completed once they are in partitions.
		raw := o.Resolve.Samples.Schema
		t.Columns = nil
		fields := raw.Fields()
		for i, f := range fields {
			t.Columns = append(t.Columns, f.Name)
			fields[i].Type, fields[i].Nullable = plainType(f.Type), true
		}
		d.Columns = t.Columns
		if t.Samples, err = schemaText(arrow.NewSchema(fields, nil)); err != nil {
			return err
		}
	case in.Dep == resolve.CurrentInput:
		d.Role = "current"
	default:
		d.Role, at = "dep", from.Deps[in.Dep]
		d.Feature = from.Request.Plan.Deps[in.Dep].Feature.String()
	}
	t.Feature = d.Feature
	if in.Dep != resolve.SamplesInput {
		t.Pinned, t.URL = pin(at.Snapshot), at.Snapshot.Table().Store().URL()
		if at.Where != nil {
			t.Where = at.Where.String()
		}
		d.URL, d.Where, d.Version = t.URL, t.Where, at.Snapshot.Version()
	}
	if err := t.open(); err != nil {
		return err
	}
	var err error
	if d.Schema, err = schemaText(t.read); err != nil {
		return err
	}
	if in.Dep != resolve.SamplesInput {
		if err := p.files(at.Snapshot, at.Where, &d, o); err != nil {
			return err
		}
	}
	p.Worker.Tables, p.Tables = append(p.Worker.Tables, t), append(p.Tables, d)
	return nil
}

// files packs the files that may have rows of the version into tasks.
func (p *Plan) files(snap *delta.Snapshot, where filter.Expr, d *Described, o *Options) error {
	sc, err := scan.New(snap, &scan.Options{Filter: where, Unverified: true})
	if err != nil {
		return err
	}
	most := cmp.Or(o.TaskBytes, defaultTaskBytes)
	task := Task{Table: d.Index}
	for i, f := range sc.Plan().Files {
		rows := f.Rows()
		if rows < 0 {
			rows = f.Size / rowBytes
		}
		d.Paths = append(d.Paths, located(d.URL, f.Path))
		if len(task.Files) > 0 && task.Bytes+f.Size > most {
			p.Tasks = append(p.Tasks, task)
			task = Task{Table: d.Index}
		}
		text, err := json.Marshal(File{Table: d.Index, Ordinal: int32(i), Add: slim(&f)})
		if err != nil {
			return err
		}
		task.Files = append(task.Files, string(text))
		task.Bytes, task.Rows = task.Bytes+f.Size, task.Rows+rows
		d.Bytes, d.Rows = d.Bytes+f.Size, d.Rows+rows
	}
	if len(task.Files) > 0 {
		p.Tasks = append(p.Tasks, task)
	}
	return nil
}

// slim is an add without what reading does not need.
func slim(f *delta.File) *txlog.Add {
	a := *f.Add
	a.Tags, a.Stats = nil, ""
	if n := f.Records(); n >= 0 {
		a.Stats = fmt.Sprintf(`{"numRecords":%d}`, n)
	}
	return &a
}

// located is the URL of a file as the log spells it.
func located(url, path string) string {
	if strings.HasPrefix(path, "/") || strings.Contains(path, ":/") {
		return path
	}
	return url + "/" + path
}

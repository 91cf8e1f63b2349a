package cluster

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/zeebo/xxh3"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/arrowcheck"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Format is that of plans. Workers refuse others.
const Format = 1

// Worker is what a worker knows of a run: everything but files.
type Worker struct {
	Format int    `json:"format"`
	Build  string `json:"build"`
	// Run is random; the seed of the cut and of the checksums of pieces is made
	// from it.
	Run            string           `json:"run"`
	Feature        string           `json:"feature"`
	FeatureVersion string           `json:"feature_version"`
	Project        string           `json:"project"`
	ProjectVersion string           `json:"project_version"`
	Algorithm      string           `json:"algorithm"`
	Truncation     int              `json:"truncation"`
	Maps           bool             `json:"map_datatype"`
	Definitions    []feature.Stored `json:"definitions"`
	// Filters are predicates in SQL: of each dep, and of the feature itself.
	Filters        [][]string `json:"filters"`
	TargetFilters  []string   `json:"target_filters"`
	StaleIf        []string   `json:"stale_if"`
	Unjudged       string     `json:"unjudged,omitempty"`
	SkipComparison bool       `json:"skip_comparison"`
	// IDsOnly gives ids, join columns and versions alone.
	IDsOnly     bool     `json:"ids_only"`
	Tables      []*Table `json:"tables"`
	Partitions  int      `json:"partitions"`
	MemoryLimit int64    `json:"memory_limit"`
	Target      target   `json:"target"`
}

// target is the feature's own table as a write needs it.
type target struct {
	URL string `json:"url"`
	// Pinned is nil where there is no table.
	Pinned *pinnedTable `json:"pinned,omitempty"`
	// Properties are those of a table that is made.
	Properties        map[string]string `json:"properties,omitempty"`
	MaterializationID string            `json:"materialization_id,omitempty"`
	// Refused says why nothing may be written.
	Refused string `json:"refused,omitempty"`
}

// pinnedTable is delta.Pinned without files.
type pinnedTable struct {
	Version  int64                            `json:"version"`
	Protocol *txlog.Protocol                  `json:"protocol"`
	Metadata *txlog.Metadata                  `json:"metadata"`
	Domains  map[string]*txlog.DomainMetadata `json:"domains,omitempty"`
}

// Table is a table that is cut.
type Table struct {
	// Dep is the index of the dep, resolve.CurrentInput or resolve.SamplesInput.
	Dep     int          `json:"dep"`
	Feature string       `json:"feature"`
	URL     string       `json:"url,omitempty"`
	Pinned  *pinnedTable `json:"pinned,omitempty"`
	// Where is the condition on rows, "" = all.
	Where string `json:"where,omitempty"`
	// Samples is the schema of samples.
	Samples string   `json:"samples,omitempty"`
	IDs     []string `json:"ids,omitempty"`
	Keys    []string `json:"keys"`
	Columns []string `json:"columns"`
	// NewestFirst tables are cut by ids, reduced, and cut by keys.
	NewestFirst bool `json:"newest_first"`

	full *arrow.Schema // of the table
	cut  *arrow.Schema // of what is cut
	read *arrow.Schema // with the columns that Where names
}

// File is a data file of a table in tie order.
type File struct {
	Table   int        `json:"table"`
	Ordinal int32      `json:"ordinal"`
	Add     *txlog.Add `json:"add"`
}

// LoadWorker reads what a worker was given, or takes it out of a whole plan. A
// plan of another format or build, or one whose definitions make another version
// than it says, is a *RefusedError.
func LoadWorker(data []byte, build string) (w *Worker, err error) {
	defer guard(&err)
	var head struct {
		Format int             `json:"format"`
		Build  string          `json:"build"`
		Worker json.RawMessage `json:"worker"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, refused("the plan is no JSON object: %v", err)
	}
	if head.Worker != nil {
		return LoadWorker(head.Worker, build)
	}
	if head.Format != Format {
		return nil, refused("the plan has format %d, this program knows %d: give the object `worker` of `cluster plan` of the same program", head.Format, Format)
	}
	if head.Build != build {
		return nil, refused("the plan was made by build %q, this program is build %q: install the same one on the driver and on all workers", head.Build, build)
	}
	w = &Worker{}
	if err := json.Unmarshal(data, w); err != nil {
		return nil, refused("the plan cannot be read: %v", err)
	}
	if w.Run == "" {
		return nil, refused("the plan has no run")
	}
	if w.Partitions < 1 || w.Partitions > math.MaxInt32 {
		return nil, refused("the plan has %d partitions", w.Partitions)
	}
	if _, _, err := w.featurePlan(); err != nil {
		return nil, err
	}
	for i, t := range w.Tables {
		if t == nil {
			return nil, refused("the plan has no table %d", i)
		}
		if err := t.open(); err != nil {
			return nil, refused("the plan, table %d: %v", i, err)
		}
	}
	return w, nil
}

// FilesOf are the files of a task of a whole plan.
func FilesOf(data []byte, task int) ([]string, error) {
	var p struct {
		Tasks []Task `json:"tasks"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, refused("the plan is no JSON object: %v", err)
	}
	if task < 0 || task >= len(p.Tasks) {
		return nil, refused("task %d: the plan has %d tasks, from 0; the object `worker` alone has none", task, len(p.Tasks))
	}
	return p.Tasks[task].Files, nil
}

func (w *Worker) seed() uint64 { return xxh3.HashString(w.Run) }

// featurePlan makes the feature's plan from the definitions.
func (w *Worker) featurePlan() (*feature.Graph, *feature.Plan, error) {
	g := feature.NewGraph(w.Truncation)
	for _, s := range w.Definitions {
		d, err := feature.Load(s)
		if err == nil {
			err = g.Add(d)
		}
		if err != nil {
			return nil, nil, refused("a definition of the plan: %v", err)
		}
	}
	key, err := feature.ParseKey(w.Feature)
	if err != nil {
		return nil, nil, refused("the plan: %v", err)
	}
	p, err := g.Plan(key)
	if err != nil {
		return nil, nil, refused("the plan: %v", err)
	}
	if p.FeatureVersion != w.FeatureVersion {
		return nil, nil, refused("the plan says feature version %s of %s, its definitions make %s", w.FeatureVersion, w.Feature, p.FeatureVersion)
	}
	return g, p, p.Check()
}

// open finds the schemas.
func (t *Table) open() (err error) {
	if samples := t.Dep == resolve.SamplesInput; samples != (t.Pinned == nil) || samples && t.NewestFirst {
		return errors.New("samples, and they alone, have no table")
	}
	if t.Pinned == nil {
		if t.full, err = SchemaOf(t.Samples); err != nil {
			return err
		}
	} else {
		if t.Pinned.Protocol == nil || t.Pinned.Metadata == nil {
			return errors.New("there is no protocol or no metadata")
		}
		schema, err := delta.ParseSchema(t.Pinned.Metadata.SchemaString)
		if err != nil {
			return err
		}
		t.full = schema.Arrow()
	}
	if t.cut, err = cutSchema(t.full, t.Columns); err != nil {
		return err
	}
	if t.read, err = t.withWhere(); err != nil {
		return err
	}
	if t.Pinned == nil && t.cut.NumFields() != places+t.full.NumFields() {
		return errors.New("samples are cut with all of their columns")
	}
	for _, list := range [][]string{t.IDs, t.Keys} {
		for _, c := range list {
			if !t.cut.HasField(c) {
				return fmt.Errorf("rows are cut by %s, which is not among the columns", c)
			}
		}
	}
	return nil
}

// withWhere adds the columns that only the condition wants.
func (t *Table) withWhere() (*arrow.Schema, error) {
	if t.Where == "" {
		return t.cut, nil
	}
	e, err := filter.ParseSQL(t.Where)
	if err != nil {
		return nil, err
	}
	columns := slices.Clone(t.Columns)
	for _, path := range filter.Columns(e) {
		if !slices.Contains(columns, path[0]) {
			columns = append(columns, path[0])
		}
	}
	return cutSchema(t.full, columns)
}

func pin(s *delta.Snapshot) *pinnedTable {
	p := s.Pinned()
	return &pinnedTable{p.Version, p.Protocol, p.Metadata, p.Domains}
}

func (p *pinnedTable) with(adds []*txlog.Add) *delta.Pinned {
	return &delta.Pinned{Version: p.Version, Protocol: p.Protocol, Metadata: p.Metadata, Domains: p.Domains, Adds: adds}
}

// schemaText is a schema as base64 of an Arrow stream without batches.
func schemaText(s *arrow.Schema) (string, error) {
	var buf bytes.Buffer
	if err := ipc.NewWriter(&buf, ipc.WithSchema(s)).Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes()), nil
}

// SchemaOf reads a schema of a plan: base64 of an Arrow stream without batches.
func SchemaOf(text string) (s *arrow.Schema, err error) {
	defer guard(&err)
	if err := arrowcheck.Schema(text); err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	r, err := ipc.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer r.Release()
	return r.Schema(), nil
}

// expressions parses predicates in SQL.
func expressions(texts []string) ([]filter.Expr, error) {
	var out []filter.Expr
	for _, t := range texts {
		e, err := filter.ParseSQL(t)
		if err != nil {
			return nil, refused("a filter of the plan: %v", err)
		}
		out = append(out, e)
	}
	return out, nil
}

func sqlOf(list []filter.Expr) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.String()
	}
	return out
}

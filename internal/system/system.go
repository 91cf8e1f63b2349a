// Package system reads and writes the table of pushed definitions, metaxy-system/feature_versions, and judges which of them are in force.
//
// Rows that cannot be read as definitions are skipped with a warning; a store without the table has no definitions, which is no error.
package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Key is the key of the table of definitions.
const Key = "metaxy-system/feature_versions"

// metaxyVersion is the version of Metaxy whose tables these are; a push records it in the tags, as Metaxy does.
const metaxyVersion = "0.1.11"

// Record is one row of the table. RecordedAt is in microseconds UTC.
type Record struct {
	feature.Stored
	FeatureKey        string
	FeatureVersion    string
	DefinitionVersion string
	ProjectVersion    string
	RecordedAt        int64
	Tags              string
}

// Warning is a finding that changes nothing.
type Warning struct{ Code, Message string }

// Read gives every row of the table, in no order; none when the table does not exist. Columns that an old table lacks are empty.
func Read(ctx context.Context, t *delta.Table) ([]Record, error) {
	out, _, err := read(ctx, t)
	return out, err
}

// read is Read with the version that it read, -1 when the table does not exist.
func read(ctx context.Context, t *delta.Table) ([]Record, int64, error) {
	snap, err := t.Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, -1, nil
	}
	if err != nil {
		return nil, -1, err
	}
	s, err := scan.New(snap, &scan.Options{Parallel: 4})
	if err != nil {
		return nil, -1, err
	}
	var out []Record
	for b, err := range s.Batches(ctx) {
		if err != nil {
			return nil, -1, err
		}
		out = appendRecords(out, b)
	}
	return out, snap.Version(), nil
}

func appendRecords(out []Record, b arrow.RecordBatch) []Record {
	text := func(name string, i int) *string {
		at := b.Schema().FieldIndices(name)
		if len(at) == 0 {
			return nil
		}
		a, ok := b.Column(at[0]).(*array.String)
		if !ok || a.IsNull(i) {
			return nil
		}
		v := strings.Clone(a.Value(i))
		return &v
	}
	must := func(name string, i int) string {
		if v := text(name, i); v != nil {
			return *v
		}
		return ""
	}
	for i := range int(b.NumRows()) {
		r := Record{Stored: feature.Stored{Project: must("project", i), FeatureSpec: must("feature_spec", i), FeatureSchema: must("feature_schema", i), ClassPath: text("feature_class_path", i)},
			FeatureKey: must("feature_key", i), FeatureVersion: must("metaxy_feature_version", i), DefinitionVersion: must("metaxy_definition_version", i),
			ProjectVersion: must("metaxy_project_version", i), Tags: must("tags", i)}
		if at := b.Schema().FieldIndices("recorded_at"); len(at) > 0 {
			if a, ok := b.Column(at[0]).(*array.Timestamp); ok && a.IsValid(i) {
				r.RecordedAt = int64(a.Value(i))
			}
		}
		out = append(out, r)
	}
	return out
}

// Current keeps, for each project, the rows of the project version whose row has the newest RecordedAt.
func Current(records []Record) []Record {
	newest := map[string]*Record{}
	for i := range records {
		r := &records[i]
		if n := newest[r.Project]; n == nil || r.RecordedAt > n.RecordedAt {
			newest[r.Project] = r
		}
	}
	var out []Record
	for _, r := range records {
		if r.ProjectVersion == newest[r.Project].ProjectVersion {
			out = append(out, r)
		}
	}
	return out
}

// Snapshot keeps the rows of a project version; project "" = any project.
func Snapshot(records []Record, projectVersion, project string) []Record {
	var out []Record
	for _, r := range records {
		if r.ProjectVersion == projectVersion && (project == "" || r.Project == project) {
			out = append(out, r)
		}
	}
	return out
}

// Graph makes a graph of records, each project's features in the order they were recorded. Of one key in two projects the newest wins, with the warning KEY_IN_TWO_PROJECTS.
func Graph(records []Record, truncation int) (*feature.Graph, []Warning) {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b Record) int {
		if a.RecordedAt != b.RecordedAt {
			if a.RecordedAt < b.RecordedAt {
				return -1
			}
			return 1
		}
		return strings.Compare(a.FeatureKey, b.FeatureKey)
	})
	newest := map[string]int{}
	var warnings []Warning
	for i, r := range records {
		if old, ok := newest[r.FeatureKey]; ok && records[old].Project != r.Project {
			warnings = append(warnings, Warning{"KEY_IN_TWO_PROJECTS", fmt.Sprintf("feature %s is defined in projects %s and %s; the newer one, of %s, counts", r.FeatureKey, records[old].Project, r.Project, r.Project)})
		}
		newest[r.FeatureKey] = i
	}
	g := feature.NewGraph(truncation)
	for i, r := range records {
		if newest[r.FeatureKey] != i {
			continue
		}
		d, err := feature.Load(r.Stored)
		if err == nil {
			err = g.Add(d)
		}
		if err != nil {
			warnings = append(warnings, Warning{"INVALID_STORED_FEATURE", fmt.Sprintf("the stored definition of %s (project %s) is skipped: %v", r.FeatureKey, r.Project, err)})
		}
	}
	return g, warnings
}

// PushResult is what a push did. Recorded is false when the project version was already the newest; Updated then are the keys written all the same.
type PushResult struct {
	ProjectVersion string
	Recorded       bool
	Updated        []string
	// Stored is the append; its version is -1 when there was nothing to store.
	Stored   delta.Result
	Warnings []Warning
}

// PushOptions of a push. Now gives the time of each row.
type PushOptions struct {
	Tags map[string]string
	Now  func() time.Time
}

// maxPushTries bounds how often a push looks at the table anew because another one came first.
const maxPushTries = 100

// Push records the definitions of a project: all of them when its version is
// not the newest one recorded, else those that are missing there. What pushes
// at the same time store counts as recorded: each row is there once.
func Push(ctx context.Context, t *delta.Table, g *feature.Graph, project string, opts *PushOptions) (PushResult, error) {
	for try := 1; ; try++ {
		res, err := pushOnce(ctx, t, g, project, opts)
		if !errors.As(err, new(*txlog.ConflictError)) || try == maxPushTries {
			return res, err
		}
	}
}

// pushOnce is Push that is a *txlog.ConflictError when somebody else wrote to the table meanwhile.
func pushOnce(ctx context.Context, t *delta.Table, g *feature.Graph, project string, opts *PushOptions) (PushResult, error) {
	res := PushResult{Stored: delta.Result{Version: -1}}
	var err error
	if res.ProjectVersion, err = g.ProjectVersion(project); err != nil {
		return res, err
	}
	records, read, err := read(ctx, t)
	if err != nil {
		return res, err
	}
	var newest *Record
	known := map[string]string{}
	for i := range records {
		r := &records[i]
		if r.Project != project {
			continue
		}
		if newest == nil || r.RecordedAt > newest.RecordedAt {
			newest = r
		}
		if r.ProjectVersion == res.ProjectVersion {
			known[r.FeatureKey] = r.DefinitionVersion
		}
	}
	res.Recorded = newest == nil || newest.ProjectVersion != res.ProjectVersion
	var defs []*feature.Definition
	for _, d := range g.Definitions() {
		if d.Project != project || d.External {
			continue
		}
		if _, err := g.Plan(d.Spec.Key); err != nil {
			return res, err
		}
		if _, there := known[d.Spec.Key.String()]; res.Recorded || !there {
			defs = append(defs, d)
		}
	}
	for _, d := range g.Definitions() {
		if d.External && !slices.ContainsFunc(records, func(r Record) bool { return r.FeatureKey == d.Spec.Key.String() }) {
			res.Warnings = append(res.Warnings, Warning{"UNRESOLVED_EXTERNAL", fmt.Sprintf("the store has no definition of the external feature %s: versions of what depends on it follow the definition given here", d.Spec.Key)})
		}
	}
	if !res.Recorded {
		for _, d := range defs {
			res.Updated = append(res.Updated, d.Spec.Key.String())
		}
	}
	if len(defs) == 0 {
		return res, nil
	}
	rows, err := pushRows(g, defs, res.ProjectVersion, opts)
	if err != nil {
		return res, err
	}
	res.Stored, err = t.Append(ctx, rows, &delta.AppendOptions{MergeSchema: true, Cast: true, Since: &read})
	return res, err
}

// pushSchema has the columns of the table in order.
func pushSchema() *arrow.Schema {
	ntz := &arrow.TimestampType{Unit: arrow.Microsecond}
	var fields []arrow.Field
	for _, name := range []string{"project", "feature_key", "metaxy_feature_version", "metaxy_definition_version", "recorded_at", "feature_spec", "feature_schema", "feature_class_path", "metaxy_project_version", "tags", "deleted_at"} {
		f := arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}
		if name == "recorded_at" || name == "deleted_at" {
			f.Type = ntz
		}
		fields = append(fields, f)
	}
	return arrow.NewSchema(fields, nil)
}

func pushRows(g *feature.Graph, defs []*feature.Definition, projectVersion string, opts *PushOptions) (*delta.Rows, error) {
	schema := pushSchema()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	tags, err := tagsText(opts.Tags)
	if err != nil {
		return nil, err
	}
	last := int64(0)
	for _, d := range defs {
		key := d.Spec.Key
		version, err := g.FeatureVersion(key)
		if err != nil {
			return nil, err
		}
		definition, err := g.DefinitionVersion(key)
		if err != nil {
			return nil, err
		}
		stored := d.Stored()
		class := d.Project + "." + strings.ReplaceAll(key.String(), "/", ".")
		if stored.ClassPath != nil {
			class = *stored.ClassPath
		}
		// Rows of one push keep their order by time, even on a coarse clock.
		last = max(last+1, opts.Now().UnixMicro())
		for i, v := range []any{d.Project, key.String(), version, definition, arrow.Timestamp(last), stored.FeatureSpec, stored.FeatureSchema, class, projectVersion, tags, nil} {
			switch v := v.(type) {
			case string:
				b.Field(i).(*array.StringBuilder).Append(v)
			case arrow.Timestamp:
				b.Field(i).(*array.TimestampBuilder).Append(v)
			default:
				b.Field(i).AppendNull()
			}
		}
	}
	rec := b.NewRecordBatch()
	return &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		defer rec.Release()
		yield(rec, nil)
	}}, nil
}

// tagsText is the JSON object of a push's tags; the member metaxy is always there and is itself a JSON text.
func tagsText(tags map[string]string) (string, error) {
	var members []feature.Member
	for _, k := range sortedNames(tags) {
		members = append(members, feature.Member{Name: k, Value: feature.StringValue(tags[k])})
	}
	version, err := json.Marshal(metaxyVersion)
	if err != nil {
		return "", err
	}
	members = append(members, feature.Member{Name: "metaxy", Value: feature.StringValue(`{"version": ` + string(version) + `}`)})
	all := feature.ObjectValue(members...)
	return all.Text(), nil
}

func sortedNames(m map[string]string) []string {
	var out []string
	for k := range m {
		if k != "metaxy" {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// Entry is one project version of a project's history. RecordedAt is its first push, LastPushed its newest, in microseconds UTC. Features counts rows, Distinct keys.
type Entry struct {
	Project, ProjectVersion string
	RecordedAt, LastPushed  int64
	Features, Distinct      int
}

// History groups records by project version, newest RecordedAt first; project "" = every project.
func History(records []Record, project string) []Entry {
	type group struct {
		Entry
		keys map[string]bool
	}
	var groups []*group
	for _, r := range records {
		if project != "" && r.Project != project {
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.ProjectVersion == r.ProjectVersion })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{Entry{Project: r.Project, ProjectVersion: r.ProjectVersion, RecordedAt: r.RecordedAt}, map[string]bool{}})
		}
		g := groups[i]
		g.RecordedAt, g.LastPushed = min(g.RecordedAt, r.RecordedAt), max(g.LastPushed, r.RecordedAt)
		g.Features++
		g.keys[r.FeatureKey] = true
	}
	out := make([]Entry, len(groups))
	for i, g := range groups {
		g.Distinct = len(g.keys)
		out[i] = g.Entry
	}
	slices.SortStableFunc(out, func(a, b Entry) int {
		if a.RecordedAt != b.RecordedAt {
			if a.RecordedAt > b.RecordedAt {
				return -1
			}
			return 1
		}
		return strings.Compare(a.ProjectVersion, b.ProjectVersion)
	})
	return out
}

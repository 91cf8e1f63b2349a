package resolve_test

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// predicate is a filter as text and as what it means.
type predicate struct {
	text string
	// columns of the table that it names.
	column string
	holds  func(v any) bool
}

func (p *predicate) of(r row) bool { return p.holds(r[p.column]) }

func all(list []predicate, r row) bool {
	return !slices.ContainsFunc(list, func(p predicate) bool { return !p.of(r) })
}

// input is one feature's table with what a request says of it.
type input struct {
	table   *stored // nil = there is none
	ids     []string
	filters []predicate
	// after are the dep's own filters, which see renamed columns.
	after []predicate
}

// model is a request in plain values. answer resolves it in the plainest way:
// maps, one row at a time, in the order of the specification.
type model struct {
	plan      *feature.Plan
	algorithm resolve.Algorithm
	mapMode   bool
	deps      []input
	current   input
	samples   *stored
	staleIf   []predicate
	skip      bool
	progress  bool
}

// answer is what a resolve must give.
type answer struct {
	columns  [3][]arrow.Field
	parts    [3][]row
	warnings map[string]int
	stats    resolve.Stats
	// foreign is set when no stored provenance can come from the algorithm,
	// native when all can. Between them a look at some of the rows decides.
	foreign, native bool
}

const (
	provenanceByField  = "metaxy_provenance_by_field"
	provenance         = "metaxy_provenance"
	featureVersion     = "metaxy_feature_version"
	projectVersion     = "metaxy_project_version"
	dataVersionByField = "metaxy_data_version_by_field"
	dataVersion        = "metaxy_data_version"
	createdAt          = "metaxy_created_at"
	updatedAt          = "metaxy_updated_at"
	deletedAt          = "metaxy_deleted_at"
	materializationID  = "metaxy_materialization_id"
)

// fourVersions end as columns of the feature itself.
var fourVersions = []string{provenanceByField, provenance, dataVersionByField, dataVersion}

// leftOut never reach the feature.
var leftOut = []string{featureVersion, projectVersion, createdAt, updatedAt, materializationID}

func has(s *arrow.Schema, name string) bool { return len(s.FieldIndices(name)) > 0 }

// stampOf is the order key of a row; ok is false where it is null.
func (s *stored) stampOf(r row) (stamp int64, ok bool) {
	last := updatedAt
	if !has(s.schema, updatedAt) {
		last = createdAt
	}
	for _, c := range []string{deletedAt, last} {
		if v := r[c]; v != nil {
			return v.(int64), true
		}
	}
	return 0, false
}

// visible are the newest rows by id, in table order, without tombstones.
func (in *input) visible() []row {
	best := map[string]int{}
	var all []row
	for _, unit := range in.table.units {
		all = append(all, unit...)
	}
	for i, r := range all {
		k := rowText(in.ids, r)
		old, taken := best[k]
		if taken {
			was, wasOK := in.table.stampOf(all[old])
			is, isOK := in.table.stampOf(r)
			if wasOK && (!isOK || is < was) {
				continue
			}
		}
		best[k] = i
	}
	var out []row
	for i, r := range all {
		if best[rowText(in.ids, r)] == i && r[deletedAt] == nil {
			out = append(out, r)
		}
	}
	return out
}

// upstream is a dep's row: renamed columns, and versions by member.
type upstream struct {
	cells    row
	versions members
}

func memberOf(v any, m string) any {
	if v == nil {
		return nil
	}
	return v.(members)[m]
}

// needed are the parent fields of a dep as members, in the order in which the
// plan names them.
func (m *model) needed(dep int) []string {
	var out []string
	for _, f := range m.plan.Fields {
		for _, p := range f.Parents {
			if k := p.Field.StructKey(); p.Dep == dep && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

func (m *model) hash(text string) string {
	h, err := rowhash.New(m.algorithm.Name, m.algorithm.Truncation)
	if err != nil {
		panic(err)
	}
	return string(h.Append(nil, []byte(text)))
}

// frame are a dep's rows after dedup, filters, renames and aggregation.
func (m *model) frame(dep int, a *answer) []upstream {
	in, d := &m.deps[dep], &m.plan.Deps[dep]
	var out []upstream
	for _, r := range in.visible() {
		if !all(in.filters, r) {
			continue
		}
		u := upstream{row{}, members{}}
		for name, v := range r {
			u.cells[d.Renamed(name)] = v
		}
		if !all(in.after, u.cells) {
			continue
		}
		for _, k := range m.needed(dep) {
			u.versions[k] = memberOf(r[dataVersionByField], k)
		}
		out = append(out, u)
	}
	if d.Lineage.Kind == feature.Aggregation {
		m.aggregate(dep, out, a)
	}
	return out
}

// aggregate replaces each row's versions by the hash over its group.
func (m *model) aggregate(dep int, rows []upstream, a *answer) {
	on := m.plan.InputIDs(dep)
	var by []string
	for _, id := range m.deps[dep].ids {
		if slices.ContainsFunc(m.columnsOf(dep), func(c column) bool { return c.name == m.plan.Deps[dep].Renamed(id) }) {
			by = append(by, m.plan.Deps[dep].Renamed(id))
		}
	}
	if len(by) == 0 {
		by = on
	}
	groups := map[string][]int{}
	for i, u := range rows {
		groups[rowText(on, u.cells)] = append(groups[rowText(on, u.cells)], i)
	}
	needed := m.needed(dep)
	tied := false
	hashed := make([]members, len(rows))
	for _, group := range groups {
		sort.SliceStable(group, func(i, j int) bool {
			x, y := rows[group[i]], rows[group[j]]
			for _, c := range by {
				if o := order(x.cells[c], y.cells[c]); o != 0 {
					return o < 0
				}
			}
			for _, k := range needed {
				if o := cmp.Compare(fmt.Sprint(orEmpty(x.versions[k])), fmt.Sprint(orEmpty(y.versions[k]))); o != 0 {
					tied = true
					return o < 0
				}
			}
			return false
		})
		sum := members{}
		for _, k := range needed {
			var texts []string
			for _, i := range group {
				if v := rows[i].versions[k]; v != nil {
					texts = append(texts, v.(string))
				}
			}
			sum[k] = m.hash(strings.Join(texts, "|"))
		}
		for _, i := range group {
			hashed[i] = sum
		}
	}
	for i := range rows {
		rows[i].versions = hashed[i]
	}
	if tied {
		a.warnings["AGGREGATION_ORDER"]++
	}
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

// order puts null first, then numbers by value and texts by bytes.
func order(x, y any) int {
	switch {
	case x == nil || y == nil:
		return cmp.Compare(fmt.Sprint(x != nil), fmt.Sprint(y != nil))
	}
	if n, ok := x.(int64); ok {
		return cmp.Compare(n, y.(int64))
	}
	return cmp.Compare(x.(string), y.(string))
}

// column is a column of the expected rows: where it comes from.
type column struct {
	name, in string
	typ      arrow.DataType
}

func plain(t arrow.DataType) arrow.DataType {
	if t.ID() == arrow.LARGE_STRING || t.ID() == arrow.STRING_VIEW {
		return arrow.BinaryTypes.String
	}
	return t
}

// columnsOf are the columns of a dep's frame, without the versions.
func (m *model) columnsOf(dep int) []column {
	in, d := &m.deps[dep], &m.plan.Deps[dep]
	names := slices.Clone(in.ids)
	for _, f := range in.table.schema.Fields() {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	var list []column
	for _, n := range names {
		if slices.Contains(leftOut, n) || slices.Contains(fourVersions, n) {
			continue
		}
		f, _ := in.table.schema.FieldsByName(n)
		list = append(list, column{d.Renamed(n), n, plain(f[0].Type)})
	}
	if d.Select == nil {
		return list
	}
	want := slices.Clone(*d.Select)
	if d.Lineage.Kind != feature.Identity && d.Lineage.On != nil {
		want = append(want, *d.Lineage.On...)
	} else {
		for _, id := range in.ids {
			want = append(want, d.Renamed(id))
		}
	}
	var out []column
	for _, w := range want {
		for _, c := range list {
			if c.name == w && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

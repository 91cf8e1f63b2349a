package resolve_test

import (
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// answer resolves the request.
func (m *model) answer() *answer {
	a := &answer{warnings: map[string]int{}, native: true}
	rows := m.wanted(a)
	on := m.joinColumns()
	a.stats.Expected = int64(len(rows))
	for _, e := range rows {
		if e.cells[provenance] == nil {
			a.warnings["NULL_VERSIONS"]++
		}
		if nullKey(on, e.key) {
			a.warnings["NULL_IDS"]++
		}
	}
	if m.skip || m.current.table == nil {
		for _, e := range rows {
			a.parts[resolve.New] = append(a.parts[resolve.New], e.cells)
		}
		m.finishStats(a, rows, rows)
		return a
	}
	m.compare(a, rows)
	return a
}

// compare sorts the expected rows by what is stored.
func (m *model) compare(a *answer, rows []expected) {
	on := m.joinColumns()
	var current []row
	for _, r := range m.current.visible() {
		if all(m.current.filters, r) {
			current = append(current, r)
		}
	}
	a.stats.Current = int64(len(current))
	m.judgeSettings(a, current)
	byKey := map[string][]row{}
	for _, r := range current {
		byKey[rowText(on, r)] = append(byKey[rowText(on, r)], r)
	}
	matched := map[string]bool{}
	var fresh []expected
	for _, e := range rows {
		k := rowText(on, e.key)
		if nullKey(on, e.key) || len(byKey[k]) == 0 {
			a.parts[resolve.New] = append(a.parts[resolve.New], e.cells)
			fresh = append(fresh, e)
			continue
		}
		matched[k] = true
		hits := 0
		if m.expands() {
			hits = m.groupHits(a, e.cells[provenance], byKey[k])
		} else {
			for _, r := range byKey[k] {
				if m.isStale(e.cells[provenance], r) {
					hits++
				}
			}
			if hits > 1 {
				a.warnings["DUPLICATE_ROWS"]++
			}
		}
		for range hits {
			a.parts[resolve.Stale] = append(a.parts[resolve.Stale], e.cells)
		}
	}
	a.columns[resolve.Orphaned] = m.storedColumns()
	done := map[string]bool{}
	for _, r := range current {
		k := rowText(on, r)
		switch {
		case matched[k] && !nullKey(on, r) || done[k]:
		case m.expands():
			done[k] = true
			a.parts[resolve.Orphaned] = append(a.parts[resolve.Orphaned], m.collapse(byKey[k]))
		default:
			a.parts[resolve.Orphaned] = append(a.parts[resolve.Orphaned], r)
		}
	}
	m.finishStats(a, rows, fresh)
}

// expands reports whether stored rows are compared by parent.
func (m *model) expands() bool {
	return slices.ContainsFunc(m.plan.Deps, func(d feature.PlanDep) bool { return d.Lineage.Kind == feature.Expansion })
}

func (m *model) flagged(r row) bool {
	return slices.ContainsFunc(m.staleIf, func(p predicate) bool { return p.of(r) })
}

func (m *model) isStale(want any, r row) bool {
	return r[provenance] == nil || want != nil && r[provenance] != want || m.flagged(r)
}

// groupHits is 1 when the stored rows of one parent are stale.
func (m *model) groupHits(a *answer, want any, rows []row) int {
	values := map[any]bool{}
	stale := m.flagged(m.collapse(rows))
	for _, r := range rows {
		if v := r[provenance]; v != nil {
			values[v] = true
			stale = stale || want != nil && v != want
		}
	}
	if len(values) > 1 {
		a.warnings["MIXED_PROVENANCE"]++
	}
	if stale || len(values) == 0 {
		return 1
	}
	return 0
}

// collapse makes one row of several: of each column the first value that is
// not null, newest row first, of one time the earlier one.
func (m *model) collapse(rows []row) row {
	rows = slices.Clone(rows)
	sort.SliceStable(rows, func(i, j int) bool {
		x, xOK := m.current.table.stampOf(rows[i])
		y, yOK := m.current.table.stampOf(rows[j])
		return xOK && (!yOK || x > y)
	})
	out := row{}
	for _, f := range m.current.table.schema.Fields() {
		for _, r := range rows {
			if out[f.Name] = r[f.Name]; r[f.Name] != nil {
				break
			}
		}
	}
	return out
}

// storedColumns are those of the table: the join columns first where rows are
// collapsed, then the ids.
func (m *model) storedColumns() []arrow.Field {
	var names []string
	if m.expands() {
		on := slices.Clone(m.joinColumns())
		own := m.plan.Feature.Spec.IDColumns
		sort.SliceStable(on, func(i, j int) bool {
			x, y := slices.Index(own, on[i]), slices.Index(own, on[j])
			if x >= 0 && y >= 0 {
				return x < y
			}
			return x >= 0 || y < 0 && on[i] < on[j]
		})
		names = on
	}
	names = append(names, m.current.ids...)
	schema := m.current.table.schema
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	var out []arrow.Field
	for i, n := range names {
		if !slices.Contains(names[:i], n) {
			f, _ := schema.FieldsByName(n)
			out = append(out, arrow.Field{Name: n, Type: plain(f[0].Type), Nullable: true})
		}
	}
	return out
}

// judgeSettings tells whether stored provenances could come from the algorithm.
func (m *model) judgeSettings(a *answer, visible []row) {
	if len(m.plan.Deps) == 0 {
		return
	}
	foreign := func(r row) bool {
		v, ok := r[provenance].(string)
		return ok && !m.couldMake(v)
	}
	a.foreign = len(visible) > 0
	for _, unit := range m.current.table.units {
		a.native = a.native && !slices.ContainsFunc(unit, foreign)
		a.foreign = a.foreign && !slices.ContainsFunc(unit, func(r row) bool { return !foreign(r) })
	}
}

func (m *model) couldMake(v string) bool {
	sample := m.hash("any")
	longest := map[string]int{"xxhash32": 10, "sha256": 64, "md5": 32}[m.algorithm.Name]
	if longest == 0 {
		longest = 20
	}
	letters := len(sample) > 0 && (m.algorithm.Name == "sha256" || m.algorithm.Name == "md5")
	if v == "" || len(v) > min(longest, m.algorithm.Truncation) {
		return false
	}
	for _, c := range v {
		if !(c >= '0' && c <= '9' || letters && c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// finishStats counts, and computes the progress over distinct join keys.
func (m *model) finishStats(a *answer, rows, fresh []expected) {
	a.stats.New, a.stats.Stale, a.stats.Orphaned = int64(len(a.parts[0])), int64(len(a.parts[1])), int64(len(a.parts[2]))
	if !m.progress || m.samples != nil || len(rows) == 0 || len(m.plan.InputIDColumns()) == 0 {
		return
	}
	distinct := func(list []expected) float64 {
		keys := map[string]bool{}
		for _, e := range list {
			keys[rowText(m.joinColumns(), e.key)] = true
		}
		return float64(len(keys))
	}
	p := (distinct(rows) - distinct(fresh)) / distinct(rows) * 100
	a.stats.Progress = &p
}

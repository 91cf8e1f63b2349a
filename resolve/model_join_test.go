package resolve_test

import (
	"slices"
	"sort"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// expected is one row of the join: a row of each dep, nil where there is none.
type expected struct {
	from  []*upstream
	key   row // the join columns
	cells row // the finished row
}

// joinColumns are the input ids that all deps have, else the feature's own.
func (m *model) joinColumns() []string {
	var common []string
	first := true
	for i := range m.plan.Deps {
		ids := m.plan.InputIDs(i)
		if len(ids) == 0 {
			continue
		}
		if first {
			common, first = slices.Clone(ids), false
			continue
		}
		common = slices.DeleteFunc(common, func(c string) bool { return !slices.Contains(ids, c) })
	}
	if len(common) == 0 {
		return m.plan.Feature.Spec.IDColumns
	}
	return common
}

func nullKey(columns []string, key row) bool {
	return slices.ContainsFunc(columns, func(c string) bool { return key[c] == nil })
}

func pick(columns []string, from row) row {
	out := row{}
	for _, c := range columns {
		out[c] = from[c]
	}
	return out
}

// joinOrder are the deps with tables, required ones first.
func (m *model) joinOrder() []int {
	var out []int
	for _, optional := range []bool{false, true} {
		for i, d := range m.plan.Deps {
			if d.Optional == optional && m.deps[i].table != nil {
				out = append(out, i)
			}
		}
	}
	return out
}

// join joins the frames: inner for required deps, left for optional ones, full
// where all are optional.
func (m *model) join(a *answer) []expected {
	on := m.joinColumns()
	order := m.joinOrder()
	var out []expected
	for n, dep := range order {
		frame := m.frame(dep, a)
		byKey := map[string][]*upstream{}
		for i := range frame {
			u := &frame[i]
			if n == 0 {
				e := expected{from: make([]*upstream, len(m.deps)), key: pick(on, u.cells)}
				e.from[dep] = u
				out = append(out, e)
				continue
			}
			if key := pick(on, u.cells); !nullKey(on, key) {
				byKey[rowText(on, key)] = append(byKey[rowText(on, key)], u)
			}
		}
		if n == 0 {
			continue
		}
		optional := m.plan.Deps[dep].Optional
		full := m.plan.Deps[order[0]].Optional
		used := map[*upstream]bool{}
		var next []expected
		for _, e := range out {
			var hits []*upstream
			if !nullKey(on, e.key) {
				hits = byKey[rowText(on, e.key)]
			}
			if len(hits) == 0 && optional {
				hits = []*upstream{nil}
			}
			for _, u := range hits {
				used[u] = true
				with := expected{from: slices.Clone(e.from), key: e.key}
				with.from[dep] = u
				next = append(next, with)
			}
		}
		for i := range frame {
			if u := &frame[i]; full && !used[u] {
				e := expected{from: make([]*upstream, len(m.deps)), key: pick(on, u.cells)}
				e.from[dep] = u
				next = append(next, e)
			}
		}
		out = next
	}
	return out
}

// outColumns are the columns of new and stale rows, before the versions.
func (m *model) outColumns() (fields []arrow.Field, from []int, in []string) {
	on := m.joinColumns()
	names := map[string]bool{}
	for n, dep := range m.joinOrder() {
		for _, c := range m.columnsOf(dep) {
			name := c.name
			if n > 0 && slices.Contains(on, name) {
				continue
			}
			if n > 0 && names[name] { // only deletion times may meet
				if name = deletedAt + "_right"; c.name != deletedAt || names[name] {
					continue
				}
			}
			names[name] = true
			typ := c.typ
			if n == 0 && slices.Contains(on, name) && m.plan.Deps[dep].Optional {
				typ = m.widest(name, typ)
			}
			fields = append(fields, arrow.Field{Name: name, Type: typ, Nullable: true})
			from, in = append(from, dep), append(in, c.name)
		}
	}
	return fields, from, in
}

// widest is int64 where a dep has a join column in that width.
func (m *model) widest(name string, typ arrow.DataType) arrow.DataType {
	for _, dep := range m.joinOrder() {
		for _, c := range m.columnsOf(dep) {
			if c.name == name && c.typ.ID() == arrow.INT64 && typ.ID() == arrow.INT32 {
				return c.typ
			}
		}
	}
	return typ
}

func (m *model) byFieldType() arrow.DataType {
	if m.mapMode {
		return arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String)
	}
	var fields []arrow.Field
	for _, f := range m.plan.Fields {
		fields = append(fields, arrow.Field{Name: f.Key.StructKey(), Type: arrow.BinaryTypes.String, Nullable: true})
	}
	return arrow.StructOf(fields...)
}

// finish hashes an expected row and puts its columns together.
func (m *model) finish(e *expected, fields []arrow.Field, from []int, in []string) {
	e.cells = row{}
	on := m.joinColumns()
	for i, f := range fields {
		if slices.Contains(on, f.Name) {
			e.cells[f.Name] = e.key[f.Name]
		} else if u := e.from[from[i]]; u != nil {
			e.cells[f.Name] = u.cells[in[i]]
		}
	}
	byField := members{}
	for _, f := range m.plan.Fields {
		text := f.Key.String() + "|" + f.CodeVersion
		null := false
		for _, p := range f.Parents {
			var v any
			if u := e.from[p.Dep]; u != nil {
				v = u.versions[p.Field.StructKey()]
			}
			if v == nil {
				null = null || !m.plan.Deps[p.Dep].Optional
				v = ""
			}
			text += "|" + p.FQ() + "|" + v.(string)
		}
		byField[f.Key.StructKey()] = nil
		if !null {
			byField[f.Key.StructKey()] = m.hash(text)
		}
	}
	sample := m.sample(byField)
	e.cells[provenanceByField], e.cells[provenance] = byField, sample
	e.cells[dataVersion], e.cells[dataVersionByField] = sample, byField
}

// sample is the provenance of a sample with these versions.
func (m *model) sample(byField any) any {
	var keys, texts []string
	for _, f := range m.plan.Fields {
		keys = append(keys, f.Key.StructKey())
	}
	sort.Strings(keys)
	for _, k := range keys {
		v := memberOf(byField, k)
		if v == nil {
			return nil
		}
		texts = append(texts, v.(string))
	}
	return m.hash(strings.Join(texts, "|"))
}

// wanted are the expected rows with their columns.
func (m *model) wanted(a *answer) []expected {
	if m.samples != nil {
		return m.givenSamples(a)
	}
	rows := m.join(a)
	fields, from, in := m.outColumns()
	for i := range rows {
		m.finish(&rows[i], fields, from, in)
	}
	text := arrow.BinaryTypes.String
	for _, f := range []arrow.Field{{Name: provenanceByField, Type: m.byFieldType()}, {Name: provenance, Type: text}, {Name: dataVersion, Type: text},
		{Name: dataVersionByField, Type: m.byFieldType()}} {
		f.Nullable = true
		fields = append(fields, f)
	}
	a.columns[resolve.New], a.columns[resolve.Stale], a.columns[resolve.Orphaned] = fields, fields, fields
	return rows
}

// givenSamples are the samples with their provenance.
func (m *model) givenSamples(a *answer) []expected {
	var fields []arrow.Field
	for _, f := range m.samples.schema.Fields() {
		f.Type, f.Nullable = plain(f.Type), true
		if m.mapMode && f.Type.ID() == arrow.STRUCT {
			f.Type = m.byFieldType()
		}
		fields = append(fields, f)
	}
	given := func(name string) bool { return has(m.samples.schema, name) }
	add := func(name string, t arrow.DataType) {
		if !given(name) {
			fields = append(fields, arrow.Field{Name: name, Type: t, Nullable: true})
		}
	}
	add(provenance, arrow.BinaryTypes.String)
	if !given(dataVersionByField) {
		i := slices.IndexFunc(fields, func(f arrow.Field) bool { return f.Name == provenanceByField })
		add(dataVersionByField, fields[i].Type)
		add(dataVersion, arrow.BinaryTypes.String)
	}
	a.columns[resolve.New], a.columns[resolve.Stale], a.columns[resolve.Orphaned] = fields, fields, fields
	var out []expected
	for _, unit := range m.samples.units {
		for _, r := range unit {
			cells := row{}
			for k, v := range r {
				cells[k] = v
			}
			cells[provenance] = m.sample(r[provenanceByField])
			if !given(dataVersionByField) {
				cells[dataVersionByField], cells[dataVersion] = cells[provenanceByField], cells[provenance]
			}
			if !all(m.current.filters, cells) {
				continue
			}
			if m.mapMode { // a null struct becomes a map of nulls
				for _, c := range []string{provenanceByField, dataVersionByField} {
					if cells[c] == nil {
						cells[c] = m.noMembers()
					}
				}
			}
			out = append(out, expected{key: pick(m.joinColumns(), r), cells: cells})
		}
	}
	return out
}

func (m *model) noMembers() members {
	out := members{}
	for _, f := range m.plan.Fields {
		out[f.Key.StructKey()] = nil
	}
	return out
}

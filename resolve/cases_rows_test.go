package resolve_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

var micros = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// schema puts the columns of a table in the order in which Metaxy writes them;
// now and then a table of another age lacks a column.
func (mk *maker) schema(ids []string, user []arrow.Field, fields []feature.Field, name string) *arrow.Schema {
	var out []arrow.Field
	add := func(n string, t arrow.DataType) { out = append(out, arrow.Field{Name: n, Type: t, Nullable: true}) }
	for _, id := range ids {
		add(id, mk.idType(id))
	}
	out = append(out, user...)
	text := textType(mk)
	byField := mk.byField(fields, memberType(mk))
	lacks := pickOf(mk.t, name+" lacks", "", "", "", "", deletedAt, updatedAt, "all stamps")
	add(provenanceByField, byField)
	add(featureVersion, text)
	add(provenance, text)
	for _, c := range []string{createdAt, updatedAt, deletedAt} {
		if lacks != c && lacks != "all stamps" {
			add(c, micros)
		}
	}
	add(materializationID, text)
	add(dataVersionByField, byField)
	add(dataVersion, text)
	if rapid.IntRange(0, 4).Draw(mk.t, name+" order") == 0 {
		mk.r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return arrow.NewSchema(out, nil)
}

// byField is the type of the versions by field.
func (mk *maker) byField(fields []feature.Field, text arrow.DataType) arrow.DataType {
	if mk.mapMode {
		return arrow.MapOf(text, text)
	}
	var list []arrow.Field
	for _, f := range fields {
		list = append(list, arrow.Field{Name: f.Key.StructKey(), Type: text, Nullable: true})
	}
	return arrow.StructOf(list...)
}

// layers spreads the writes of a table over units: write by write, of each the
// rows in a row. Orders keep what fast ways look for, or break it.
type layers struct {
	mk    *maker
	out   *stored
	chaos bool // stamps in no order, ties, nulls
	stamp int64
}

func (mk *maker) layers(schema *arrow.Schema, name string) *layers {
	return &layers{mk: mk, out: &stored{schema: schema}, chaos: rapid.IntRange(0, 3).Draw(mk.t, name+" chaos") == 0, stamp: 1_700_000_000_000_000}
}

// write adds one write in up to units units.
func (l *layers) write(rows []row, units int) {
	l.stamp += int64(1+l.mk.r.IntN(3)) * 1_000_000
	for _, r := range rows {
		at := l.stamp
		if l.chaos {
			at = 1_700_000_000_000_000 + int64(l.mk.r.IntN(4))
		}
		l.mk.stampRow(r, at, l.chaos)
		for c := range r {
			if !has(l.out.schema, c) {
				delete(r, c)
			}
		}
	}
	for _, cut := range l.mk.cuts(len(rows), units) {
		l.out.units = append(l.out.units, rows[cut[0]:cut[1]])
	}
}

func (mk *maker) stampRow(r row, at int64, chaos bool) {
	r[createdAt], r[updatedAt] = at, at
	if chaos {
		r[createdAt] = at + int64(mk.r.IntN(3))
		switch mk.r.IntN(10) {
		case 0:
			r[updatedAt] = nil
		case 1:
			r[updatedAt], r[createdAt] = nil, nil
		case 2:
			r[deletedAt] = at + int64(mk.r.IntN(2))
		}
	}
	if r[deletedAt] == true { // a tombstone in order
		r[deletedAt] = at
	}
}

// cuts are the ends of up to n pieces; some may be empty.
func (mk *maker) cuts(rows, n int) [][2]int {
	ends := []int{rows}
	for range mk.r.IntN(n) {
		ends = append(ends, mk.r.IntN(rows+1))
	}
	slices.Sort(ends)
	var out [][2]int
	from := 0
	for _, to := range ends {
		out = append(out, [2]int{from, to})
		from = to
	}
	return out
}

// upstream makes the table of a dep.
func (mk *maker) upstream(i int, d *feature.PlanDep) input {
	in := input{ids: d.Definition.Spec.IDColumns, after: mk.parse(d, i)}
	if d.Optional && rapid.IntRange(0, 5).Draw(mk.t, "no table") == 0 {
		return in
	}
	user := []arrow.Field{{Name: userColumn("n", i), Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: userColumn("s", i), Type: textType(mk), Nullable: true}}
	columns := slices.Clone(in.ids)
	for _, c := range mk.ids { // what aggregation groups by
		if d.Lineage.Kind == feature.Aggregation && !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	name := fmt.Sprint("dep ", i)
	schema := mk.schema(columns, user, d.Definition.Spec.Fields, name)
	l := mk.layers(schema, name)
	domain := mk.domain(name)
	mk.fill(l, domain, name, func(id int) row {
		r := row{}
		for _, c := range columns {
			r[c] = mk.idCell(d, c, id)
		}
		r[user[0].Name], r[user[1].Name] = mk.number(), mk.maybeText()
		mk.versions(r, d.Definition.Spec.Fields)
		return r
	})
	in.table = l.out
	if rapid.IntRange(0, 4).Draw(mk.t, name+" filter") == 0 {
		in.filters = append(in.filters, mk.intPredicate(user[0].Name))
	}
	if rapid.IntRange(0, 9).Draw(mk.t, name+" stamp filter") == 0 && has(schema, createdAt) {
		p := isNull(createdAt)
		in.filters = append(in.filters, predicate{"NOT " + p.text, createdAt, func(v any) bool { return v != nil }})
	}
	return in
}

// idCell is the value of an id column; rows of an aggregation share their group.
func (mk *maker) idCell(d *feature.PlanDep, c string, id int) any {
	if mk.r.Float64() < mk.nullID {
		return nil
	}
	if c == "own_id" {
		c = mk.ids[0]
	}
	if c != "chunk" && d.Lineage.Kind == feature.Aggregation {
		return mk.id(c, id/4)
	}
	return mk.id(c, id)
}

// domain are the ids of a table: a range, or some of it.
func (mk *maker) domain(name string) []int {
	var out []int
	share := pickOf(mk.t, name+" share", 1, 1, 0.8, 0.3)
	for i := range mk.rows {
		if mk.r.Float64() < share {
			out = append(out, i)
		}
	}
	return out
}

// fill writes a first layer, then newer ones over the whole range or a part.
func (mk *maker) fill(l *layers, domain []int, name string, make func(id int) row) {
	layer := func(ids []int) {
		var rows []row
		for _, id := range ids {
			rows = append(rows, make(id))
			if mk.r.Float64() < mk.repeat {
				rows = append(rows, make(id))
			}
		}
		l.write(rows, rapid.IntRange(1, 4).Draw(mk.t, name+" units"))
	}
	order := slices.Clone(domain)
	shuffled := rapid.IntRange(0, 2).Draw(mk.t, name+" shuffled") == 0
	if shuffled {
		mk.r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	layer(order)
	for range rapid.IntRange(0, 3).Draw(mk.t, name+" newer layers") {
		var ids []int
		switch pickOf(mk.t, name+" layer", "sparse", "range", "beyond", "tombstones") {
		case "sparse":
			for _, id := range order {
				if mk.r.IntN(5) == 0 {
					ids = append(ids, id)
				}
			}
		case "range":
			ids = order[mk.r.IntN(len(order)+1):]
		case "beyond":
			for i := range mk.rows / 4 {
				ids = append(ids, mk.rows+i)
			}
		default:
			mk.bury(l, order, make)
			continue
		}
		layer(ids)
	}
}

// bury writes tombstones for some ids.
func (mk *maker) bury(l *layers, order []int, make func(id int) row) {
	var rows []row
	for _, id := range order {
		if mk.r.IntN(6) == 0 {
			r := make(id)
			r[deletedAt] = true
			rows = append(rows, r)
		}
	}
	l.write(rows, 2)
}

func (mk *maker) number() any {
	if mk.r.IntN(12) == 0 {
		return nil
	}
	return int64(mk.r.IntN(10))
}

func (mk *maker) maybeText() any {
	if mk.r.IntN(12) == 0 {
		return nil
	}
	return fmt.Sprint("path/", mk.r.IntN(1000))
}

// versions fills the four versions of a stored row at random.
func (mk *maker) versions(r row, fields []feature.Field) {
	m := members{}
	for _, f := range fields {
		m[f.Key.StructKey()] = mk.text()
	}
	var byField any = m
	if mk.r.Float64() < mk.nullVersion/4 {
		byField = nil
	}
	r[dataVersionByField], r[provenanceByField] = byField, byField
	r[dataVersion], r[provenance], r[featureVersion] = mk.text(), mk.text(), "v1"
}

// sampleRows are samples in the place of upstream rows.
func (mk *maker) sampleRows(m *model) *stored {
	var out []arrow.Field
	add := func(n string, t arrow.DataType) { out = append(out, arrow.Field{Name: n, Type: t, Nullable: true}) }
	ids := m.joinColumns()
	for _, c := range ids {
		add(c, mk.idType(c))
	}
	text := textType(mk)
	add("note", text)
	var list []arrow.Field
	member := memberType(mk)
	for _, f := range m.plan.Fields {
		list = append(list, arrow.Field{Name: f.Key.StructKey(), Type: member, Nullable: true})
	}
	add(provenanceByField, arrow.StructOf(list...))
	if rapid.Bool().Draw(mk.t, "provenance given") {
		add(provenance, text)
	}
	if rapid.Bool().Draw(mk.t, "data versions given") {
		add(dataVersionByField, arrow.StructOf(list...))
	}
	s := &stored{schema: arrow.NewSchema(out, nil)}
	var rows []row
	for i := range mk.rows {
		for range 1 + mk.r.IntN(8)/7 {
			r := row{"note": mk.note()}
			for _, c := range ids {
				if r[c] = mk.id(c, i); mk.r.Float64() < mk.nullID {
					r[c] = nil
				}
			}
			mk.versions(r, m.plan.Feature.Spec.Fields)
			rows = append(rows, r)
		}
	}
	for _, cut := range mk.cuts(len(rows), 3) {
		s.units = append(s.units, rows[cut[0]:cut[1]])
	}
	return s
}

func (mk *maker) note() any {
	return []any{nil, "good", "bad", "a longer note than others"}[mk.r.IntN(4)]
}

// current makes the feature's own table around what the model expects: rows in
// sync, changed, missing, of null provenance, and some that nothing expects.
func (mk *maker) current(m *model) {
	spec := m.plan.Feature.Spec
	m.current.ids = spec.IDColumns
	m.skip = rapid.IntRange(0, 9).Draw(mk.t, "skip") == 0
	if rapid.IntRange(0, 7).Draw(mk.t, "no current") == 0 {
		return
	}
	wanted := m.wanted(&answer{warnings: map[string]int{}})
	columns := slices.Clone(m.joinColumns())
	for _, c := range spec.IDColumns {
		if !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	user := []arrow.Field{{Name: "note", Type: textType(mk), Nullable: true}}
	l := mk.layers(mk.schema(columns, user, spec.Fields, "current"), "current")
	in := rapid.SampledFrom([]string{"sync", "sync", "mostly", "mixed", "empty"}).Draw(mk.t, "state")
	if in != "empty" {
		mk.store(m, l, wanted, columns, in)
	}
	m.current.table = l.out
	if rapid.IntRange(0, 5).Draw(mk.t, "target filter") == 0 {
		m.current.filters = []predicate{{"note = 'good'", "note", func(v any) bool { return v == "good" }}}
	}
	for range rapid.IntRange(0, 5).Draw(mk.t, "stale if") / 4 {
		m.staleIf = append(m.staleIf, predicate{"note = 'bad'", "note", func(v any) bool { return v == "bad" }}, isNull(provenance))
	}
}

// store writes current rows for what is expected.
func (mk *maker) store(m *model, l *layers, wanted []expected, columns []string, state string) {
	odds := map[string][3]int{"sync": {0, 0, 0}, "mostly": {5, 5, 2}, "mixed": {20, 25, 8}}[state] // of 100: missing, changed, null
	var first, again []row
	put := func(list *[]row, e *expected, sub int) {
		r := row{"note": mk.note()}
		mk.versions(r, m.plan.Feature.Spec.Fields)
		for _, c := range columns {
			if v, ok := e.key[c]; ok {
				r[c] = v
			} else if v, ok := e.cells[c]; ok && c != "sub" {
				r[c] = v
			} else {
				r[c] = mk.id(c, sub)
			}
		}
		r[provenance] = e.cells[provenance]
		switch n := mk.r.IntN(100); {
		case n < odds[1]:
			r[provenance] = mk.text()
		case n < odds[1]+odds[2]:
			r[provenance] = nil
		}
		*list = append(*list, r)
	}
	for i := range wanted {
		if mk.r.IntN(100) < odds[0] {
			continue
		}
		for sub := range 1 + mk.children() {
			put(&first, &wanted[i], sub)
			if mk.r.IntN(8) == 0 {
				put(&again, &wanted[i], sub)
			}
		}
	}
	for i := range rapid.IntRange(0, 3).Draw(mk.t, "orphans") {
		e := expected{key: row{}, cells: row{provenance: mk.text()}}
		for _, c := range columns {
			e.key[c] = mk.id(c, 10_000+i/2)
			if c == "sub" {
				e.key[c] = int64(i)
			}
		}
		put(&first, &e, i)
	}
	if rapid.IntRange(0, 2).Draw(mk.t, "current shuffled") == 0 {
		mk.r.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	}
	l.write(first, rapid.IntRange(1, 4).Draw(mk.t, "current units"))
	if len(again) > 0 {
		l.write(again, 2)
	}
	if rapid.IntRange(0, 4).Draw(mk.t, "current tombstones") == 0 {
		var gone []row
		for _, r := range first {
			if mk.r.IntN(6) == 0 {
				c := maps.Clone(r)
				c[deletedAt] = true
				gone = append(gone, c)
			}
		}
		l.write(gone, 1)
	}
}

// children is how many more stored rows a parent has.
func (mk *maker) children() int {
	if mk.shape == "expansion" {
		return mk.r.IntN(3)
	}
	return 0
}

package resolve

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// outColumn is a column of new and stale rows: from which dep, or one of the versions.
type outColumn struct {
	name string
	dep  int // index of the dep, -1 for a version
	in   string
	typ  arrow.DataType
}

// planColumns orders the result: the first joined dep's columns, what others
// bring beside the join columns, then the versions.
func (inc *Increment) planColumns() error {
	join := inc.joinColumns()
	taken := map[string]bool{}
	for n, i := range inc.order {
		for _, c := range inc.deps[i].columns {
			name := c.out
			switch {
			case c.system != "":
				continue
			case n > 0 && slices.Contains(join, name):
				continue
			case taken[name] && n > 0:
				if name = c.out + "_right"; c.out != syscol.DeletedAt || taken[name] {
					continue // a further one is dropped
				}
			case isRight(name) && taken[name]:
				continue
			}
			taken[name] = true
			typ := c.typ
			if n == 0 && slices.Contains(join, name) && inc.deps[i].plan.Optional {
				typ = inc.widest(name, typ) // values of any dep may stand there
			}
			inc.columns = append(inc.columns, outColumn{name, i, c.in, typ})
		}
	}
	byField := byFieldType(inc.req.Plan, inc.req.MapMode)
	for _, v := range []outColumn{{syscol.ProvenanceByField, -1, "", byField}, {syscol.Provenance, -1, "", arrow.BinaryTypes.String},
		{syscol.DataVersion, -1, "", arrow.BinaryTypes.String}, {syscol.DataVersionByField, -1, "", byField}} {
		inc.columns = slices.DeleteFunc(inc.columns, func(c outColumn) bool { return c.name == v.name })
		inc.columns = append(inc.columns, v)
	}
	inc.setSchemas()
	return nil
}

// widest is the widest integer type that a join column has in the deps, t for other types.
func (inc *Increment) widest(name string, t arrow.DataType) arrow.DataType {
	width := func(t arrow.DataType) int {
		if f, ok := t.(arrow.FixedWidthDataType); ok && arrow.IsInteger(t.ID()) {
			return f.BitWidth()
		}
		return -1
	}
	for _, d := range inc.deps {
		for _, c := range d.columns {
			if c.out == name && width(t) >= 0 && width(c.typ) > width(t) {
				t = c.typ
			}
		}
	}
	return t
}

// setSchemas fixes the schemas of all parts.
func (inc *Increment) setSchemas() {
	fields := make([]arrow.Field, len(inc.columns))
	for i, c := range inc.columns {
		fields[i] = arrow.Field{Name: c.name, Type: c.typ, Nullable: true}
	}
	s := arrow.NewSchema(fields, nil)
	inc.schemas = [3]*arrow.Schema{s, s, s}
	if inc.req.Current.Table == nil || inc.req.SkipComparison {
		return
	}
	var orphaned []arrow.Field
	for _, name := range inc.orphanColumns() {
		f, _ := inc.req.Current.Table.Schema().FieldsByName(name)
		orphaned = append(orphaned, arrow.Field{Name: name, Type: plainType(f[0].Type), Nullable: true})
	}
	inc.schemas[Orphaned] = arrow.NewSchema(orphaned, nil)
}

// expands reports whether a dep's lineage is an expansion.
func (inc *Increment) expands() bool {
	return slices.ContainsFunc(inc.req.Plan.Deps, func(d feature.PlanDep) bool { return d.Lineage.Kind == feature.Expansion })
}

// orphanColumns are the stored table's: ids first (the join columns with
// expansion), then the others in table order.
func (inc *Increment) orphanColumns() []string {
	names := slices.Clone(inc.req.Current.IDs)
	if inc.expands() {
		names = slices.Clone(inc.joinColumns())
		names = append(names, inc.req.Current.IDs...)
	}
	for _, f := range inc.req.Current.Table.Schema().Fields() {
		names = append(names, f.Name)
	}
	return unique(names)
}

// byFieldType is the type of the by-field columns: a struct with a text for
// each field, or a map of texts.
func byFieldType(plan *feature.Plan, mapMode bool) arrow.DataType {
	if mapMode {
		return arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String)
	}
	var fields []arrow.Field
	for _, m := range members(plan) {
		fields = append(fields, arrow.Field{Name: m, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	return arrow.StructOf(fields...)
}

// members are the struct keys of a feature's fields in declaration order; of
// two equal ones the later field's counts.
func members(plan *feature.Plan) []string {
	var out []string
	for _, f := range plan.Fields {
		out = append(out, f.Key.StructKey())
	}
	return unique(out)
}

// sortedMembers is the order in which they enter the sample's hash.
func sortedMembers(plan *feature.Plan) []string {
	m := members(plan)
	slices.Sort(m)
	return m
}

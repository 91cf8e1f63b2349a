package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// depColumn is a column that a dep brings: its name in the table and in the
// result. system names the versions, which end as columns of the feature
// itself.
type depColumn struct {
	in, out string
	system  string
	typ     arrow.DataType
}

// depState is an upstream feature on its way through the join.
type depState struct {
	index   int
	plan    *feature.PlanDep
	src     Source
	columns []depColumn // in the order of the dep's frame
	filters []filter.Expr
	// members are the needed members of data_version_by_field.
	members []string

	// tied says that rows of a group had no order of their own.
	tied bool
}

func (d *depState) key() string { return d.plan.Feature.String() }

// dropped columns of an upstream table never reach the feature.
var dropped = []string{syscol.FeatureVersion, syscol.ProjectVersion, syscol.CreatedAt, syscol.UpdatedAt, syscol.MaterializationID}

var versionColumns = []string{syscol.ProvenanceByField, syscol.Provenance, syscol.DataVersionByField, syscol.DataVersion}

// newDep plans what a dep reads and brings.
func newDep(req *Request, index int) (*depState, error) {
	d := &depState{index: index, plan: &req.Plan.Deps[index], src: req.Deps[index]}
	for _, f := range req.Plan.Fields {
		for _, p := range f.Parents {
			if m := p.Field.StructKey(); p.Dep == index && !slices.Contains(d.members, m) {
				d.members = append(d.members, m)
			}
		}
	}
	for _, text := range d.plan.Filters {
		e, err := filter.Parse(text)
		if err != nil {
			return nil, err
		}
		d.filters = append(d.filters, e)
	}
	if d.src.Table == nil {
		return d, nil
	}
	if err := d.planFrame(req.Plan); err != nil {
		return nil, err
	}
	return d, d.checkInput(req.Plan)
}

// planFrame orders the columns: ids first, then the table's order, as a read
// gives them; renamed, without those that are dropped; then cut to the
// selection.
func (d *depState) planFrame(plan *feature.Plan) error {
	schema := d.src.Table.Schema()
	names := slices.Clone(d.src.IDs)
	for _, f := range schema.Fields() {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	for _, r := range d.plan.Rename {
		if !schema.HasField(r.From) {
			return &InputError{Feature: d.key(), Column: r.From, Msg: "is renamed, but the table lacks it"}
		}
	}
	for _, name := range names {
		i := schema.FieldIndices(name)
		if len(i) == 0 {
			return &InputError{Feature: d.key(), Column: name, Msg: "the id column is missing in the table"}
		}
		c := depColumn{in: name, out: d.plan.Renamed(name), typ: plainType(schema.Field(i[0]).Type)}
		switch {
		case slices.Contains(dropped, name):
			continue
		case slices.Contains(versionColumns, name):
			c.system = name
		}
		d.columns = append(d.columns, c)
	}
	if d.plan.Select == nil {
		return nil
	}
	return d.cut(plan)
}

// cut keeps the selected columns, the lineage's columns, and the ids where the lineage names none.
func (d *depState) cut(plan *feature.Plan) error {
	want := slices.Clone(*d.plan.Select)
	if d.plan.Lineage.Kind != feature.Identity && d.plan.Lineage.On != nil {
		want = append(want, *d.plan.Lineage.On...)
	} else {
		for _, id := range d.src.IDs {
			want = append(want, d.plan.Renamed(id))
		}
	}
	var out []depColumn
	for _, name := range unique(want) {
		i := slices.IndexFunc(d.columns, func(c depColumn) bool { return c.out == name && c.system == "" })
		if i < 0 {
			return &InputError{Feature: d.key(), Column: name, Msg: "is selected, but there is no such column"}
		}
		out = append(out, d.columns[i])
	}
	for _, c := range d.columns {
		if c.system != "" {
			out = append(out, c)
		}
	}
	d.columns = out
	return nil
}

// plainType is the type of a column in results: text of every layout is a plain string.
func plainType(t arrow.DataType) arrow.DataType {
	switch t.ID() {
	case arrow.STRING_VIEW, arrow.LARGE_STRING:
		return arrow.BinaryTypes.String
	case arrow.DICTIONARY:
		return plainType(t.(*arrow.DictionaryType).ValueType)
	}
	return t
}

// checkInput finds what the provenance cannot do without, and filters that cannot be evaluated.
func (d *depState) checkInput(plan *feature.Plan) error {
	schema := d.src.Table.Schema()
	if d.plan.Lineage.Kind == feature.Aggregation {
		for _, name := range d.inputIDs(plan) {
			if !slices.ContainsFunc(d.columns, func(c depColumn) bool { return c.out == name }) {
				return &InputError{Feature: d.key(), Column: name, Msg: "groups its rows, but the upstream feature lacks it"}
			}
		}
	}
	if len(d.members) > 0 && !schema.HasField(syscol.DataVersionByField) {
		return &InputError{Feature: d.key(), Column: syscol.DataVersionByField, Msg: "the table lacks it"}
	}
	if t, ok := schema.FieldsByName(syscol.DataVersionByField); ok {
		if st, isStruct := t[0].Type.(*arrow.StructType); isStruct {
			for _, m := range d.members {
				if _, ok := st.FieldIdx(m); !ok {
					return &InputError{Feature: d.key(), Column: syscol.DataVersionByField + "." + m, Msg: "the table lacks the member"}
				}
			}
		}
	}
	if err := checkFilters(d.src.Filters, schema); err != nil {
		return err
	}
	fields := schema.Fields()
	for i := range fields {
		fields[i].Name = d.plan.Renamed(fields[i].Name)
	}
	return checkFilters(d.filters, arrow.NewSchema(fields, nil))
}

// member is the name under which a member is read.
func memberColumn(m string) string { return syscol.DataVersionByField + "." + m }

// original is the table's name of a result's column.
func (d *depState) original(out string) string {
	for _, r := range d.plan.Rename {
		if r.To == out {
			return r.From
		}
	}
	return out
}

// deciding are the columns that must be read of every row.
func (d *depState) deciding(ctx context.Context, inc *Increment) ([]string, error) {
	stamps, err := stampColumns(ctx, d.src.Table)
	if err != nil {
		return nil, err
	}
	cols := slices.Clone(d.src.IDs)
	cols = append(cols, stamps...)
	for _, m := range d.members {
		cols = append(cols, memberColumn(m))
	}
	cols = append(cols, filterColumns(d.src.Filters)...)
	for _, c := range slices.Concat(filterColumns(d.filters), d.inputIDs(inc.req.Plan), inc.joinColumns()) {
		if o := d.original(c); hasColumn(d.src.Table.Schema(), o) {
			cols = append(cols, o)
		}
	}
	return unique(cols), nil
}

func (d *depState) inputIDs(plan *feature.Plan) []string { return plan.InputIDs(d.index) }

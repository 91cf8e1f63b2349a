package delta

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// evolve is the metadata of a merged schema, with the protocol when it must go up.
func evolve(snap *Snapshot, merged *Schema) (*txlog.Protocol, *txlog.Metadata) {
	m := *snap.state.Metadata
	m.SchemaString = merged.JSON()
	if snap.mapping != MappingNone {
		last := maxColumnID(merged.Fields, 0)
		m.Configuration = map[string]string{propMaxColumnID: strconv.Itoa(max(last, snap.maxColumnID()))}
		for k, v := range snap.state.Metadata.Configuration {
			if k != propMaxColumnID {
				m.Configuration[k] = v
			}
		}
	}
	if !usesNTZ(merged.Fields) {
		return nil, &m
	}
	if p := withFeatures(snap.state.Protocol, &m, merged, "timestampNtz"); p != snap.state.Protocol {
		return p, &m
	}
	return nil, &m
}

// maxColumnID is the greatest column id that was ever given out.
func (s *Snapshot) maxColumnID() int {
	n, err := strconv.Atoi(s.property(propMaxColumnID))
	if err != nil {
		n = 0
	}
	return max(n, maxColumnID(s.schema.Fields, 0))
}

func maxColumnID(fields []Field, last int) int {
	anyField(fields, func(f *Field) bool {
		last = max(last, f.ID)
		return false
	})
	return last
}

// mergeSchema adds new columns and struct members of the frame to the table's schema, when the options let it.
func (a *appending) mergeSchema(snap *Snapshot, own *Schema) (*Schema, bool, error) {
	if err := checkNames(own.Fields, ""); err != nil {
		return nil, false, err
	}
	m := &merger{opts: a.opts}
	fields, err := m.fields(snap.schema.Fields, own.Fields, "")
	if err != nil {
		return nil, false, err
	}
	if m.grew == "" {
		return snap.schema, false, nil
	}
	if !a.opts.MergeSchema {
		return nil, false, &SchemaError{Column: m.grew, Want: "a column of the table", Got: "a new column"}
	}
	if snap.mapping != MappingNone {
		// Columns have an id already when this append gave it to them before it lost a race; another writer must not have taken it since.
		if anyField(own.Fields, func(f *Field) bool { return f.ID > 0 && f.ID <= snap.maxColumnID() && !snap.hasColumn(f) }) {
			return nil, false, &SchemaError{Column: m.grew, Want: "a column id that is free", Got: "one that another writer took"}
		}
		fields, _ = mapNew(fields, fields, snap.maxColumnID(), true)
	}
	return &Schema{fields}, true, nil
}

// hasColumn reports whether the table has the very column, by id and physical name.
func (s *Snapshot) hasColumn(c *Field) bool {
	return anyField(s.schema.Fields, func(f *Field) bool { return f.ID == c.ID && f.Physical == c.Physical })
}

// merger joins the columns of a frame to those of a table.
type merger struct {
	opts *AppendOptions
	grew string // the first column or member that is new
}

func (m *merger) fields(table, frame []Field, path string) ([]Field, error) {
	out := slices.Clone(table)
	for i := range frame {
		f := frame[i]
		j := findField(out, f.Name)
		if j < 0 {
			if p := voidInType(&f.Type, path+f.Name); p != "" {
				return nil, &SchemaError{Column: p, Want: "a column of the table, or a type for a new one", Got: "a new column of type null"}
			}
			f.Nullable = true
			out = append(out, f)
			if m.grew == "" {
				m.grew = path + f.Name
			}
			continue
		}
		if m.opts.ExactNames && out[j].Name != f.Name {
			return nil, &SchemaError{Column: path + f.Name, Want: fmt.Sprintf("the table's spelling, %q", path+out[j].Name), Got: "a name that differs from it in case"}
		}
		t, err := m.types(&out[j].Type, &f.Type, path+f.Name)
		if err != nil {
			return nil, err
		}
		out[j].Type = *t
	}
	return out, nil
}

// types keeps the table's type and adds struct members at any depth. Kinds that do not match are an error; primitives are the caster's to judge. A void
// column takes the type of the first values that come.
func (m *merger) types(table, frame *Type, path string) (*Type, error) {
	if frame.Name == "void" {
		return table, nil // nulls go into every column
	}
	if table.Name == "void" && m.opts.MergeSchema {
		if m.grew == "" {
			m.grew = path
		}
		return frame, nil
	}
	if kindOf(table) != kindOf(frame) {
		return nil, &SchemaError{Column: path, Want: describeType(table), Got: describeType(frame)}
	}
	out := *table
	var err error
	switch kindOf(table) {
	case structKind:
		out.Fields, err = m.fields(table.Fields, frame.Fields, path+".")
	case mapKind:
		if out.Key, err = m.types(table.Key, frame.Key, path+".key"); err == nil {
			out.Elem, err = m.types(table.Elem, frame.Elem, path+".value")
		}
	case listKind:
		out.Elem, err = m.types(table.Elem, frame.Elem, path+".element")
	default:
		err = m.primitive(table, frame, path)
	}
	return &out, err
}

// primitive refuses what no cast is tried for: any difference when casts are not wanted, and values for a void column, which has none.
func (m *merger) primitive(table, frame *Type, path string) error {
	if table.Name == frame.Name {
		return nil
	}
	if !m.opts.Cast || table.Name == "void" && frame.Name != "void" {
		return &SchemaError{Column: path, Want: describeType(table), Got: describeType(frame)}
	}
	return nil
}

type typeKind uint8

const (
	primitiveKind typeKind = iota
	mapKind
	listKind
	structKind
)

func kindOf(t *Type) typeKind {
	switch {
	case t.Name != "":
		return primitiveKind
	case t.Key != nil:
		return mapKind
	case t.Elem != nil:
		return listKind
	}
	return structKind
}

// sameColumns checks that columns written with one schema are those of another: types, physical names and ids, no new NOT NULL.
func sameColumns(wrote, table []Field, path string) error {
	for i := range wrote {
		w, p := &wrote[i], path+wrote[i].Name
		j := findField(table, w.Name)
		if j < 0 {
			return &SchemaError{Column: p, Want: "a column of the table", Got: "none"}
		}
		f := &table[j]
		if f.Physical != w.Physical || f.ID != w.ID {
			return &SchemaError{Column: p, Want: "the physical column " + f.Physical, Got: w.Physical}
		}
		if w.Nullable && !f.Nullable {
			return &SchemaError{Column: p, Want: "no nulls (the column has become NOT NULL)", Got: "rows written before"}
		}
		if err := sameType(&w.Type, &f.Type, p); err != nil {
			return err
		}
	}
	return nil
}

func sameType(a, b *Type, path string) error {
	if a.Name != b.Name || kindOf(a) != kindOf(b) {
		return &SchemaError{Column: path, Want: describeType(b), Got: describeType(a)}
	}
	if a.Key != nil {
		if err := sameType(a.Key, b.Key, path+".key"); err != nil {
			return err
		}
	}
	if a.Elem != nil {
		if err := sameType(a.Elem, b.Elem, path+".element"); err != nil {
			return err
		}
	}
	return sameColumns(a.Fields, b.Fields, path+".")
}

func describeType(t *Type) string {
	if t.Name != "" {
		return t.Name
	}
	return t.Arrow().String()
}

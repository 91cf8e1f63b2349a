package scan

import (
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// fileColumn is how a column of the table lies in one file: its leaves there, none when the file lacks it.
type fileColumn struct {
	leaves []leaf
}

// leaf is a leaf of the file below a column, by the table's logical path (members joined by NUL). Inside lists and maps the path is that of the column.
type leaf struct {
	path  string
	index int
}

// pathSeparator joins member names, which may hold any other character.
const pathSeparator = "\x00"

// matchColumns finds every column of the table in a file: by id or physical name, else by a name that differs in case only.
func matchColumns(snap *delta.Snapshot, manifest *pqarrow.SchemaManifest) []fileColumn {
	m := matcher{byID: snap.MappingMode() == delta.MappingID}
	columns := snap.Schema().Fields
	out := make([]fileColumn, len(columns))
	for i := range columns {
		if j := m.find(fieldsOf(manifest.Fields), &columns[i]); j >= 0 {
			out[i].leaves = m.leaves(&manifest.Fields[j], &columns[i].Type, columns[i].Name, nil)
		}
	}
	return out
}

func fieldsOf(list []pqarrow.SchemaField) []arrow.Field {
	out := make([]arrow.Field, len(list))
	for i := range list {
		out[i] = *list[i].Field
	}
	return out
}

type matcher struct{ byID bool }

func (m matcher) find(fields []arrow.Field, want *delta.Field) int {
	if m.byID && want.ID > 0 {
		for i, f := range fields {
			if id, ok := f.Metadata.GetValue("PARQUET:field_id"); ok && id == strconv.Itoa(want.ID) {
				return i
			}
		}
		return -1
	}
	found := -1
	for i, f := range fields {
		switch {
		case f.Name == want.Physical:
			return i
		case strings.EqualFold(f.Name, want.Physical):
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// rename gives a type read from a file the table's member names; members that the table lacks get names that it cannot have, so that the cast drops them.
func (m matcher) rename(ft arrow.DataType, t *delta.Type) arrow.DataType {
	switch ft := ft.(type) {
	case *arrow.StructType:
		fields := ft.Fields()
		out := make([]arrow.Field, len(fields))
		copy(out, fields)
		for i := range out {
			out[i].Name = pathSeparator + out[i].Name
		}
		for i := range t.Fields {
			if j := m.find(fields, &t.Fields[i]); j >= 0 {
				out[j] = arrow.Field{Name: t.Fields[i].Name, Type: m.rename(fields[j].Type, &t.Fields[i].Type), Nullable: fields[j].Nullable}
			}
		}
		return arrow.StructOf(out...)
	case *arrow.MapType:
		if t.Key != nil {
			out := arrow.MapOf(m.rename(ft.KeyType(), t.Key), m.rename(ft.ItemType(), t.Elem))
			out.SetItemNullable(ft.ItemField().Nullable)
			return out
		}
	case *arrow.ListType:
		if t.Elem != nil && t.Key == nil {
			e := ft.ElemField()
			return arrow.ListOfField(arrow.Field{Name: e.Name, Type: m.rename(e.Type, t.Elem), Nullable: e.Nullable})
		}
	}
	return ft
}

// leaves lists the file's leaves below a field.
func (m matcher) leaves(f *pqarrow.SchemaField, t *delta.Type, path string, out []leaf) []leaf {
	if f.IsLeaf() {
		return append(out, leaf{path, f.ColIndex})
	}
	if t.Name == "" && t.Elem == nil && f.Field.Type.ID() == arrow.STRUCT {
		before := len(out)
		for i := range t.Fields {
			if j := m.find(fieldsOf(f.Children), &t.Fields[i]); j >= 0 {
				out = m.leaves(&f.Children[j], &t.Fields[i].Type, path+pathSeparator+t.Fields[i].Name, out)
			}
		}
		if len(out) > before {
			return out
		}
	}
	for i := range f.Children {
		out = allLeaves(&f.Children[i], path, out) // also of a struct without a member in common: its leaves tell where it is null
	}
	return out
}

func allLeaves(f *pqarrow.SchemaField, path string, out []leaf) []leaf {
	if f.IsLeaf() {
		return append(out, leaf{path, f.ColIndex})
	}
	for i := range f.Children {
		out = allLeaves(&f.Children[i], path, out)
	}
	return out
}

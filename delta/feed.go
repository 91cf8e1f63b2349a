package delta

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// FileOf is a file that a commit names, to be read with the schema of this snapshot. Only its path, size, partition values, statistics and deletion vector
// count.
func (s *Snapshot) FileOf(a *txlog.Add) (File, error) {
	key, err := txlog.DecodePath(a.Path)
	if err != nil {
		return File{}, corrupt(a.Path, err)
	}
	return File{LiveFile: &txlog.LiveFile{Add: a, Key: key, Version: -1}, snap: s}, nil
}

// ForChangeFiles is the snapshot with ChangeColumn behind its columns, which is how change data files are read.
func (s *Snapshot) ForChangeFiles() *Snapshot {
	out := *s
	out.schema = &Schema{append(slices.Clone(s.schema.Fields), Field{Name: ChangeColumn, Physical: ChangeColumn, Type: Type{Name: "string"}, Nullable: true})}
	return &out
}

// FeedEnabled reports whether metadata has commits record their changes.
func FeedEnabled(m *txlog.Metadata) bool {
	return strings.EqualFold(m.Configuration["delta.enableChangeDataFeed"], "true")
}

// CanReadRowsOf refuses metadata of an earlier version whose rows this snapshot's schema would not give whole: columns that are gone, renamed or of a type
// that cannot be widened to today's, other partition columns. Columns that are new are fine.
func (s *Snapshot) CanReadRowsOf(m *txlog.Metadata) error {
	schema, err := ParseSchema(m.SchemaString)
	if err != nil {
		return err
	}
	if s.mapping != MappingNone && m.Configuration["delta.columnMapping.mode"] != "" && m.Configuration["delta.columnMapping.mode"] != "none" {
		if err := mapColumns(schema.Fields, ""); err != nil {
			return err
		}
	}
	if !slices.EqualFunc(m.PartitionColumns, s.partitions, strings.EqualFold) {
		return &SchemaError{Column: strings.Join(m.PartitionColumns, ", "), Want: fmt.Sprintf("the partition columns %v", s.partitions), Got: fmt.Sprintf("%v", m.PartitionColumns)}
	}
	return readsFields(schema.Fields, s.schema.Fields, "")
}

func readsFields(old, now []Field, path string) error {
	for i := range old {
		f, p := &old[i], path+old[i].Name
		j := slices.IndexFunc(now, func(n Field) bool { return n.Physical == f.Physical })
		if j < 0 && f.Physical == f.Name {
			j = findField(now, f.Name)
		}
		if j < 0 {
			return &SchemaError{Column: p, Want: "a column that is still there", Got: "one that was dropped"}
		}
		if !strings.EqualFold(now[j].Name, f.Name) {
			return &SchemaError{Column: p, Want: "a column that keeps its name", Got: "one that was renamed to " + now[j].Name}
		}
		if err := readsType(&f.Type, &now[j].Type, p); err != nil {
			return err
		}
	}
	return nil
}

func readsType(old, now *Type, path string) error {
	if kindOf(old) != kindOf(now) || kindOf(old) == primitiveKind && !widens(old.Name, now.Name) {
		return &SchemaError{Column: path, Want: describeType(now), Got: describeType(old)}
	}
	if old.Key != nil {
		if err := readsType(old.Key, now.Key, path+".key"); err != nil {
			return err
		}
	}
	if old.Elem != nil {
		if err := readsType(old.Elem, now.Elem, path+".element"); err != nil {
			return err
		}
	}
	return readsFields(old.Fields, now.Fields, path+".")
}

// widenings are the primitive types that a type may grow into, decimals apart.
var widenings = map[string][]string{
	"byte": {"short", "integer", "long", "double"}, "short": {"integer", "long", "double"}, "integer": {"long", "double"},
	"float": {"double"}, "date": {"timestamp_ntz"},
}

// integerDigits are the decimal digits that an integer type may need.
var integerDigits = map[string]int32{"byte": 3, "short": 5, "integer": 10, "long": 20}

// widens reports whether every value of a primitive type is one of another; void has no values.
func widens(from, to string) bool {
	if from == to || from == "void" || slices.Contains(widenings[from], to) {
		return true
	}
	p, s, ok := decimalOf(to)
	if !ok {
		return false
	}
	if n, isInteger := integerDigits[from]; isInteger {
		return p-s >= n
	}
	q, r, both := decimalOf(from)
	return both && s >= r && p-s >= q-r
}

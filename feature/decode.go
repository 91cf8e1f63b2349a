package feature

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
)

// SpecError is a definition that cannot be read. Path is the place in it, such as deps.0.rename.
type SpecError struct {
	Path string
	Msg  string
	// bare errors of a key by itself have no place.
	bare bool
}

// Is reports whether target is fs.ErrInvalid.
func (e *SpecError) Is(target error) bool { return target == fs.ErrInvalid }

func (e *SpecError) Error() string {
	if e.bare {
		return e.Msg
	}
	if e.Path == "" {
		return "feature spec: " + e.Msg
	}
	return "feature spec: " + e.Path + ": " + e.Msg
}

// InitialCodeVersion is the code version of a field that names none in a definition file; "" in Go is an empty text.
const InitialCodeVersion = "__metaxy_initial__"

// allFields is the marker for every field.
const allFields = "__METAXY_ALL_DEP__"

// decoder reads a spec value by the rules for loaded definitions. It stops at the first fault.
type decoder struct {
	err error
}

func (d *decoder) fail(path, format string, a ...any) {
	if d.err == nil {
		d.err = &SpecError{Path: path, Msg: fmt.Sprintf(format, a...)}
	}
}

func (d *decoder) check(path string, err error) {
	if err != nil {
		d.fail(path, "%v", err)
	}
}

// DecodeSpec reads a spec as Metaxy does when it loads one: unknown members are refused, booleans are lax, a bare string where a list stands is its characters.
func DecodeSpec(v Value) (*Spec, error) {
	d := &decoder{}
	s := d.spec(v)
	if d.err != nil {
		return nil, d.err
	}
	return s, nil
}

func (d *decoder) object(path string, v Value, known ...string) bool {
	if v.kind != valueObject {
		d.fail(path, "an object is wanted, not %s", v.kindName())
		return false
	}
	for _, m := range v.members {
		if known != nil && !slices.Contains(known, m.Name) {
			d.fail(join(path, m.Name), "unknown key")
			return false
		}
	}
	return true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) spec(v Value) *Spec {
	s := &Spec{Metadata: Value{kind: valueObject}}
	if !d.object("", v, "key", "id_columns", "deps", "fields", "metadata", "description") {
		return s
	}
	if key, ok := v.Get("key"); ok {
		k, err := DecodeKey(key)
		d.check("key", err)
		if err == nil && k.path == "" {
			d.fail("key", "a feature key cannot be empty")
		}
		s.Key = k
	} else {
		d.fail("key", "is required")
	}
	ids, ok := v.Get("id_columns")
	if !ok {
		d.fail("id_columns", "is required")
		return s
	}
	var err error
	s.IDColumns, err = sequence(ids)
	d.check("id_columns", err)
	if err == nil && len(s.IDColumns) == 0 {
		d.fail("id_columns", "must not be empty")
	}
	s.Deps = d.deps(v)
	s.Fields = d.fields(v)
	if m, ok := v.Get("metadata"); ok {
		if d.object("metadata", m) {
			s.Metadata = m
		}
	}
	s.Description = d.optionalString("description", v)
	return s
}

func (d *decoder) optionalString(name string, v Value) *string {
	m, ok := v.Get(name)
	if !ok || m.kind == valueNull {
		return nil
	}
	if m.kind != valueString {
		d.fail(name, "a string is wanted, not %s", m.kindName())
		return nil
	}
	return &m.text
}

func (d *decoder) deps(v Value) []Dep {
	list, ok := v.Get("deps")
	if !ok {
		return nil
	}
	var elements []Value
	switch list.kind {
	case valueList:
		elements = list.list
	case valueString:
		for _, r := range list.text {
			elements = append(elements, StringValue(string(r)))
		}
	case valueObject:
		for _, m := range list.members {
			elements = append(elements, StringValue(m.Name))
		}
	default:
		d.fail("deps", "a list is wanted, not %s", list.kindName())
	}
	var out []Dep
	for i, e := range elements {
		out = append(out, d.dep("deps."+strconv.Itoa(i), e))
	}
	return out
}

func (d *decoder) dep(path string, v Value) Dep {
	out := Dep{Mapping: FieldsMapping{Type: "default"}}
	if v.kind != valueObject || !v.has("feature") && (v.has("parts") || v.has("root")) {
		k, err := DecodeKey(v)
		d.check(path, err)
		out.Feature = k
		return out
	}
	known := []string{"feature", "select", "rename", "fields_mapping", "filters", "sql_filters", "lineage", "optional"}
	if v.has("filters") {
		known = slices.DeleteFunc(known, func(s string) bool { return s == "sql_filters" })
	}
	if !d.object(path, v, known...) {
		return out
	}
	key, ok := v.Get("feature")
	if !ok {
		d.fail(join(path, "feature"), "is required")
		return out
	}
	var err error
	out.Feature, err = DecodeKey(key)
	d.check(join(path, "feature"), err)
	out.Select = d.optionalList(join(path, "select"), v, "select")
	if r, ok := v.Get("rename"); ok && r.kind != valueNull {
		out.Rename = d.rename(join(path, "rename"), r)
	}
	name := "sql_filters"
	if v.has("filters") {
		name = "filters"
	}
	if f := d.optionalList(join(path, name), v, name); f != nil {
		out.Filters = append([]string{}, *f...)
	}
	if m, ok := v.Get("fields_mapping"); ok {
		out.Mapping = d.mapping(join(path, "fields_mapping"), m)
	}
	if l, ok := v.Get("lineage"); ok {
		out.Lineage = d.lineage(join(path, "lineage"), l)
	}
	if o, ok := v.Get("optional"); ok {
		out.Optional = d.boolean(join(path, "optional"), o)
	}
	d.selectRenamed(path, &out)
	return out
}

// selectRenamed refuses selecting a name that was renamed away and is not itself a rename target.
func (d *decoder) selectRenamed(path string, dep *Dep) {
	if dep.Select == nil {
		return
	}
	for _, name := range *dep.Select {
		away := slices.ContainsFunc(dep.Rename, func(r Rename) bool { return r.From == name })
		target := slices.ContainsFunc(dep.Rename, func(r Rename) bool { return r.To == name })
		if away && !target {
			d.fail(join(path, "select"), "column %q is renamed: use its new name", name)
		}
	}
}

func (d *decoder) boolean(path string, v Value) bool {
	b, ok := v.laxBool()
	if !ok {
		d.fail(path, "a boolean is wanted, not %s", v.kindName())
	}
	return b
}

// optionalList reads a list of strings or null; a bare string is refused.
func (d *decoder) optionalList(path string, v Value, name string) *[]string {
	m, ok := v.Get(name)
	if !ok || m.kind == valueNull {
		return nil
	}
	if m.kind != valueList {
		d.fail(path, "a list of strings is wanted, not %s", m.kindName())
		return nil
	}
	list, err := stringList(m.list)
	d.check(path, err)
	return &list
}

func (d *decoder) rename(path string, v Value) []Rename {
	if !d.object(path, v) {
		return nil
	}
	out := []Rename{}
	for _, m := range v.members {
		if m.Value.kind != valueString {
			d.fail(join(path, m.Name), "a string is wanted, not %s", m.Value.kindName())
		}
		out = append(out, Rename{m.Name, m.Value.text})
	}
	return out
}

// tagged opens a wrapper {inner: {type: ...}}; other members are ignored, as Metaxy does.
func (d *decoder) tagged(path string, v Value, inner string) (Value, string) {
	if !d.object(path, v) {
		return Value{}, ""
	}
	m, ok := v.Get(inner)
	if !ok {
		d.fail(join(path, inner), "is required")
		return Value{}, ""
	}
	path = join(path, inner)
	if !d.object(path, m) {
		return Value{}, ""
	}
	t, ok := m.Get("type")
	if !ok || t.kind != valueString {
		d.fail(join(path, "type"), "is required")
		return Value{}, ""
	}
	return m, t.text
}

func (d *decoder) mapping(path string, v Value) FieldsMapping {
	m, kind := d.tagged(path, v, "mapping")
	out := FieldsMapping{Type: kind}
	path = join(path, "mapping")
	switch kind {
	case "", "all", "none":
	case "default":
		if b, ok := m.Get("match_suffix"); ok {
			out.MatchSuffix = d.boolean(join(path, "match_suffix"), b)
		}
		if e, ok := m.Get("exclude_fields"); ok {
			out.ExcludeFields = d.fieldKeys(join(path, "exclude_fields"), e)
		}
	case "specific":
		inner, ok := m.Get("mapping")
		if !ok {
			d.fail(join(path, "mapping"), "is required")
		} else if d.object(join(path, "mapping"), inner) {
			out.Specific = d.specific(join(path, "mapping"), inner)
		}
	default:
		d.fail(join(path, "type"), "unknown mapping %q: want default, specific, all or none", kind)
	}
	return out
}

func (d *decoder) specific(path string, v Value) []FieldMap {
	out := []FieldMap{}
	for _, m := range v.members {
		key, err := DecodeFieldKey(StringValue(m.Name))
		d.check(join(path, m.Name), err)
		keys := d.fieldKeys(join(path, m.Name), m.Value)
		slices.SortFunc(keys, FieldKey.Compare)
		entry := FieldMap{key, slices.Compact(keys)}
		if i := slices.IndexFunc(out, func(f FieldMap) bool { return f.Field == key }); i >= 0 {
			out[i] = entry
			continue
		}
		out = append(out, entry)
	}
	return out
}

func (d *decoder) fieldKeys(path string, v Value) []FieldKey {
	if v.kind != valueList {
		d.fail(path, "a list is wanted, not %s", v.kindName())
		return nil
	}
	out := []FieldKey{}
	for i, e := range v.list {
		k, err := DecodeFieldKey(e)
		d.check(join(path, strconv.Itoa(i)), err)
		out = append(out, k)
	}
	return out
}

func (d *decoder) lineage(path string, v Value) Lineage {
	m, kind := d.tagged(path, v, "relationship")
	path = join(path, "relationship")
	switch kind {
	case "", "1:1":
		return Lineage{}
	case "N:1":
		return Lineage{Kind: Aggregation, On: d.optionalList(join(path, "on"), m, "on")}
	case "1:N":
		l := Lineage{Kind: Expansion, On: d.optionalList(join(path, "on"), m, "on")}
		if l.On == nil {
			d.fail(join(path, "on"), "is required")
		}
		l.IDGenerationPattern = d.optionalString("id_generation_pattern", m)
		return l
	}
	d.fail(join(path, "type"), "unknown lineage %q: want 1:1, N:1 or 1:N", kind)
	return Lineage{}
}

func (d *decoder) fields(v Value) []Field {
	list, ok := v.Get("fields")
	if !ok {
		return []Field{{Key: FieldKey{"default"}, CodeVersion: InitialCodeVersion}}
	}
	if list.kind != valueList {
		d.fail("fields", "a list is wanted, not %s", list.kindName())
		return nil
	}
	var out []Field
	seen := map[FieldKey]bool{}
	for i, e := range list.list {
		f := d.field("fields."+strconv.Itoa(i), e)
		if seen[f.Key] {
			d.fail("fields", "duplicate field key %s", f.Key)
		}
		seen[f.Key] = true
		out = append(out, f)
	}
	return out
}

func (d *decoder) field(path string, v Value) Field {
	f := Field{Key: FieldKey{"default"}, CodeVersion: InitialCodeVersion}
	if v.kind == valueString {
		k, err := DecodeFieldKey(v)
		d.check(path, err)
		f.Key = k
		return f
	}
	if !d.object(path, v, "key", "code_version", "deps") {
		return f
	}
	if k, ok := v.Get("key"); ok {
		key, err := DecodeFieldKey(k)
		d.check(join(path, "key"), err)
		f.Key = key
	}
	if c, ok := v.Get("code_version"); ok {
		if c.kind != valueString {
			d.fail(join(path, "code_version"), "a string is wanted, not %s", c.kindName())
		}
		f.CodeVersion = c.text
	}
	if deps, ok := v.Get("deps"); ok {
		f.Deps, f.AllDeps = d.fieldDeps(join(path, "deps"), deps)
	}
	return f
}

func (d *decoder) fieldDeps(path string, v Value) ([]FieldDep, bool) {
	if v.kind == valueString && v.text == allFields {
		return nil, true
	}
	if v.kind != valueList {
		d.fail(path, "a list or %s is wanted, not %s", allFields, v.kindName())
		return nil, false
	}
	var out []FieldDep
	for i, e := range v.list {
		p := join(path, strconv.Itoa(i))
		if !d.object(p, e, "feature", "fields") {
			return out, false
		}
		k, ok := e.Get("feature")
		if !ok {
			d.fail(join(p, "feature"), "is required")
			return out, false
		}
		fd := FieldDep{All: true}
		var err error
		fd.Feature, err = DecodeKey(k)
		d.check(join(p, "feature"), err)
		if fields, ok := e.Get("fields"); ok && !(fields.kind == valueString && fields.text == allFields) {
			fd.All = false
			fd.Fields = d.fieldKeys(join(p, "fields"), fields)
		}
		out = append(out, fd)
	}
	return out, false
}

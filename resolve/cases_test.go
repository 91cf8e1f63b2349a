package resolve_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// maker makes requests: rapid draws the shape and a seed, which fills the rows.
type maker struct {
	t     *rapid.T
	r     *rand.Rand
	shape string
	// ids names the id columns that deps share; idKind says what is in them.
	ids    []string
	idKind string
	rows   int
	// chance of a null version, of a null id and of a repeated id.
	nullVersion, nullID, repeat float64
	longest                     int
	mapMode                     bool
	graph                       *feature.Graph
}

// shapes are what a plan can look like. The first ones are the usual ones and
// drawn more often.
var shapes = []string{"identity", "identity", "identity", "identity", "two", "two", "three", "optional", "all optional", "one optional", "aggregation", "aggregation on",
	"expansion", "coarse", "mixed", "samples", "root"}

func pickOf[T any](t *rapid.T, name string, of ...T) T { return rapid.SampledFrom(of).Draw(t, name) }

// newMaker draws a shape.
func newMaker(t *rapid.T) *maker {
	mk := &maker{t: t, shape: rapid.SampledFrom(shapes).Draw(t, "shape")}
	mk.idKind = pickOf(t, "ids", "int64", "int64", "widths", "text", "long text", "uuid", "uuid", "nearly uuid", "two")
	mk.ids = []string{"id"}
	if mk.idKind == "two" || mk.shape == "coarse" {
		mk.ids = []string{"id", "part"}
	}
	mk.rows = pickOf(t, "rows", 0, 1, 3, 8, 20, 60, 200)
	mk.nullVersion, mk.nullID, mk.repeat = pickOf(t, "null versions", 0, 0, 0.1), pickOf(t, "null ids", 0, 0, 0.05), pickOf(t, "repeats", 0, 0, 0.1)
	mk.longest = pickOf(t, "longest text", 8, 8, 12, 40)
	mk.mapMode = pickOf(t, "maps", false, false, true)
	mk.r = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 7))
	return mk
}

func key(text string) feature.Key {
	k, err := feature.ParseKey(text)
	if err != nil {
		panic(err)
	}
	return k
}

func fieldKey(text string) feature.FieldKey {
	k, err := feature.ParseFieldKey(text)
	if err != nil {
		panic(err)
	}
	return k
}

var fieldNames = []string{"audio", "frames/en", "c-d"}

func (mk *maker) fields(name string, most int) []feature.Field {
	n := rapid.IntRange(1, most).Draw(mk.t, name)
	var out []feature.Field
	for _, f := range fieldNames[:n] {
		out = append(out, feature.Field{Key: fieldKey(f), CodeVersion: pickOf(mk.t, "code version", "1", "__metaxy_initial__", "")})
	}
	return out
}

// request makes the whole request.
func (mk *maker) request() *model {
	m := &model{algorithm: resolve.Algorithm{Name: rapid.SampledFrom(rowhash.Algorithms()).Draw(mk.t, "algorithm"), Truncation: pickOf(mk.t, "truncation", 8, 8, 16, 64)}}
	m.mapMode = mk.mapMode
	mk.graph = feature.NewGraph(8)
	spec := &feature.Spec{Key: key("leaf/z"), IDColumns: mk.ids, Fields: mk.fields("leaf fields", 3)}
	for i := range mk.deps() {
		spec.Deps = append(spec.Deps, mk.dep(i, spec))
	}
	if mk.shape == "expansion" {
		spec.IDColumns = append(slices.Clone(mk.ids), "sub")
	}
	mk.dependencies(spec)
	mk.add(spec)
	var err error
	if m.plan, err = mk.graph.Plan(spec.Key); err == nil {
		err = m.plan.Check()
	}
	if err != nil {
		mk.t.Fatal(err)
	}
	for i := range m.plan.Deps {
		m.deps = append(m.deps, mk.upstream(i, &m.plan.Deps[i]))
	}
	m.progress = rapid.Bool().Draw(mk.t, "progress")
	if mk.shape == "samples" || mk.shape == "root" {
		m.samples = mk.sampleRows(m)
	}
	mk.current(m)
	return m
}

// deps is the number of deps of the shape.
func (mk *maker) deps() int {
	switch mk.shape {
	case "root":
		return 0
	case "two", "coarse", "optional", "mixed", "all optional":
		return 2
	case "three":
		return 3
	}
	return 1
}

func (mk *maker) add(spec *feature.Spec) {
	if err := mk.graph.Add(&feature.Definition{Spec: spec, Project: "p", Source: "test"}); err != nil {
		mk.t.Fatal(err)
	}
}

// depKeys are the keys of the deps, short and long.
var depKeys = []string{"a", "video/raw-x", "c"}

// dep defines an upstream feature and the dep on it.
func (mk *maker) dep(i int, child *feature.Spec) feature.Dep {
	ids := slices.Clone(mk.ids)
	d := feature.Dep{Feature: key(depKeys[i])}
	switch {
	case mk.shape == "coarse" && i == 1:
		ids = ids[:1]
	case mk.shape == "aggregation", mk.shape == "mixed" && i == 0:
		d.Lineage.Kind = feature.Aggregation
		ids = []string{"chunk"}
	case mk.shape == "aggregation on":
		on := slices.Clone(mk.ids)
		d.Lineage.Kind, d.Lineage.On = feature.Aggregation, &on
		ids = append(slices.Clone(mk.ids), "chunk")
	case mk.shape == "expansion":
		on := slices.Clone(mk.ids)
		d.Lineage.Kind, d.Lineage.On = feature.Expansion, &on
	}
	d.Optional = mk.shape == "all optional" || mk.shape == "one optional" || mk.shape == "optional" && i == 1
	if rapid.IntRange(0, 4).Draw(mk.t, "renames") == 0 && d.Lineage.Kind != feature.Aggregation {
		ids = slices.Clone(ids)
		d.Rename = append(d.Rename, feature.Rename{From: "own_id", To: ids[0]})
		ids[0] = "own_id"
	}
	if rapid.IntRange(0, 4).Draw(mk.t, "renames user column") == 0 {
		d.Rename = append(d.Rename, feature.Rename{From: userColumn("s", i), To: "renamed" + fmt.Sprint(i)})
	}
	switch rapid.IntRange(0, 5).Draw(mk.t, "selects") {
	case 0:
		d.Select = &[]string{}
	case 1:
		d.Select = &[]string{userColumn("n", i)}
	}
	if d.Select != nil && d.Lineage.Kind == feature.Aggregation && d.Lineage.On == nil { // the group's columns must stay
		sel := append(slices.Clone(*d.Select), mk.ids...)
		d.Select = &sel
	}
	if rapid.IntRange(0, 3).Draw(mk.t, "dep filters") == 0 {
		d.Filters = []string{mk.intPredicate(userColumn("n", i)).text}
	}
	if rapid.IntRange(0, 3).Draw(mk.t, "mapping") == 0 {
		d.Mapping.Type = "all"
	}
	mk.add(&feature.Spec{Key: d.Feature, IDColumns: ids, Fields: mk.fields("dep fields", 3)})
	return d
}

// dependencies lets fields name their parents.
func (mk *maker) dependencies(spec *feature.Spec) {
	if len(spec.Deps) == 0 {
		return
	}
	for i := range spec.Fields {
		switch rapid.IntRange(0, 5).Draw(mk.t, "field deps") {
		case 0:
			spec.Fields[i].AllDeps = true
		case 1:
			spec.Fields[i].Deps = []feature.FieldDep{{Feature: spec.Deps[0].Feature, Fields: []feature.FieldKey{fieldKey("audio")}}}
		case 2:
			spec.Fields[i].Deps = []feature.FieldDep{{Feature: spec.Deps[0].Feature}}
		}
	}
}

func userColumn(kind string, dep int) string { return fmt.Sprintf("%s_%d", kind, dep) }

// intPredicate is a filter on a column of small numbers.
func (mk *maker) intPredicate(column string) predicate {
	n := rapid.Int64Range(0, 9).Draw(mk.t, "bound")
	switch rapid.IntRange(0, 3).Draw(mk.t, "predicate") {
	case 0:
		return predicate{fmt.Sprintf("%s > %d", column, n), column, func(v any) bool { return v != nil && v.(int64) > n }}
	case 1:
		return predicate{fmt.Sprintf("%s != %d", column, n), column, func(v any) bool { return v != nil && v.(int64) != n }}
	case 2:
		return isNull(column)
	}
	return predicate{fmt.Sprintf("NOT %s = %d", column, n), column, func(v any) bool { return v != nil && v.(int64) != n }}
}

func isNull(column string) predicate {
	return predicate{column + " IS NULL", column, func(v any) bool { return v == nil }}
}

// parse rebuilds the meaning of a dep's filters, which are drawn as texts.
func (mk *maker) parse(d *feature.PlanDep, dep int) []predicate {
	var out []predicate
	column := d.Renamed(userColumn("n", dep))
	for _, text := range d.Filters {
		var n int64
		switch {
		case scans(text, column+" > %d", &n):
			out = append(out, predicate{text, column, func(v any) bool { return v != nil && v.(int64) > n }})
		case scans(text, column+" != %d", &n), scans(text, "NOT "+column+" = %d", &n):
			out = append(out, predicate{text, column, func(v any) bool { return v != nil && v.(int64) != n }})
		default:
			out = append(out, isNull(column))
		}
	}
	return out
}

func scans(text, format string, n *int64) bool {
	_, err := fmt.Sscanf(text, format, n)
	return err == nil
}

func textType(mk *maker) arrow.DataType {
	return pickOf[arrow.DataType](mk.t, "text layout", arrow.BinaryTypes.String, arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.StringView)
}

func memberType(mk *maker) arrow.DataType {
	return pickOf[arrow.DataType](mk.t, "member layout", arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString)
}

// idType is the type of an id column in one table.
func (mk *maker) idType(column string) arrow.DataType {
	switch {
	case column == "chunk", column == "sub", column == "id" && (mk.idKind == "int64" || mk.idKind == "two"), column == "own_id" && (mk.idKind == "int64" || mk.idKind == "two"):
		return arrow.PrimitiveTypes.Int64
	case mk.idKind == "widths" && column != "part":
		return pickOf[arrow.DataType](mk.t, "width", arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32)
	}
	return textType(mk)
}

// id is the i-th id of the domain, in ascending order for numbers.
func (mk *maker) id(column string, i int) any {
	switch {
	case column == "chunk", column == "sub":
		return int64(i)
	case column == "part" && mk.shape == "coarse":
		return fmt.Sprint("p", i%3)
	case column == "part":
		return fmt.Sprint("part", i%2)
	case mk.shape == "coarse" && (mk.idKind == "int64" || mk.idKind == "two" || mk.idKind == "widths"):
		return int64(i / 3)
	case mk.idKind == "long text":
		return fmt.Sprintf("a rather long id that no word holds %d-é", mk.coarse(i))
	case mk.idKind == "uuid", mk.idKind == "nearly uuid" && i%7 != 3:
		return fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(mk.coarse(i))*2654435761, mk.coarse(i))
	case mk.idKind == "nearly uuid":
		return fmt.Sprintf("%08X-000A-4000-8000-%012X", uint32(mk.coarse(i))*2654435761, mk.coarse(i))
	case mk.idKind == "text":
		return fmt.Sprintf("v%04d", mk.coarse(i))
	case mk.idKind == "two":
		return int64(i / 2)
	}
	return int64(i)*3 - 20
}

func (mk *maker) coarse(i int) int {
	if mk.shape == "coarse" {
		return i / 3
	}
	return i
}

// text is a version: as long as the case wants.
func (mk *maker) text() any {
	if mk.r.Float64() < mk.nullVersion {
		return nil
	}
	n := 1 + mk.r.IntN(mk.longest)
	const letters = "0123456789abcdef|é"
	var out []rune
	from := []rune(letters)
	for range n {
		out = append(out, from[mk.r.IntN(len(from))])
	}
	return string(out)
}

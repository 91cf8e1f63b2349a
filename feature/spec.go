package feature

// Spec is a feature specification. One that was read from a file is checked; one that is written in Go is checked by Graph.Check, which opening a store with the graph calls. Go has
// no defaults: no Fields are none, where a file that names none has one field "default", and the CodeVersion of a field is to be given (InitialCodeVersion, if there is none).
type Spec struct {
	Key       Key
	IDColumns []string
	Deps      []Dep
	Fields    []Field
	// Metadata is a JSON object, its order kept; null = empty.
	Metadata    Value
	Description *string
}

// Dep is an upstream feature. Select nil = all columns.
type Dep struct {
	Feature  Key
	Select   *[]string
	Rename   []Rename // in order; nil = none
	Mapping  FieldsMapping
	Filters  []string // sql_filters texts; nil = null
	Lineage  Lineage
	Optional bool
}

// Rename is one old->new pair.
type Rename struct{ From, To string }

// Field is a field of a feature.
type Field struct {
	Key         FieldKey
	CodeVersion string
	Deps        []FieldDep
	AllDeps     bool
}

// FieldDep names parent fields; All = every field of the feature.
type FieldDep struct {
	Feature Key
	Fields  []FieldKey
	All     bool
}

// LineageKind is the kind of a lineage.
type LineageKind uint8

// The lineages: identity 1:1, aggregation N:1, expansion 1:N.
const (
	Identity LineageKind = iota
	Aggregation
	Expansion
)

// Lineage relates rows of a dep to rows of the feature. On nil = null.
type Lineage struct {
	Kind                LineageKind
	On                  *[]string
	IDGenerationPattern *string
}

// FieldsMapping says which upstream fields a field depends on when it names none. The zero value is the default mapping: those of the same key, else all.
type FieldsMapping struct {
	// Type is default ("" is the same), specific, all or none.
	Type          string
	MatchSuffix   bool
	ExcludeFields []FieldKey
	Specific      []FieldMap // in insertion order
}

// FieldMap is one entry of a specific mapping.
type FieldMap struct {
	Field    FieldKey
	Upstream []FieldKey
}

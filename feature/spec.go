package feature

// Spec is a checked feature specification (metaxy.md 2.1).
type Spec struct {
	Key         Key
	IDColumns   []string
	Deps        []Dep
	Fields      []Field
	Metadata    Value // a JSON object, order kept
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

// FieldsMapping says which upstream fields a field depends on when it names none (metaxy.md 2.6).
type FieldsMapping struct {
	Type          string // default, specific, all, none
	MatchSuffix   bool
	ExcludeFields []FieldKey
	Specific      []FieldMap // in insertion order
}

// FieldMap is one entry of a specific mapping.
type FieldMap struct {
	Field    FieldKey
	Upstream []FieldKey
}

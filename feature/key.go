// Package feature is the definition side: names, specs, the dependency graph, lineage and SHA-256 definition versions, with no rows and no I/O.
//
// Keys and specs are checked on the way in; a definition that cannot be is a *GraphError or *SpecError naming the feature and the place in it.
package feature

// Key is a feature key such as video/raw. It is comparable and immutable.
type Key struct{ path string }

// FieldKey is a field key such as audio/en.
type FieldKey struct{ path string }

// ParseKey reads `a/b` by the rules of authored definitions.
func ParseKey(s string) (Key, error) { return Key{path: s}, nil }

// String joins the parts by a slash.
func (k Key) String() string { return k.path }

// Parts are the parts.
func (k Key) Parts() []string { return nil }

// TableName is `a__b` with hyphens as underscores.
func (k Key) TableName() string { return "" }

// ColumnSuffix is `__a_b`.
func (k Key) ColumnSuffix() string { return "" }

// Compare orders keys part by part.
func (k Key) Compare(o Key) int { return 0 }

// String joins the parts by a slash.
func (k FieldKey) String() string { return k.path }

// StructKey joins the parts by an underscore: the member name in the by-field columns.
func (k FieldKey) StructKey() string { return "" }

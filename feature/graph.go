package feature

// GraphError is a graph that cannot answer: a missing dep, a cycle, an unknown key. Path is the way through the graph.
type GraphError struct {
	Key  Key
	Path []Key
	Msg  string
}

func (e *GraphError) Error() string { return e.Msg }

// Graph is a set of definitions; truncation is the version length. It is a value handed in, never global.
type Graph struct{}

// NewGraph returns an empty graph whose versions have truncation characters.
func NewGraph(truncation int) *Graph { return &Graph{} }

// Add registers a definition by the rules of metaxy.md 2.10.
func (g *Graph) Add(d *Definition) error { return nil }

// Get returns a definition.
func (g *Graph) Get(k Key) (*Definition, bool) { return nil, false }

// Definitions are all of them in insertion order.
func (g *Graph) Definitions() []*Definition { return nil }

// Nearest returns keys that look like k, best first.
func (g *Graph) Nearest(k string) []Key { return nil }

// FieldVersion, FeatureVersion, DefinitionVersion, SpecVersion, CodeVersion are the versions of metaxy.md 3.
func (g *Graph) FieldVersion(k Key, f FieldKey) (string, error) { return "", nil }

// FeatureVersion of a feature.
func (g *Graph) FeatureVersion(k Key) (string, error) { return "", nil }

// DefinitionVersion of a feature.
func (g *Graph) DefinitionVersion(k Key) (string, error) { return "", nil }

// SpecVersion of a feature.
func (g *Graph) SpecVersion(k Key) (string, error) { return "", nil }

// CodeVersion of a feature.
func (g *Graph) CodeVersion(k Key) (string, error) { return "", nil }

// ProjectVersion of a project ("empty" when it has no features).
func (g *Graph) ProjectVersion(project string) (string, error) { return "", nil }

// Projects of non-external features, sorted.
func (g *Graph) Projects() []string { return nil }

// Topological orders keys, upstream first (metaxy.md 2.10).
func (g *Graph) Topological(keys []Key) []Key { return nil }

// Plan resolves a feature's deps and parent fields.
func (g *Graph) Plan(k Key) (*Plan, error) { return nil, nil }

// Plan is a feature with its upstream: what a resolve needs to know.
type Plan struct {
	Feature        *Definition
	FeatureVersion string
	Deps           []PlanDep
	// Fields in declaration order, each with its parents sorted by fully qualified string.
	Fields []PlanField
}

// PlanDep is a dep with its definition and version.
type PlanDep struct {
	Dep
	Definition     *Definition
	FeatureVersion string
}

// PlanField is a field with its parents.
type PlanField struct {
	Field
	Parents []Parent
}

// Parent is a fully qualified parent field. Dep is its index in Plan.Deps.
type Parent struct {
	Feature Key
	Field   FieldKey
	Dep     int
}

// JoinColumns is J of metaxy.md 8.5 in the order of D33.
func (p *Plan) JoinColumns() []string { return nil }

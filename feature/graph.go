package feature

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
)

// GraphError is a graph that cannot answer: a missing dep, a cycle, an unknown key. Path is the way through the graph.
type GraphError struct {
	Key  Key
	Path []Key
	Msg  string
}

func (e *GraphError) Error() string {
	var way []string
	for _, k := range e.Path {
		way = append(way, k.String())
	}
	if len(way) > 0 {
		return fmt.Sprintf("feature %s: %s (%s)", e.Key, e.Msg, strings.Join(way, " -> "))
	}
	return fmt.Sprintf("feature %s: %s", e.Key, e.Msg)
}

// Graph is a set of definitions; truncation is the version length. It is a value handed in, never global, and not safe for use while it is added to.
type Graph struct {
	truncation int
	order      []Key
	defs       map[Key]*Definition
	versions   sync.Map // field versions, texts, by fully qualified text: many goroutines may ask one graph
}

// NewGraph returns an empty graph whose versions have truncation characters (0 = 8).
func NewGraph(truncation int) *Graph {
	if truncation == 0 {
		truncation = 8
	}
	return &Graph{truncation: truncation, defs: map[Key]*Definition{}}
}

// Add registers a definition: an external one never displaces a real one, a real one displaces an external one, one of the same origin (class path, or
// source where neither has one) replaces; anything else is an error.
func (g *Graph) Add(d *Definition) error {
	key := d.Spec.Key
	old, ok := g.defs[key]
	switch {
	case !ok:
		g.order = append(g.order, key)
	case d.External && !old.External:
		return nil
	case old.External, sameOrigin(old, d):
	default:
		return &GraphError{Key: key, Msg: fmt.Sprintf("is already registered by %s, and again by %s; each feature key must be unique", old.DisplaySource(), d.DisplaySource())}
	}
	g.defs[key] = d
	g.versions.Clear()
	return nil
}

// AddMissing registers a definition unless a real one of its key is there already.
func (g *Graph) AddMissing(d *Definition) {
	if old, ok := g.defs[d.Spec.Key]; ok && !(old.External && !d.External) {
		return
	}
	if _, ok := g.defs[d.Spec.Key]; !ok {
		g.order = append(g.order, d.Spec.Key)
	}
	g.defs[d.Spec.Key] = d
	g.versions.Clear()
}

func sameOrigin(a, b *Definition) bool {
	if a.ClassPath == nil || b.ClassPath == nil {
		return a.ClassPath == b.ClassPath && a.Source == b.Source
	}
	return *a.ClassPath == *b.ClassPath
}

// Get returns a definition.
func (g *Graph) Get(k Key) (*Definition, bool) {
	d, ok := g.defs[k]
	return d, ok
}

// Definitions are all of them in insertion order.
func (g *Graph) Definitions() []*Definition {
	out := make([]*Definition, 0, len(g.order))
	for _, k := range g.order {
		out = append(out, g.defs[k])
	}
	return out
}

// Truncation is the length of versions.
func (g *Graph) Truncation() int { return g.truncation }

// Projects of non-external features, sorted.
func (g *Graph) Projects() []string {
	var out []string
	for _, d := range g.defs {
		if !d.External {
			out = append(out, d.Project)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Nearest returns keys that look like k, best first, at most three.
func (g *Graph) Nearest(k string) []Key {
	names := make([]string, 0, len(g.order))
	for _, key := range g.order {
		names = append(names, key.path)
	}
	var out []Key
	for _, n := range nearest.Names(k, names) {
		out = append(out, Key{n})
	}
	return out
}

// Topological orders keys, upstream first: depth first, roots and deps in case-insensitive order, following only edges between the given keys. Keys that are not in the graph are left out.
func (g *Graph) Topological(keys []Key) []Key {
	wanted := map[Key]bool{}
	for _, k := range keys {
		if _, ok := g.defs[k]; ok {
			wanted[k] = true
		}
	}
	var out []Key
	seen := map[Key]bool{}
	var visit func(k Key)
	visit = func(k Key) {
		if seen[k] {
			return
		}
		seen[k] = true
		for _, d := range sortedFold(depKeys(g.defs[k].Spec)) {
			if wanted[d] {
				visit(d)
			}
		}
		out = append(out, k)
	}
	var all []Key
	for k := range wanted {
		all = append(all, k)
	}
	for _, k := range sortedFold(all) {
		visit(k)
	}
	return out
}

func depKeys(s *Spec) []Key {
	out := make([]Key, 0, len(s.Deps))
	for i := range s.Deps {
		out = append(out, s.Deps[i].Feature)
	}
	return out
}

func sortedFold(keys []Key) []Key {
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b Key) int {
		if c := strings.Compare(strings.ToLower(a.path), strings.ToLower(b.path)); c != 0 {
			return c
		}
		return strings.Compare(a.path, b.path)
	})
	return keys
}

// Downstream are the features that depend, directly or not, on one of sources, upstream first, without the sources.
func (g *Graph) Downstream(sources []Key) []Key {
	var out []Key
	seen := map[Key]bool{}
	var visit func(k Key)
	visit = func(k Key) {
		if seen[k] {
			return
		}
		seen[k] = true
		for _, child := range g.order {
			if slices.Contains(depKeys(g.defs[child].Spec), k) {
				visit(child)
			}
		}
		out = append(out, k)
	}
	for _, k := range sources {
		visit(k)
	}
	slices.Reverse(out)
	return slices.DeleteFunc(out, func(k Key) bool { return slices.Contains(sources, k) })
}

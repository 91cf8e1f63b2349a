// Package picture draws graphs of features as text: for terminals, as Mermaid
// and as Graphviz. It is pure: what is drawn depends on its arguments alone.
// Texts from definitions are made printable and quoted for each language.
package picture

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

// Picture is a graph to be drawn: one graph, or what became of it.
type Picture struct {
	// nodes in the graph's order; drawn upstream first where the format has an order.
	nodes []feature.FeatureDiff
	diff  bool
	// version is the project version shown.
	version string
	// lineage says of a feature how its rows relate to those upstream, where that is not 1:1.
	lineage map[feature.Key][]string
	look    Look
}

// Look says what a picture shows.
type Look struct {
	Fields, Versions, FieldVersions, CodeVersions, ProjectVersion, Projects bool
	// Hash is the length of versions, 0 = whole.
	Hash int
	// Direction of Mermaid and Graphviz: TB or LR. Title is that of Mermaid.
	Direction, Title string
}

// New draws the given features of a graph; keys that it lacks are left out.
func New(g *feature.Graph, keys []feature.Key, version string, l Look) (*Picture, error) {
	p := &Picture{version: version, look: l, lineage: map[feature.Key][]string{}}
	for _, k := range keys {
		d, ok := g.Get(k)
		if !ok {
			continue
		}
		n := feature.FeatureDiff{Key: k, Project: d.Project}
		var err error
		if n.New, err = g.FeatureVersion(k); err != nil {
			return nil, err
		}
		for _, dep := range d.Spec.Deps {
			n.Deps = append(n.Deps, dep.Feature)
			if text := lineageText(&dep, len(d.Spec.Deps) > 1); text != "" {
				p.lineage[k] = append(p.lineage[k], text)
			}
		}
		for _, f := range d.Spec.Fields {
			v, err := g.FieldVersion(k, f.Key)
			if err != nil {
				return nil, err
			}
			n.Fields = append(n.Fields, feature.FieldDiff{Key: f.Key, New: v, CodeVersion: f.CodeVersion})
		}
		p.nodes = append(p.nodes, n)
	}
	return p, nil
}

// lineageText says how the rows of a feature relate to those of a dep, which is
// named where there are several; "" = 1:1.
func lineageText(d *feature.Dep, several bool) string {
	text := ""
	switch d.Lineage.Kind {
	case feature.Aggregation:
		text = "N:1"
	case feature.Expansion:
		text = "1:N"
	}
	if d.Optional {
		text = strings.TrimSpace(text + " optional")
	}
	if text != "" && several {
		text += " " + d.Feature.String()
	}
	return text
}

// NewDiff draws what became of a graph.
func NewDiff(nodes []feature.FeatureDiff, l Look) *Picture {
	return &Picture{nodes: nodes, diff: true, look: l}
}

// upstreamFirst are the nodes depth first, roots and deps by name without regard to case.
func (p *Picture) upstreamFirst() []feature.FeatureDiff {
	byKey := map[feature.Key]feature.FeatureDiff{}
	var keys []feature.Key
	for _, n := range p.nodes {
		byKey[n.Key] = n
		keys = append(keys, n.Key)
	}
	var out []feature.FeatureDiff
	seen := map[feature.Key]bool{}
	var visit func(keys []feature.Key)
	visit = func(keys []feature.Key) {
		for _, k := range byName(keys) {
			n, drawn := byKey[k]
			if !drawn || seen[k] {
				continue
			}
			seen[k] = true
			visit(n.Deps)
			out = append(out, n)
		}
	}
	visit(keys)
	return out
}

// byName sorts keys without regard to case.
func byName(keys []feature.Key) []feature.Key {
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b feature.Key) int {
		return strings.Compare(strings.ToLower(a.String()), strings.ToLower(b.String()))
	})
	return keys
}

func (p *Picture) cut(v string) string {
	if v == "" {
		return "none"
	}
	if p.look.Hash > 0 && len(v) > p.look.Hash {
		return v[:p.look.Hash]
	}
	return v
}

// has reports whether a feature is drawn.
func (p *Picture) has(k feature.Key) bool {
	return slices.ContainsFunc(p.nodes, func(n feature.FeatureDiff) bool { return n.Key == k })
}

// moved is `v`, or `old → new` of what changed.
func (p *Picture) moved(c feature.Change, from, to string) string {
	switch c {
	case feature.Changed:
		return p.cut(from) + " → " + p.cut(to)
	case feature.Removed:
		return p.cut(from)
	}
	return p.cut(to)
}

var badges = [...]string{feature.Unchanged: "", feature.Changed: "[~]", feature.Added: "[+]", feature.Removed: "[-]"}

// heading is the first line of terminal pictures.
func (p *Picture) heading() string {
	if !p.look.ProjectVersion {
		return "📊 Graph"
	}
	return "📊 Graph (project version: " + p.cut(p.version) + ")"
}

// Tree draws features with fields and deps below them.
func (p *Picture) Tree() string {
	root := &treeNode{}
	for _, n := range p.upstreamFirst() {
		label := n.Key.String()
		if p.look.Projects && n.Project != "" {
			label += " (project: " + n.Project + ")"
		}
		if p.look.Versions {
			label += " (v: " + p.cut(n.New) + ")"
		}
		at := root.add(label)
		if p.look.Fields && len(n.Fields) > 0 {
			fields := at.add("🔧 fields")
			for _, f := range n.Fields {
				fields.add(p.fieldText(f))
			}
		}
		if len(n.Deps) > 0 {
			deps := at.add("⬅️  depends on")
			for _, d := range n.Deps {
				deps.add(d.String())
			}
		}
	}
	var b strings.Builder
	b.WriteString(p.heading() + "\n")
	root.draw(&b, "")
	return b.String()
}

func (p *Picture) fieldText(f feature.FieldDiff) string {
	text := f.Key.String()
	if p.look.FieldVersions {
		text += " (v: " + p.moved(f.Change, f.Old, f.New) + ")"
	}
	if p.look.CodeVersions {
		text += " (cv: " + f.CodeVersion + ")"
	}
	if p.diff && f.Change != feature.Unchanged {
		text += " " + badges[f.Change]
	}
	return text
}

// Cards draws a frame a feature below the list of edges.
func (p *Picture) Cards() string {
	var b strings.Builder
	b.WriteString(p.heading() + "\n\nDependencies:\n")
	nodes := p.upstreamFirst()
	for _, n := range nodes {
		for _, d := range n.Deps {
			fmt.Fprintf(&b, "  %s → %s\n", d, n.Key)
		}
	}
	b.WriteString("\n\nFeatures:\n")
	var texts [][]string
	for _, n := range nodes {
		lines := []string{strings.TrimSpace(n.Key.String() + " " + badges[n.Change])}
		if p.look.Versions {
			lines = append(lines, "v: "+p.moved(n.Change, n.Old, n.New))
		}
		if p.look.Fields && len(n.Fields) > 0 {
			lines = append(lines, "", "Fields:")
			for _, f := range n.Fields {
				lines = append(lines, "  • "+p.fieldText(f))
			}
		}
		texts = append(texts, append(lines, ""))
	}
	return b.String() + cards(texts, 80)
}

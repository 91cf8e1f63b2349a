package picture

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// mermaidInit sets what Metaxy's flowcharts look like.
const mermaidInit = "    %%{init: {'flowchart': {'htmlLabels': true, 'curve': 'basis'}, 'themeVariables': {'fontSize': '14px'}}}%%\n"

// The colours of a diff: what came, went and changed, and versions before and after.
const (
	colorAdded, colorRemoved, colorChanged, colorUnchanged = "#00FF00", "#FF0000", "#FFAA00", "#808080"
	colorOld, colorNew                                     = "#CC0000", "#00AA00"
)

var strokes = [...]string{feature.Unchanged: colorUnchanged, feature.Changed: colorChanged, feature.Added: colorAdded, feature.Removed: colorRemoved}

// mermaidIDs gives each feature a name of letters, digits and underscores; names that fall together get a number.
func (p *Picture) mermaidIDs() map[feature.Key]string {
	out, used := map[feature.Key]string{}, map[string]bool{}
	for _, n := range p.nodes {
		id := strings.ReplaceAll(strings.NewReplacer("/", "_", "-", "_").Replace(n.Key.String()), "__", "_")
		id = strings.ToLower(id)
		for i, base := 2, id; used[id]; i++ {
			id = base + "_" + strconv.Itoa(i)
		}
		used[id] = true
		out[n.Key] = id
	}
	return out
}

// markup keeps text from ending a label or starting a tag.
func markup(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "#quot;", "\n", " ").Replace(terminal.Printable(s))
}

func font(color, text string) string { return `<font color="` + color + `">` + text + "</font>" }

// Mermaid draws a flowchart.
func (p *Picture) Mermaid() string {
	var b strings.Builder
	title, indent := "Feature Graph", "        "
	nodes := p.upstreamFirst()
	if p.diff {
		title, indent, nodes = "Feature Graph Changes", "    ", p.nodes
	}
	if p.look.Title != "" {
		title = strings.ReplaceAll(terminal.Printable(p.look.Title), "\n", " ")
	}
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart %s\n", title, p.look.Direction)
	if p.look.ProjectVersion && !p.diff {
		b.WriteString("    %% Snapshot version: " + p.cut(p.version) + "\n")
	}
	b.WriteString(mermaidInit)
	if p.diff {
		b.WriteString("\n")
	}
	ids := p.mermaidIDs()
	for _, n := range nodes {
		fmt.Fprintf(&b, "%s%s[\"<div style=\"text-align:left\">%s</div>\"]\n", indent, ids[n.Key], strings.Join(p.mermaidLabel(&n), "<br/>"))
		if p.diff && n.Change != feature.Unchanged {
			fmt.Fprintf(&b, "%sstyle %s stroke:%s,stroke-width:2px\n", indent, ids[n.Key], strokes[n.Change])
		}
	}
	if p.diff {
		b.WriteString("\n")
	}
	for _, n := range nodes {
		for _, d := range n.Deps {
			if id, drawn := ids[d]; drawn {
				fmt.Fprintf(&b, "%s%s --> %s\n", indent, id, ids[n.Key])
			}
		}
	}
	return b.String()
}

func (p *Picture) mermaidLabel(n *feature.FeatureDiff) []string {
	lines := []string{"<b>" + markup(n.Key.String()) + "</b>"}
	if p.look.Projects && n.Project != "" && !p.diff {
		lines = append(lines, `<small>`+font("#666", "Project: "+markup(n.Project))+"</small>")
	}
	switch {
	case !p.look.Versions:
	case n.Change == feature.Changed:
		lines = append(lines, font(colorOld, p.cut(n.Old))+" → "+font(colorNew, p.cut(n.New)))
	default:
		lines = append(lines, p.moved(n.Change, n.Old, n.New))
	}
	if !p.look.Fields || len(n.Fields) == 0 {
		return lines
	}
	lines = append(lines, font("#999", "---"))
	for _, f := range n.Fields {
		lines = append(lines, p.mermaidField(f))
	}
	return lines
}

func (p *Picture) mermaidField(f feature.FieldDiff) string {
	var in []string
	switch {
	case !p.look.FieldVersions:
	case f.Change == feature.Changed:
		in = append(in, font(colorOld, p.cut(f.Old))+" → "+font(colorNew, p.cut(f.New)))
	default:
		in = append(in, p.moved(f.Change, f.Old, f.New))
	}
	if p.look.CodeVersions {
		in = append(in, "cv: "+markup(f.CodeVersion))
	}
	name, rest := markup(f.Key.String()), ""
	if len(in) > 0 {
		rest = " (" + strings.Join(in, ", ") + ")"
	}
	switch f.Change {
	case feature.Added:
		return font(colorNew, "- "+name+rest)
	case feature.Removed:
		return font(colorOld, "- "+name+rest)
	case feature.Changed:
		name = font(colorChanged, name)
	}
	return "- " + name + rest
}

// dotText quotes a text for Graphviz; \n inside it is a line break.
func dotText(lines ...string) string {
	for i, l := range lines {
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(terminal.Printable(l))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}

// Graphviz draws a digraph with features, their deps and their fields.
func (p *Picture) Graphviz() string {
	var b strings.Builder
	label := "Graph"
	if p.look.ProjectVersion {
		label = "Graph (project version: " + p.cut(p.version) + ")"
	}
	fmt.Fprintf(&b, "strict digraph {\n    rankdir=%s;\n    label=%s;\n    labelloc=t;\n    fontsize=14;\n    fontname=helvetica;\n\n", p.look.Direction, dotText(label))
	for _, n := range p.upstreamFirst() {
		shape := "box"
		switch {
		case len(n.Deps) == 0:
			shape = "doubleoctagon"
		case n.Change == feature.Added:
			shape = "oval"
		case n.Change == feature.Removed:
			shape = "octagon"
		}
		fmt.Fprintf(&b, "    %s [label=%s, shape=%s, color=\"%s\"];\n", dotText(n.Key.String()), p.dotLabel(n.Key.String(), n.Change, p.look.Versions, n.Old, n.New, ""), shape, p.stroke(n.Change, "#00FFFF"))
	}
	b.WriteString("\n")
	for _, n := range p.nodes {
		for _, d := range n.Deps {
			if p.has(d) {
				fmt.Fprintf(&b, "    %s -> %s;\n", dotText(d.String()), dotText(n.Key.String()))
			}
		}
	}
	b.WriteString("\n")
	for _, n := range p.nodes {
		if !p.look.Fields {
			break
		}
		for _, f := range n.Fields {
			id, code := dotText(n.Key.String()+"::"+f.Key.String()), ""
			if p.look.CodeVersions {
				code = "cv: " + f.CodeVersion
			}
			fmt.Fprintf(&b, "    %s [label=%s, shape=ellipse, color=\"%s\", fontsize=10];\n", id, p.dotLabel(f.Key.String(), f.Change, p.look.FieldVersions, f.Old, f.New, code), p.stroke(f.Change, "#5F87AF"))
			fmt.Fprintf(&b, "    %s -> %s [style=dashed, arrowhead=none];\n", dotText(n.Key.String()), id)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

func (p *Picture) stroke(c feature.Change, plain string) string {
	if !p.diff {
		return plain
	}
	return strokes[c]
}

func (p *Picture) dotLabel(name string, c feature.Change, versions bool, from, to, code string) string {
	lines := []string{name}
	if p.diff {
		lines = append(lines, "["+strings.ToUpper(c.String())+"]")
	}
	if versions {
		lines = append(lines, "v: "+p.moved(c, from, to))
	}
	if code != "" {
		lines = append(lines, code)
	}
	return dotText(lines...)
}

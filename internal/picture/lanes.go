package picture

import (
	"slices"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// lanes are the columns of a picture: each is a feature that has features below
// it still to be drawn, "" = free.
type lanes []string

// Lanes draws a line a feature, upstream first, with lines from each feature to
// those that are made from it, as the history of a repository is drawn. What is
// beside a feature is cut where lines have no more than the style's width, names
// are not.
func (p *Picture) Lanes(style terminal.Style) string {
	nodes := p.upstreamFirst()
	below := map[string]int{} // how many deps on a feature are still to be drawn
	for _, n := range nodes {
		for _, d := range p.upstreamOf(&n) {
			below[d]++
		}
	}
	var out []lanesLine
	var l lanes
	for i := range nodes {
		n := &nodes[i]
		ended := slices.Index(l, "") // where the line above may end
		upstream := p.upstreamOf(n)
		at := l.join(&out, upstream, below)
		if len(upstream) == 0 && at == ended && !p.look.Fields {
			out = append(out, lanesLine{left: l.line(at, " ")}) // it is made from nothing above
		}
		out = append(out, lanesLine{left: l.line(at, "●"), name: terminal.Line(n.Key.String()), beside: terminal.Line(p.beside(n))})
		if l[at] = n.Key.String(); below[l[at]] == 0 {
			l[at] = ""
		}
		out = p.fieldLines(out, n, l, at, style.Width)
	}
	title := p.title()
	if style.Width > 0 {
		title = strings.TrimSuffix(terminal.Wrap(title, style.Width, ""), "\n")
	}
	return style.Paint(terminal.Bold, title) + "\n" + drawLines(out, style)
}

// lanesLine is a line of a picture: lanes, and the name of a feature with what
// stands beside it, or what stands below it.
type lanesLine struct{ left, name, beside string }

// room is how many cells what stands beside names needs at least, so that it is
// put below each other.
const room = 8

// drawLines puts what stands beside names below each other where there is room.
func drawLines(lines []lanesLine, style terminal.Style) string {
	widest := 0
	for _, x := range lines {
		if x.name != "" {
			widest = max(widest, terminal.Cells(x.left+x.name)+2)
		}
	}
	aligned := style.Width == 0 || widest+room <= style.Width
	var b strings.Builder
	for _, x := range lines {
		used := terminal.Cells(x.left + x.name)
		if x.name != "" && x.beside != "" {
			gap := 2
			if aligned {
				gap = widest - used
			}
			x.beside = strings.Repeat(" ", gap) + x.beside
		}
		if style.Width > 0 {
			x.beside = terminal.Cut(x.beside, max(style.Width-used, 0))
		}
		b.WriteString(strings.TrimRight(x.left+style.Paint(terminal.Bold, x.name)+style.Paint(terminal.Faint, x.beside), " ") + "\n")
	}
	return b.String()
}

// title says what is drawn: of which version, and of which project where all features are of one.
func (p *Picture) title() string {
	text := "Graph"
	if p.look.Projects && p.project() != "" {
		text += " of " + p.project()
	}
	if p.look.ProjectVersion {
		text += ", project version " + p.cut(p.version)
	}
	return terminal.Line(text)
}

// project is that of all features; "" when they have several.
func (p *Picture) project() string {
	for _, n := range p.nodes {
		if n.Project != p.nodes[0].Project {
			return ""
		}
	}
	return p.nodes[0].Project
}

// beside is what stands beside the name of a feature.
func (p *Picture) beside(n *feature.FeatureDiff) string {
	var out []string
	if p.look.Versions {
		out = append(out, p.cut(n.New))
	}
	if p.look.Projects && p.project() == "" && n.Project != "" {
		out = append(out, "of "+n.Project)
	}
	return strings.Join(append(out, p.lineage[n.Key]...), "  ")
}

// fieldLines has the fields of a feature, as many a line as fit.
func (p *Picture) fieldLines(out []lanesLine, n *feature.FeatureDiff, l lanes, at, width int) []lanesLine {
	if !p.look.Fields || len(n.Fields) == 0 {
		return out
	}
	sign := " "
	if l[at] != "" {
		sign = "│"
	}
	left := l.line(at, sign) + "  "
	line := ""
	for i, f := range n.Fields {
		text := terminal.Line(f.Key.String())
		if p.look.FieldVersions {
			text += " " + p.cut(f.New)
		}
		if p.look.CodeVersions {
			text += " (code version " + terminal.Line(f.CodeVersion) + ")"
		}
		if i < len(n.Fields)-1 {
			text += ", "
		}
		if line != "" && width > 0 && terminal.Cells(left+line+text) > width {
			out = append(out, lanesLine{left: left, beside: line})
			line = ""
		}
		line += text
	}
	return append(out, lanesLine{left: left, beside: line})
}

// upstreamOf are the features that one is made from, of those that are drawn, each once.
func (p *Picture) upstreamOf(n *feature.FeatureDiff) []string {
	var out []string
	for _, d := range n.Deps {
		if p.has(d) && !slices.Contains(out, d.String()) {
			out = append(out, d.String())
		}
	}
	return out
}

// join leads the lines of upstream features to the lane of the next feature,
// which it returns. A line that ends gives up its lane.
func (l *lanes) join(out *[]lanesLine, upstream []string, below map[string]int) int {
	from := map[int]bool{} // lanes, and whether their lines go on
	at := -1
	for _, u := range upstream {
		i := slices.Index(*l, u)
		below[u]--
		if i < 0 {
			continue // it stands below, in a circle
		}
		if from[i] = below[u] > 0; !from[i] && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		if at = slices.Index(*l, ""); at < 0 {
			at = len(*l)
			*l = append(*l, "")
		}
	}
	if goesOn, own := from[at]; len(from) > 1 || len(from) == 1 && (!own || goesOn) {
		*out = append(*out, lanesLine{left: l.bend(from, at)})
	}
	for i, goesOn := range from {
		if !goesOn {
			(*l)[i] = ""
		}
	}
	for len(*l) > at+1 && (*l)[len(*l)-1] == "" {
		*l = (*l)[:len(*l)-1]
	}
	return at
}

// bend draws the line between features where lines lead to the lane of the next one.
func (l *lanes) bend(from map[int]bool, at int) string {
	first, last := at, at
	for i := range from {
		first, last = min(first, i), max(last, i)
	}
	var b strings.Builder
	for i := range *l {
		goesOn, joins := from[i]
		cross := " "
		switch {
		case joins || i == at:
			cross = corner(joins, goesOn || i == at, i > first, i < last)
		case (*l)[i] != "":
			cross = "│"
		case i > first && i < last:
			cross = "─"
		}
		b.WriteString(cross)
		if i >= first && i < last {
			b.WriteString("─")
		} else {
			b.WriteString(" ")
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// corner is the sign of a place from which lines go up, down, left and right.
func corner(up, down, left, right bool) string {
	at := 0
	for i, way := range []bool{up, down, left, right} {
		if way {
			at |= 1 << i
		}
	}
	return []string{" ", "│", "│", "│", "─", "╯", "╮", "┤", "─", "╰", "╭", "├", "─", "┴", "┬", "┼"}[at]
}

// line is a line of a picture up to what stands beside it, with a sign in a lane.
func (l lanes) line(at int, sign string) string {
	var b strings.Builder
	for i, key := range l {
		switch {
		case i == at:
			b.WriteString(sign + " ")
		case key != "":
			b.WriteString("│ ")
		default:
			b.WriteString("  ")
		}
	}
	return b.String()
}

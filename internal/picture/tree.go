package picture

import (
	"strings"
	"unicode/utf8"

	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// treeNode is a line of a tree with what hangs below it.
type treeNode struct {
	text     string
	children []*treeNode
}

func (t *treeNode) add(text string) *treeNode {
	c := &treeNode{text: terminal.Printable(text)}
	t.children = append(t.children, c)
	return c
}

func (t *treeNode) draw(b *strings.Builder, indent string) {
	for i, c := range t.children {
		branch, below := "├── ", "│   "
		if i == len(t.children)-1 {
			branch, below = "└── ", "    "
		}
		b.WriteString(indent + branch + c.text + "\n")
		c.draw(b, indent+below)
	}
}

// cards draws frames side by side, as many as fit a line of width columns.
func cards(texts [][]string, width int) string {
	inner := 0
	for _, lines := range texts {
		for i := range lines {
			lines[i] = terminal.Printable(lines[i])
			inner = max(inner, utf8.RuneCountInString(lines[i]))
		}
	}
	perRow := max(1, (width+1)/(inner+5))
	var b strings.Builder
	for start := 0; start < len(texts); start += perRow {
		row := texts[start:min(start+perRow, len(texts))]
		height := 0
		for _, lines := range row {
			height = max(height, len(lines)+2)
		}
		for y := range height {
			var cells []string
			for _, lines := range row {
				cells = append(cells, cardLine(lines, y, inner))
			}
			b.WriteString(strings.TrimRight(strings.Join(cells, " "), " ") + "\n")
		}
	}
	return b.String()
}

func cardLine(lines []string, y, inner int) string {
	switch {
	case y == 0:
		return "╭" + strings.Repeat("─", inner+2) + "╮"
	case y <= len(lines):
		return "│ " + lines[y-1] + strings.Repeat(" ", inner-utf8.RuneCountInString(lines[y-1])) + " │"
	case y == len(lines)+1:
		return "╰" + strings.Repeat("─", inner+2) + "╯"
	}
	return strings.Repeat(" ", inner+4)
}

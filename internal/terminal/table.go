package terminal

import (
	"strings"
	"unicode/utf8"
)

// Column is a column of a table. Right puts its cells to the right.
type Column struct {
	Title string
	Right bool
}

// Left returns columns whose cells stand at the left.
func Left(titles ...string) []Column {
	out := make([]Column, len(titles))
	for i, t := range titles {
		out[i].Title = t
	}
	return out
}

// Right returns columns whose cells stand at the right.
func Right(titles ...string) []Column {
	out := Left(titles...)
	for i := range out {
		out[i].Right = true
	}
	return out
}

// Table draws rows in a frame, below a title if there is one.
func Table(title string, columns []Column, rows [][]string) string {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.Title)
		for r := range rows {
			rows[r][i] = strings.ReplaceAll(Printable(rows[r][i]), "\n", " ")
			widths[i] = max(widths[i], utf8.RuneCountInString(rows[r][i]))
		}
	}
	var b strings.Builder
	rule := func(left, line, cross, right string) {
		for i, w := range widths {
			b.WriteString(left + strings.Repeat(line, w+2))
			left = cross
			if i == len(widths)-1 {
				b.WriteString(right + "\n")
			}
		}
	}
	row := func(bar string, cells func(i int) string) {
		for i, w := range widths {
			pad := strings.Repeat(" ", w-utf8.RuneCountInString(cells(i)))
			if columns[i].Right {
				b.WriteString(bar + " " + pad + cells(i) + " ")
			} else {
				b.WriteString(bar + " " + cells(i) + pad + " ")
			}
		}
		b.WriteString(bar + "\n")
	}
	if title != "" {
		b.WriteString(Printable(title) + "\n")
	}
	rule("┏", "━", "┳", "┓")
	row("┃", func(i int) string { return columns[i].Title })
	rule("┡", "━", "╇", "┩")
	for _, r := range rows {
		row("│", func(i int) string { return r[i] })
	}
	rule("└", "─", "┴", "┘")
	return b.String()
}

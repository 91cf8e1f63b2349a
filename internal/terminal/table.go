package terminal

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Style is what output may use of a terminal.
type Style struct {
	// Width is how many cells a line has, 0 = no limit.
	Width int
	Color bool
	// Whole says how what is cut can be had; it ends the lines that count it.
	Whole string
}

// rest writes a count of what is left out, and how it can be had.
func (s Style) rest(text string) string {
	if s.Whole != "" {
		text += "; " + s.Whole
	}
	return s.Paint(Faint, Cut(text, s.Width)) + "\n"
}

// Paint is a way to draw text; the zero value is as it is.
type Paint string

// The paints are of the sixteen colours that a terminal's theme chooses, so that
// they can be read on light and dark.
const (
	Bold   Paint = "1"
	Faint  Paint = "2"
	Red    Paint = "31"
	Green  Paint = "32"
	Yellow Paint = "33"
	Cyan   Paint = "36"
)

// Paint returns text that must be Printable in a paint.
func (s Style) Paint(p Paint, text string) string {
	if !s.Color || p == "" || text == "" {
		return text
	}
	return "\x1b[" + string(p) + "m" + text + "\x1b[0m"
}

// Cells returns how many cells a text takes: two for wide characters, none for
// marks that stand on others.
func Cells(s string) int { return text.StringWidthWithoutEscSequences(s) }

// Cut returns a text of at most width cells; what is cut has an ellipsis.
func Cut(s string, width int) string {
	if Cells(s) <= width {
		return s
	}
	if width < 2 {
		return strings.Repeat("…", max(width, 0))
	}
	return text.Trim(s, width-1) + "…"
}

// CutFront is Cut that keeps the end, as for paths.
func CutFront(s string, width int) string {
	if Cells(s) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && Cells(string(runes)) > width-1 {
		runes = runes[1:]
	}
	return "…" + string(runes)
}

// Line makes a text one line of Printable text: line feeds become a sign.
func Line(s string) string {
	return Printable(strings.NewReplacer("\r\n", "↵", "\n", "↵", "\t", " ").Replace(s))
}

// pad fills a text up to width cells.
func pad(s string, width int, right bool) string {
	blanks := strings.Repeat(" ", max(width-Cells(s), 0))
	if right {
		return blanks + s
	}
	return s + blanks
}

// Column is a column of a table. Right puts its cells to the right; Front cuts
// those that are too wide at their front, and Whole forbids to cut, as for names.
// Paint chooses how a cell is drawn.
type Column struct {
	Title               string
	Right, Front, Whole bool
	Paint               func(cell string) Paint
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

// narrowest is the least width that a cut column keeps.
const narrowest = 8

// Table draws rows in a frame, below a title if there is one. Where the lines
// are too short, the widest columns of text are cut, and how many cells were is
// told; where that does not do, each row becomes lines of title and cell.
func (s Style) Table(title string, columns []Column, rows [][]string) string {
	natural := widthsOf(columns, rows)
	var b strings.Builder
	if title != "" {
		if title = Printable(title); s.Width > 0 {
			title = Cut(title, s.Width)
		}
		b.WriteString(s.Paint(Bold, title) + "\n")
	}
	widths, fits := s.fit(columns, natural)
	if !fits {
		s.records(&b, columns, rows)
		return b.String()
	}
	s.frame(&b, columns, rows, widths)
	if n := countCut(rows, widths); n > 0 {
		b.WriteString(s.rest(fmt.Sprintf("%d cells cut", n)))
	}
	return b.String()
}

// Fits reports whether a table needs no cell cut.
func (s Style) Fits(columns []Column, rows [][]string) bool {
	return s.Width <= 0 || framed(widthsOf(columns, rows)) <= s.Width
}

// widthsOf makes every cell one line, and returns how wide each column is.
func widthsOf(columns []Column, rows [][]string) []int {
	out := make([]int, len(columns))
	for i, c := range columns {
		out[i] = Cells(c.Title)
		for r := range rows {
			rows[r][i] = Line(rows[r][i])
			out[i] = max(out[i], Cells(rows[r][i]))
		}
	}
	return out
}

// framed is how wide a line of a frame is.
func framed(widths []int) int {
	total := 3*len(widths) + 1
	for _, w := range widths {
		total += w
	}
	return total
}

// fit narrows the widest columns of text until a line fits.
func (s Style) fit(columns []Column, natural []int) (widths []int, ok bool) {
	widths = append([]int(nil), natural...)
	if s.Width <= 0 {
		return widths, true
	}
	total := framed(widths)
	for total > s.Width {
		widest := -1
		for i, c := range columns {
			switch {
			case c.Right || c.Whole || widths[i] <= max(narrowest, min(natural[i], Cells(c.Title))):
			case widest < 0, c.Front && !columns[widest].Front, c.Front == columns[widest].Front && widths[i] > widths[widest]:
				widest = i // paths give way first
			}
		}
		if widest < 0 {
			return nil, false
		}
		widths[widest]--
		total--
	}
	return widths, true
}

func countCut(rows [][]string, widths []int) int {
	n := 0
	for _, r := range rows {
		for i, cell := range r {
			if Cells(cell) > widths[i] {
				n++
			}
		}
	}
	return n
}

func (s Style) frame(b *strings.Builder, columns []Column, rows [][]string, widths []int) {
	rule := func(left, line, cross, right string) {
		for i, w := range widths {
			b.WriteString(left + strings.Repeat(line, w+2))
			left = cross
			if i == len(widths)-1 {
				b.WriteString(right + "\n")
			}
		}
	}
	rule("┏", "━", "┳", "┓")
	for i, c := range columns {
		b.WriteString("┃ " + s.Paint(Bold, pad(Cut(c.Title, widths[i]), widths[i], c.Right)) + " ")
	}
	b.WriteString("┃\n")
	rule("┡", "━", "╇", "┩")
	for _, r := range rows {
		for i, c := range columns {
			cut := Cut
			if c.Front {
				cut = CutFront
			}
			b.WriteString("│ " + s.Paint(c.paint(r[i]), pad(cut(r[i], widths[i]), widths[i], c.Right)) + " ")
		}
		b.WriteString("│\n")
	}
	rule("└", "─", "┴", "┘")
}

func (c *Column) paint(cell string) Paint {
	if c.Paint == nil {
		return ""
	}
	return c.Paint(cell)
}

// records writes a line a cell, and an empty line between rows.
func (s Style) records(b *strings.Builder, columns []Column, rows [][]string) {
	names := 0
	for _, c := range columns {
		names = max(names, Cells(c.Title))
	}
	names = min(names, max(s.Width/2, 1))
	for r, row := range rows {
		if r > 0 {
			b.WriteString("\n")
		}
		for i, c := range columns {
			cut := Cut
			if c.Front {
				cut = CutFront
			}
			room := max(s.Width-names-1, 1)
			lines := []string{cut(row[i], room)}
			if c.Whole {
				lines = broken(row[i], room)
			}
			title := s.Paint(Bold, pad(Cut(c.Title, names), names, false))
			for _, line := range lines {
				b.WriteString(title + " " + s.Paint(c.paint(row[i]), line) + "\n")
				title = strings.Repeat(" ", names)
			}
		}
	}
}

// broken is a text in lines of at most width cells, of at least one character.
func broken(s string, width int) []string {
	var out []string
	line, cells := "", 0
	for _, r := range s {
		n := Cells(string(r))
		if line != "" && cells+n > width {
			out = append(out, line)
			line, cells = "", 0
		}
		line, cells = line+string(r), cells+n
	}
	return append(out, line)
}

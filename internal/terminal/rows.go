package terminal

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// How many rows decide the widths of columns, how many of them a terminal gets,
// and how wide a column may be there when not all fit.
const (
	sampleRows   = 1000
	terminalRows = 50
	widestColumn = 40
)

// RowColumn is a column of rows: its name, a short name of its type, and whether
// its cells are numbers. Minor ones give way where not all fit.
type RowColumn struct {
	Name, Type   string
	Right, Minor bool
}

// Rows writes rows as aligned columns without a frame. The first thousand rows
// decide the widths, so that any number of rows takes little memory. Where Width
// is limited it writes the types, the columns that fit and the first fifty rows,
// and says how many more there are.
type Rows struct {
	style   Style
	w       *bufio.Writer
	columns []RowColumn
	held    [][]string
	// shown are the columns that fit, -1 for those that do not; nil before the
	// first line is out.
	shown  []int
	widths []int
	n      int64
}

// NewRows begins a table of rows.
func NewRows(w io.Writer, style Style, columns []RowColumn) *Rows {
	return &Rows{style: style, w: bufio.NewWriter(w), columns: columns}
}

// Write adds a row, a cell a column.
func (r *Rows) Write(cells []string) error {
	r.n++
	if r.style.Width > 0 && r.n > terminalRows {
		return nil
	}
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = Line(c)
	}
	if r.shown != nil {
		return r.line(row, nil)
	}
	r.held = append(r.held, row)
	if len(r.held) < sampleRows {
		return nil
	}
	return r.begin()
}

// Close writes what is left.
func (r *Rows) Close() error {
	if r.shown == nil {
		if err := r.begin(); err != nil {
			return err
		}
	}
	var left []string
	if n := r.n - terminalRows; r.style.Width > 0 && n > 0 {
		left = append(left, fmt.Sprintf("%d more rows", n))
	}
	if slices.Contains(r.shown, -1) {
		left = append(left, fmt.Sprintf("%d more columns", len(r.columns)-len(r.shown)+1))
	}
	if left != nil {
		if _, err := r.w.WriteString(r.style.rest("… " + strings.Join(left, " and "))); err != nil {
			return err
		}
	}
	return r.w.Flush()
}

// begin decides widths and columns and writes the rows held so far.
func (r *Rows) begin() error {
	natural := make([]int, len(r.columns))
	names, types := make([]string, len(r.columns)), make([]string, len(r.columns))
	for i, c := range r.columns {
		names[i], types[i] = Line(c.Name), Line(c.Type)
		natural[i] = Cells(names[i])
		if r.style.Width > 0 {
			natural[i] = max(natural[i], Cells(types[i]))
		}
		for _, row := range r.held {
			natural[i] = max(natural[i], Cells(row[i]))
		}
	}
	r.choose(natural)
	if err := r.line(names, func(string) Paint { return Bold }); err != nil {
		return err
	}
	if r.style.Width > 0 && strings.Join(types, "") != "" {
		if err := r.line(types, func(string) Paint { return Faint }); err != nil {
			return err
		}
	}
	for _, row := range r.held {
		if err := r.line(row, nil); err != nil {
			return err
		}
	}
	r.held = nil
	return nil
}

// choose takes columns from the left, minor ones last, until a line is full; an
// ellipsis stands for those that are left out.
func (r *Rows) choose(natural []int) {
	r.shown, r.widths = []int{}, natural
	total := -2
	for i := range natural {
		r.shown = append(r.shown, i)
		total += natural[i] + 2
	}
	if r.style.Width <= 0 || total <= r.style.Width {
		return
	}
	order := make([]int, 0, len(natural))
	for _, minor := range []bool{false, true} {
		for i, c := range r.columns {
			if c.Minor == minor {
				order = append(order, i)
			}
		}
	}
	used := 1 // the ellipsis
	r.shown, r.widths = []int{}, make([]int, len(natural))
	for _, i := range order {
		r.widths[i] = min(natural[i], widestColumn, max(r.style.Width-3, 1))
		if used += r.widths[i] + 2; used > r.style.Width && len(r.shown) > 0 && (used > r.style.Width+3 || len(r.shown) < len(natural)-1) {
			break // the last one needs no room for an ellipsis
		}
		r.shown = append(r.shown, i)
	}
	slices.Sort(r.shown)
	if len(r.shown) < len(natural) {
		r.shown = append(r.shown, -1)
		return
	}
	left := r.style.Width + 2 // what cut columns may take back
	for _, w := range r.widths {
		left -= w + 2
	}
	for i := range r.widths {
		more := min(natural[i]-r.widths[i], max(left, 0))
		r.widths[i] += more
		left -= more
	}
}

// line writes the shown cells of a row.
func (r *Rows) line(cells []string, paint func(string) Paint) error {
	var b strings.Builder
	for k, i := range r.shown {
		if k > 0 {
			b.WriteString("  ")
		}
		if i < 0 {
			b.WriteString("…")
			continue
		}
		cell := cells[i]
		if r.style.Width > 0 {
			cell = Cut(cell, r.widths[i])
		}
		right := r.columns[i].Right && r.style.Width > 0
		if k < len(r.shown)-1 || right {
			cell = pad(cell, r.widths[i], right)
		}
		if paint != nil {
			cell = r.style.Paint(paint(cell), cell)
		} else if cells[i] == "null" {
			cell = r.style.Paint(Faint, cell)
		}
		b.WriteString(cell)
	}
	b.WriteString("\n")
	_, err := r.w.WriteString(b.String())
	return err
}

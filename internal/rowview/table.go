// Package rowview shows rows of Arrow batches to people: as a table in the width
// and colours of a terminal, with short names of types, and as a preview of a few
// rows. Texts are made Printable; values are those of rowio.Text.
package rowview

import (
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// Table writes rows as aligned columns. Those of the system give way to others
// where not all fit. It is a rowio.Writer.
type Table struct {
	rows  *terminal.Rows
	cells []string
}

// NewTable begins a table of rows of a schema.
func NewTable(w io.Writer, style terminal.Style, schema *arrow.Schema) *Table {
	columns := make([]terminal.RowColumn, schema.NumFields())
	for i, f := range schema.Fields() {
		id := f.Type.ID()
		columns[i] = terminal.RowColumn{Name: f.Name, Type: Type(f.Type), Right: arrow.IsInteger(id) || arrow.IsFloating(id) || arrow.IsDecimal(id),
			Minor: strings.HasPrefix(f.Name, "metaxy_")}
	}
	return &Table{rows: terminal.NewRows(w, style, columns), cells: make([]string, len(columns))}
}

// Write adds the rows of a batch, and keeps nothing of it.
func (t *Table) Write(b arrow.RecordBatch) error {
	for i := range int(b.NumRows()) {
		for c := range t.cells {
			t.cells[c] = rowio.Text(b.Column(c), i, "null")
		}
		if err := t.rows.Write(t.cells); err != nil {
			return err
		}
	}
	return nil
}

// Close writes what waits for the widths of columns, and how many rows were not shown.
func (t *Table) Close() error { return t.rows.Close() }

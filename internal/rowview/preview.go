package rowview

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// previewRows is how many rows a preview shows.
const previewRows = 5

// Preview holds the first five rows of batches of one schema; the zero value is
// ready.
type Preview struct {
	rows   int64
	values [][]string
}

// Add looks at a batch, and keeps nothing of it.
func (p *Preview) Add(b arrow.RecordBatch) {
	if p.values == nil {
		p.values = make([][]string, b.NumCols())
	}
	n := min(b.NumRows(), previewRows-p.rows)
	for c := range p.values {
		for i := range int(max(n, 0)) {
			p.values[c] = append(p.values[c], cell(b.Column(c), i))
		}
	}
	p.rows += max(n, 0)
}

// Rows is how many rows are shown.
func (p *Preview) Rows() int64 { return p.rows }

// Text has a line a column of the schema that the batches had: name, type, values.
func (p *Preview) Text(schema *arrow.Schema) string {
	var b strings.Builder
	names, types := 0, 0
	for _, f := range schema.Fields() {
		names, types = max(names, utf8.RuneCountInString(f.Name)), max(types, len(Type(f.Type)))
	}
	fmt.Fprintf(&b, "Rows: %d\nColumns: %d", p.rows, schema.NumFields())
	for c, f := range schema.Fields() {
		fmt.Fprintf(&b, "\n$ %-*s <%s> %s", names+types-len(Type(f.Type)), f.Name, Type(f.Type), strings.Join(p.values[c], ", "))
	}
	return terminal.Printable(b.String())
}

package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// previewRows is how many rows of each part a preview shows.
const previewRows = 5

// preview holds the first rows of a part, a column a line.
type preview struct {
	rows   int64
	values [][]string
}

// previews reads an increment to its end and shows the first rows of each part that has any.
func previews(ctx context.Context, inc *metaxy.Increment) ([]string, error) {
	parts := map[metaxy.Part]*preview{}
	for b, err := range inc.All(ctx) {
		if err != nil {
			return nil, err
		}
		p := parts[b.Part]
		if p == nil {
			p = &preview{values: make([][]string, b.Batch.NumCols())}
			parts[b.Part] = p
		}
		p.add(b.Batch)
	}
	var out []string
	for _, part := range []struct {
		part  metaxy.Part
		title string
	}{{metaxy.New, "Missing samples:"}, {metaxy.Stale, "Stale samples:"}, {metaxy.Orphaned, "Orphaned samples:"}} {
		if p := parts[part.part]; p != nil && p.rows > 0 {
			out = append(out, part.title, p.text(inc.Schema(part.part)))
		}
	}
	return out, nil
}

func (p *preview) add(b arrow.RecordBatch) {
	n := min(b.NumRows(), previewRows-p.rows)
	for c := range p.values {
		for i := range int(max(n, 0)) {
			p.values[c] = append(p.values[c], previewCell(b.Column(c), i))
		}
	}
	p.rows += max(n, 0)
}

// text has a line a column: name, type, values.
func (p *preview) text(schema *arrow.Schema) string {
	var b strings.Builder
	names, types := 0, 0
	for _, f := range schema.Fields() {
		names, types = max(names, utf8.RuneCountInString(f.Name)), max(types, len(previewType(f.Type)))
	}
	fmt.Fprintf(&b, "Rows: %d\nColumns: %d", p.rows, schema.NumFields())
	for c, f := range schema.Fields() {
		fmt.Fprintf(&b, "\n$ %-*s <%s> %s", names+types-len(previewType(f.Type)), f.Name, previewType(f.Type), strings.Join(p.values[c], ", "))
	}
	return terminal.Printable(b.String())
}

// previewType is a short name of a type, as Polars has it.
func previewType(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.StringType, *arrow.LargeStringType:
		return "str"
	case *arrow.Int64Type:
		return "i64"
	case *arrow.Int32Type:
		return "i32"
	case *arrow.Float64Type:
		return "f64"
	case *arrow.BooleanType:
		return "bool"
	case *arrow.TimestampType:
		if t.TimeZone != "" {
			return "datetime[μs, " + t.TimeZone + "]"
		}
		return "datetime[μs]"
	case *arrow.StructType:
		return fmt.Sprintf("struct[%d]", t.NumFields())
	case *arrow.ListType:
		return "list[" + previewType(t.Elem()) + "]"
	}
	return t.String()
}

func previewCell(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.String:
		return "'" + a.Value(i) + "'"
	case *array.Timestamp:
		t := a.Value(i).ToTime(a.DataType().(*arrow.TimestampType).Unit)
		zone := ""
		if a.DataType().(*arrow.TimestampType).TimeZone != "" {
			zone = "+00:00"
		}
		return strings.TrimSuffix(t.UTC().Format("2006-01-02 15:04:05.000000"), ".000000") + zone
	case *array.Struct:
		var members []string
		for m, f := range a.DataType().(*arrow.StructType).Fields() {
			cell := previewCell(a.Field(m), i)
			if cell == "null" {
				cell = "None"
			}
			members = append(members, "'"+f.Name+"': "+cell)
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	return rowio.Text(a, i, "null")
}

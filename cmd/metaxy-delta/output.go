package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
)

// frame is rows on their way out.
type frame struct {
	schema  *arrow.Schema
	batches iter.Seq2[arrow.RecordBatch, error]
}

// rowWriter writes batches in one format. close finishes the file.
type rowWriter interface {
	write(b arrow.RecordBatch) error
	close() error
}

// formats are the names of --format for rows; plain is Metaxy's word for table.
var formats = []string{"table", "plain", "json", "jsonl", "csv", "parquet", "arrow"}

func newRowWriter(format string, w io.Writer, schema *arrow.Schema) (rowWriter, error) {
	switch format {
	case "", "table", "plain":
		return newTableWriter(w, schema), nil
	case "json":
		return &jsonWriter{w: w, array: true}, nil
	case "jsonl":
		return &jsonWriter{w: w}, nil
	case "csv":
		return newCSVWriter(w, schema)
	case "parquet":
		props := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy), parquet.WithVersion(parquet.V2_LATEST))
		f, err := pqarrow.NewFileWriter(schema, noCloser{w}, props, pqarrow.DefaultWriterProps())
		if err != nil {
			return nil, err
		}
		return parquetWriter{f}, nil
	case "arrow":
		f, err := ipc.NewFileWriter(w, ipc.WithSchema(schema))
		if err != nil {
			return nil, err
		}
		return arrowWriter{f}, nil
	}
	return nil, usagef("unknown format %q: want one of %s", format, strings.Join(formats, ", "))
}

// noCloser keeps the Parquet writer from closing what it did not open.
type noCloser struct{ io.Writer }

type parquetWriter struct{ *pqarrow.FileWriter }

func (p parquetWriter) write(b arrow.RecordBatch) error {
	cols := make([]arrow.Array, b.NumCols())
	for i, c := range b.Columns() {
		cols[i] = delta.WithTexts(c)
		defer cols[i].Release()
	}
	rec := array.NewRecordBatch(b.Schema(), cols, b.NumRows())
	defer rec.Release()
	return p.WriteBuffered(rec)
}
func (p parquetWriter) close() error { return p.Close() }

type arrowWriter struct{ *ipc.FileWriter }

func (a arrowWriter) write(b arrow.RecordBatch) error { return a.Write(b) }
func (a arrowWriter) close() error                    { return a.Close() }

// jsonWriter writes an object a row, in column order; array puts brackets and commas round them.
type jsonWriter struct {
	w     io.Writer
	array bool
	rows  int64
	buf   bytes.Buffer
}

func (j *jsonWriter) write(b arrow.RecordBatch) error {
	j.buf.Reset()
	for i := range int(b.NumRows()) {
		switch {
		case j.array && j.rows == 0:
			j.buf.WriteString("[\n")
		case j.array:
			j.buf.WriteString(",\n")
		}
		j.rows++
		if err := appendJSONRow(&j.buf, b, i); err != nil {
			return err
		}
		if !j.array {
			j.buf.WriteByte('\n')
		}
	}
	_, err := j.w.Write(j.buf.Bytes())
	return err
}

func (j *jsonWriter) close() error {
	if !j.array {
		return nil
	}
	end := "\n]\n"
	if j.rows == 0 {
		end = "[]\n"
	}
	_, err := io.WriteString(j.w, end)
	return err
}

func appendJSONRow(buf *bytes.Buffer, b arrow.RecordBatch, row int) error {
	buf.WriteByte('{')
	for c := range int(b.NumCols()) {
		if c > 0 {
			buf.WriteString(", ")
		}
		name, err := plainJSON(b.ColumnName(c))
		if err != nil {
			return err
		}
		buf.Write(name)
		buf.WriteString(": ")
		value, err := plainJSON(b.Column(c).GetOneForMarshal(row))
		if err != nil {
			return fmt.Errorf("column %s: %w", b.ColumnName(c), err)
		}
		buf.Write(value)
	}
	buf.WriteByte('}')
	return nil
}

// csvWriter writes struct members as columns `name.member`, so that reading the file back makes the struct again; lists and maps are JSON text.
type csvWriter struct {
	w    *csv.Writer
	row  []string
	cols []csvColumn
}

type csvColumn struct{ top, member int } // member -1: the column itself

func newCSVWriter(w io.Writer, schema *arrow.Schema) (rowWriter, error) {
	c := &csvWriter{w: csv.NewWriter(w)}
	var header []string
	for i, f := range schema.Fields() {
		if st, ok := f.Type.(*arrow.StructType); ok && st.NumFields() > 0 {
			for m, g := range st.Fields() {
				header, c.cols = append(header, f.Name+"."+g.Name), append(c.cols, csvColumn{i, m})
			}
			continue
		}
		header, c.cols = append(header, f.Name), append(c.cols, csvColumn{i, -1})
	}
	c.row = make([]string, len(header))
	return c, c.w.Write(header)
}

func (c *csvWriter) write(b arrow.RecordBatch) error {
	for i := range int(b.NumRows()) {
		for j, col := range c.cols {
			a := b.Column(col.top)
			if st, ok := a.(*array.Struct); ok && col.member >= 0 {
				if a.IsNull(i) {
					c.row[j] = ""
					continue
				}
				a = st.Field(col.member)
			}
			c.row[j] = cell(a, i, "")
		}
		if err := c.w.Write(c.row); err != nil {
			return err
		}
	}
	return nil
}

func (c *csvWriter) close() error {
	c.w.Flush()
	return c.w.Error()
}

// cell is a value as text: strings as they are, the rest as JSON has it.
func cell(a arrow.Array, row int, null string) string {
	if a.IsNull(row) {
		return null
	}
	v := a.GetOneForMarshal(row)
	if s, ok := v.(string); ok {
		return s
	}
	text, err := plainJSON(v)
	if err != nil {
		return a.ValueStr(row)
	}
	return strings.Trim(string(text), `"`)
}

// tableWriter prints aligned columns; numbers to the right.
type tableWriter struct {
	w      *tabwriter.Writer
	schema *arrow.Schema
}

func newTableWriter(w io.Writer, schema *arrow.Schema) *tableWriter {
	t := &tableWriter{w: tabwriter.NewWriter(w, 0, 4, 2, ' ', 0), schema: schema}
	names := make([]string, schema.NumFields())
	for i, f := range schema.Fields() {
		names[i] = printable(f.Name)
	}
	fmt.Fprintln(t.w, strings.Join(names, "\t"))
	return t
}

func (t *tableWriter) write(b arrow.RecordBatch) error {
	cells := make([]string, b.NumCols())
	for i := range int(b.NumRows()) {
		for c := range cells {
			cells[c] = printable(cell(b.Column(c), i, "null"))
		}
		if _, err := fmt.Fprintln(t.w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return nil
}

func (t *tableWriter) close() error { return t.w.Flush() }

// printable replaces control characters, so that stored text cannot steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

// writeFrame writes rows to path ("" or "-": stdout). A file appears under its
// name only when it is complete; what is no regular file is written in place.
func writeFrame(ctx context.Context, stdout io.Writer, path, format string, f frame) (int64, error) {
	if path == "" || path == "-" {
		w := bufio.NewWriterSize(stdout, 1<<16)
		n, err := copyFrame(w, format, f)
		if ferr := w.Flush(); err == nil {
			err = ferr
		}
		return n, err
	}
	out, err := atomicfile.Create(ctx, path)
	if err != nil {
		return 0, err
	}
	defer out.Discard()
	w := bufio.NewWriterSize(out, 1<<18)
	n, err := copyFrame(w, format, f)
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	if err == nil {
		err = out.Commit()
	}
	return n, err
}

func copyFrame(w io.Writer, format string, f frame) (int64, error) {
	out, err := newRowWriter(format, w, f.schema)
	if err != nil {
		return 0, err
	}
	var n int64
	for b, err := range f.batches {
		if err != nil {
			return n, err
		}
		if err := out.write(b); err != nil {
			return n, err
		}
		n += b.NumRows()
	}
	return n, out.close()
}

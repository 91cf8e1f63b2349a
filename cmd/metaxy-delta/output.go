package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// formats are the names of --format for rows; plain is Metaxy's word for table.
var formats = append([]string{"table", "plain"}, rowio.Formats()...)

// newRowWriter begins a file of rows; path is where it goes, "" = stdout.
func newRowWriter(format, path string, w io.Writer, schema *arrow.Schema) (rowio.Writer, error) {
	switch format {
	case "", "table", "plain":
		return newTableWriter(w, schema), nil
	}
	return rowio.NewWriter(format, path, w, schema)
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
		names[i] = terminal.Printable(f.Name)
	}
	fmt.Fprintln(t.w, strings.Join(names, "\t"))
	return t
}

func (t *tableWriter) Write(b arrow.RecordBatch) error {
	cells := make([]string, b.NumCols())
	for i := range int(b.NumRows()) {
		for c := range cells {
			cells[c] = terminal.Printable(rowio.Text(b.Column(c), i, "null"))
		}
		if _, err := fmt.Fprintln(t.w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return nil
}

func (t *tableWriter) Close() error { return t.w.Flush() }

// writeFrame writes rows to path ("" or "-": stdout). A file appears under its
// name only when it is complete; what is no regular file is written in place.
func writeFrame(ctx context.Context, stdout io.Writer, path, format string, f frame.Rows) (int64, error) {
	if path == "" || path == "-" {
		path = ""
		w := bufio.NewWriterSize(stdout, 1<<16)
		n, err := copyFrame(w, format, path, f)
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
	if out.InPlace() && format == "arrow" {
		path = "" // who reads a pipe cannot seek in it
	}
	w := bufio.NewWriterSize(out, 1<<18)
	n, err := copyFrame(w, format, path, f)
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	if err == nil {
		err = out.Commit()
	}
	return n, err
}

func copyFrame(w io.Writer, format, path string, f frame.Rows) (int64, error) {
	out, err := newRowWriter(format, path, w, f.Schema)
	if err != nil {
		return 0, err
	}
	var n int64
	for b, err := range f.Batches {
		if err != nil {
			return n, err
		}
		if err := out.Write(b); err != nil {
			return n, err
		}
		n += b.NumRows()
	}
	return n, out.Close()
}

package main

import (
	"bufio"
	"context"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/internal/rowview"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// formats are the names of --format for rows; plain is Metaxy's word for table.
var formats = append([]string{"table", "plain"}, rowio.Formats()...)

// newRowWriter begins a file of rows; path is where it goes, "" = stdout. Style
// is that of a table.
func newRowWriter(format, path string, w io.Writer, style terminal.Style, schema *arrow.Schema) (rowio.Writer, error) {
	switch format {
	case "", "table", "plain":
		return rowview.NewTable(w, style, schema), nil
	}
	return rowio.NewWriter(format, path, w, schema)
}

// writeFrame writes rows to stdout or --output. A file appears under its name
// only when it is complete; what is no regular file is written in place.
func (a *app) writeFrame(ctx context.Context, format string, f frame.Rows) (int64, error) {
	path := a.flags.output
	if path == "" || path == "-" {
		path = ""
		stdout, style := a.sys.stdout, a.style()
		if slices.Contains([]string{"", "table", "plain"}, format) {
			stdout = a.checked // its cells are Printable and may be painted
		}
		w := bufio.NewWriterSize(stdout, 1<<16)
		n, err := copyFrame(w, format, path, style, f)
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
	n, err := copyFrame(w, format, path, terminal.Style{}, f)
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	if err == nil {
		err = out.Commit()
	}
	return n, err
}

func copyFrame(w io.Writer, format, path string, style terminal.Style, f frame.Rows) (int64, error) {
	out, err := newRowWriter(format, path, w, style, f.Schema)
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

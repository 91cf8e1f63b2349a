package main

import (
	"fmt"
	"io"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"

	"github.com/metaxy-delta/metaxy-delta/internal/atomicfile"
	"github.com/metaxy-delta/metaxy-delta/internal/orderedjson"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// members is an object that JSON shows with its members in order.
type members = orderedjson.Object

func member(name string, value any) orderedjson.Member {
	return orderedjson.Member{Name: name, Value: value}
}

// style is what stdout may use of a terminal: all of it where it is one.
func (a *app) style() terminal.Style {
	onTerminal := terminal.Is(a.stdout) && (a.flags.output == "" || a.flags.output == "-")
	s := terminal.Style{Color: a.colored(onTerminal), Whole: "--format csv or --output FILE has all"}
	if onTerminal {
		s.Width = terminal.Width(a.stdout, 80)
	}
	return s
}

// colored applies --color to a stream that is a terminal or not.
func (a *app) colored(isTerminal bool) bool {
	switch a.flags.color {
	case "always":
		return true
	case "never":
		return false
	}
	return isTerminal && a.env["NO_COLOR"] == "" && a.env["TERM"] != "dumb"
}

// printStyled is printText for a text of package terminal, which is Printable
// and may have colours: it needs no guard.
func (a *app) printStyled(text string) error {
	if a.flags.output == "" || a.flags.output == "-" {
		_, err := io.WriteString(a.checked, text)
		return err
	}
	return a.printText(text)
}

// printRows writes lines of cells below their titles.
func (a *app) printRows(columns []terminal.Column, rows [][]string) error {
	var b strings.Builder
	list := make([]terminal.RowColumn, len(columns))
	for i, c := range columns {
		list[i] = terminal.RowColumn{Name: c.Title, Right: c.Right}
	}
	style := a.style()
	w := terminal.NewRows(&b, style, list)
	for _, r := range rows {
		if err := w.Write(r); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return a.printStyled(b.String())
}

// printText writes text to stdout or --output.
func (a *app) printText(text string) error {
	if a.flags.output == "" || a.flags.output == "-" {
		_, err := io.WriteString(a.sys.stdout, text)
		return err
	}
	return atomicfile.WriteFile(a.ctx, a.flags.output, []byte(text))
}

func writeJSONLine(w io.Writer, v any) {
	if text, err := orderedjson.Compact(v); err == nil {
		fmt.Fprintln(w, string(text))
	}
}

// thousands writes a count with separators.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func byteSize(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	unit := -1
	for f >= 1024 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// limited ends a stream after limit rows; 0 = never.
func limited(f frame.Rows, limit int64) frame.Rows {
	if limit <= 0 {
		return f
	}
	return frame.Rows{Schema: f.Schema, Batches: limitBatches(f.Batches, limit)}
}

func limitBatches(in iter.Seq2[arrow.RecordBatch, error], left int64) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			if b.NumRows() >= left {
				cut := b.NewSlice(0, left)
				yield(cut, nil)
				cut.Release()
				return
			}
			left -= b.NumRows()
			if !yield(b, nil) {
				return
			}
		}
	}
}

func countFrame(f frame.Rows) (int64, error) {
	var n int64
	for b, err := range f.Batches {
		if err != nil {
			return n, err
		}
		n += b.NumRows()
	}
	return n, nil
}

// expand replaces a leading ~ of a path by the home directory, and makes a relative one absolute.
func (a *app) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && a.env["HOME"] != "" {
		return filepath.Join(a.env["HOME"], rest)
	}
	if scheme, err := service.Scheme(path); scheme != "" || err != nil || path == "" || filepath.IsAbs(path) {
		return path // what is no URL either is refused where it is opened
	}
	if dir, err := a.sys.getwd(); err == nil {
		return filepath.Join(dir, path)
	}
	return path
}

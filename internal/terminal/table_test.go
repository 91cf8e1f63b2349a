package terminal_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// TestCells: wide characters take two cells, marks and joiners none of their own.
func TestCells(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "ビデオ": 6, "e\u0301": 1, "😀": 2, "…": 1, "✓": 1} {
		if got := terminal.Cells(text); got != want {
			t.Errorf("%q: %d cells, want %d", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text        string
		width       int
		want, front string
	}{
		{"abcdef", 6, "abcdef", "abcdef"}, {"abcdef", 5, "abcd…", "…cdef"}, {"abcdef", 1, "…", "…"}, {"abcdef", 0, "", "…"},
		{"ビデオ一", 5, "ビデ…", "…オ一"}, {"ビデオ一", 4, "ビ…", "…一"},
	} {
		if got := terminal.Cut(c.text, c.width); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
		if got := terminal.CutFront(c.text, c.width); got != c.front {
			t.Errorf("CutFront(%q, %d) = %q, want %q", c.text, c.width, got, c.front)
		}
	}
}

func red(cell string) terminal.Paint {
	if cell == "!" {
		return terminal.Red
	}
	return ""
}

// TestTable: without a width, with one that cuts, with one that is too small for
// a frame, with colour.
func TestTable(t *testing.T) {
	columns := append(terminal.Left("S", "Feature"), terminal.Right("Rows")...)
	columns = append(columns, terminal.Column{Title: "Place", Front: true})
	columns[0].Paint = red
	rows := func() [][]string {
		return [][]string{{"!", "ビデオ/raw", "1,000", "/a/long/path/to/x.delta"}, {"✓", "b\nc", "7", "short\x1b[31m"}}
	}
	for _, c := range []struct {
		name  string
		style terminal.Style
		want  string
	}{
		{"free", terminal.Style{}, `Title
┏━━━┳━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━┓
┃ S ┃ Feature    ┃  Rows ┃ Place                   ┃
┡━━━╇━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━┩
│ ! │ ビデオ/raw │ 1,000 │ /a/long/path/to/x.delta │
│ ✓ │ b↵c        │     7 │ short` + "\ufffd" + `[31m              │
└───┴────────────┴───────┴─────────────────────────┘
`},
		{"40", terminal.Style{Width: 40}, `Title
┏━━━┳━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━━━━┓
┃ S ┃ Feature    ┃  Rows ┃ Place       ┃
┡━━━╇━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━━━━┩
│ ! │ ビデオ/raw │ 1,000 │ …to/x.delta │
│ ✓ │ b↵c        │     7 │ short` + "\ufffd" + `[31m  │
└───┴────────────┴───────┴─────────────┘
1 cells cut
`},
		{"20", terminal.Style{Width: 20}, `Title
S       !
Feature ビデオ/raw
Rows    1,000
Place   …/to/x.delta

S       ✓
Feature b↵c
Rows    7
Place   short` + "\ufffd" + `[31m
`},
		{"colour", terminal.Style{Color: true, Width: 20}, "\x1b[1mTitle\x1b[0m\n\x1b[1mS      \x1b[0m \x1b[31m!\x1b[0m\n"},
	} {
		got := c.style.Table("Title", columns, rows())
		if c.style.Color {
			got = got[:min(len(got), len(c.want))]
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// TestWholeNames: a column that says so is never cut; where there is no room for
// it in a frame, it is broken into lines.
func TestWholeNames(t *testing.T) {
	columns := []terminal.Column{{Title: "Feature", Whole: true}, {Title: "Rows", Right: true}, {Title: "Place", Front: true}}
	rows := func() [][]string { return [][]string{{"video/a_long_name_of_a_feature", "12", "/a/path/to/x.delta"}} }
	free := terminal.Style{Width: 80}
	if !free.Fits(columns, rows()) || free.Table("", columns, rows()) != (terminal.Style{}).Table("", columns, rows()) {
		t.Error("80 columns are enough")
	}
	for width := 12; width < 60; width++ {
		s := terminal.Style{Width: width}
		got := s.Table("", columns, rows())
		joined := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(got, "\n", ""), " ", ""), "┃", "")
		if !strings.Contains(joined, "video/a_long_name_of_a_feature") {
			t.Errorf("%d columns: the name is cut:\n%s", width, got)
		}
		if s.Fits(columns, rows()) {
			t.Errorf("%d columns are said to be enough", width)
		}
	}
}

// TestNothingIsWider: whatever cells hold, no line of a table or of rows is wider
// than it may be, and no control character gets through.
func TestNothingIsWider(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(12, 120).Draw(t, "width")
		n := rapid.IntRange(1, 6).Draw(t, "columns")
		cell := rapid.OneOf(rapid.StringN(0, 30, -1), rapid.SampledFrom([]string{"ビデオ一二三四五六", "e\u0301e\u0301", "a\tb\r\n\x1b[1m", "1,234,567"}))
		titles, columns := terminal.Left(), []terminal.RowColumn{}
		for i := range n {
			title := fmt.Sprintf("title%d", i)
			titles = append(titles, terminal.Column{Title: title, Right: rapid.Bool().Draw(t, "right"), Front: rapid.Bool().Draw(t, "front"), Whole: rapid.Bool().Draw(t, "whole")})
			columns = append(columns, terminal.RowColumn{Name: cell.Draw(t, "name"), Type: "str", Right: rapid.Bool().Draw(t, "right"), Minor: rapid.Bool().Draw(t, "minor")})
		}
		var rows [][]string
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			row := make([]string, n)
			for i := range row {
				row[i] = cell.Draw(t, "cell")
			}
			rows = append(rows, row)
		}
		var b bytes.Buffer
		w := terminal.NewRows(&b, terminal.Style{Width: width}, columns)
		for _, r := range rows {
			if err := w.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string]string{"rows": b.String(), "table": terminal.Style{Width: width}.Table("a title that may be long", titles, rows)} {
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				if terminal.Cells(line) > width || terminal.Printable(line) != line {
					t.Fatalf("%s: %d cells of %d: %q", what, terminal.Cells(line), width, line)
				}
			}
		}
	})
}

// TestRows: free rows stream with the widths of the first thousand; on a
// terminal types, columns that fit and fifty rows are shown, and the rest counted.
func TestRows(t *testing.T) {
	write := func(style terminal.Style, n int) string {
		var b bytes.Buffer
		w := terminal.NewRows(&b, style, []terminal.RowColumn{{Name: "id", Type: "str"}, {Name: "size", Type: "i64", Right: true}, {Name: "metaxy_x", Type: "str", Minor: true}, {Name: "note", Type: "str"}})
		for i := range n {
			if err := w.Write([]string{fmt.Sprintf("v%d", i), fmt.Sprint(i * i), "a very long text that has no room", "null"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got, want := write(terminal.Style{}, 2), "id  size  metaxy_x                           note\nv0  0     a very long text that has no room  null\nv1  1     a very long text that has no room  null\n"; got != want {
		t.Error(cmp.Diff(want, got))
	}
	if got, want := write(terminal.Style{}, 0), "id  size  metaxy_x  note\n"; got != want {
		t.Error(cmp.Diff(want, got))
	}
	if got := write(terminal.Style{}, 2500); strings.Count(got, "\n") != 2501 {
		t.Errorf("%d lines", strings.Count(got, "\n"))
	}
	want := "id   size  note  …\nstr   i64  str   …\nv0      0  null  …\n"
	if got := write(terminal.Style{Width: 30}, 60); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 53 || !strings.HasSuffix(got, "\n… 10 more rows and 1 more col…\n") {
		t.Errorf("%s", got)
	}
	if got := write(terminal.Style{Width: 200, Color: true}, 1); !strings.HasPrefix(got, "\x1b[1mid \x1b[0m  \x1b[1msize\x1b[0m") || !strings.HasSuffix(got, "\x1b[2mnull\x1b[0m\n") {
		t.Errorf("%q", got)
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text   string
		width  int
		indent string
		want   string
	}{
		{"one two three", 7, "", "one two\nthree\n"},
		{"one two three\n\n  as it is, however long\n", 9, "> ", "> one two\n> three\n>\n>   as it is, however long\n"},
		{"averylongword", 5, "", "averylongword\n"},
		{"", 5, "", "\n"},
	} {
		if got := terminal.Wrap(c.text, c.width, c.indent); got != c.want {
			t.Errorf("%q at %d: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

package filter_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// addFilters seeds with every recorded filter and with what is special to SQL.
func addFilters(f *testing.F) {
	data, err := os.ReadFile(filepath.Join(deltatest.Data(f, "vectors"), "filters.json"))
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Cases []struct{ Filter string } }
	if err := json.Unmarshal(data, &file); err != nil {
		f.Fatal(err)
	}
	for _, c := range file.Cases {
		f.Add(c.Filter)
	}
	for _, s := range []string{
		"a.b <=> X'00ff'", "`a``b`.c LIKE 'x\\\\_%'", "DATE '2020-02-30' = d", "CAST('NaN' AS DOUBLE) < x", "x IN (1, NULL, 1.50, 'é', TRUE)", "NOT (NOT a IS NOT NULL)",
		"TIMESTAMP '1969-12-31 23:59:59.999999' >= t", "1 = 1 OR 2 <> 1e400", strings.Repeat("(", 300) + "a" + strings.Repeat(")", 300), strings.Repeat("NOT ", 2000) + "a",
		"a BETWEEN 1 AND 9223372036854775808", "a = -9223372036854775809", "\xff\x00 = ''", "'\\u0000\\'' = b", "a = 'x' -- c", "a;b",
	} {
		f.Add(s)
	}
}

// known is what a file's statistics may say of every column.
type known filter.Range

func (k known) Column([]string) filter.Range { return filter.Range(k) }

// checkTree wants what was parsed to survive being rendered and read again, and to be usable.
func checkTree(t *testing.T, e filter.Expr) {
	text := e.String()
	again, err := filter.ParseSQL(text)
	if err != nil && strings.Contains(err.Error(), "nested deeper") {
		return // parentheses count, too
	}
	if err != nil {
		t.Fatalf("rendered as %q, which cannot be read: %v", text, err)
	}
	if again.String() != text {
		t.Fatalf("rendered as %q, read again as %q", text, again)
	}
	filter.Columns(e)
	for _, r := range []filter.Range{{}, {Known: true, Min: int64(1), Max: int64(1), Rows: 3}, {Known: true, Min: "a", Max: "b", Nulls: 1, Rows: 3}, {Known: true, Nulls: -1, Rows: -1}, {Known: true, Min: 0.5, Max: 2.5, MayNaN: true, Rows: 3}} {
		may, always := filter.MayMatch(e, known(r)), filter.AlwaysMatches(e, known(r))
		if always && !may {
			t.Fatalf("%s matches every row of %+v and none", text, r)
		}
	}
}

func checkFault(t *testing.T, text string, err error) {
	var pe *filter.ParseError
	if !errors.As(err, &pe) || pe.Offset < 0 || pe.Offset > len(text) {
		t.Fatalf("%#v is no *ParseError with an offset in the text", err)
	}
}

// FuzzParse wants every text refused with a place in it, or read into a predicate that SQL can say.
func FuzzParse(f *testing.F) {
	addFilters(f)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := filter.Parse(text)
		if err != nil {
			checkFault(t, text, err)
			return
		}
		checkTree(t, e)
	})
}

// FuzzParseSQL is FuzzParse for the SQL dialect.
func FuzzParseSQL(f *testing.F) {
	addFilters(f)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := filter.ParseSQL(text)
		if err != nil {
			checkFault(t, text, err)
			return
		}
		checkTree(t, e)
	})
}

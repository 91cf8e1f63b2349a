package filter_test

import (
	"testing"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// TestDoubleQuotes reads names in double quotes in both languages, and texts in the rules of tables.
func TestDoubleQuotes(t *testing.T) {
	parsers := []func(string) (filter.Expr, error){filter.Parse, filter.ParseSQL, filter.ParseConstraint}
	cases := []struct {
		text string
		want [3]string // "" = refused
	}{
		{`"a b" = 'x'`, [3]string{"`a b` = 'x'", "`a b` = 'x'", "'a b' = 'x'"}},
		{`"a b" IS NOT NULL`, [3]string{"NOT (`a b` IS NULL)", "NOT (`a b` IS NULL)", "NOT ('a b' IS NULL)"}},
		{`"a""b" > 1`, [3]string{"`a\"b` > 1", "`a\"b` > 1", "'a\"b' > 1"}},
		{`"a"."b" = 1`, [3]string{"`a.b` = 1", "`a`.`b` = 1", ""}},
		{`a IN ("x")`, [3]string{"", "", "`a` IN ('x')"}},
		{`a LIKE "x%"`, [3]string{"", "", "`a` LIKE 'x%'"}},
		{`a = DATE "2020-01-02"`, [3]string{"", "", "`a` = DATE '2020-01-02'"}},
		{`a = 'say "hi"'`, [3]string{"`a` = 'say \"hi\"'", "`a` = 'say \"hi\"'", "`a` = 'say \"hi\"'"}},
		{"`a` = 1", [3]string{"", "`a` = 1", "`a` = 1"}},
		{`"" = 1`, [3]string{"", "", "'' = 1"}},
		{`a = "x`, [3]string{"", "", ""}},
	}
	for _, c := range cases {
		for i, parse := range parsers {
			got := ""
			if e, err := parse(c.text); err == nil {
				got = e.String()
			}
			if got != c.want[i] {
				t.Errorf("language %d: %s reads as %q, want %q", i, c.text, got, c.want[i])
			}
		}
	}
}

// TestPlusSigns holds what Metaxy 0.1.11 answered: a plus sign changes nothing, whatever it stands before.
func TestPlusSigns(t *testing.T) {
	for text, want := range map[string]string{
		"n = +3": "n = 3", "n=+3": "n = 3", "n IN (+3)": "n IN (3)", "n IN (+3, -2)": "n IN (3, -2)", "n = + +3": "n = 3", "n = -+3": "n = -3", "n = +-3": "n = -3",
		"n = +(3)": "n = 3", "+n = 3": "n = 3", "n = +n": "n = n", "+3 = n": "3 = n", "n = +TRUE": "n = TRUE", "n = +'x'": "n = 'x'", "n = +1.5": "n = 1.5", "n = +NULL": "n IS NULL",
		"n < +3 AND +2 < n": "n < 3 AND 2 < n", "+n": "n", "+(n=3)": "n = 3", "NOT +n": "NOT n", "n IS +3": "n = 3", "n NOT IN (+3)": "NOT n IN (3)", "n = +.5": "n = 0.5", "n = (+3)": "n = 3",
		"+ (n) = 3": "n = 3", "n = +(+3)": "n = 3", "n = +(-3)": "n = -3", "+(n = 3) AND +n = 4": "n = 3 AND n = 4", "+ TRUE": "TRUE", "n IN (+ 'x')": "n IN ('x')", "++n = 3": "n = 3",
		"+n IS NULL": "n IS NULL", "+n IN (3)": "n IN (3)", "+n NOT IN (3)": "NOT n IN (3)", "+n ISNULL": "n IS NULL", "+ NOT n": "NOT n", `+"a b" = 1`: `"a b" = 1`,
		"n IN +3": "", "n IN -3": "", "n IN + (3)": "", "n IN (+n)": "", "-+n=3": "", "n = +(n=3)": "", "n = +": "", "n = -NULL": "", "n = -'x'": "", "n=1+3": "",
	} {
		got, err := filter.Parse(text)
		if want == "" {
			if err == nil {
				t.Errorf("%s is accepted: %s", text, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		plain, err := filter.Parse(want)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != plain.String() {
			t.Errorf("%s reads as %s, want %s", text, got, plain)
		}
	}
}

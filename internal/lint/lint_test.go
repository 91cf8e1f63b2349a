package lint_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/metaxy-delta/metaxy-delta/internal/lint"
)

const good = `// Package filter is a predicate. It has no units.
package filter

import "context"

// Limit is the most.
const Limit = 3

// Do does it.
func Do(ctx context.Context, name string, opts *Options) error { return nil }

// Options are the options.
type Options struct{}
`

// TestRules breaks each rule once.
func TestRules(t *testing.T) {
	long := "// Package filter is one. Long.\npackage filter\n\nfunc f() {\n" + strings.Repeat("\t_ = 1\n", 90) + "}\n"
	var face strings.Builder
	face.WriteString("// Package filter is one. Wide.\npackage filter\n")
	for _, c := range "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz" {
		face.WriteString("\n// X is.\ntype X" + strings.Repeat(string(c), face.Len()%97+1) + " int\n")
	}
	body := func(s string) string { return "// Package filter is one. Two.\npackage filter\n\n" + s }
	for name, c := range map[string]struct {
		file, text string
		rule       string // "" = nothing is wrong
	}{
		"good":               {"filter/a.go", good, ""},
		"unlisted":           {"extra/a.go", strings.ReplaceAll(good, "filter", "extra"), "law"},
		"upwards":            {"filter/a.go", body(`import _ "m/scan"`), "law"},
		"test package":       {"filter/a.go", body(`import _ "m/internal/deltatest"`), "law"},
		"SDK":                {"scan/a.go", strings.ReplaceAll(body(`import _ "gocloud.dev/blob"`), "filter", "scan"), "law"},
		"Arrow below":        {"filter/a.go", body(`import _ "github.com/apache/arrow-go/v18/arrow"`), "law"},
		"Parquet in resolve": {"resolve/a.go", strings.ReplaceAll(body(`import _ "github.com/apache/arrow-go/v18/parquet/file"`), "filter", "resolve"), "law"},
		"flags":              {"filter/a.go", body(`import _ "github.com/spf13/cobra"`), "law"},
		"vague":              {"filter/a.go", strings.ReplaceAll(good, "filter", "util"), "name"},
		"no package doc":     {"filter/a.go", "package filter\n", "package doc"},
		"detached doc":       {"filter/a.go", "// Package filter is one. Two.\n\npackage filter\n", "package doc"},
		"other doc":          {"filter/a.go", "// This package is one. Two.\npackage filter\n", "package doc"},
		"thin doc":           {"filter/a.go", "// Package filter is being built.\npackage filter\n", "package doc"},
		"no doc":             {"filter/a.go", body("func Do() {}\n"), "doc"},
		"no method doc":      {"filter/a.go", body("// T is.\ntype T int\n\nfunc (t *T) Do() {}\n"), "doc"},
		"plain method":       {"filter/a.go", body("// T is.\ntype T int\n\nfunc (t *T) Error() string { return `` }\n"), ""},
		"hidden method":      {"filter/a.go", body("type t int\n\nfunc (t) Do() {}\n"), ""},
		"no value doc":       {"filter/a.go", body("const (\n\tA = 1\n)\n"), "doc"},
		"group doc":          {"filter/a.go", body("// The letters.\nconst (\n\tA = 1\n)\n"), ""},
		"long function":      {"filter/a.go", long, "size"},
		"long file":          {"filter/a.go", body(strings.Repeat("\n", 900)), "size"},
		"wide face":          {"filter/a.go", face.String(), "face"},
		"panic":              {"filter/a.go", body("func f() { panic(1) }\n"), "panic"},
		"init":               {"filter/a.go", body("func init() {}\n"), "init"},
		"background":         {"filter/a.go", body("import \"context\"\n\nfunc f() { _ = context.Background() }\n"), "background"},
		"clock":              {"filter/a.go", body("import \"time\"\n\nvar now = time.Now\n"), "clock"},
		"assigned":           {"filter/a.go", body("var x = 1\n\nfunc f() { x = 2 }\n"), "variable"},
		"counted":            {"filter/a.go", body("var x = 1\n\nfunc f() { x++ }\n"), "variable"},
		"element":            {"filter/a.go", body("var x = map[int]int{}\n\nfunc f() { x[1] = 2 }\n"), "variable"},
		"mutex":              {"filter/a.go", body("import \"sync\"\n\nvar mu sync.Mutex\n"), "variable"},
		"constant variable":  {"filter/a.go", body("var x = map[int]int{1: 2}\n\nfunc f() int { return x[1] }\n"), ""},
		"local variable":     {"filter/a.go", body("var x = 1\n\nfunc f() int { x := 2; x = 3; return x }\n"), ""},
		"local var":          {"filter/a.go", body("var x = 1\n\nfunc f() int { var x int; x = 3; return x }\n"), ""},
		"date":               {"filter/a.go", body("// f does, since 2024-05-06.\nfunc f() {}\n"), "comment"},
		"quoted date":        {"filter/a.go", body("// f reads \"2024-05-06\".\nfunc f() {}\n"), ""},
		"ticket":             {"filter/a.go", body("// f works round issue 12.\nfunc f() {}\n"), "comment"},
		"promise":            {"filter/a.go", body("func f() {} // TODO: more\n"), "comment"},
		"callers":            {"filter/a.go", body("// f is used by scan.\nfunc f() {}\n"), "comment"},
		"context":            {"filter/a.go", body("import \"context\"\n\nfunc f(a int, ctx context.Context) {}\n"), "context"},
		"options first":      {"filter/a.go", body("// Options are.\ntype Options struct{}\n\n// F does.\nfunc F(o *Options, a int) {}\n"), "options"},
		"options by value":   {"filter/a.go", body("// Options are.\ntype Options struct{}\n\n// F does.\nfunc F(o Options) {}\n"), "options"},
		"release": {"scan/a.go", strings.ReplaceAll(body("import (\n\t\"iter\"\n\n\t\"github.com/apache/arrow-go/v18/arrow\"\n)\n\n// F yields.\nfunc F() iter.Seq2[arrow.RecordBatch, error] { return nil }\n"), "filter", "scan"),
			"release"},
		"link":     {"filter/x.md", "see [that](gone.md#part)\n", "link"},
		"web link": {"filter/x.md", "see [that](https://host/gone.md) and [this](../filter/x.md)\n", ""},
		"place":    {"filter/x.md", "see /wo" + "rk/shared\n", "place"},
	} {
		found, err := lint.Check("m", fstest.MapFS{c.file: {Data: []byte(c.text)}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var rules []string
		for _, f := range found {
			if !strings.Contains(f.Message, "the import law names") { // the law's other packages
				rules = append(rules, f.Rule)
			}
		}
		slices.Sort(rules)
		rules = slices.Compact(rules)
		want := []string{c.rule}
		if c.rule == "" {
			want = nil
		}
		if !slices.Equal(rules, want) {
			t.Errorf("%s: found %q, want %q (%v)", name, rules, want, found)
		}
	}
}

// TestLawIsAFan proves that the law has no circle.
func TestLawIsAFan(t *testing.T) {
	if circle := lint.Circle(); circle != "" {
		t.Errorf("packages that import each other: %s", circle)
	}
}

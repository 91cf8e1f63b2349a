package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// sentences are the texts of the program's sources, those that are put together
// of parts in one, with X for what is not known before it runs.
func sentences(t *testing.T) map[string]string {
	out := map[string]string{}
	set := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := textOf(e)
			if ok {
				out[set.Position(e.Pos()).String()] = text
			}
			return !ok
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var verbOfPrintf = regexp.MustCompile(`%[a-z]`)

// textOf joins the parts of a text.
func textOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return verbOfPrintf.ReplaceAllString(text, "X"), err == nil
	case *ast.BinaryExpr:
		left, isText := textOf(e.X)
		right, isRight := textOf(e.Y)
		if e.Op != token.ADD || !isText && !isRight {
			return "", false
		}
		if !isText {
			left = "X"
		}
		if !isRight {
			right = "X"
		}
		return left + right, true
	}
	return "", false
}

var (
	quotedCommand = regexp.MustCompile("`metaxy-delta ([^`]*)`")
	undoCommand   = regexp.MustCompile(`undo: metaxy-delta (.*)$`)
	namedFlag     = regexp.MustCompile(`(?:^|[ (])--([a-z][a-z-]*[a-z])`)
)

// TestHintsAreCommands reads every command line that a text of the program shows
// as the program would: its verb, flags and number of arguments. Flags that a
// text names exist.
func TestHintsAreCommands(t *testing.T) {
	root := (&app{sys: &system{}, env: map[string]string{}}).command()
	flags := map[string]bool{"help": true, "version": true, "tags": true, "no": true} // --tags.K and --no-X are rewritten
	eachFlag(root, func(f *pflag.Flag) { flags[f.Name] = true })
	commands := 0
	for at, text := range sentences(t) {
		lines := quotedCommand.FindAllStringSubmatch(text, -1)
		lines = append(lines, undoCommand.FindAllStringSubmatch(text, -1)...)
		for _, line := range lines {
			commands++
			args := commandLine(strings.ReplaceAll(strings.ReplaceAll(line[1], "--to-version X", "--to-version 1"), "--to-version N", "--to-version 1"))
			if args[0] == "VERB" || args[0] == "X" || args[0] == "--help" {
				continue
			}
			fresh := (&app{sys: &system{}, env: map[string]string{}}).command()
			if cmd, err := understood(fresh, args); err != nil || cmd == fresh {
				t.Errorf("%s: `metaxy-delta %s` is no command: %v", at, line[1], err)
			}
		}
		if strings.Contains(at, "cmd/metaxy-delta") || strings.HasPrefix(at, "metaxy-delta") || !strings.Contains(at, "/") {
			for _, m := range namedFlag.FindAllStringSubmatch(text, -1) {
				if name := strings.TrimPrefix(m[1], "no-"); !flags[m[1]] && !flags[name] {
					t.Errorf("%s: there is no flag --%s", at, m[1])
				}
			}
		}
	}
	if commands < 20 {
		t.Errorf("%d commands were found: the pattern misses them", commands)
	}
}

// TestHintsAreExpressions reads the examples that hints give.
func TestHintsAreExpressions(t *testing.T) {
	_, rest, ok := strings.Cut(filterHint, "like: ")
	example, _, _ := strings.Cut(rest, ";")
	if !ok || example == "" {
		t.Fatal("the hint has no example")
	}
	if _, err := filter.Parse(example); err != nil {
		t.Errorf("%s: %v", example, err)
	}
	if _, err := filter.ParseSQL(example); err != nil {
		t.Errorf("%s: %v", example, err)
	}
	_, rest, ok = strings.Cut(hintsByCode["INVALID_FEATURE_KEY"], "like ")
	key, _, _ := strings.Cut(rest, ":")
	if _, err := feature.ParseKey(key); !ok || err != nil {
		t.Errorf("%q: %v", key, err)
	}
	_, err := (&resolveFlags{filters: []string{"?"}}).options()
	_, pair, ok := strings.Cut(err.Error(), "such as ")
	if _, err := (&resolveFlags{filters: []string{pair}}).options(); !ok || err != nil {
		t.Errorf("%q: %v", pair, err)
	}
	_, err = parseSize("?")
	_, size, ok := strings.Cut(err.Error(), "such as ")
	if _, err := parseSize(size); !ok || err != nil {
		t.Errorf("%q: %v", size, err)
	}
	_, err = parseTime("?")
	if _, form, ok := strings.Cut(err.Error(), "want "); !ok || !strings.HasPrefix(form, "yyyy-MM-dd HH:mm:ss[.SSS]") {
		t.Error(err)
	}
	for _, text := range []string{"2024-01-02 03:04:05", "2024-01-02 03:04:05.678", "2024-01-02T03:04:05Z"} {
		if _, err := parseTime(text); err != nil {
			t.Error(err)
		}
	}
}

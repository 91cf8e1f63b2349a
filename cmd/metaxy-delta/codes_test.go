package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// codesInSource are the places where code gives a warning or an error its code.
var codesInSource = []*regexp.Regexp{
	regexp.MustCompile(`\b[Cc]ode: +"([A-Z][A-Z0-9_]+)"`),
	regexp.MustCompile(`\.warning\("([A-Z][A-Z0-9_]+)"`),
	regexp.MustCompile(`Warning\{\{?"([A-Z][A-Z0-9_]+)"`),
	regexp.MustCompile(`(?m)^\t+(?:\w+: +)?\{"([A-Z][A-Z0-9_]+)", *(?:exit|$)`),
	regexp.MustCompile(`\b(?:found|warningJSON)[({]"([A-Z][A-Z0-9_]+)"`),
	regexp.MustCompile(`(?m)^\t+found\w+: +\{"([A-Z][A-Z0-9_]+)"`),
	regexp.MustCompile(`\bfallbackUsed += "([A-Z_]+)"`),
}

// exitNumbers are the exit codes by the names that code gives them.
var exitNumbers = map[string]int{"exitFailure": exitFailure, "exitUsage": exitUsage, "exitConflict": exitConflict, "exitCorrupt": exitCorrupt, "exitUnsupported": exitUnsupported,
	"exitNotFound": exitNotFound, "exitPermission": exitPermission, "exitPartial": exitPartial, "exitWorkFound": exitWorkFound, "exitInterrupted": exitInterrupted}

// TestCodesHaveAPage: every code of a warning or an error in the source has a
// line in internal/docs/codes.md, with its exit code, and every line has a
// code.
func TestCodesHaveAPage(t *testing.T) {
	withExit := regexp.MustCompile(`"([A-Z][A-Z0-9_]+)", (?:exit: )?(exit[A-Z]\w+)`)
	page := map[string]codeJSON{}
	for _, c := range codes() {
		if _, twice := page[c.Code]; twice || c.Meaning == "" || c.Remedy == "" {
			t.Errorf("%s: twice, or without words", c.Code)
		}
		page[c.Code] = c
	}
	found := map[string]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "bench" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, where := range codesInSource {
			for _, m := range where.FindAllSubmatch(text, -1) {
				found[string(m[1])] = true
				if _, ok := page[string(m[1])]; !ok {
					t.Errorf("%s: %s has no line in internal/docs/codes.md", path, m[1])
				}
			}
		}
		for _, m := range withExit.FindAllSubmatch(text, -1) {
			c, ok := page[string(m[1])]
			exit, known := exitNumbers[string(m[2])]
			allowed := ok && c.Exit != nil && (*c.Exit == exit || strings.Contains(c.Meaning, strconv.Itoa(exit)+" for "))
			if known && !allowed {
				t.Errorf("%s: %s ends with %d; internal/docs/codes.md says otherwise", path, m[1], exit)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for code := range page {
		if !found[code] {
			t.Errorf("internal/docs/codes.md has %s, which no code gives", code)
		}
	}
	if len(found) < 70 {
		t.Errorf("only %d codes were found in the source: %v", len(found), slices.Sorted(func(yield func(string) bool) {
			for c := range found {
				if !yield(c) {
					return
				}
			}
		}))
	}
}

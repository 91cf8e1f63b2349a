package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ways are what the scripts together show of a verb.
type ways struct{ good, bad, json, stream bool }

var exitsLine = regexp.MustCompile(`^exits (\d+) (.*)$`)

// TestScriptsShowEveryVerb: of each verb the scripts have a run that succeeds, one
// that is refused with its exit code, one whose answer is JSON, and of verbs that
// print rows or lists one in a form of rows.
func TestScriptsShowEveryVerb(t *testing.T) {
	root := (&app{sys: &system{}, env: map[string]string{}}).command()
	shown := map[string]*ways{}
	formats := map[string][]string{}
	for _, path := range leaves(root, "") {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil {
			t.Fatal(err)
		}
		if cmd.Runnable() && !cmd.Hidden {
			shown[pathOf(cmd)], formats[pathOf(cmd)] = &ways{}, formatsOf(cmd)
		}
	}
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts (%v)", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "-- ") {
				break
			}
			code, rest := "0", ""
			if m := exitsLine.FindStringSubmatch(line); m != nil {
				code, rest = m[1], m[2]
			} else if after, ok := strings.CutPrefix(line, "metaxy-delta "); ok {
				rest = after
			} else if after, ok := strings.CutPrefix(line, "! metaxy-delta "); ok {
				code, rest = "1", after
			} else {
				continue
			}
			args := strings.Fields(rest)
			cmd, _, err := root.Find(args)
			if err != nil || shown[pathOf(cmd)] == nil {
				continue
			}
			w := shown[pathOf(cmd)]
			good := code == "0" || code == "20"
			w.good, w.bad = w.good || good, w.bad || code != "0"
			for i, a := range args {
				value, named := strings.CutPrefix(a, "--format=")
				if !named && i > 0 && (args[i-1] == "--format" || args[i-1] == "-f") {
					value = a
				}
				w.json = w.json || good && (a == "--json" || value == "json")
				w.stream = w.stream || good && slices.Contains([]string{"jsonl", "csv", "arrow", "parquet", "markdown", "mermaid", "graphviz", "yaml"}, value)
			}
		}
	}
	for path, w := range shown {
		gives := func(format string) bool { return slices.Contains(formats[path], format) }
		for what, missing := range map[string]bool{"that succeeds": !w.good, "that is refused": !w.bad, "whose answer is JSON": !w.json && gives("json"), "in a form of rows": !w.stream && (gives("jsonl") || gives("csv"))} {
			if missing {
				t.Errorf("no script runs %s %s", path, what)
			}
		}
	}
}

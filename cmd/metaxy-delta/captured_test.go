package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/deltatest"
)

// capturedStep is a step of a scenario, as far as command lines need it.
type capturedStep struct {
	Step      int
	Op        string
	Unordered string
	Args      struct {
		Argv        []string
		ConfigFile  string `json:"config_file"`
		Definitions string `json:"definitions_file"`
	}
	Before struct {
		Snapshot *string
		Replay   []int `json:"then_replay"`
	} `json:"state_before"`
	Expect struct {
		CLI       string
		ExitCode  int  `json:"exit_code"`
		Traceback bool `json:"stderr_is_traceback"`
	}
}

type capturedScenario struct {
	t     *testing.T
	dir   string
	Steps []capturedStep
	snaps map[string]map[string]string
}

// output is what a command line gave.
type output struct {
	ExitCode       int `json:"exit_code"`
	Stdout, Stderr string
}

// TestCapturedCommandLines runs every command line that was recorded with Metaxy through this program. JSON must be the same, byte for byte; text must hold the same words, whatever
// frames and line breaks are round them and whichever channel they go to. Steps in testdata/decisions.txt differ on purpose, those in gaps.txt cannot pass yet; a listed step that passes fails.
func TestCapturedCommandLines(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(deltatest.Data(t, "scenarios"), "*", "scenario.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios (%v)", err)
	}
	listed := map[string]string{}
	for _, name := range []string{"testdata/decisions.txt", "testdata/gaps.txt"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if key, why, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && !strings.HasPrefix(key, "#") {
				listed[key] = why
			}
		}
	}
	ran, passed := 0, 0
	for _, f := range files {
		s := newCapturedScenario(t, filepath.Dir(f))
		for i := range s.Steps {
			st := &s.Steps[i]
			if st.Op != "cli" && st.Op != "status" {
				continue
			}
			name := fmt.Sprintf("%s/%d", filepath.Base(s.dir), st.Step)
			ran++
			t.Run(name, func(t *testing.T) {
				s := *s
				s.t = t
				fault := s.check(st)
				why, known := listed[name]
				switch {
				case fault != "" && !known:
					t.Errorf("%s: %s", strings.Join(st.Args.Argv, " "), fault)
				case fault == "" && known:
					t.Errorf("is listed (%s), but passes", why)
				case fault == "":
					passed++
				}
			})
			delete(listed, name)
		}
	}
	if ran == 0 {
		t.Fatal("no command lines were recorded")
	}
	for name := range listed {
		t.Errorf("%s is listed but there is no such step", name)
	}
	t.Logf("%d of %d command lines give what Metaxy gave", passed, ran)
}

func newCapturedScenario(t *testing.T, dir string) *capturedScenario {
	t.Helper()
	s := &capturedScenario{t: t, dir: dir}
	for name, v := range map[string]any{"scenario.json": s, "snapshots.json": &s.snaps} {
		if err := json.Unmarshal([]byte(s.read(name)), v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return s
}

func (s *capturedScenario) read(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *capturedScenario) write(path, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *capturedScenario) check(st *capturedStep) string {
	stores := s.t.TempDir()
	if st.Before.Snapshot != nil {
		for dest, src := range s.snaps[*st.Before.Snapshot] {
			s.write(filepath.Join(stores, dest), s.read(src))
		}
	}
	for _, n := range st.Before.Replay {
		i := slices.IndexFunc(s.Steps, func(x capturedStep) bool { return x.Step == n })
		before := s.Steps[i]
		switch before.Op {
		case "cli", "status":
		case "push":
			before.Args.Argv, before.Args.ConfigFile = []string{"push"}, st.Args.ConfigFile
		default:
			return "cannot replay " + before.Op
		}
		if got := s.run(&before, stores); got.ExitCode != before.Expect.ExitCode {
			return fmt.Sprintf("replayed step %d: exit %d: %s", n, got.ExitCode, got.Stderr)
		}
	}
	var want output
	if err := json.Unmarshal([]byte(s.read(st.Expect.CLI)), &want); err != nil {
		s.t.Fatal(err)
	}
	return compareOutputs(st, want, s.run(st, stores))
}

// run runs the program in this process, in a directory of its own.
func (s *capturedScenario) run(st *capturedStep, stores string) output {
	cwd := s.t.TempDir()
	args := slices.Clone(st.Args.Argv)
	if st.Args.ConfigFile != "" {
		s.write(filepath.Join(cwd, "metaxy.toml"), strings.ReplaceAll(s.read(st.Args.ConfigFile), "{STORES}", stores))
	}
	if st.Args.Definitions != "" {
		args = append(args, "--definitions", filepath.Join(s.dir, st.Args.Definitions))
	}
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), &system{args: args, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: func() (string, error) { return cwd, nil }})
	place := strings.NewReplacer(stores, "{STORES}", cwd, "{PROJECT}")
	return output{code, place.Replace(stdout.String()), place.Replace(stderr.String())}
}

// entrypointsNote is what -v says of Python entrypoints (D60).
var entrypointsNote = regexp.MustCompile(`(?m)^Note: Python entrypoints .*\n`)

// exitFor is the exit code here of a failure that Metaxy ends with 1.
var exitFor = map[string]int{"FEATURES_NOT_FOUND": exitNotFound, "MISSING_REQUIRED_FLAG": exitUsage, "INVALID_FEATURE_KEY": exitUsage, "MISSING_CONFIRMATION": exitUsage, "CONFLICTING_FLAGS": exitUsage}

func compareOutputs(st *capturedStep, want, got output) string {
	got.Stderr = entrypointsNote.ReplaceAllString(got.Stderr, "")
	isJSON := slices.Contains(st.Args.Argv, "json")
	var recorded map[string]json.RawMessage
	failed := json.Unmarshal([]byte(want.Stdout), &recorded) == nil && recorded["error"] != nil
	switch {
	case st.Expect.Traceback, want.ExitCode == 2 && got.ExitCode == 2:
		if got.ExitCode == 0 || !strings.Contains(got.Stderr, "rror") {
			return fmt.Sprintf("must fail with an error, but exit %d: %s", got.ExitCode, got.Stderr)
		}
		return ""
	case failed:
		return compareErrors(recorded, got)
	case want.ExitCode == 1 && slices.Contains(st.Args.Argv, "--assert-in-sync"):
		if got.ExitCode != exitWorkFound {
			return fmt.Sprintf("exit %d, want %d", got.ExitCode, exitWorkFound)
		}
	case want.ExitCode != 0:
		said, wanted := words(got.Stderr), words(strings.TrimPrefix(inOurWords(want.Stdout+want.Stderr), "Error:"))
		message, _, _ := strings.Cut(strings.Join(wanted, " "), " Hint:")
		if got.ExitCode == 0 || !strings.Contains(strings.ReplaceAll(strings.Join(said, " "), "Hint: ", ""), message) && !strings.Contains(strings.Join(said, " "), message) {
			return fmt.Sprintf("exit %d, stderr %q, want %q", got.ExitCode, got.Stderr, message)
		}
		return ""
	case got.ExitCode != 0:
		return fmt.Sprintf("exit %d: %s", got.ExitCode, got.Stderr)
	}
	if isJSON && want.Stdout != "" {
		got.Stdout = ownMembers.ReplaceAllString(got.Stdout, "")
		return compareJSON(st, want.Stdout, got.Stdout)
	}
	a, b := want.Stdout+"\n"+want.Stderr, matchMarkup(want.Stdout, got.Stdout)+"\n"+got.Stderr
	if st.Unordered != "" {
		return cmp.Diff(tokens(a), tokens(b))
	}
	if slices.Equal(st.Args.Argv, []string{"config", "print"}) {
		return compareTOML(want.Stdout, got.Stdout)
	}
	if changes(st.Args.Argv) {
		return missingLines(want.Stdout+"\n"+want.Stderr, b)
	}
	a = inOurWords(a)
	// Which channel comes first is no content.
	if slices.Equal(words(a), words(got.Stderr+"\n"+got.Stdout)) {
		return ""
	}
	return cmp.Diff(words(a), words(b))
}

// metaxyWords are what Metaxy calls by several names, and this program by one (D86).
var metaxyWords = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`Graph Snapshot History Project version Recorded At Feature Count`), "Pushed project versions Project version Recorded at Features"},
	{regexp.MustCompile(`Total snapshots: (\d+)`), "Total: $1 project version(s)"},
	{regexp.MustCompile(`No graph snapshots recorded yet`), "No project version was pushed yet"},
	{regexp.MustCompile(`Snapshot already recorded`), "Project version already recorded"},
	{regexp.MustCompile(`Graph Snapshot:`), "Project version:"},
	{regexp.MustCompile(`Graph \(snapshot:`), "Graph (project version:"},
	{regexp.MustCompile(`features from snapshot`), "features of project version"},
	{regexp.MustCompile(`No snapshots found in store. Cannot resolve 'latest'.`), "No project version was pushed to the store: there is no latest one"},
	{regexp.MustCompile(`No features recorded for snapshot (\S+) in project`), "No features recorded for project version $1 of project"},
	{regexp.MustCompile(`Materialized Missing Stale`), "Materialized New Stale"},
}

// inOurWords is what Metaxy printed with the names that things have here.
func inOurWords(text string) string {
	text = strings.Join(words(text), " ")
	for _, w := range metaxyWords {
		text = w.theirs.ReplaceAllString(text, w.ours)
	}
	return text
}

func compareTOML(want, got string) string {
	var a, b map[string]any
	if err := errors.Join(toml.Unmarshal([]byte(want), &a), toml.Unmarshal([]byte(got), &b)); err != nil {
		return err.Error()
	}
	return cmp.Diff(a, b)
}

// changes reports whether a command line changes a store: then this program says more than Metaxy, such as how to undo it.
func changes(argv []string) bool {
	return slices.ContainsFunc(argv, func(a string) bool { return slices.Contains([]string{"delete", "copy", "rebase"}, a) })
}

var pythonFilter = regexp.MustCompile(`col\(([^)]*)\)\.__eq__\(lit\(value=([^,]*), dtype=None\)\)`)

// missingLines are the recorded lines that are not said.
func missingLines(want, got string) string {
	var out []string
	have := strings.Join(words(got), " ")
	for line := range strings.Lines(pythonFilter.ReplaceAllString(want, "$1 = '$2'")) {
		if text := strings.Join(words(line), " "); !strings.Contains(have, text) {
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return fmt.Sprintf("%q is not in %q", out, got)
}

// compareErrors compares an error object with ours: code, message and details. Messages of libraries are only there.
func compareErrors(want map[string]json.RawMessage, got output) string {
	var have struct {
		Error, Message string
		Details        map[string]json.RawMessage
		ExitCode       int `json:"exit_code"`
	}
	if err := json.Unmarshal([]byte(got.Stderr), &have); err != nil {
		return fmt.Sprintf("stderr is no error object: %s (exit %d)", got.Stderr, got.ExitCode)
	}
	code, message := "", ""
	if err := json.Unmarshal(want["error"], &code); err != nil {
		return err.Error()
	}
	if err := json.Unmarshal(want["message"], &message); err != nil {
		return err.Error()
	}
	if have.Error != code || have.ExitCode != exitFor[code] || got.ExitCode != exitFor[code] {
		return fmt.Sprintf("error %s, exit %d, want %s, exit %d", have.Error, got.ExitCode, code, exitFor[code])
	}
	if !strings.Contains(message, "validation error") && have.Message != message {
		return fmt.Sprintf("message %q, want %q", have.Message, message)
	}
	for name, v := range want {
		if name != "error" && name != "message" && compact(have.Details[name]) != compact(v) {
			return fmt.Sprintf("details %s, want %s = %s", have.Details, name, v)
		}
	}
	return ""
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}

var richMarkup = regexp.MustCompile(`\[/?bold[a-z ]*\]`)

// looseJSON are members whose text is not Metaxy's: what a library says of a failure, and previews of rows.
var looseJSON = regexp.MustCompile(`"(error_message|error|sample_details)":`)

// ownMembers are what this program's status says beside Metaxy's JSON.
var ownMembers = regexp.MustCompile(`,\n *"(state|waiting_for|in_sync)": ("[a-z_]+"|true|false|\[[^\]]*\])`)

// compareJSON compares texts byte by byte. Where they hold sets, their members are compared in any order; of what looseJSON names, only that it is there.
func compareJSON(st *capturedStep, want, got string) string {
	if st.Unordered == "" && !looseJSON.MatchString(want) {
		return cmp.Diff(want, got)
	}
	a, err := feature.ParseJSON(want)
	if err != nil {
		return "recorded: " + err.Error()
	}
	b, err := feature.ParseJSON(got)
	if err != nil {
		return err.Error() + ": " + got
	}
	return cmp.Diff(jsonLines(a, st.Unordered != "", ""), jsonLines(b, st.Unordered != "", ""))
}

// jsonLines has a line a value, with its place.
func jsonLines(v feature.Value, sets bool, place string) []string {
	var out []string
	switch {
	case v.IsObject():
		out = append(out, place+" {}")
		for _, m := range v.Members() {
			switch m.Name {
			case "error_message", "error":
				out = append(out, place+"."+m.Name+" is said")
			case "sample_details":
				out = append(out, details(place+"."+m.Name, m.Value)...)
			default:
				out = append(out, jsonLines(m.Value, sets, place+"."+m.Name)...)
			}
		}
	case v.Elements() != nil:
		for _, e := range v.Elements() {
			out = append(out, jsonLines(e, sets, place+"[]")...)
		}
		if sets {
			slices.Sort(out)
		}
	default:
		out = append(out, place+" "+v.Text())
	}
	return out
}

// details are sample previews without markup and without the width of columns.
func details(place string, v feature.Value) []string {
	var out []string
	for _, e := range v.Elements() {
		text, _ := e.Str()
		for line := range strings.Lines(richMarkup.ReplaceAllString(text, "")) {
			out = append(out, place+" "+strings.Join(strings.Fields(line), " "))
		}
	}
	return out
}

var (
	frames    = regexp.MustCompile(`[─━│┃┏┓┗┛┡┩╇┳└┘┴├┤┬┼╭╮╰╯]`)
	storeDict = regexp.MustCompile(`(?s)\{'name':\s+'([^']*)',.*?'uri':\s+'([^']*)'\}\}`)
)

// plain is a text without frames, with the store's name and address in place of the Python dict that has them.
func plain(s string) string {
	s = frames.ReplaceAllString(s, " ")
	return storeDict.ReplaceAllString(s, "$1 $2")
}

func words(s string) []string { return strings.Fields(plain(s)) }

// tokens are the lines as sets of words.
func tokens(s string) []string {
	var out []string
	for line := range strings.Lines(plain(s)) {
		parts := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" ,():\n", r) })
		slices.Sort(parts)
		if len(parts) > 0 {
			out = append(out, strings.Join(parts, " "))
		}
	}
	slices.Sort(out)
	return out
}

var dotAttributes = regexp.MustCompile(`(?m)^( *"[^"]+"(?: -> "[^"]+")?) \[.*\];$`)

// matchMarkup leaves out the attributes of Graphviz lines that Metaxy's console took for markup and swallowed (D75).
func matchMarkup(want, got string) string {
	if !strings.HasPrefix(got, "strict digraph") {
		return got
	}
	return dotAttributes.ReplaceAllStringFunc(got, func(line string) string {
		bare := dotAttributes.ReplaceAllString(line, "$1 ;")
		for recorded := range strings.Lines(want) {
			if strings.TrimSpace(recorded) == strings.TrimSpace(bare) {
				return bare
			}
		}
		return line
	})
}

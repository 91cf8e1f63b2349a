package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// helpProject is the project that the examples of help work on: a store prod, a
// store dev with the same rows, two pushes. Each call gives a folder of its own.
func helpProject(t *testing.T) func(*testing.T) string {
	t.Helper()
	made := t.TempDir()
	if err := os.CopyFS(made, os.DirFS(filepath.Join("testdata", "help"))); err != nil {
		t.Fatal(err)
	}
	runShell(t, made, string(readFile(t, filepath.Join(made, "setup.sh"))))
	return func(t *testing.T) string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
}

// runShell runs a script in which metaxy-delta is this program.
func runShell(t *testing.T, dir, script string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "metaxy-delta")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-e", "-c", script)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// verbsOf are the verbs of the program by their path, without Metaxy's
// spellings.
func verbsOf() map[string]*cobra.Command {
	root := (&app{sys: &system{}, now: nil}).command()
	root.InitDefaultHelpCmd()
	out := map[string]*cobra.Command{}
	eachVerb(root, func(cmd *cobra.Command) { out[pathOf(cmd)] = cmd })
	return out
}

// TestHelpOfEveryVerb: the help of each verb goes to stdout alone, is 80 cells
// wide but for command lines, and has examples and exit codes; a value of a flag
// has a name.
func TestHelpOfEveryVerb(t *testing.T) {
	verbs := verbsOf()
	for path := range verbHelps {
		if verbs[path] == nil {
			t.Errorf("help has examples of %q, which is no verb", path)
		}
	}
	for path := range verbs {
		if n := len(verbHelps[path].examples); n < 1 || n > 3 {
			t.Errorf("%s has %d examples in help_verbs.go, want one to three", path, n)
		}
		for _, args := range [][]string{append(strings.Fields(path), "--help"), append([]string{"help"}, strings.Fields(path)...)} {
			var stdout, stderr bytes.Buffer
			code := run(context.Background(), &system{args: args, stdout: &stdout, stderr: &stderr, getwd: os.Getwd})
			text := stdout.String()
			if code != 0 || stderr.Len() > 0 || !strings.Contains(text, "\nExamples:\n  ") || !strings.Contains(text, "\nExit codes:\n  0 ok, ") || !strings.Contains(text, "metaxy-delta help flags") {
				t.Fatalf("%q: exit %d\n%s%s", args, code, text, stderr.String())
			}
			for line := range strings.Lines(text) {
				if utf8.RuneCountInString(line) > 81 && !strings.Contains(line, "metaxy-delta ") {
					t.Errorf("%q: %d cells: %s", args, utf8.RuneCountInString(line)-1, line)
				}
			}
			if strings.Contains(text, "stringArray") {
				t.Errorf("%q: a Go type: %s", args, text)
			}
		}
	}
}

// TestTopics: each topic is there, and the one on flags has every global flag in
// a group.
func TestTopics(t *testing.T) {
	for _, topic := range topics {
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), &system{args: []string{"help", topic.name}, stdout: &stdout, stderr: &stderr, getwd: os.Getwd}); code != 0 || stdout.Len() < 200 || stderr.Len() > 0 {
			t.Errorf("%s: exit %d, %s%s", topic.name, code, stdout.String(), stderr.String())
		}
	}
	root := (&app{sys: &system{}}).command()
	if titles, _ := groupedFlags(root); slices.Contains(titles, "Others") {
		t.Error("a flag of every verb is in no group")
	}
}

// TestExamples runs each example of each help text as it stands.
func TestExamples(t *testing.T) {
	project := helpProject(t)
	for path, v := range verbHelps {
		for _, example := range v.examples {
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				runShell(t, project(t), example)
			})
		}
	}
}

// TestFormats asks every verb for every format, by its first example: it gives
// that format or refuses it by name.
func TestFormats(t *testing.T) {
	project := helpProject(t)
	for path, v := range verbHelps {
		args, err := shellWords(v.examples[0])
		if err != nil {
			continue // a pipeline
		}
		t.Run(path, func(t *testing.T) {
			for _, format := range []string{"table", "plain", "json", "jsonl", "csv", "parquet", "arrow", "nosuch"} {
				t.Chdir(project(t))
				o := inProcess(append(slices.Clone(args), "--format", format)...)
				if o.code == exitUsage {
					if !strings.Contains(o.stderr, "ormat") || !strings.Contains(o.stderr, format) || o.stdout != "" {
						t.Errorf("%s is refused: %q %q", format, o.stdout, o.stderr)
					}
					continue
				}
				if fault := faultOf(format, o.stdout); o.code != exitOK || fault != "" {
					t.Errorf("%s: exit %d, %s: %q %q", format, o.code, fault, o.stdout, o.stderr)
				}
			}
			t.Chdir(project(t))
			if o := inProcess(append(slices.Clone(args), "--json")...); o.code == exitOK && faultOf("json", o.stdout) != "" || o.code != exitOK && o.code != exitUsage {
				t.Errorf("--json: exit %d, %q %q", o.code, o.stdout, o.stderr)
			}
		})
	}
}

// TestOutput: -o FILE takes what goes to stdout otherwise.
func TestOutput(t *testing.T) {
	project := helpProject(t)
	for path, v := range verbHelps {
		args, err := shellWords(v.examples[0])
		if err != nil || path == "lock" || path == "man" { // whose files are their output
			continue
		}
		if path == "resolve" {
			args = append(args, "--json") // its summary; rows go there with --part
		}
		t.Run(path, func(t *testing.T) {
			t.Chdir(project(t))
			want := inProcess(args...)
			t.Chdir(project(t))
			got := inProcess(append(slices.Clone(args), "-o", "out.file")...)
			if got.code == exitUsage { // rows want to know what becomes of them
				got = inProcess(append(slices.Clone(args), "-o", "out.file", "--format", "table")...)
			}
			data, err := os.ReadFile("out.file")
			if want.code != exitOK || got.code != exitOK || got.stdout != "" || err != nil || len(data) == 0 {
				t.Errorf("exit %d, stdout %q, stderr %q, file %q, %v; without -o exit %d, %q", got.code, got.stdout, got.stderr, data, err, want.code, want.stdout)
			}
		})
	}
}

// inProcess runs the program in this process.
func inProcess(args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), &system{args: args, environ: []string{"HOME=/nonexistent"}, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getwd: os.Getwd})
	return outcome{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// faultOf says why a text is not of a format, "" when it is.
func faultOf(format, text string) string {
	switch format {
	case "json":
		if !json.Valid([]byte(text)) {
			return "no JSON"
		}
	case "jsonl":
		for line := range strings.Lines(text) {
			if !json.Valid([]byte(line)) || strings.TrimSpace(line) == "" {
				return "a line that is no JSON: " + line
			}
		}
	case "csv":
		if _, err := csv.NewReader(strings.NewReader(text)).ReadAll(); err != nil {
			return err.Error()
		}
		if strings.ContainsAny(text, "│┃") {
			return "a table"
		}
	case "parquet":
		if !strings.HasPrefix(text, "PAR1") || !strings.HasSuffix(text, "PAR1") {
			return "no Parquet"
		}
	case "arrow":
		if !strings.HasPrefix(text, "ARROW1") && !strings.HasPrefix(text, "\xff\xff\xff\xff") {
			return "no Arrow"
		}
	case "nosuch":
		return "it is taken"
	default:
		if json.Valid([]byte(text)) && strings.HasPrefix(text, "{") {
			return "JSON for people"
		}
	}
	return ""
}

// shellWords are the words of a command line after the program's name.
func shellWords(line string) ([]string, error) {
	if strings.ContainsAny(line, "|><") {
		return nil, os.ErrInvalid
	}
	var words []string
	var word strings.Builder
	var quote rune
	open := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, open = r, true
		case quote == 0 && r == ' ':
			if open || word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
		}
	}
	return append(words, word.String())[1:], nil
}

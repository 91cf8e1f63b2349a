package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// guideBlock is a block of code of a page: its language, the section it stands in, and its text.
type guideBlock struct{ language, section, text string }

// guideBlocks reads the blocks of the page on definitions.
func guideBlocks(t *testing.T) []guideBlock {
	t.Helper()
	page, err := os.ReadFile("../../internal/docs/definitions.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []guideBlock
	section, open := "", false
	for line := range strings.Lines(string(page)) {
		switch language, fence := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case fence && open:
			open = false
		case fence:
			out, open = append(out, guideBlock{language: language, section: section}), true
		case open:
			out[len(out)-1].text += line
		case strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(line[3:])
		}
	}
	if open || len(out) == 0 {
		t.Fatal("the page has no blocks, or one without an end")
	}
	return out
}

// TestGuide keeps internal/docs/definitions.md true: what a section says in TOML, YAML, JSON and Go is the same, all of it together is a graph without faults that has the versions that Metaxy 0.1.11 gives
// (testdata/guide-versions.json), and the commands and the Go of the page run.
func TestGuide(t *testing.T) {
	blocks := guideBlocks(t)
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile("guide_go_test.go")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]map[string][]feature.Stored{} // by section and language
	var all []*feature.Definition
	var lock string
	for i, b := range blocks {
		var defs []*feature.Definition
		first, _, _ := strings.Cut(b.text, "\n")
		switch {
		case b.language == "sh":
			continue
		case first == "# metaxy.toml":
			write("metaxy.toml", b.text)
			continue
		case first == "# metaxy.lock":
			lock = strings.TrimPrefix(b.text, first)
			defs, err = config.Definitions("metaxy.lock", []byte(b.text), "")
			if err == nil && (len(defs) != 1 || !defs[0].External) {
				t.Errorf("the lock file gives %v", defs)
			}
		case b.language == "go":
			if !strings.Contains(flat(string(program)), flat(b.text)) {
				t.Errorf("guide_go_test.go lacks the block of %q:\n%s", b.section, b.text)
			}
			if f, ok := guideDefinitions[b.section]; ok {
				defs, err = f()
			}
		case slices.Contains([]string{"toml", "yaml", "json"}, b.language):
			if defs, err = config.Definitions("guide."+b.language, []byte(b.text), "media"); b.language == "toml" && err == nil {
				write(fmt.Sprintf("features/%02d.toml", i), b.text)
				all = append(all, defs...)
			}
			if b.section == "Several projects" && b.language == "toml" {
				write("search.toml", b.text)
			}
		default:
			t.Errorf("a block of %q is in %q, which this test does not know", b.section, b.language)
		}
		if err != nil {
			t.Fatalf("%s, %s: %v", b.section, b.language, err)
		}
		for _, d := range defs {
			if said[b.section] == nil {
				said[b.section] = map[string][]feature.Stored{}
			}
			said[b.section][b.language] = append(said[b.section][b.language], d.Stored())
		}
	}
	for section, forms := range said {
		if len(forms) != 4 && !slices.Contains([]string{"External features", "Definitions that something else wrote"}, section) {
			t.Errorf("%q has %d forms, want 4", section, len(forms))
		}
		for language, defs := range forms {
			if len(forms) == 4 && cmp.Diff(forms["toml"], defs) != "" {
				t.Errorf("%q says in TOML and %s: %s", section, language, cmp.Diff(forms["toml"], defs))
			}
		}
	}
	projects := guideVersions(t, all)
	guideProgram(t, all, projects["media"])
	printed := ""
	for _, b := range blocks {
		if b.language == "sh" {
			cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", b.text)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s\n%s", b.section, err, b.text, out)
			}
			printed += string(out)
		}
	}
	for project, version := range projects {
		if !strings.Contains(printed, version+"\n") {
			t.Errorf("the push of %s should print %s: %s", project, version, printed)
		}
	}
	for name, want := range map[string]string{"metaxy.lock": lock, "todo/new.jsonl": `"v1"`} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(data), want) {
			t.Errorf("the commands of the page made %s (%v): %s, want %s in it", name, err, data, want)
		}
	}
}

// flat is a text without indentation.
func flat(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

// guideVersions compares the versions of all definitions with Metaxy's, and gives those of the projects.
func guideVersions(t *testing.T, definitions []*feature.Definition) map[string]string {
	t.Helper()
	g := feature.NewGraph(8)
	for _, d := range definitions {
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	var want struct {
		Projects map[string]string
		Features map[string][2]string // feature version, definition version
	}
	data, err := os.ReadFile("testdata/guide-versions.json")
	if err == nil {
		err = json.Unmarshal(data, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]string{}
	for _, d := range definitions {
		feature, err := g.FeatureVersion(d.Spec.Key)
		if err != nil {
			t.Fatal(err)
		}
		definition, err := g.DefinitionVersion(d.Spec.Key)
		if err != nil {
			t.Fatal(err)
		}
		got[d.Spec.Key.String()] = [2]string{feature, definition}
	}
	if diff := cmp.Diff(want.Features, got); diff != "" || len(want.Projects) == 0 {
		t.Errorf("versions (Metaxy's -, ours +): %s", diff)
	}
	return want.Projects
}

// guideProgram runs the Go of the page that is no definition.
func guideProgram(t *testing.T, definitions []*feature.Definition, want string) {
	t.Helper()
	store, err := open(t.Context(), "mem://guide", definitions)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if version, err := guidePush(t.Context(), store); err != nil || version != want {
		t.Errorf("push: %q, want %q, %v", version, want, err)
	}
	if inc, err := guideResolve(t.Context(), store); err == nil {
		t.Errorf("a resolve of a feature whose upstream has no table gives %v", inc)
	}
}

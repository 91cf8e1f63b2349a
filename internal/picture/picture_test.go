package picture_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/picture"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// graphOf loads features of a project from their specs.
func graphOf(t *testing.T, specs ...string) *feature.Graph {
	t.Helper()
	g := feature.NewGraph(8)
	for _, text := range specs {
		d, err := feature.Load(feature.Stored{Project: "p", FeatureSpec: text, FeatureSchema: "{}"})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

const (
	rootSpec  = `{"key": "a/root", "id_columns": ["id"], "fields": [{"key": "x", "code_version": "1"}]}`
	childSpec = `{"key": "b", "id_columns": ["id"], "deps": [{"feature": "a/root"}], "fields": [{"key": "y", "code_version": "1"}]}`
	newSpec   = `{"key": "b", "id_columns": ["id"], "deps": [{"feature": "a/root"}], "fields": [{"key": "y", "code_version": "2"}]}`
	evilSpec  = `{"key": "b", "id_columns": ["id"], "deps": [{"feature": "a/root"}], "fields": [{"key": "y", "code_version": "<b>\"\u001b[31m\nend"}]}`
)

func keysOf(g *feature.Graph) []feature.Key {
	var out []feature.Key
	for _, d := range g.Definitions() {
		out = append(out, d.Spec.Key)
	}
	return out
}

// TestGraph draws a small graph in every form, upstream first.
func TestGraph(t *testing.T) {
	g := graphOf(t, childSpec, rootSpec)
	plain := picture.Look{Direction: "LR"}
	fields := picture.Look{Fields: true, Direction: "LR", Projects: true}
	for _, c := range []struct {
		name string
		look picture.Look
		draw func(*picture.Picture) string
		want string
	}{
		{"tree", plain, (*picture.Picture).Tree, `📊 Graph
├── a/root
└── b
    └── ⬅️  depends on
        └── a/root
`},
		{"tree with fields", fields, (*picture.Picture).Tree, `📊 Graph
├── a/root (project: p)
│   └── 🔧 fields
│       └── x
└── b (project: p)
    ├── 🔧 fields
    │   └── y
    └── ⬅️  depends on
        └── a/root
`},
		{"cards", plain, (*picture.Picture).Cards, `📊 Graph

Dependencies:
  a/root → b


Features:
╭────────╮ ╭────────╮
│ a/root │ │ b      │
│        │ │        │
╰────────╯ ╰────────╯
`},
		{"mermaid", plain, (*picture.Picture).Mermaid, `---
title: Feature Graph
---
flowchart LR
    %%{init: {'flowchart': {'htmlLabels': true, 'curve': 'basis'}, 'themeVariables': {'fontSize': '14px'}}}%%
        a_root["<div style="text-align:left"><b>a/root</b></div>"]
        b["<div style="text-align:left"><b>b</b></div>"]
        a_root --> b
`},
		{"graphviz", plain, (*picture.Picture).Graphviz, `strict digraph {
    rankdir=LR;
    label="Graph";
    labelloc=t;
    fontsize=14;
    fontname=helvetica;

    "a/root" [label="a/root", shape=doubleoctagon, color="#00FFFF"];
    "b" [label="b", shape=box, color="#00FFFF"];

    "a/root" -> "b";

}
`},
	} {
		p, err := picture.New(g, keysOf(g), "pv", c.look)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, c.draw(p)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// TestText: nothing that a definition holds ends a label, starts a tag or
// steers a terminal, in any form.
func TestText(t *testing.T) {
	g := graphOf(t, rootSpec, evilSpec)
	p, err := picture.New(g, keysOf(g), "pv", picture.Look{Fields: true, CodeVersions: true, Direction: "TB", Title: "a\nb\x1b"})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"tree": p.Tree(), "cards": p.Cards(), "mermaid": p.Mermaid(), "graphviz": p.Graphviz()} {
		if strings.Contains(text, "\x1b") {
			t.Errorf("%s lets an escape through: %q", name, text)
		}
		if name == "mermaid" && (strings.Contains(text, "(cv: <b>") || strings.Contains(text, "\nend")) {
			t.Errorf("a code version became markup: %s", text)
		}
		if name == "graphviz" && strings.Contains(text, `cv: <b>"`) {
			t.Errorf("a code version ended its label: %s", text)
		}
	}
}

// TestDiff draws what became of a graph.
func TestDiff(t *testing.T) {
	old, now := graphOf(t, rootSpec, childSpec), graphOf(t, rootSpec, newSpec)
	nodes, err := feature.Diff(old, now, func(*feature.Definition) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	p := picture.NewDiff(nodes, picture.Look{Direction: "TB"})
	want := `Feature Graph (merged view):

  a/root

~ b (changed)
  depends on: a/root

`
	if diff := cmp.Diff(want, p.Changes()); diff != "" {
		t.Error(diff)
	}
	if text := p.Mermaid(); !strings.Contains(text, "style b stroke:#FFAA00") {
		t.Errorf("no colour of what changed: %s", text)
	}
	if text := p.Cards(); !strings.Contains(text, "b [~]") {
		t.Errorf("no badge of what changed: %s", text)
	}
	if got := picture.NewDiff(nil, picture.Look{}).Changes(); got != "Empty graph (no features)\n" {
		t.Errorf("%q", got)
	}
}

// mediaSpecs are features that branch, meet, and relate to each other in every way.
var mediaSpecs = []string{
	`{"key": "video/raw", "id_columns": ["v"], "fields": [{"key": "audio", "code_version": "1"}, {"key": "frames", "code_version": "1"}]}`,
	`{"key": "audio/transcript", "id_columns": ["v"], "deps": [{"feature": "video/raw"}], "fields": [{"key": "text", "code_version": "1"}]}`,
	`{"key": "video/crop", "id_columns": ["v", "c"], "deps": [{"feature": "video/raw", "lineage": {"relationship": {"type": "1:N", "on": ["v"]}}}], "fields": [{"key": "frames", "code_version": "1"}]}`,
	`{"key": "face/embedding", "id_columns": ["v", "c"], "deps": [{"feature": "video/crop"}], "fields": [{"key": "embedding", "code_version": "1"}]}`,
	`{"key": "video/summary", "id_columns": ["v"], "deps": [{"feature": "face/embedding", "lineage": {"relationship": {"type": "N:1", "on": ["v"]}}}, {"feature": "audio/transcript", "optional": true}], "fields": [{"key": "summary", "code_version": "1"}]}`,
}

// TestLanes: lines branch, cross and meet; beside a feature stands how its rows
// relate to those upstream.
func TestLanes(t *testing.T) {
	g := graphOf(t, mediaSpecs...)
	p, err := picture.New(g, keysOf(g), "pv", picture.Look{Fields: true, Projects: true, ProjectVersion: true})
	if err != nil {
		t.Fatal(err)
	}
	want := `Graph of p, project version pv
● video/raw
│   audio, frames
├─╮
│ ● audio/transcript
│ │   text
● │ video/crop        1:N
│ │   frames
● │ face/embedding
│ │   embedding
├─╯
● video/summary       N:1 face/embedding  optional audio/transcript
    summary
`
	if diff := cmp.Diff(want, p.Lanes(terminal.Style{})); diff != "" {
		t.Error(diff)
	}
	if narrow := p.Lanes(terminal.Style{Width: 26}); !strings.Contains(narrow, "● video/summary  N:1 face…\n") {
		t.Errorf("nothing beside names in 26 columns:\n%s", narrow)
	}
	for width := 20; width < 80; width++ {
		for line := range strings.Lines(p.Lanes(terminal.Style{Width: width})) {
			if terminal.Cells(strings.TrimSuffix(line, "\n")) > width {
				t.Errorf("%d columns: %q", width, line)
			}
		}
	}
}

// TestEveryEdgeIsDrawn follows the lines of random graphs: from each feature they
// lead to just those that are made from it.
func TestEveryEdgeIsDrawn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := feature.NewGraph(8)
		want := map[string]bool{}
		n := rapid.IntRange(1, 9).Draw(rt, "features")
		for i := range n {
			var deps []string
			for j := range i {
				if rapid.IntRange(0, 2).Draw(rt, "dep") == 0 {
					deps = append(deps, fmt.Sprintf(`{"feature": "f%d"}`, j))
					want[fmt.Sprintf("f%d f%d", j, i)] = true
				}
			}
			spec := fmt.Sprintf(`{"key": "f%d", "id_columns": ["id"], "deps": [%s], "fields": [{"key": "x", "code_version": "1"}]}`, i, strings.Join(deps, ","))
			d, err := feature.Load(feature.Stored{Project: "p", FeatureSpec: spec, FeatureSchema: "{}"})
			if err != nil {
				rt.Fatal(err)
			}
			if err := g.Add(d); err != nil {
				rt.Fatal(err)
			}
		}
		p, err := picture.New(g, keysOf(g), "pv", picture.Look{})
		if err != nil {
			rt.Fatal(err)
		}
		text := p.Lanes(terminal.Style{})
		if diff := cmp.Diff(want, followed(text)); diff != "" {
			rt.Fatalf("%s\n%s", diff, text)
		}
	})
}

// followed reads a picture of lanes back: which feature leads to which.
func followed(text string) map[string]bool {
	out := map[string]bool{}
	up := map[int]string{} // by place: the feature whose line comes from above
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")[1:]
	var into map[int][]string // by place: what the bend above leads into it
	for _, line := range lines {
		runes := []rune(line)
		if at := strings.IndexRune(line, '●'); at >= 0 {
			place := len([]rune(line[:at]))
			name := strings.Fields(line[at+len("●"):])
			for _, u := range into[place] {
				out[u+" "+name[len(name)-1]] = true
			}
			if u, ok := up[place]; ok && len(into) == 0 {
				out[u+" "+name[len(name)-1]] = true
			}
			up[place], into = name[len(name)-1], nil
			for i := range up {
				if i != place && (i >= len(runes) || runes[i] != '│') {
					delete(up, i)
				}
			}
			continue
		}
		into = map[int][]string{}
		for i := range up {
			if i >= len(runes) || strings.ContainsRune(" ─", runes[i]) {
				delete(up, i)
			}
		}
		var all []string
		for i, r := range runes {
			if u, ok := up[i]; ok && strings.ContainsRune("├┤┼╰╯┴", r) {
				all = append(all, u)
			}
		}
		for i, r := range runes {
			switch {
			case strings.ContainsRune("╮╭┬", r):
				into[i] = all
			case strings.ContainsRune("╰╯┴", r):
				delete(up, i)
			case strings.ContainsRune("├┤┼", r):
				into[i] = all
			}
		}
	}
	return out
}

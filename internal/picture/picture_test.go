package picture_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/picture"
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

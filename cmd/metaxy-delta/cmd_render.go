package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/picture"
)

// renderFlags are those of graph render and graph-diff render.
type renderFlags struct {
	look          picture.Look
	kind, feature string
	minimal       bool
	up, down      int
}

func (f *renderFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.minimal, "minimal", false, "keys and deps only")
	fl.BoolVar(&f.look.Fields, "show-fields", true, "fields of features")
	fl.BoolVar(&f.look.Versions, "show-feature-versions", true, "versions of features")
	fl.BoolVar(&f.look.FieldVersions, "show-field-versions", true, "versions of fields")
	fl.BoolVar(&f.look.CodeVersions, "show-code-versions", false, "code versions of fields")
	fl.BoolVar(&f.look.ProjectVersion, "show-project-version", true, "the project version")
	fl.BoolVar(&f.look.Projects, "show-projects", true, "projects of features")
	fl.IntVar(&f.look.Hash, "hash-length", 8, "characters of versions, 0 = all")
	fl.StringVar(&f.look.Direction, "direction", "TB", "TB or LR")
	fl.StringVar(&f.look.Title, "title", "", "title of the picture")
	fl.StringVar(&f.feature, "feature", "", "only what is around that feature")
	fl.IntVar(&f.up, "up", -1, "steps upstream of --feature; default all")
	fl.IntVar(&f.down, "down", -1, "steps downstream of --feature; default all")
}

// settle checks the flags and applies --minimal and --verbose.
func (f *renderFlags) settle(cmd *cobra.Command, verbose bool) error {
	l := &f.look
	switch {
	case f.minimal && verbose:
		return usagef("Cannot specify both --minimal and --verbose")
	case l.Direction != "TB" && l.Direction != "LR":
		return usagef("Invalid direction '%s'. Must be TB or LR.", l.Direction)
	case f.feature == "" && (cmd.Flags().Changed("up") || cmd.Flags().Changed("down")):
		return usagef("--up and --down require --feature to be specified")
	case l.Hash < 0:
		return usagef("--hash-length %d is negative", l.Hash)
	case f.minimal:
		l.Versions, l.FieldVersions, l.CodeVersions, l.ProjectVersion, l.Fields = false, false, false, false, true
	case verbose:
		l.Versions, l.FieldVersions, l.CodeVersions, l.ProjectVersion, l.Fields, l.Hash = true, true, true, true, true, 0
	}
	l.FieldVersions = l.FieldVersions && l.Fields
	return nil
}

func (a *app) graphCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "graph", Short: "Draw the graph", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var f renderFlags
	render := &cobra.Command{Use: "render", Short: "Draw features and deps for a terminal, as Mermaid or as Graphviz", Args: cobra.NoArgs, Annotations: ownFormats("terminal mermaid graphviz json"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.renderGraph(cmd, &f) }}
	f.register(render)
	render.Flags().StringVarP(&f.kind, "type", "t", "", "of a terminal picture: lanes (the default on a terminal), graph (a list, the default elsewhere) or cards")
	cmd.AddCommand(render)
	return cmd
}

func (a *app) renderGraph(cmd *cobra.Command, f *renderFlags) error {
	ctx := cmd.Context()
	format := terminalFormat(a.rowFormat("terminal"))
	switch {
	case !slices.Contains([]string{"terminal", "mermaid", "graphviz", "json"}, format):
		return usagef("Invalid format '%s'. Must be one of: terminal, mermaid, graphviz, json", format)
	case !slices.Contains([]string{"", "lanes", "graph", "cards"}, f.kind):
		return usagef("Invalid type '%s'. Must be one of: graph, cards, lanes", f.kind)
	case f.kind != "" && f.kind != "graph" && format != "terminal" && a.flags.format != "":
		return usagef("--type can only be used with --format terminal")
	}
	if err := f.settle(cmd, a.flags.verbose); err != nil {
		return err
	}
	store, err := a.openStore(ctx, openOptions{})
	if err != nil {
		return err
	}
	defer store.Close()
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	if a.flags.snapshot != "" {
		a.note(fmt.Sprintf("✓ Loaded %d features of project version %s", len(g.Definitions()), a.flags.snapshot))
	}
	if len(g.Definitions()) == 0 {
		a.warning("", "Graph is empty (no features found)")
		if format == "json" {
			return a.printJSON(&graphJSON{Nodes: members{}, Edges: []edgeJSON{}})
		}
		return a.printText("")
	}
	keys, err := a.drawn(g, f)
	if err != nil {
		return err
	}
	version := a.flags.snapshot
	if version == "" {
		version = a.shownVersion(ctx, store, g)
	}
	if format == "json" {
		out, err := newGraphJSON(g, keys, version)
		if err != nil {
			return err
		}
		return a.printJSON(out)
	}
	p, err := picture.New(g, keys, version, f.look)
	if err != nil {
		return err
	}
	switch {
	case format == "mermaid":
		return a.printText(p.Mermaid())
	case format == "graphviz":
		return a.printText(p.Graphviz())
	case f.kind == "cards":
		return a.printText(p.Cards())
	case f.kind == "lanes" || f.kind == "" && a.style().Width > 0:
		return a.printStyled(p.Lanes(a.style()))
	}
	return a.printText(p.Tree())
}

// terminalFormat is terminal for the names that other verbs have for it.
func terminalFormat(format string) string {
	if format == "table" || format == "plain" {
		return "terminal"
	}
	return format
}

// shownVersion is the version of the configured project, as Metaxy shows it also with --project; without one that of the chosen or only project, "" when there is none to be had.
func (a *app) shownVersion(ctx context.Context, store *metaxy.DeltaStore, g *feature.Graph) string {
	if c, err := a.config(); err == nil && c.Project != "" {
		if v, err := g.ProjectVersion(c.Project); err == nil {
			return v
		}
	}
	v, err := store.ProjectVersion(ctx)
	if err != nil {
		return ""
	}
	return v
}

// drawn are the features of the chosen project with their deps, or what is around --feature.
func (a *app) drawn(g *feature.Graph, f *renderFlags) ([]feature.Key, error) {
	project, err := a.project()
	if err != nil {
		return nil, err
	}
	if a.flags.allProjects || a.flags.snapshot != "" {
		project = ""
	}
	wanted := map[feature.Key]bool{}
	for _, d := range g.Definitions() {
		if project == "" || d.Project == project {
			wanted[d.Spec.Key] = true
			for _, dep := range d.Spec.Deps {
				wanted[dep.Feature] = true
			}
		}
	}
	var around []feature.Key
	if f.feature != "" {
		key, err := a.parseKey(strings.ReplaceAll(f.feature, "__", "/"))
		if err != nil {
			return nil, err
		}
		if _, ok := g.Get(key); !ok {
			return nil, &cliError{code: "FEATURES_NOT_FOUND", exit: exitNotFound, msg: fmt.Sprintf("Feature '%s' not found in graph\n", f.feature) + available(g), hint: nearestHint(g, f.feature), details: map[string]any{"features": []string{f.feature}}}
		}
		around = g.Around(key, f.up, f.down)
	}
	var out []feature.Key
	for _, d := range g.Definitions() {
		if k := d.Spec.Key; wanted[k] && (f.feature == "" || slices.Contains(around, k)) {
			out = append(out, k)
		}
	}
	return out, nil
}

// available lists the keys of a graph.
func available(g *feature.Graph) string {
	var names []string
	for _, d := range g.Definitions() {
		names = append(names, d.Spec.Key.String())
	}
	slices.Sort(names)
	return "\nAvailable features:\n  • " + strings.Join(names, "\n  • ")
}

// graphJSON is a graph as programs draw it; Nodes have the graph's order.
type graphJSON struct {
	ProjectVersion string     `json:"project_version"`
	Nodes          members    `json:"nodes"`
	Edges          []edgeJSON `json:"edges"`
}

// newGraphJSON has the given features, and the edges that end in them.
func newGraphJSON(g *feature.Graph, keys []feature.Key, version string) (*graphJSON, error) {
	out := &graphJSON{ProjectVersion: version, Nodes: members{}, Edges: []edgeJSON{}}
	for _, k := range keys {
		d, _ := g.Get(k)
		node, err := newFeatureJSON(g, d, true)
		if err != nil {
			return nil, err
		}
		out.Nodes = append(out.Nodes, member(k.String(), node))
		for _, dep := range d.Spec.Deps {
			out.Edges = append(out.Edges, edgeJSON{dep.Feature.String(), k.String()})
		}
	}
	return out, nil
}

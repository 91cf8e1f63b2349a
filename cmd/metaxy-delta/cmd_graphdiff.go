package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/picture"
)

func (a *app) graphDiffCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "graph-diff", Short: "Compare two graphs", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var f renderFlags
	render := &cobra.Command{Use: "render FROM [TO]", Short: "What changed from one project version to another; latest and current are the newest push and the definitions in force",
		Args: cobra.RangeArgs(1, 2), Annotations: ownFormats("terminal cards mermaid graphviz json yaml"), RunE: func(cmd *cobra.Command, args []string) error {
			return a.renderDiff(cmd, append(args, "current")[:2], &f)
		}}
	f.register(render)
	cmd.AddCommand(render)
	return cmd
}

func (a *app) renderDiff(cmd *cobra.Command, ends []string, f *renderFlags) error {
	ctx := cmd.Context()
	format := terminalFormat(a.rowFormat("terminal"))
	formats := []string{"terminal", "cards", "mermaid", "graphviz", "json", "yaml"}
	switch {
	case !slices.Contains(formats, format):
		return usagef("Invalid format '%s'. Must be one of: %s", format, strings.Join(formats, ", "))
	case a.flags.allProjects:
		return usagef("This command requires a specific project. Cannot use --all-projects flag.")
	}
	if err := f.settle(cmd, a.flags.verbose); err != nil {
		return err
	}
	if format == "mermaid" && f.look.Hash == 8 {
		f.look.Hash = 6
	}
	store, err := a.openStore(ctx, openOptions{})
	if err != nil {
		return err
	}
	defer store.Close()
	project, err := a.diffProject(ctx, store)
	if err != nil {
		return err
	}
	var graphs [2]*feature.Graph
	for i, end := range ends {
		if graphs[i], err = diffEnd(ctx, store, project, end); err != nil {
			return err
		}
	}
	nodes, err := feature.Diff(graphs[0], graphs[1], func(d *feature.Definition) bool { return d.Project == project && !d.External })
	if err != nil {
		return err
	}
	if nodes, err = a.around(graphs, nodes, f); err != nil {
		return err
	}
	p := picture.NewDiff(nodes, f.look)
	if (format == "terminal" || format == "cards") && len(nodes) > 0 && !slices.ContainsFunc(nodes, func(d feature.FeatureDiff) bool { return d.Change != feature.Unchanged }) {
		return a.printText(fmt.Sprintf("No changes from %s to %s (%d feature(s)).\n", ends[0], ends[1], len(nodes)))
	}
	switch format {
	case "json":
		return a.printJSON(newDiffJSON(nodes))
	case "yaml":
		return a.printYAML(newDiffJSON(nodes))
	case "mermaid":
		return a.printText(p.Mermaid())
	case "graphviz":
		return a.printText(p.Graphviz())
	case "cards":
		return a.printText(p.Cards())
	}
	return a.printText(p.Changes())
}

// diffProject is the chosen project, else the only one of the definitions.
func (a *app) diffProject(ctx context.Context, store *metaxy.DeltaStore) (string, error) {
	project, err := a.project()
	if err != nil || project != "" {
		return project, err
	}
	g, err := store.Graph(ctx)
	if err != nil {
		return "", err
	}
	if list := g.Projects(); len(list) == 1 {
		return list[0], nil
	}
	return "", usagef("This command requires a specific project: say --project NAME")
}

// diffEnd is the graph of one end: current, latest or a project version, each with the definitions of other projects that it needs.
func diffEnd(ctx context.Context, store *metaxy.DeltaStore, project, end string) (*feature.Graph, error) {
	if end == "current" {
		g, err := store.Graph(ctx)
		if err == nil && !slices.Contains(g.Projects(), project) {
			return nil, usagef("Cannot resolve 'current': the definitions hold no feature of project %s", project)
		}
		return g, err
	}
	if end == "latest" {
		list, err := store.History(ctx, project)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, &cliError{code: "SNAPSHOT_ERROR", exit: exitNotFound, msg: "No project version was pushed to the store: there is no latest one", hint: "`metaxy-delta push` records one"}
		}
		newest := slices.MaxFunc(list, func(a, b metaxy.HistoryEntry) int { return a.LastPushed.Compare(b.LastPushed) })
		end = newest.ProjectVersion
	}
	g, err := store.SnapshotGraph(ctx, end, project)
	if errors.Is(err, metaxy.ErrFeatureNotFound) {
		return nil, &cliError{code: "SNAPSHOT_ERROR", exit: exitNotFound, msg: fmt.Sprintf("No features recorded for project version %s of project %s", end, project), hint: "`metaxy-delta history` lists the pushed project versions"}
	}
	return g, err
}

// around keeps what is around --feature in either graph.
func (a *app) around(graphs [2]*feature.Graph, nodes []feature.FeatureDiff, f *renderFlags) ([]feature.FeatureDiff, error) {
	if f.feature == "" {
		return nodes, nil
	}
	key, err := a.parseKey(strings.ReplaceAll(f.feature, "__", "/"))
	if err != nil {
		return nil, err
	}
	near := append(graphs[0].Around(key, f.up, f.down), graphs[1].Around(key, f.up, f.down)...)
	if len(near) == 0 {
		return nil, a.notFound(graphs[1], []string{key.String()})
	}
	return slices.DeleteFunc(nodes, func(n feature.FeatureDiff) bool { return !slices.Contains(near, n.Key) }), nil
}

func joinKeys(keys []feature.Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, k.String())
	}
	return strings.Join(out, ", ")
}

// diffJSON is Metaxy's object of a diff; Nodes keep their order.
type diffJSON struct {
	Nodes members    `json:"nodes" yaml:"nodes"`
	Edges []edgeJSON `json:"edges" yaml:"edges"`
}

type edgeJSON struct {
	From string `json:"from" yaml:"from"`
	To   string `json:"to" yaml:"to"`
}

type diffNodeJSON struct {
	Status       string            `json:"status" yaml:"status"`
	OldVersion   *string           `json:"old_version" yaml:"old_version"`
	NewVersion   *string           `json:"new_version" yaml:"new_version"`
	Dependencies []string          `json:"dependencies" yaml:"dependencies"`
	FieldChanges []fieldChangeJSON `json:"field_changes" yaml:"field_changes"`
	// Upstream: the definition is the same; this program's own.
	Upstream bool `json:"through_upstream,omitempty" yaml:"through_upstream,omitempty"`
}

type fieldChangeJSON struct {
	FieldKey   string  `json:"field_key" yaml:"field_key"`
	OldVersion *string `json:"old_version" yaml:"old_version"`
	NewVersion *string `json:"new_version" yaml:"new_version"`
	IsAdded    bool    `json:"is_added" yaml:"is_added"`
	IsRemoved  bool    `json:"is_removed" yaml:"is_removed"`
	IsChanged  bool    `json:"is_changed" yaml:"is_changed"`
}

func newDiffJSON(nodes []feature.FeatureDiff) *diffJSON {
	out := &diffJSON{Nodes: members{}, Edges: []edgeJSON{}}
	orNull := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	for _, n := range nodes {
		node := diffNodeJSON{Status: n.Change.String(), OldVersion: orNull(n.Old), NewVersion: orNull(n.New), Dependencies: []string{}, FieldChanges: []fieldChangeJSON{}, Upstream: n.Upstream}
		for _, d := range n.Deps {
			node.Dependencies = append(node.Dependencies, d.String())
			out.Edges = append(out.Edges, edgeJSON{d.String(), n.Key.String()})
		}
		for _, c := range []feature.Change{feature.Added, feature.Removed, feature.Changed} {
			for _, f := range n.Fields {
				if f.Change == c {
					node.FieldChanges = append(node.FieldChanges, fieldChangeJSON{f.Key.String(), orNull(f.Old), orNull(f.New), c == feature.Added, c == feature.Removed, c == feature.Changed})
				}
			}
		}
		out.Nodes = append(out.Nodes, member(n.Key.String(), node))
	}
	return out
}

func (a *app) printYAML(v any) error {
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return a.printText(b.String())
}

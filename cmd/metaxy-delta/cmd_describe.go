package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/feature"
)

func (a *app) describeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "describe", Short: "Describe features or the graph", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var all bool
	features := &cobra.Command{Use: "features KEY...", Aliases: []string{"feature"}, Short: "Versions, fields and upstream of features",
		RunE: func(cmd *cobra.Command, args []string) error { return a.describeFeatures(cmd.Context(), args, all) }}
	features.Flags().BoolVar(&all, "all-features", false, "every feature of the project")
	cmd.AddCommand(features, &cobra.Command{Use: "graph", Short: "Size and shape of the graph", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.describeGraph(cmd.Context()) }})
	return cmd
}

type dependencyJSON struct {
	Feature  string            `json:"feature"`
	Select   []string          `json:"select,omitempty"`
	Rename   map[string]string `json:"rename,omitempty"`
	Optional bool              `json:"optional,omitempty"`
}

type describedJSON struct {
	Project      string           `json:"project"`
	Key          string           `json:"key"`
	Version      string           `json:"version"`
	Description  *string          `json:"description"`
	IsExternal   bool             `json:"is_external"`
	Source       string           `json:"source"`
	IDColumns    []string         `json:"id_columns"`
	Fields       []fieldJSON      `json:"fields"`
	Dependencies []dependencyJSON `json:"dependencies"`
	Metadata     json.RawMessage  `json:"metadata,omitempty"`
}

func describeFeature(g *feature.Graph, d *feature.Definition) (describedJSON, error) {
	f, err := newFeatureJSON(g, d, false)
	if err != nil {
		return describedJSON{}, err
	}
	out := describedJSON{Project: d.Project, Key: f.Key, Version: f.Version, Description: d.Spec.Description, IsExternal: d.External, Source: f.Source,
		IDColumns: d.Spec.IDColumns, Fields: f.Fields, Dependencies: []dependencyJSON{}}
	for _, dep := range d.Spec.Deps {
		dj := dependencyJSON{Feature: dep.Feature.String(), Optional: dep.Optional}
		if dep.Select != nil {
			dj.Select = *dep.Select
		}
		for _, r := range dep.Rename {
			if dj.Rename == nil {
				dj.Rename = map[string]string{}
			}
			dj.Rename[r.From] = r.To
		}
		out.Dependencies = append(out.Dependencies, dj)
	}
	if len(d.Spec.Metadata.Members()) > 0 {
		out.Metadata = json.RawMessage(d.Spec.Metadata.Text())
	}
	return out, nil
}

func (a *app) describeFeatures(ctx context.Context, args []string, all bool) error {
	store, err := a.openStore(ctx, "", nil)
	if err != nil {
		return err
	}
	defer store.Close()
	keys, err := a.chosen(ctx, store, args, all)
	if err != nil {
		return err
	}
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	list := []describedJSON{}
	var missing []string
	for _, k := range keys {
		d, ok := g.Get(k)
		if !ok {
			missing = append(missing, k.String())
			continue
		}
		f, err := describeFeature(g, d)
		if err != nil {
			return err
		}
		list = append(list, f)
	}
	if len(missing) > 0 {
		return a.notFound(g, missing)
	}
	if a.flags.json || a.flags.format == "json" {
		switch len(list) {
		case 0:
			return nil
		case 1:
			return a.printJSON(list[0])
		}
		return a.printJSON(map[string]any{"features": list})
	}
	for _, f := range list {
		fmt.Fprintf(a.sys.stdout, "%s (%s) %s\nSource: %s\n", printable(f.Key), f.Version, printable(f.Project), printable(f.Source))
		if f.Description != nil {
			fmt.Fprintf(a.sys.stdout, "\n  %s\n", printable(*f.Description))
		}
		fmt.Fprintf(a.sys.stdout, "\nID columns: %s\nFields:\n", printable(strings.Join(f.IDColumns, ", ")))
		for _, x := range f.Fields {
			fmt.Fprintf(a.sys.stdout, "  %s (%s) code version %s\n", printable(x.Key), x.Version, printable(x.CodeVersion))
		}
		for _, d := range f.Dependencies {
			fmt.Fprintf(a.sys.stdout, "Depends on %s\n", printable(d.Feature))
		}
		fmt.Fprintln(a.sys.stdout)
	}
	return nil
}

// notFound names features that are not defined, with the nearest names.
func (a *app) notFound(g *feature.Graph, missing []string) error {
	hint := "`metaxy-delta list features` shows what is defined"
	if near := g.Nearest(missing[0]); len(near) > 0 {
		hint = "did you mean " + near[0].String() + "?"
	}
	return &cliError{code: "FEATURES_NOT_FOUND", exit: exitNotFound, msg: "Feature(s) not found: " + strings.Join(missing, ", "), hint: hint, details: map[string]any{"features": missing}}
}

func (a *app) describeGraph(ctx context.Context) error {
	store, err := a.openStore(ctx, "", nil)
	if err != nil {
		return err
	}
	defer store.Close()
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	m := measure(g)
	m["project_version"] = ""
	if pv, err := store.ProjectVersion(ctx); err == nil {
		m["project_version"] = pv
	}
	if a.flags.json || a.flags.format == "json" {
		return a.printJSON(m)
	}
	for _, k := range []string{"project_version", "features", "depth", "roots", "leaves", "projects"} {
		fmt.Fprintf(a.sys.stdout, "%-16s %v\n", k, m[k])
	}
	return nil
}

// measure counts features, the longest chain in nodes, roots and leaves.
func measure(g *feature.Graph) map[string]any {
	depth := map[feature.Key]int{}
	parents := map[feature.Key]bool{}
	roots, leaves := []string{}, []string{}
	projects := map[string]int{}
	var keys []feature.Key
	for _, d := range g.Definitions() {
		keys = append(keys, d.Spec.Key)
		for _, dep := range d.Spec.Deps {
			parents[dep.Feature] = true
		}
	}
	longest := 0
	for _, k := range g.Topological(keys) {
		d, _ := g.Get(k)
		projects[d.Project]++
		depth[k] = 1
		for _, dep := range d.Spec.Deps {
			depth[k] = max(depth[k], depth[dep.Feature]+1)
		}
		longest = max(longest, depth[k])
		if len(d.Spec.Deps) == 0 {
			roots = append(roots, k.String())
		}
		if !parents[k] {
			leaves = append(leaves, k.String())
		}
	}
	return map[string]any{"features": len(keys), "depth": longest, "roots": roots, "leaves": leaves, "projects": projects}
}

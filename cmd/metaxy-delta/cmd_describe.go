package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
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
	Feature  string    `json:"feature"`
	Select   *[]string `json:"select,omitempty"`
	Rename   members   `json:"rename,omitempty"`
	Optional bool      `json:"optional,omitempty"`
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
	f, err := newFeatureJSON(g, d, true)
	if err != nil {
		return describedJSON{}, err
	}
	out := describedJSON{Project: d.Project, Key: f.Key, Version: f.Version, Description: d.Spec.Description, IsExternal: d.External, Source: f.Source,
		IDColumns: d.Spec.IDColumns, Fields: f.Fields, Dependencies: []dependencyJSON{}}
	for _, dep := range d.Spec.Deps {
		dj := dependencyJSON{Feature: dep.Feature.String(), Select: dep.Select, Optional: dep.Optional}
		for _, r := range dep.Rename {
			dj.Rename = append(dj.Rename, member(r.From, r.To))
		}
		out.Dependencies = append(out.Dependencies, dj)
	}
	if len(d.Spec.Metadata.Members()) > 0 {
		out.Metadata = json.RawMessage(d.Spec.Metadata.Text())
	}
	return out, nil
}

func (a *app) describeFeatures(ctx context.Context, args []string, all bool) error {
	store, err := a.openStore(ctx, openOptions{})
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
	keyOf := map[string]feature.Key{}
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
		list, keyOf[f.Key] = append(list, f), k
	}
	if len(missing) > 0 {
		return a.notFound(g, missing)
	}
	if a.forPrograms() {
		switch len(list) {
		case 0:
			return nil
		case 1:
			return a.printJSON(list[0])
		}
		return a.printList(map[string]any{"features": list}, list)
	}
	var blocks []string
	for _, f := range list {
		d, _ := g.Get(keyOf[f.Key])
		blocks = append(blocks, f.text(d))
	}
	return a.printText(strings.Join(blocks, "\n"+strings.Repeat("─", 60)+"\n\n"))
}

// text is the description for people.
func (f *describedJSON) text(d *feature.Definition) string {
	var b strings.Builder
	mark := ""
	if f.IsExternal {
		mark = " (external)"
	}
	fmt.Fprintf(&b, "%s%s (%s) %s\nSource: %s\n", f.Key, mark, f.Version, f.Project, f.Source)
	if f.Description != nil && *f.Description != "" {
		b.WriteString("\n")
		for line := range strings.Lines(strings.TrimSpace(*f.Description)) {
			b.WriteString("  " + strings.TrimSpace(line) + "\n")
		}
	}
	fmt.Fprintf(&b, "\nID columns: %s\n\nFields:\n", strings.Join(f.IDColumns, ", "))
	if len(f.Fields) == 0 {
		b.WriteString("  none\n")
	}
	for _, x := range f.Fields {
		var from []string
		for _, dep := range x.Deps {
			from = append(from, dep.Feature+":("+strings.Join(dep.Fields, ", ")+")")
		}
		fmt.Fprintf(&b, "  %s (%s)", x.Key, x.Version)
		if len(from) > 0 {
			b.WriteString(" ← " + strings.Join(from, ", "))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nDependencies:\n")
	if len(f.Dependencies) == 0 {
		b.WriteString("  none (root feature)\n")
	}
	for _, dep := range f.Dependencies {
		b.WriteString(dep.text())
	}
	if list := d.Spec.Metadata.Members(); len(list) > 0 {
		b.WriteString("\nMetadata:\n")
		for _, m := range list {
			value, isText := m.Value.Str()
			if !isText {
				value = m.Value.Text()
			}
			fmt.Fprintf(&b, "  %s: %s\n", m.Name, value)
		}
	}
	return terminal.Printable(b.String())
}

func (d *dependencyJSON) text() string {
	var options []string
	if d.Select != nil {
		list := strings.Join(*d.Select, ", ")
		if list == "" {
			list = "none"
		}
		options = append(options, "select: "+list)
	}
	if d.Optional {
		options = append(options, "optional")
	}
	if len(d.Rename) > 0 {
		var list []string
		for _, m := range d.Rename {
			list = append(list, fmt.Sprintf("%s → %s", m.Name, m.Value))
		}
		options = append(options, "rename: "+strings.Join(list, ", "))
	}
	out := "  " + d.Feature
	if len(options) > 0 {
		out += " | " + strings.Join(options, " | ")
	}
	return out + "\n"
}

// notFound names features that are not defined, with the nearest names.
func (a *app) notFound(g *feature.Graph, missing []string) error {
	return &cliError{code: "FEATURES_NOT_FOUND", exit: exitNotFound, msg: "Feature(s) not found in graph", hint: strings.Join(missing, ", ") + ": " + nearestHint(g, missing[0]), details: map[string]any{"features": missing}}
}

func nearestHint(g *feature.Graph, name string) string {
	if near := g.Nearest(name); len(near) > 0 {
		return "did you mean " + joinKeys(near) + "?"
	}
	return "`metaxy-delta list features` shows what is defined"
}

func (a *app) describeGraph(ctx context.Context) error {
	store, err := a.openStore(ctx, openOptions{})
	if err != nil {
		return err
	}
	defer store.Close()
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	project, err := a.project()
	if err != nil {
		return err
	}
	if a.flags.allProjects {
		project = ""
	}
	m := measure(g, project)
	m.ProjectVersion = a.flags.snapshot
	if m.ProjectVersion == "" {
		m.ProjectVersion = a.shownVersion(ctx, store, g)
	}
	if a.forPrograms() {
		return a.printJSON(m)
	}
	a.note("Describing current feature graph...")
	return a.printStyled(m.text(a.style(), project))
}

// graphShape is what describe graph tells.
type graphShape struct {
	ProjectVersion string         `json:"project_version"`
	Features       int            `json:"features"`
	All            int            `json:"all_features"`
	Depth          int            `json:"depth"`
	Roots          []string       `json:"roots"`
	Leaves         []string       `json:"leaves"`
	Projects       map[string]int `json:"projects"`
}

func (m *graphShape) text(style terminal.Style, project string) string {
	title := "Project version: " + m.ProjectVersion
	if m.ProjectVersion == "" {
		title = "Project version: empty"
	}
	if project != "" {
		title += "\n(Project: " + project + ")"
	}
	total := []string{"Total Features", strconv.Itoa(m.Features)}
	rows := [][]string{total}
	if m.All != m.Features {
		total[1] = strconv.Itoa(m.All)
		rows = append(rows, []string{"Features in " + project, strconv.Itoa(m.Features)})
	}
	rows = append(rows, []string{"Graph Depth", strconv.Itoa(m.Depth)}, []string{"Root Features", strconv.Itoa(len(m.Roots))}, []string{"Leaf Features", strconv.Itoa(len(m.Leaves))})
	var b strings.Builder
	b.WriteString(style.Table(title, []terminal.Column{{Title: "Metric"}, {Title: "Value", Right: true}}, rows))
	if len(m.Projects) > 1 {
		b.WriteString("\nFeatures by Project:\n")
		for _, p := range sortedNames(m.Projects) {
			fmt.Fprintf(&b, "  • %s: %d features\n", p, m.Projects[p])
		}
	}
	for _, part := range []struct {
		title string
		keys  []string
	}{{"Root Features", m.Roots}, {"Leaf Features", m.Leaves}} {
		if len(part.keys) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s:\n", part.title)
		for _, k := range part.keys[:min(10, len(part.keys))] {
			b.WriteString("  • " + k + "\n")
		}
		if more := len(part.keys) - 10; more > 0 {
			fmt.Fprintf(&b, "  ... and %d more\n", more)
		}
	}
	return b.String()
}

// measure counts the features of a project ("" = all), their longest chain in nodes, roots and leaves.
func measure(g *feature.Graph, project string) *graphShape {
	depth := map[feature.Key]int{}
	parents := map[feature.Key]bool{}
	m := &graphShape{Roots: []string{}, Leaves: []string{}, Projects: map[string]int{}}
	var keys []feature.Key
	for _, d := range g.Definitions() {
		keys = append(keys, d.Spec.Key)
		for _, dep := range d.Spec.Deps {
			parents[dep.Feature] = true
		}
	}
	m.All = len(keys)
	for _, k := range g.Topological(keys) {
		d, _ := g.Get(k)
		depth[k] = 1
		m.Projects[d.Project]++
		for _, dep := range d.Spec.Deps {
			depth[k] = max(depth[k], depth[dep.Feature]+1)
		}
		if project != "" && d.Project != project {
			continue
		}
		m.Features++
		m.Depth = max(m.Depth, depth[k])
		if len(d.Spec.Deps) == 0 {
			m.Roots = append(m.Roots, k.String())
		}
		if !parents[k] {
			m.Leaves = append(m.Leaves, k.String())
		}
	}
	slices.Sort(m.Roots)
	slices.Sort(m.Leaves)
	return m
}

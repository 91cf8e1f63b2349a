package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

func (a *app) listCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List features or stores", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(
		&cobra.Command{Use: "features", Aliases: []string{"feature"}, Short: "Features with their versions", Args: cobra.NoArgs, RunE: a.listFeatures},
		&cobra.Command{Use: "stores", Aliases: []string{"store"}, Short: "Stores of the configuration", Args: cobra.NoArgs, RunE: a.listStores})
	return cmd
}

type fieldDepJSON struct {
	Feature string   `json:"feature"`
	Fields  []string `json:"fields"`
}

type fieldJSON struct {
	Key         string         `json:"key"`
	CodeVersion string         `json:"code_version"`
	Version     string         `json:"version"`
	Deps        []fieldDepJSON `json:"deps,omitempty"`
}

type featureJSON struct {
	Key        string      `json:"key"`
	Version    string      `json:"version"`
	IsRoot     bool        `json:"is_root"`
	IsExternal bool        `json:"is_external"`
	Project    string      `json:"project"`
	Source     string      `json:"source"`
	FieldCount int         `json:"field_count"`
	Fields     []fieldJSON `json:"fields"`
	Deps       []string    `json:"deps,omitempty"`
}

func newFeatureJSON(g *feature.Graph, d *feature.Definition, verbose bool) (featureJSON, error) {
	key := d.Spec.Key
	v, err := g.FeatureVersion(key)
	if err != nil {
		return featureJSON{}, err
	}
	out := featureJSON{Key: key.String(), Version: v, IsRoot: len(d.Spec.Deps) == 0, IsExternal: d.External, Project: d.Project, Source: d.DisplaySource(),
		FieldCount: len(d.Spec.Fields), Fields: []fieldJSON{}}
	plan, err := g.Plan(key)
	if err != nil {
		return out, err
	}
	for _, f := range plan.Fields {
		fv, err := g.FieldVersion(key, f.Key)
		if err != nil {
			return out, err
		}
		fj := fieldJSON{Key: f.Key.String(), CodeVersion: f.CodeVersion, Version: fv}
		if verbose {
			fj.Deps = fieldDeps(f.Parents)
		}
		out.Fields = append(out.Fields, fj)
	}
	if verbose {
		for _, dep := range d.Spec.Deps {
			out.Deps = append(out.Deps, dep.Feature.String())
		}
	}
	return out, nil
}

// fieldDeps groups parent fields by feature, both sorted.
func fieldDeps(parents []feature.Parent) []fieldDepJSON {
	var out []fieldDepJSON
	for _, p := range parents {
		i := slices.IndexFunc(out, func(d fieldDepJSON) bool { return d.Feature == p.Feature.String() })
		if i < 0 {
			i = len(out)
			out = append(out, fieldDepJSON{Feature: p.Feature.String()})
		}
		out[i].Fields = append(out[i].Fields, p.Field.String())
	}
	for i := range out {
		slices.Sort(out[i].Fields)
	}
	return out
}

func (a *app) listFeatures(cmd *cobra.Command, _ []string) error {
	store, err := a.openStore(cmd.Context(), openOptions{})
	if err != nil {
		return err
	}
	defer store.Close()
	g, err := store.Graph(cmd.Context())
	if err != nil {
		return err
	}
	defs, err := a.shownDefinitions(cmd.Context(), store)
	if err != nil {
		return err
	}
	list := []featureJSON{}
	for _, d := range defs {
		f, err := newFeatureJSON(g, d, a.flags.verbose)
		if err != nil {
			a.warning("GRAPH", err.Error())
			continue
		}
		list = append(list, f)
	}
	if a.forPrograms() {
		return a.printList(map[string]any{"feature_count": len(list), "features": list}, list)
	}
	if len(list) == 0 {
		a.note("No features found in the current project.")
		return nil
	}
	return a.printStyled(featureTables(a.style(), list, a.flags.verbose))
}

// featureTables draws a table a project; verbose adds the deps, and a table of fields a feature.
func featureTables(style terminal.Style, list []featureJSON, verbose bool) string {
	var b strings.Builder
	var projects []string
	roots := 0
	for _, f := range list {
		if !slices.Contains(projects, f.Project) {
			projects = append(projects, f.Project)
		}
		if f.IsRoot {
			roots++
		}
	}
	slices.Sort(projects)
	columns := terminal.Left("Feature", "Version", "Source")
	if verbose {
		columns = append(columns, terminal.Column{Title: "Dependencies"})
	}
	for _, p := range projects {
		var rows [][]string
		for _, f := range list {
			if f.Project != p {
				continue
			}
			key := f.Key
			if f.IsExternal {
				key += " (external)"
			}
			row := []string{key, f.Version, f.Source}
			if verbose {
				row = append(row, orDash(f.Deps))
			}
			rows = append(rows, row)
		}
		b.WriteString(style.Table(p, columns, rows) + "\n")
	}
	fmt.Fprintf(&b, "Total: %d feature(s) (%d root, %d dependent)\n", len(list), roots, len(list)-roots)
	for _, f := range list {
		if !verbose {
			break
		}
		var rows [][]string
		for _, x := range f.Fields {
			var deps []string
			for _, d := range x.Deps {
				for _, name := range d.Fields {
					deps = append(deps, d.Feature+"."+name)
				}
			}
			rows = append(rows, []string{x.Key, x.CodeVersion, x.Version, orDash(deps)})
		}
		b.WriteString("\n" + style.Table(fmt.Sprintf("%s (%s) %s", f.Key, f.Project, f.Source), terminal.Left("Field", "Code Version", "Version", "Dependencies"), rows))
	}
	return b.String()
}

func orDash(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}

type storeJSON struct {
	Name      string   `json:"name"`
	IsDefault bool     `json:"is_default"`
	Info      string   `json:"info"`
	Fallbacks []string `json:"fallbacks"`
	// Type and Error are those of a store that this program cannot open.
	Type  string `json:"type,omitempty"`
	Error string `json:"error,omitempty"`
}

func (a *app) listStores(cmd *cobra.Command, _ []string) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	o, err := a.baseOptions(c)
	if err != nil {
		return err
	}
	list := []storeJSON{}
	for _, name := range sortedNames(c.Stores) {
		x := storeJSON{Name: name, IsDefault: name == c.Store, Fallbacks: []string{}}
		if conf, err := c.StoreNamed(name); err == nil {
			x.Fallbacks = append(x.Fallbacks, conf.FallbackStores...)
		}
		s, err := metaxy.OpenConfig(cmd.Context(), c.Config, name, o)
		if err != nil {
			x.Type, x.Error = c.Stores[name].Type, a.redact(err.Error())
			x.Info = x.Type + ": cannot be opened by this program"
		} else {
			x.Info = s.String()
			s.Close()
		}
		list = append(list, x)
	}
	slices.SortStableFunc(list, func(a, b storeJSON) int {
		switch {
		case a.IsDefault && !b.IsDefault:
			return -1
		case b.IsDefault && !a.IsDefault:
			return 1
		}
		return 0
	})
	if a.forPrograms() {
		return a.printList(map[string]any{"default_store": c.Store, "store_count": len(list), "stores": list}, list)
	}
	if len(list) == 0 {
		a.note("No stores configured.")
		return nil
	}
	var rows [][]string
	for _, s := range list {
		name := s.Name
		if s.IsDefault {
			name += " (default)"
		}
		rows = append(rows, []string{name, s.Info, orDash(s.Fallbacks)})
	}
	return a.printStyled(a.style().Table("", terminal.Left("Name", "Info", "Fallbacks"), rows) + fmt.Sprintf("\nTotal: %d store(s)\n", len(list)))
}

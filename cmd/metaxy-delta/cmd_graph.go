package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

func (a *app) pushCommand() *cobra.Command {
	var tags []string
	cmd := &cobra.Command{Use: "push", Short: "Record the definitions of a project in the store", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			store, err := a.openStore(ctx, "", nil)
			if err != nil {
				return err
			}
			defer store.Close()
			o := &metaxy.PushOptions{Tags: map[string]string{}, DryRun: a.flags.dryRun}
			for _, t := range tags {
				k, v, ok := strings.Cut(t, "=")
				if !ok || k == "metaxy" {
					return usagef("tag %q: want K=V, and K other than metaxy", t)
				}
				o.Tags[k] = v
			}
			r, err := store.Push(ctx, o)
			if err != nil {
				return err
			}
			a.warn(r.Warnings)
			switch {
			case a.flags.dryRun:
				a.note("would record project version " + r.ProjectVersion)
			case r.Recorded:
				a.note("recorded in store " + store.Name())
			case len(r.Updated) > 0:
				a.note("was recorded already; added " + strings.Join(r.Updated, ", "))
			default:
				a.note("was recorded already")
			}
			return a.printText(r.ProjectVersion + "\n")
		}}
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "K=V tag of the push (also --tags.K V)")
	return cmd
}

type historyJSON struct {
	ProjectVersion string `json:"project_version"`
	RecordedAt     string `json:"recorded_at"`
	FeatureCount   int    `json:"feature_count"`
	Project        string `json:"project"`
	LastPushed     string `json:"last_pushed"`
	Distinct       int    `json:"distinct_features"`
}

func (a *app) historyCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{Use: "history", Short: "Pushed project versions, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := a.openStore(cmd.Context(), "", nil)
			if err != nil {
				return err
			}
			defer store.Close()
			project, err := a.project()
			if err != nil {
				return err
			}
			if a.flags.allProjects {
				project = ""
			}
			list, err := store.History(cmd.Context(), project)
			if err != nil {
				return err
			}
			if limit > 0 {
				list = list[:min(limit, len(list))]
			}
			out := []historyJSON{}
			for _, e := range list {
				out = append(out, historyJSON{e.ProjectVersion, e.RecordedAt.Format("2006-01-02T15:04:05.000000"), e.Features, e.Project, e.LastPushed.Format("2006-01-02T15:04:05.000000"), e.Distinct})
			}
			if a.flags.json || a.flags.format == "json" {
				return a.printJSON(out)
			}
			if len(list) == 0 {
				a.note("No graph snapshots recorded yet")
			}
			for _, e := range list {
				fmt.Fprintf(a.sys.stdout, "%s  %s  %d features\n", printable(e.ProjectVersion), e.RecordedAt.Format("2006-01-02 15:04:05"), e.Features)
			}
			return nil
		}}
	cmd.Flags().IntVar(&limit, "limit", 0, "at most that many")
	return cmd
}

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
	store, err := a.openStore(cmd.Context(), "", nil)
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
			a.note("Warning: GRAPH: " + err.Error())
			continue
		}
		list = append(list, f)
	}
	if a.flags.json || a.flags.format == "json" {
		return a.printJSON(map[string]any{"feature_count": len(list), "features": list})
	}
	if len(list) == 0 {
		a.note("No features found in the current project.")
	}
	for _, f := range list {
		kind := ""
		if f.IsRoot {
			kind = " root"
		}
		fmt.Fprintf(a.sys.stdout, "%s  %s  %s%s\n", printable(f.Project), printable(f.Key), f.Version, kind)
		for _, x := range f.Fields {
			fmt.Fprintf(a.sys.stdout, "    %s  %s  code %s\n", printable(x.Key), x.Version, printable(x.CodeVersion))
		}
	}
	return nil
}

type storeJSON struct {
	Name      string   `json:"name"`
	IsDefault bool     `json:"is_default"`
	Info      string   `json:"info"`
	Fallbacks []string `json:"fallbacks"`
}

func (a *app) listStores(cmd *cobra.Command, _ []string) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	list := []storeJSON{}
	for _, name := range sortedNames(c.Stores) {
		s, err := a.openNamed(cmd.Context(), c, name, nil, nil)
		if err != nil {
			return err
		}
		list = append(list, storeJSON{name, name == c.Store, s.String(), append([]string{}, c.Stores[name].FallbackStores...)})
		s.Close()
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
	if a.flags.json || a.flags.format == "json" {
		return a.printJSON(map[string]any{"default_store": c.Store, "store_count": len(list), "stores": list})
	}
	for _, s := range list {
		mark := ""
		if s.IsDefault {
			mark = " (default)"
		}
		fmt.Fprintf(a.sys.stdout, "%s%s  %s  %s\n", printable(s.Name), mark, printable(s.Info), strings.Join(s.Fallbacks, ", "))
	}
	return nil
}

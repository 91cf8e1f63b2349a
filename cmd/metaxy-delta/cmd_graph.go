package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

func (a *app) pushCommand() *cobra.Command {
	var tags []string
	cmd := &cobra.Command{Use: "push", Short: "Record the definitions of a project in the store", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			store, err := a.openStore(ctx, openOptions{})
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
			if g, err := store.Graph(ctx); err == nil && len(g.Projects()) > 1 {
				if project, err := a.project(); err != nil || project == "" {
					return &cliError{code: "USAGE", exit: exitUsage, msg: "The 'project' field must be set in metaxy.toml for 'metaxy push'.", hint: "or say --project NAME: the definitions belong to " + strings.Join(g.Projects(), ", ")}
				}
			}
			r, err := store.Push(ctx, o)
			if err != nil {
				return a.nothingToPush(ctx, store, err)
			}
			a.warn(r.Warnings)
			if !a.flags.dryRun {
				a.note("Recorded at: " + store.Name() + " " + r.TableURL)
			}
			switch {
			case a.flags.dryRun && r.Recorded:
				a.note(fmt.Sprintf("Dry run: would record project version %s: %d row(s) in %d file(s), %s bytes, as commit %d of %s", r.ProjectVersion, r.Rows, r.Files, thousands(r.Bytes), r.TableVersion, r.TableURL))
			case a.flags.dryRun && len(r.Updated) > 0:
				a.note(fmt.Sprintf("Dry run: would record %s with project version %s, as commit %d of %s", strings.Join(r.Updated, ", "), r.ProjectVersion, r.TableVersion, r.TableURL))
			case a.flags.dryRun:
				a.note("Dry run: project version " + r.ProjectVersion + " is the newest already")
			case r.Recorded:
				a.note("✓ Recorded feature graph")
			case len(r.Updated) > 0:
				a.note("Updated feature information (no topological changes)\n  Updated features:\n    - " + strings.Join(r.Updated, "\n    - "))
			default:
				a.note("✓ Project version already recorded (no changes)")
			}
			if a.forPrograms() {
				return a.printJSON(members{member("project_version", r.ProjectVersion), member("recorded", r.Recorded), member("updated", append([]string{}, r.Updated...)), member("dry_run", a.flags.dryRun)})
			}
			return a.printText(r.ProjectVersion + "\n")
		}}
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "K=V tag of the push (also --tags.K V)")
	return cmd
}

// nothingToPush says where definitions are to come from.
func (a *app) nothingToPush(ctx context.Context, store *metaxy.DeltaStore, err error) error {
	g, gerr := store.Graph(ctx)
	switch {
	case !errors.Is(err, metaxy.ErrInvalid) || gerr != nil:
		return err
	case len(g.Projects()) > 0:
		return &cliError{code: "INVALID_ARGUMENT", exit: exitUsage, err: err, hint: "--project chooses one of " + strings.Join(g.Projects(), ", ")}
	}
	hint := "--definitions FILE names a file of them; ext.metaxy_delta.definitions in metaxy.toml names those of a project"
	if c, cerr := a.config(); cerr == nil && len(c.Entrypoints) > 0 {
		hint = "the entrypoints of the configuration are Python: `metaxy push --store " + store.Name() + "` pushes their classes; or " + hint
	}
	return &cliError{code: "INVALID_ARGUMENT", exit: exitUsage, err: err, hint: hint}
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
			store, err := a.openStore(cmd.Context(), openOptions{})
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
			if a.forPrograms() {
				return a.printList(out, out)
			}
			if len(list) == 0 {
				a.note("No project version was pushed yet")
				return nil
			}
			var rows [][]string
			for _, e := range list {
				rows = append(rows, []string{e.ProjectVersion, e.RecordedAt.Format("2006-01-02 15:04:05"), strconv.Itoa(e.Features)})
			}
			return a.printStyled(a.style().Table("Pushed project versions", []terminal.Column{{Title: "Project version"}, {Title: "Recorded at"}, {Title: "Features", Right: true}}, rows) + fmt.Sprintf("\nTotal: %d project version(s)\n", len(list)))
		}}
	cmd.Flags().IntVar(&limit, "limit", 0, "at most that many")
	return cmd
}

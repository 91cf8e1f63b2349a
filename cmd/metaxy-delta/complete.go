package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// completionTime is how long a shell waits for what a store knows.
const completionTime = 300 * time.Millisecond

// completer gives the words that may stand at a place. It is asked with the
// arguments before it and what was typed of it.
type completer func(ctx context.Context, args []string, typed string) []string

// addCompletions gives every verb and flag its words. Words of the store come
// within completionTime or not at all; no error is said, since nobody asked.
func (a *app) addCompletions(root *cobra.Command) {
	fixed := map[string][]string{
		"layout": {"nested", "flat"}, "log-format": {"text", "json"}, "color": {"auto", "always", "never"}, "progress": {"auto", "plain", "json", "off"},
		"engine": {"auto", "in-process", "native"}, "if-newer": {"fail", "drop"}, "mode": {"append", "overwrite", "error"}, "direction": {"TB", "LR"}, "type": {"graph", "cards"},
		"input-format": rowio.Formats(), "hash-algorithm": {"xxhash32", "xxhash64", "xxh3_64", "wyhash", "sha256", "md5"},
	}
	live := map[string]completer{
		"store": a.storeNames, "fallback": a.storeNames, "project-version": a.projectVersions, "snapshot": a.projectVersions, "snapshot-id": a.projectVersions, "project": a.projectNames,
		"feature": a.featureKeys, "feature-version": a.featureVersions, "columns": a.columnNames, "column": a.columnNames,
	}
	register := func(cmd *cobra.Command, set *pflag.FlagSet) {
		set.VisitAll(func(f *pflag.Flag) {
			words := live[f.Name]
			switch {
			case f.Name == "from" || f.Name == "to":
				words = a.storeNames
				if cmd.Name() == "rebase" {
					words = a.featureVersions
				}
			case fixed[f.Name] != nil:
				words = func(context.Context, []string, string) []string { return fixed[f.Name] }
			}
			if words != nil && f.Value.Type() != "int64" {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, a.complete(words)) // fails for a flag that is not there or has one
			}
		})
	}
	register(root, root.PersistentFlags())
	_ = root.RegisterFlagCompletionFunc("format", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return matching(formatsOf(cmd), typed), cobra.ShellCompDirectiveNoFileComp
	})
	eachVerb(root, func(cmd *cobra.Command) {
		register(cmd, cmd.LocalNonPersistentFlags())
		if cmd.ValidArgsFunction != nil || cmd.ValidArgs != nil {
			return
		}
		switch use := cmd.Use; {
		case strings.Contains(use, "KEY FILE"):
			cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
				if len(args)%2 == 1 {
					return nil, cobra.ShellCompDirectiveDefault
				}
				return a.complete(a.featureKeys)(cmd, args, typed)
			}
		case strings.Contains(use, "KEY..."):
			cmd.ValidArgsFunction = a.complete(a.featureKeys)
		case strings.Contains(use, "KEY"):
			cmd.ValidArgsFunction = a.complete(first(a.featureKeys))
		case strings.Contains(use, " FROM"):
			cmd.ValidArgsFunction = a.complete(a.projectVersions)
		case strings.Contains(use, " URL") || strings.Contains(use, "DIR"):
			cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return nil, cobra.ShellCompDirectiveDefault
			}
		default:
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
	})
}

// first completes the first argument only.
func first(words completer) completer {
	return func(ctx context.Context, args []string, typed string) []string {
		if len(args) > 0 {
			return nil
		}
		return words(ctx, args, typed)
	}
}

// complete makes a completer one of cobra's: silent, and in time.
func (a *app) complete(words completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		a.flags.quiet = true
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		got := make(chan []string, 1)
		go func() {
			defer func() { _ = recover() }() // a shell shows no trace
			got <- words(ctx, args, typed)
		}()
		var found []string
		select {
		case found = <-got:
		case <-ctx.Done():
		}
		return matching(found, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// matching are the words that begin as typed; of a list with commas the last
// member counts.
func matching(words []string, typed string) []string {
	var out []string
	for _, w := range words {
		if strings.HasPrefix(w, typed) {
			out = append(out, w)
		}
	}
	return out
}

func (a *app) storeNames(context.Context, []string, string) []string {
	c, err := a.config()
	if err != nil {
		return nil
	}
	return sortedNames(c.Stores)
}

func (a *app) featureKeys(ctx context.Context, args []string, _ string) []string {
	s, err := a.openStore(ctx, openOptions{})
	if err != nil {
		return nil
	}
	defer s.Close()
	g, err := s.Graph(ctx)
	if err != nil {
		return nil
	}
	var out []string
	for _, d := range g.Definitions() {
		if key := d.Spec.Key.String(); !slices.Contains(args, key) {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func (a *app) projectNames(ctx context.Context, _ []string, _ string) []string {
	s, err := a.openStore(ctx, openOptions{})
	if err != nil {
		return nil
	}
	defer s.Close()
	g, err := s.Graph(ctx)
	if err != nil {
		return nil
	}
	return g.Projects()
}

// projectVersions are those that were pushed, newest first, and the two words
// for ends of a comparison.
func (a *app) projectVersions(ctx context.Context, _ []string, _ string) []string {
	s, err := a.openStore(ctx, openOptions{})
	if err != nil {
		return nil
	}
	defer s.Close()
	list, err := s.History(ctx, "")
	if err != nil {
		return nil
	}
	out := []string{"latest", "current"}
	for _, e := range list {
		out = append(out, e.ProjectVersion)
	}
	return out
}

// featureVersions are the versions that the feature had in the pushes.
func (a *app) featureVersions(ctx context.Context, args []string, _ string) []string {
	if len(args) == 0 {
		return nil
	}
	key, err := a.parseKey(args[0])
	if err != nil {
		return nil
	}
	s, err := a.openStore(ctx, openOptions{})
	if err != nil {
		return nil
	}
	defer s.Close()
	list, err := s.History(ctx, "")
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range list {
		g, err := s.SnapshotGraph(ctx, e.ProjectVersion, e.Project)
		if err != nil {
			continue
		}
		if v, err := g.FeatureVersion(key); err == nil && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// columnNames are those of the table of a feature, or of a table by its root. Of
// a list with commas the last name is completed.
func (a *app) columnNames(ctx context.Context, args []string, typed string) []string {
	if len(args) == 0 {
		return nil
	}
	var snap *delta.Snapshot
	if key, err := a.parseKey(args[0]); err == nil {
		if s, err := a.openStore(ctx, openOptions{}); err == nil {
			defer s.Close()
			snap, _ = s.Table(key).Snapshot(ctx) // nil on an error
		}
	}
	if snap == nil {
		t, done, err := a.openTable(ctx, args[0], false)
		if err != nil {
			return nil
		}
		defer done()
		if snap, err = t.Snapshot(ctx); err != nil {
			return nil
		}
	}
	before := typed[:strings.LastIndex(typed, ",")+1]
	var out []string
	for _, f := range snap.Schema().Fields {
		out = append(out, before+f.Name)
	}
	return out
}

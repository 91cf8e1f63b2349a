package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/config"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

type statusFlags struct {
	all, inSync, fallback, progress bool
	noRemember                      bool
	filters, global, staleIf        []string
	snapshot                        string
}

func (a *app) statusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{Use: "status KEY...", Short: "What each feature holds and needs",
		RunE: func(cmd *cobra.Command, args []string) error {
			// As in Metaxy, --progress without a value asks for the share of input that is processed.
			f.progress = f.progress || a.flags.verbose || cmd.Flags().Changed("progress")
			return a.status(cmd.Context(), args, &f)
		}}
	fl := cmd.Flags()
	fl.BoolVar(&f.all, "all-features", false, "every feature of the project")
	fl.StringArrayVar(&f.filters, "filter", nil, "predicate on the feature's own rows")
	fl.StringArrayVar(&f.global, "global-filter", nil, "predicate on every table's rows")
	fl.StringArrayVar(&f.staleIf, "stale-if", nil, "stored samples for which this is true are stale")
	fl.StringVar(&f.snapshot, "snapshot-id", "", "pushed project version to use")
	fl.BoolVar(&f.inSync, "assert-in-sync", false, "exit 20 when a feature needs an update")
	fl.BoolVar(&f.fallback, "allow-fallback-stores", true, "count rows of fallback stores")
	fl.BoolVar(&f.noRemember, "no-remember", false, "look at all rows, whatever an earlier resolve proved, and keep nothing of this one")
	fl.BoolVar(&f.progress, "input-progress", false, "show the share of input that is processed")
	return cmd
}

// featureStatus is Metaxy's object of one feature.
type featureStatus struct {
	FeatureKey     string         `json:"feature_key"`
	Status         string         `json:"status"`
	NeedsUpdate    bool           `json:"needs_update"`
	MetadataExists bool           `json:"metadata_exists"`
	StoreRows      int64          `json:"store_rows"`
	Missing        *int64         `json:"missing,omitempty"`
	Stale          *int64         `json:"stale,omitempty"`
	Orphaned       *int64         `json:"orphaned,omitempty"`
	TargetVersion  string         `json:"target_version"`
	IsRoot         bool           `json:"is_root_feature"`
	SampleDetails  []string       `json:"sample_details,omitempty"`
	StoreMetadata  *storeMetadata `json:"store_metadata,omitempty"`
	ErrorMessage   string         `json:"error_message,omitempty"`
	Progress       *pyFloat       `json:"progress_percentage,omitempty"`
	// noInput: progress was asked for, and there is nothing upstream.
	noInput bool
}

type statusJSON struct {
	ProjectVersion *string         `json:"project_version"`
	Features       members         `json:"features"`
	NeedsUpdate    bool            `json:"needs_update"`
	Warnings       *statusWarnings `json:"warnings,omitempty"`
}

type statusWarnings struct {
	MissingInGraph []string      `json:"missing_in_graph,omitempty"`
	Errors         []statusError `json:"errors,omitempty"`
}

type statusError struct {
	Feature string `json:"feature"`
	Error   string `json:"error"`
}

// storeMetadata says which store was asked and which one has the table.
type storeMetadata struct {
	Name         string        `json:"name"`
	Display      string        `json:"display"`
	ResolvedFrom *resolvedFrom `json:"resolved_from,omitempty"`
}

type resolvedFrom struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Display string `json:"display"`
	URI     string `json:"uri"`
}

// pyFloat is written as Python writes a float: 75.0.
type pyFloat float64

// MarshalJSON always writes a point.
func (f pyFloat) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(f), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return []byte(text), nil
}

// locateFor tells where a feature's table is: in the store, else in the first fallback store that has it.
func locateFor(ctx context.Context, store *metaxy.DeltaStore, key feature.Key) *storeMetadata {
	out := &storeMetadata{Name: store.Name(), Display: store.String()}
	var find func(s *metaxy.DeltaStore) *resolvedFrom
	find = func(s *metaxy.DeltaStore) *resolvedFrom {
		if ok, err := s.HasFeature(ctx, key, nil); err == nil && ok {
			return &resolvedFrom{s.Name(), config.DeltaStoreType, s.String(), s.TableURL(key)}
		}
		for _, f := range s.Fallbacks() {
			if ds, ok := f.Store.(*metaxy.DeltaStore); ok {
				if r := find(ds); r != nil {
					return r
				}
			}
		}
		return nil
	}
	out.ResolvedFrom = find(store)
	return out
}

func (a *app) status(ctx context.Context, args []string, f *statusFlags) error {
	if f.snapshot != "" {
		a.flags.snapshot = f.snapshot
	}
	o := &metaxy.StatusOptions{Progress: f.progress, NoFallback: !f.fallback, NoRemember: f.noRemember}
	var err error
	if o.TargetFilters, err = parseFilters("--filter", f.filters); err != nil {
		return err
	}
	if o.GlobalFilters, err = parseFilters("--global-filter", f.global); err != nil {
		return err
	}
	if o.StaleIf, err = parseFilters("--stale-if", f.staleIf); err != nil {
		return err
	}
	store, err := a.openStore(ctx, openOptions{sync: true})
	if err != nil {
		return err
	}
	defer store.Close()
	keys, err := a.chosen(ctx, store, args, f.all)
	if err != nil {
		return err
	}
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	out := &statusJSON{Features: members{}}
	if f.snapshot != "" {
		out.ProjectVersion = &f.snapshot
	}
	var list []*featureStatus
	var warnings statusWarnings
	for _, key := range keys {
		if _, ok := g.Get(key); !ok {
			warnings.MissingInGraph = append(warnings.MissingInGraph, key.String())
			continue
		}
		st := a.statusOf(ctx, store, g, key, o)
		if st.Status == "error" {
			warnings.Errors = append(warnings.Errors, statusError{key.String(), st.ErrorMessage})
		}
		list = append(list, st)
		out.Features = append(out.Features, member(key.String(), st))
		out.NeedsUpdate = out.NeedsUpdate || st.NeedsUpdate
	}
	if len(warnings.MissingInGraph) > 0 && f.inSync {
		return a.notFound(g, warnings.MissingInGraph)
	}
	if len(warnings.MissingInGraph)+len(warnings.Errors) > 0 {
		out.Warnings = &warnings
	}
	if err := a.printStatus(g, out, list); err != nil {
		return err
	}
	a.hintSmallFiles(ctx, store, list)
	if f.inSync && out.NeedsUpdate {
		return &cliError{code: "NEEDS_UPDATE", exit: exitWorkFound, quiet: true}
	}
	return nil
}

var statusIcons = map[string]string{"missing": "✗", "root_feature": "○", "needs_update": "⚠", "up_to_date": "✓", "error": "!"}

func (a *app) printStatus(g *feature.Graph, out *statusJSON, list []*featureStatus) error {
	const none = "No valid features to check"
	if a.forPrograms() {
		if len(list) == 0 {
			return a.printList(members{member("warning", none), member("features", members{}), member("project_version", out.ProjectVersion), member("needs_update", false)}, list)
		}
		return a.printList(out, list)
	}
	if out.Warnings != nil {
		for _, k := range out.Warnings.MissingInGraph {
			a.warning("", "feature "+k+" is not in the graph: "+nearestHint(g, k))
		}
	}
	if len(list) == 0 {
		a.warning("", none+".")
		return nil
	}
	var rows [][]string
	var b strings.Builder
	for _, s := range list {
		rows = append(rows, s.row())
		if len(s.SampleDetails) > 0 {
			fmt.Fprintf(&b, "\n%s preview\n\n%s\n", s.FeatureKey, strings.Join(s.SampleDetails, "\n\n"))
		}
	}
	table := terminal.Table("", []terminal.Column{{Title: "Status"}, {Title: "Feature"}, {Title: "Materialized", Right: true}, {Title: "Missing", Right: true}, {Title: "Stale", Right: true}, {Title: "Orphaned", Right: true}, {Title: "Info"}}, rows)
	return a.printText(table + terminal.Printable(b.String()))
}

// row is a line of the table for people.
func (st *featureStatus) row() []string {
	icon, info := statusIcons[st.Status], ""
	switch {
	case st.Status == "error":
		return []string{icon, st.FeatureKey, "-", "-", "-", "-", st.ErrorMessage}
	case st.Progress != nil:
		icon += fmt.Sprintf(" (%.0f%%)", float64(*st.Progress))
	case st.noInput:
		icon = "⚠ (no input)"
	}
	count := func(n *int64) string {
		if n == nil || st.noInput {
			return "-"
		}
		return thousands(*n)
	}
	if m := st.StoreMetadata; m != nil {
		info = m.Name
		if m.ResolvedFrom != nil {
			info += " " + m.ResolvedFrom.URI
		}
	}
	return []string{icon, st.FeatureKey, thousands(st.StoreRows), count(st.Missing), count(st.Stale), count(st.Orphaned), info}
}

// statusOf never fails: what goes wrong with one feature is its status.
func (a *app) statusOf(ctx context.Context, store *metaxy.DeltaStore, g *feature.Graph, key feature.Key, o *metaxy.StatusOptions) *featureStatus {
	d, _ := g.Get(key)
	a.about.feature = key.String()
	out := &featureStatus{FeatureKey: key.String(), IsRoot: len(d.Spec.Deps) == 0}
	own := *o
	if a.flags.verbose {
		own.Inspect = func(ctx context.Context, inc *metaxy.Increment) (err error) {
			out.SampleDetails, err = previews(ctx, inc)
			return err
		}
	}
	st, err := store.Status(ctx, key, &own)
	if err != nil {
		return &featureStatus{FeatureKey: key.String(), Status: "error", IsRoot: out.IsRoot, ErrorMessage: err.Error()}
	}
	a.warn(st.Warnings)
	out.Status, out.NeedsUpdate, out.MetadataExists, out.StoreRows, out.TargetVersion = string(st.State), st.NeedsUpdate(), st.Exists, st.Rows, st.FeatureVersion
	out.StoreMetadata = locateFor(ctx, store, key)
	if !st.Root {
		out.Missing, out.Stale, out.Orphaned = &st.New, &st.Stale, &st.Orphaned
		out.Progress = (*pyFloat)(st.Progress)
		out.noInput = o.Progress && st.Progress == nil
	}
	return out
}

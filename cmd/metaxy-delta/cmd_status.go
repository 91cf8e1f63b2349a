package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

type statusFlags struct {
	all, inSync, fallback, progress bool
	filters, global, staleIf        []string
	snapshot                        string
}

func (a *app) statusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{Use: "status KEY...", Short: "What each feature holds and needs",
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd.Context(), args, &f) }}
	fl := cmd.Flags()
	fl.BoolVar(&f.all, "all-features", false, "every feature of the project")
	fl.StringArrayVar(&f.filters, "filter", nil, "predicate on the feature's own rows")
	fl.StringArrayVar(&f.global, "global-filter", nil, "predicate on every table's rows")
	fl.StringArrayVar(&f.staleIf, "stale-if", nil, "stored samples for which this is true are stale")
	fl.StringVar(&f.snapshot, "snapshot-id", "", "pushed project version to use")
	fl.BoolVar(&f.inSync, "assert-in-sync", false, "exit 20 when a feature needs an update")
	fl.BoolVar(&f.fallback, "allow-fallback-stores", true, "count rows of fallback stores")
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
	StoreMetadata  map[string]any `json:"store_metadata,omitempty"`
	ErrorMessage   string         `json:"error_message,omitempty"`
	Progress       *float64       `json:"progress_percentage,omitempty"`
}

type statusJSON struct {
	ProjectVersion *string                   `json:"project_version"`
	Features       map[string]*featureStatus `json:"features"`
	NeedsUpdate    bool                      `json:"needs_update"`
	Warning        string                    `json:"warning,omitempty"`
	Warnings       map[string]any            `json:"warnings,omitempty"`
}

func (a *app) status(ctx context.Context, args []string, f *statusFlags) error {
	if f.snapshot != "" {
		a.flags.snapshot = f.snapshot
	}
	o := &metaxy.ResolveOptions{Progress: f.progress}
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
	store, err := a.openStore(ctx, "", nil)
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
	out := &statusJSON{Features: map[string]*featureStatus{}}
	if f.snapshot != "" {
		out.ProjectVersion = &f.snapshot
	}
	var missing []string
	var errs []map[string]string
	var order []string
	for _, key := range keys {
		if _, ok := g.Get(key); !ok {
			missing = append(missing, key.String())
			continue
		}
		st := statusOf(ctx, store, g, key, o, f)
		if st.Status == "error" {
			errs = append(errs, map[string]string{"feature": key.String(), "error": st.ErrorMessage})
		}
		out.Features[key.String()] = st
		order = append(order, key.String())
		out.NeedsUpdate = out.NeedsUpdate || st.NeedsUpdate
	}
	if len(missing) > 0 && f.inSync {
		return a.notFound(g, missing)
	}
	if len(missing) > 0 || len(errs) > 0 {
		out.Warnings = map[string]any{}
		if len(missing) > 0 {
			out.Warnings["missing_in_graph"] = missing
		}
		if len(errs) > 0 {
			out.Warnings["errors"] = errs
		}
	}
	if len(out.Features) == 0 {
		out.Warning = "No valid features to check"
	}
	if err := a.printStatus(out, order); err != nil {
		return err
	}
	if f.inSync && out.NeedsUpdate {
		return &cliError{code: "NEEDS_UPDATE", exit: exitWorkFound, quiet: true}
	}
	return nil
}

func (a *app) printStatus(out *statusJSON, order []string) error {
	if a.flags.json || a.flags.format == "json" {
		return a.printJSON(out)
	}
	if out.Warning != "" {
		a.note("Warning: " + out.Warning + ".")
	}
	count := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return thousands(*n)
	}
	for _, k := range order {
		s := out.Features[k]
		fmt.Fprintf(a.sys.stdout, "%-13s %-40s %12s rows  missing %s  stale %s  orphaned %s  %s\n", s.Status, printable(k), thousands(s.StoreRows), count(s.Missing), count(s.Stale), count(s.Orphaned), printable(s.ErrorMessage))
	}
	return nil
}

// statusOf never fails: what goes wrong with one feature is its status.
func statusOf(ctx context.Context, store *metaxy.DeltaStore, g *feature.Graph, key feature.Key, o *metaxy.ResolveOptions, f *statusFlags) *featureStatus {
	d, _ := g.Get(key)
	st := &featureStatus{FeatureKey: key.String(), IsRoot: len(d.Spec.Deps) == 0}
	fail := func(err error) *featureStatus {
		return &featureStatus{FeatureKey: key.String(), Status: "error", IsRoot: st.IsRoot, ErrorMessage: err.Error()}
	}
	var err error
	if st.TargetVersion, err = g.FeatureVersion(key); err != nil {
		return fail(err)
	}
	rows, err := store.Read(ctx, key, &metaxy.ReadOptions{Columns: d.Spec.IDColumns, Filters: append(append([]filter.Expr{}, o.TargetFilters...), o.GlobalFilters...), NoFallback: !f.fallback})
	switch {
	case errors.Is(err, metaxy.ErrFeatureNotFound):
	case err != nil:
		return fail(err)
	default:
		st.MetadataExists = true
		if st.StoreRows, err = countFrame(frame{rows.Schema, rows.Batches}); err != nil {
			return fail(err)
		}
	}
	if !st.IsRoot {
		if err := st.resolve(ctx, store, key, o); err != nil {
			return fail(err)
		}
	}
	switch {
	case !st.MetadataExists:
		st.Status = "missing"
		st.NeedsUpdate = !st.IsRoot
	case st.IsRoot:
		st.Status = "root_feature"
	case st.NeedsUpdate:
		st.Status = "needs_update"
	default:
		st.Status = "up_to_date"
	}
	return st
}

func (st *featureStatus) resolve(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, o *metaxy.ResolveOptions) error {
	inc, err := store.ResolveUpdate(ctx, key, o)
	if err != nil {
		return err
	}
	if err := inc.Count(ctx); err != nil {
		return err
	}
	s := inc.Stats()
	st.Missing, st.Stale, st.Orphaned, st.Progress = &s.New, &s.Stale, &s.Orphaned, s.Progress
	st.NeedsUpdate = s.New+s.Stale+s.Orphaned > 0
	return nil
}

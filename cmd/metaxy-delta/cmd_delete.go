package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

type deleteFlags struct {
	all, soft, hard, featureHistory, sampleHistory, cross bool
	filters                                               []string
}

func (a *app) deleteCommand() *cobra.Command {
	var f deleteFlags
	cmd := &cobra.Command{Use: "delete KEY...", Short: "Hide rows of features behind tombstones, or remove them",
		RunE: func(cmd *cobra.Command, args []string) error { return a.delete(cmd.Context(), args, &f) }}
	fl := cmd.Flags()
	fl.BoolVar(&f.all, "all-features", false, "every feature of the project")
	fl.StringArrayVar(&f.filters, "filter", nil, "predicate on the rows")
	fl.BoolVar(&f.soft, "soft", true, "hide rows behind tombstones")
	fl.BoolVar(&f.hard, "hard", false, "remove rows")
	fl.BoolVar(&f.featureHistory, "with-feature-history", false, "rows of every feature version")
	fl.BoolVar(&f.sampleHistory, "with-sample-history", false, "older rows of each id too")
	fl.BoolVar(&f.cross, "allow-cross-project-writes", false, "delete rows of a feature of another project")
	return cmd
}

type deletedJSON struct {
	Feature      string        `json:"feature"`
	Rows         int64         `json:"rows"`
	TableVersion int64         `json:"table_version"`
	Error        string        `json:"error,omitempty"`
	Warnings     []warningJSON `json:"warnings"`
}

func (a *app) delete(ctx context.Context, args []string, f *deleteFlags) error {
	filters, err := parseFilters("--filter", f.filters)
	if err != nil {
		return err
	}
	if f.hard && len(filters) == 0 && !a.flags.yes && !a.flags.dryRun {
		return &cliError{code: "MISSING_CONFIRMATION", exit: exitUsage, msg: "Hard deleting all metadata requires --yes flag to prevent accidental deletion.", hint: "--dry-run shows what would go"}
	}
	store, err := a.openWritable(ctx, "", f.cross)
	if err != nil {
		return err
	}
	defer store.Close()
	keys, err := a.chosen(ctx, store, args, f.all)
	if err != nil {
		return err
	}
	o := &metaxy.DeleteOptions{Filters: filters, Hard: f.hard, FeatureHistory: f.featureHistory, SampleHistory: f.sampleHistory, DryRun: a.flags.dryRun}
	return a.each(keys, func(key feature.Key) (metaxy.DeleteResult, error) { return store.Delete(ctx, key, o) })
}

// each runs a deletion for every feature, reports per feature, and fails with 8 when some failed, with the failure itself when there was one feature only.
func (a *app) each(keys []feature.Key, run func(feature.Key) (metaxy.DeleteResult, error)) error {
	var out []deletedJSON
	var first error
	failed := 0
	for _, key := range keys {
		r, err := run(key)
		d := deletedJSON{Feature: key.String(), Rows: r.Rows, TableVersion: r.TableVersion, Warnings: warningsJSON(r.Warnings)}
		if err != nil {
			d.Error = err.Error()
			failed++
			if first == nil {
				first = err
			}
		}
		a.warn(r.Warnings)
		out = append(out, d)
		if err == nil && !a.flags.dryRun && r.PreviousVersion >= 0 && r.TableVersion > r.PreviousVersion {
			a.note(fmt.Sprintf("%s was at table version %d before", key, r.PreviousVersion))
		}
	}
	if failed == len(keys) && len(keys) == 1 {
		return first
	}
	if err := a.printDeleted(out); err != nil {
		return err
	}
	if failed > 0 {
		var names []string
		for _, d := range out {
			if d.Error != "" {
				names = append(names, d.Feature)
			}
		}
		return &cliError{code: "PARTIAL", exit: exitPartial, msg: fmt.Sprintf("%d of %d features failed: %s; first: %v", failed, len(keys), strings.Join(names, ", "), first), details: map[string]any{"features": names}}
	}
	return nil
}

func (a *app) printDeleted(list []deletedJSON) error {
	if a.flags.json || a.flags.format == "json" {
		return a.printJSON(map[string]any{"features": list, "dry_run": a.flags.dryRun})
	}
	verb := "deleted"
	if a.flags.dryRun {
		verb = "would delete"
	}
	for _, d := range list {
		if d.Error != "" {
			fmt.Fprintf(a.sys.stdout, "%s: %s\n", d.Feature, printable(d.Error))
			continue
		}
		fmt.Fprintf(a.sys.stdout, "%s: %s %s rows\n", d.Feature, verb, thousands(d.Rows))
	}
	return nil
}

func (a *app) dropCommand() *cobra.Command {
	var cross bool
	cmd := &cobra.Command{Use: "drop KEY", Short: "Remove every row of a feature and keep its table", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if !a.flags.yes && !a.flags.dryRun {
				return &cliError{code: "MISSING_CONFIRMATION", exit: exitUsage, msg: "Dropping a feature requires --yes", hint: "--dry-run shows what would go"}
			}
			store, err := a.openWritable(ctx, "", cross)
			if err != nil {
				return err
			}
			defer store.Close()
			keys, err := a.chosen(ctx, store, args, false)
			if err != nil {
				return err
			}
			return a.each(keys, func(key feature.Key) (metaxy.DeleteResult, error) {
				return store.Drop(ctx, key, &metaxy.DeleteOptions{DryRun: a.flags.dryRun})
			})
		}}
	cmd.Flags().BoolVar(&cross, "allow-cross-project-writes", false, "drop a feature of another project")
	return cmd
}

type copyFlags struct {
	from, to                    string
	all, featureHistory, sample bool
	cross                       bool
	filters                     []string
}

func (a *app) copyCommand() *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{Use: "copy KEY...", Short: "Copy rows of features from one store to another",
		RunE: func(cmd *cobra.Command, args []string) error { return a.copy(cmd.Context(), args, &f) }}
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "", "source store")
	fl.StringVar(&f.to, "to", "", "target store")
	fl.BoolVar(&f.all, "all-features", false, "every feature of the project")
	fl.StringArrayVar(&f.filters, "filter", nil, "predicate on the rows of every feature")
	fl.BoolVar(&f.featureHistory, "with-feature-history", true, "rows of every feature version")
	fl.BoolVar(&f.sample, "with-sample-history", false, "older rows of each id too")
	fl.BoolVar(&f.cross, "allow-cross-project-writes", false, "copy features of another project")
	return cmd
}

func (a *app) copy(ctx context.Context, args []string, f *copyFlags) error {
	if f.from == "" || f.to == "" {
		return usagef("--from and --to name the stores")
	}
	filters, err := parseFilters("--filter", f.filters)
	if err != nil {
		return err
	}
	from, err := a.openStore(ctx, f.from, nil)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := a.openWritable(ctx, f.to, f.cross)
	if err != nil {
		return err
	}
	defer to.Close()
	keys, err := a.chosen(ctx, to, args, f.all)
	if err != nil {
		return err
	}
	r, err := to.Copy(ctx, from, &metaxy.CopyOptions{Features: keys, GlobalFilters: filters, CurrentVersionOnly: !f.featureHistory, SampleHistory: f.sample, DryRun: a.flags.dryRun})
	a.warn(r.Warnings)
	if err != nil {
		return err
	}
	if a.flags.json || a.flags.format == "json" {
		return a.printJSON(map[string]any{"features_copied": r.Features, "rows_copied": r.Rows, "dry_run": a.flags.dryRun})
	}
	fmt.Fprintf(a.sys.stdout, "Copy complete: %d feature(s), %d row(s) copied\n", r.Features, r.Rows)
	return nil
}

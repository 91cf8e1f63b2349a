package main

import (
	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
)

func (a *app) readCommand() *cobra.Command {
	var o metaxy.ReadOptions
	var columns, column, filters []string
	var failed bool
	cmd := &cobra.Command{Use: "read KEY", Short: "Rows of a feature: the newest per id, without deleted ones", Args: cobra.ExactArgs(1), Annotations: rowFormats,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			key, err := a.parseKey(args[0])
			if err != nil {
				return err
			}
			if o.Filters, err = parseFilters("--filter", filters); err != nil {
				return err
			}
			o.Columns = columnList(columns, column)
			store, err := a.openStore(ctx, openOptions{sync: true})
			if err != nil {
				return err
			}
			defer store.Close()
			if failed {
				return a.readFailed(cmd, store, key, o.Limit)
			}
			bar := a.startProgress("read " + key.String())
			defer bar.stop()
			rows, err := store.Read(ctx, key, &o)
			if err != nil {
				return err
			}
			a.warn(rows.Warnings)
			_, err = a.writeFrame(ctx, a.rowFormat("table"), frame.Rows{Schema: rows.Schema, Batches: bar.watch(rows.Batches)})
			return err
		}}
	f := cmd.Flags()
	f.StringArrayVar(&columns, "columns", nil, "columns to give, separated by commas")
	f.StringArrayVar(&column, "column", nil, "one column to give, whose name may hold commas")
	f.StringArrayVar(&filters, "filter", nil, "predicate on the rows")
	f.StringVar(&o.FeatureVersion, "feature-version", "", "that feature version (with --with-feature-history)")
	f.BoolVar(&o.FeatureHistory, "with-feature-history", false, "rows of every feature version")
	f.BoolVar(&o.SampleHistory, "with-sample-history", false, "older rows of each id too")
	f.BoolVar(&o.SoftDeleted, "include-soft-deleted", false, "tombstones too")
	f.BoolVar(&o.NoFallback, "no-fallback", false, "this store only")
	f.BoolVar(&failed, "failed", false, "the samples that failed instead, with reason and attempt (write --failed)")
	f.Int64Var(&o.Limit, "limit", 0, "at most that many rows")
	return cmd
}

// readFailed gives the samples of a feature that failed.
func (a *app) readFailed(cmd *cobra.Command, store *metaxy.DeltaStore, key feature.Key, limit int64) error {
	for _, name := range []string{"columns", "column", "filter", "feature-version", "with-feature-history", "with-sample-history", "include-soft-deleted"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s is for the rows of the feature, not for --failed", name)
		}
	}
	rows, err := store.Failed(cmd.Context(), key)
	if err != nil {
		return err
	}
	_, err = a.writeFrame(cmd.Context(), a.rowFormat("table"), limited(frame.Rows{Schema: rows.Schema, Batches: rows.Batches}, limit))
	return err
}

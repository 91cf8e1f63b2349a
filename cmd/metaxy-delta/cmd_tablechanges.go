package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

func (a *app) tableChangesCommand() *cobra.Command {
	from, to := int64(-1), int64(-1)
	var columns, column []string
	var where string
	var limit int64
	var outside bool
	cmd := &cobra.Command{Use: "changes URL", Short: "Rows that commits inserted, updated or deleted (the change data feed)", Args: cobra.ExactArgs(1), Annotations: rowFormats,
		RunE: func(cmd *cobra.Command, args []string) error {
			if from < 0 {
				return usagef("--from N is needed: the first version whose changes are wanted")
			}
			if cmd.Flags().Changed("to") && to < from {
				return usagef("--to %d is before --from %d", to, from)
			}
			expr, err := parseWhere(where)
			if err != nil {
				return err
			}
			t, done, err := a.openTable(cmd.Context(), args[0], outside)
			if err != nil {
				return err
			}
			defer done()
			rows, err := scan.Changes(cmd.Context(), t, from, to, &scan.Options{Columns: columnList(columns, column), Filter: expr})
			if err != nil {
				return fmt.Errorf("table %s: %w", args[0], err)
			}
			_, err = a.writeFrame(cmd.Context(), a.rowFormat("table"), limited(frame.Rows{Schema: rows.Schema, Batches: rows.Batches}, limit))
			return err
		}}
	cmd.Flags().Int64Var(&from, "from", -1, "first version")
	cmd.Flags().Int64Var(&to, "to", -1, "last version; default the newest")
	cmd.Flags().StringArrayVar(&columns, "columns", nil, "columns of the table to give, separated by commas")
	cmd.Flags().StringArrayVar(&column, "column", nil, "one column to give, whose name may hold commas")
	cmd.Flags().StringVar(&where, "where", "", "SQL predicate over the table's columns")
	cmd.Flags().Int64Var(&limit, "limit", 0, "at most that many rows")
	cmd.Flags().BoolVar(&outside, "allow-outside-root", false, "read files that lie outside the table's root")
	return cmd
}

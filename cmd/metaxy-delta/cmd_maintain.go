package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
)

// addMaintenance registers the verbs that change or check any table.
func (a *app) addMaintenance(table *cobra.Command) {
	table.AddCommand(a.tableDeleteCommand(), a.tableCheckpointCommand(), a.tableOptimizeCommand(), a.tableVacuumCommand(), a.tableRestoreCommand(),
		a.tableCleanupCommand(), a.tableSetCommand(), a.tableCheckCommand())
}

func (a *app) tableDeleteCommand() *cobra.Command {
	var where string
	cmd := &cobra.Command{Use: "delete URL", Short: "Remove the rows for which a SQL predicate is true", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			expr, err := parseWhere(where)
			if err != nil {
				return err
			}
			if !a.flags.yes && !a.flags.dryRun {
				return &cliError{code: "MISSING_CONFIRMATION", exit: exitUsage, msg: "Deleting rows of a table requires --yes", hint: "--dry-run counts them"}
			}
			t, done, err := a.openTable(cmd.Context(), args[0], false)
			if err != nil {
				return err
			}
			defer done()
			r, err := rewrite.Delete(cmd.Context(), t, expr, &rewrite.DeleteOptions{DryRun: a.flags.dryRun, Now: a.now().UnixMilli()})
			if err != nil {
				return fmt.Errorf("table %s: %w", args[0], err)
			}
			a.undo(args[0], r.Version)
			return a.printJSON(map[string]any{"version": r.Version, "rows": r.Rows, "files_removed": r.FilesRemoved, "files_added": r.FilesAdded, "deletion_vectors": r.Vectors})
		}}
	cmd.Flags().StringVar(&where, "where", "", "SQL predicate; none = every row")
	return cmd
}

func (a *app) tableCheckpointCommand() *cobra.Command {
	return &cobra.Command{Use: "checkpoint URL", Short: "Write a checkpoint of the newest version", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, done, err := a.openTable(cmd.Context(), args[0], false)
			if err != nil {
				return err
			}
			defer done()
			s, err := t.Snapshot(cmd.Context())
			if err != nil {
				return fmt.Errorf("table %s: %w", args[0], err)
			}
			if err := t.Checkpoint(cmd.Context(), s.Version()); err != nil {
				return err
			}
			return a.printJSON(map[string]any{"version": s.Version()})
		}}
}

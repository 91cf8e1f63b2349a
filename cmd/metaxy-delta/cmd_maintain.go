package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/delta"
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
			expr, err := parseRemoval(cmd, where)
			if err != nil {
				return err
			}
			if !a.flags.yes && !a.flags.dryRun {
				return &cliError{code: "MISSING_CONFIRMATION", exit: exitUsage, msg: "Deleting rows of a table requires --yes", hint: "--dry-run counts them"}
			}
			return a.onTable(cmd.Context(), args[0], func(t *delta.Table) (members, error) {
				o, err := a.deleteOptions(cmd.Context(), t)
				if err != nil {
					return nil, err
				}
				r, err := rewrite.Delete(cmd.Context(), t, expr, o)
				if err != nil {
					return nil, err
				}
				a.undo(args[0], r.Version)
				a.wouldCommit(args[0], r.Version, fmt.Sprintf("delete %s rows, taking out %d files, writing %d with %s bytes and %d deletion vectors", thousands(r.Rows), r.FilesRemoved, r.FilesAdded, thousands(r.BytesAdded), r.Vectors))
				return members{member("version", r.Version), member("rows", r.Rows), member("files_removed", r.FilesRemoved), member("files_added", r.FilesAdded), member("bytes_added", r.BytesAdded),
					member("deletion_vectors", r.Vectors), member("dry_run", a.flags.dryRun)}, nil
			})
		}}
	cmd.Flags().StringVar(&where, "where", "", "SQL predicate; none = every row")
	return cmd
}

// deleteOptions are those of taking rows out of a table that exists. Files of feature tables are rewritten even where the table asks for deletion vectors,
// since not every reader of Metaxy knows those.
func (a *app) deleteOptions(ctx context.Context, t *delta.Table) (*rewrite.DeleteOptions, error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	o := &rewrite.DeleteOptions{Now: a.now().UnixMilli(), CopyOnWrite: isFeatureTable(s)}
	if o.CopyOnWrite && s.UsesVectors() {
		a.note("Note: the table holds samples of a feature: files are rewritten instead of getting deletion vectors, which not every reader of Metaxy knows")
	}
	return o, nil
}

func (a *app) tableCheckpointCommand() *cobra.Command {
	return &cobra.Command{Use: "checkpoint URL", Short: "Write a checkpoint of the newest version", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onTable(cmd.Context(), args[0], func(t *delta.Table) (members, error) {
				s, err := t.Snapshot(cmd.Context())
				if err != nil {
					return nil, err
				}
				return members{member("version", s.Version()), member("dry_run", a.flags.dryRun)}, t.Checkpoint(cmd.Context(), s.Version())
			})
		}}
}

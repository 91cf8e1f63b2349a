package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// onTable opens a table for a verb and prints the verb's result.
func (a *app) onTable(ctx context.Context, url string, verb func(*delta.Table) (members, error)) error {
	t, done, err := a.openTable(ctx, url, false)
	if err != nil {
		return err
	}
	defer done()
	v, err := verb(t)
	if err != nil {
		return fmt.Errorf("table %s: %w", url, err)
	}
	return a.printResult(v)
}

// undo tells how to take back a commit.
func (a *app) undo(url string, version int64) {
	if version > 0 && !a.flags.dryRun {
		of := ""
		if a.namesFeature(url) {
			of = " --store " + a.flags.store
		}
		a.note(fmt.Sprintf("to undo: metaxy-delta table restore %s%s --to-version %d", url, of, version-1))
	}
}

// wouldCommit says what a dry run found: what the commit would do, or that there is nothing to do.
func (a *app) wouldCommit(url string, version int64, what string) {
	switch {
	case !a.flags.dryRun:
	case version < 0:
		a.note("Dry run: nothing to do; no commit of " + url)
	default:
		a.note(fmt.Sprintf("Dry run: would %s, as commit %d of %s", what, version, url))
	}
}

func (a *app) tableRestoreCommand() *cobra.Command {
	version := int64(-1)
	cmd := &cobra.Command{Use: "restore URL", Short: "Make the table hold again what it held at an older version", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !cmd.Flags().Changed("to-version"):
				return usagef("--to-version N is needed")
			case version < 0:
				return usagef("--to-version %d: want a version from 0", version)
			}
			if err := a.confirm(fmt.Sprintf("Restore %s to version %d?", args[0], version), "Restoring a table requires --yes", "--dry-run compares the versions"); err != nil {
				return err
			}
			return a.onTable(cmd.Context(), args[0], func(t *delta.Table) (members, error) {
				r, err := rewrite.Restore(cmd.Context(), t, version, &rewrite.RestoreOptions{Now: a.now().UnixMilli()})
				if err == nil {
					a.undo(args[0], r.Version)
					a.wouldCommit(args[0], r.Version, fmt.Sprintf("bring back %d files, %s bytes, and take out %d, %s bytes", r.FilesAdded, thousands(r.BytesAdded), r.FilesRemoved, thousands(r.BytesRemoved)))
				}
				return members{member("version", r.Version), member("restored_version", version), member("files_removed", r.FilesRemoved), member("files_added", r.FilesAdded),
					member("bytes_removed", r.BytesRemoved), member("bytes_added", r.BytesAdded), member("dry_run", a.flags.dryRun)}, err
			})
		}}
	cmd.Flags().Int64Var(&version, "to-version", -1, "version to go back to")
	return cmd
}

func (a *app) tableVacuumCommand() *cobra.Command {
	var f vacuumFlags
	cmd := &cobra.Command{Use: "vacuum URL", Short: "Delete files that no version within the retention needs", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.vacuumOptions(cmd, &f)
			if err != nil {
				return err
			}
			if err := a.confirm("Delete unused files of "+args[0]+"? Versions older than the retention can no longer be read.", "Deleting files requires --yes", "--dry-run lists them"); err != nil {
				return err
			}
			return a.onTable(cmd.Context(), args[0], func(t *delta.Table) (members, error) { return a.vacuum(cmd.Context(), t, o) })
		}}
	f.register(cmd)
	return cmd
}

func (a *app) tableCleanupCommand() *cobra.Command {
	return &cobra.Command{Use: "cleanup URL", Short: "Delete log files that are older than delta.logRetentionDuration and behind a complete checkpoint", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm("Delete old log files of "+args[0]+"? Their versions can no longer be read.", "Deleting log files requires --yes", "--dry-run lists them"); err != nil {
				return err
			}
			return a.onTable(cmd.Context(), args[0], func(t *delta.Table) (members, error) {
				s, err := t.Snapshot(cmd.Context())
				if err != nil {
					return nil, err
				}
				if err := s.Writable(); err != nil {
					return nil, err
				}
				before := a.now().Add(-s.Retention("delta.logRetentionDuration", 30*24*time.Hour))
				r, err := t.Log().Cleanup(cmd.Context(), &txlog.CleanupOptions{Before: before, Now: a.now(), DryRun: a.flags.dryRun})
				return members{member("bytes", r.Bytes), member("checkpoint", r.Checkpoint), member("dry_run", a.flags.dryRun), member("files", append([]string{}, r.Deleted...)), member("num_files", len(r.Deleted))}, err
			})
		}}
}

func (a *app) tableSetCommand() *cobra.Command {
	var unset, features []string
	cmd := &cobra.Command{Use: "set URL [K=V]...", Short: "Change table properties, with the protocol that they need", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			properties := map[string]string{}
			for _, p := range args[1:] {
				k, v, ok := strings.Cut(p, "=")
				if !ok || strings.TrimSpace(k) == "" {
					return usagef("%q: want K=V", p)
				}
				properties[strings.TrimSpace(k)] = strings.TrimSpace(v)
			}
			if len(properties)+len(unset)+len(features) == 0 {
				return usagef("nothing to set: want K=V, --unset K or --feature NAME")
			}
			return a.onTable(cmd.Context(), args[0], func(t *delta.Table) (members, error) {
				v, err := t.SetProperties(cmd.Context(), properties, &delta.PropertyOptions{Unset: unset, Features: features})
				if err != nil {
					return nil, err
				}
				s, err := t.Snapshot(cmd.Context())
				if err != nil {
					return nil, err
				}
				info := newTableInfo(s.State())
				a.wouldCommit(args[0], v, "set properties")
				return members{member("version", v), member("properties", info.Properties), member("protocol", info.Protocol), member("dry_run", a.flags.dryRun)}, nil
			})
		}}
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "property to remove")
	cmd.Flags().StringArrayVar(&features, "feature", nil, "table feature to add to the protocol")
	return cmd
}

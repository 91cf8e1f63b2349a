package main

import (
	"errors"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

type writeFlags struct {
	metaxy.WriteOptions
	inputFormat, ifNewer, failed string
	manifest                     string
	resolved                     int64
	resolvedFeature              string // the feature version that a manifest says
	cross                        bool
}

func (a *app) writeCommand() *cobra.Command {
	var f writeFlags
	cmd := &cobra.Command{Use: "write KEY FILE [KEY FILE]...", Short: "Append rows to features",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.failed == "" {
				return pairs(cmd, args)
			}
			if len(args) != 1 {
				return usagef("--failed records samples of one feature: want write KEY --failed FILE")
			}
			return nil
		},
		Long: `Append rows to a feature, creating its table when missing. All rows are stored in one commit or none.

Several features are written dependents first, so that an interruption leaves work to redo and never a sample that looks done. Each is stored whole or
not at all; when some fail the others are stored all the same, the report says which, and the exit code is 8. A file that cannot be opened stops all.

Several workers that resolve and write the same feature store no sample version twice when each write says what its rows were resolved from:
--resolved-version takes "table_version" of "resolve --json" (-1: the feature had no table), --resolved-manifest the manifest.json that "resolve --out"
leaves beside its files, or the folder or URL that has it. If the table's rows changed since, the write fails with
exit code 3 and stores nothing, or with --if-newer drop stores only the rows that nobody else has stored since.

A job that may run again stores its rows once when it writes with --app-id and a greater --app-version for every part: what the table has already is
skipped, which is a success.

--failed FILE records samples that failed instead of storing rows: FILE has the rows of resolve, or their ids and metaxy_provenance, and may have
columns reason and attempt. "resolve --skip-failed" and "--retry-failed" leave such samples out, "read KEY --failed" lists them, and a write that stores
them clears the record.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("resolved-version") {
				f.Resolved = &metaxy.Resolved{TableVersion: f.resolved}
			}
			if f.failed != "" {
				return a.writeFailed(cmd, args[0], &f)
			}
			if f.manifest != "" {
				if err := a.followManifest(cmd, args, &f); err != nil {
					return err
				}
			}
			if len(args) > 2 {
				return a.writeMulti(cmd.Context(), args, &f)
			}
			return a.write(cmd, args[0], args[1], &f)
		}}
	fl := cmd.Flags()
	fl.StringVar(&f.inputFormat, "input-format", "", "parquet, arrow, csv or jsonl; default by suffix")
	fl.BoolVar(&f.PreserveVersions, "preserve-versions", false, "keep the version columns of the rows")
	fl.StringVar(&f.MaterializationID, "materialization-id", "", "id to write with the rows")
	fl.BoolVar(&f.cross, "allow-cross-project-writes", false, "write to a feature of another project")
	fl.BoolVar(&f.AllowNullIDs, "allow-null-ids", false, "store rows whose id columns are null")
	fl.Int64Var(&f.resolved, "resolved-version", -1, "table version that the rows were resolved from (table_version of resolve --json)")
	fl.StringVar(&f.manifest, "resolved-manifest", "", "manifest.json of the resolve that the rows come from, or the path or URL of its folder: its table_version is --resolved-version")
	fl.StringVar(&f.ifNewer, "if-newer", "", "with --resolved-version or --resolved-manifest, when the table changed since: fail (the default), or drop the rows that others have stored")
	fl.StringVar(&f.failed, "failed", "", "file of samples that failed, to record")
	fl.StringVar(&f.AppID, "app-id", "", "application id that makes the write repeatable")
	fl.Int64Var(&f.AppVersion, "app-version", 0, "version of the application's write; one not above that in the table is skipped")
	return cmd
}

// finish checks the flags that depend on each other.
func (f *writeFlags) finish() error {
	switch {
	case f.Resolved != nil && f.resolved < -1:
		return usagef("--resolved-version %d: want the table_version of resolve --json, which is -1 where there was no table", f.resolved)
	case f.ifNewer != "" && f.Resolved == nil:
		return usagef("--if-newer needs --resolved-version or --resolved-manifest")
	case f.ifNewer == "drop":
		f.Resolved.Drop = true
	case f.ifNewer != "" && f.ifNewer != "fail":
		return usagef("--if-newer %q: want fail or drop", f.ifNewer)
	}
	return nil
}

func (a *app) write(cmd *cobra.Command, keyText, path string, f *writeFlags) error {
	ctx := cmd.Context()
	key, err := a.parseKey(keyText)
	if err != nil {
		return err
	}
	if err := f.finish(); err != nil {
		return err
	}
	store, err := a.openStore(ctx, openOptions{cross: f.cross})
	if err != nil {
		return err
	}
	defer store.Close()
	if err := f.sameVersion(ctx, store, key.String()); err != nil {
		return err
	}
	in, done, err := a.readRows(ctx, path, f.inputFormat, func() (rowio.Types, error) { return featureTypes(ctx, store, key) })
	if err != nil {
		return err
	}
	defer done()
	f.DryRun = a.flags.dryRun
	bar := a.startProgress("write " + key.String())
	r, err := store.Write(ctx, key, &metaxy.Rows{Schema: in.Schema, Batches: in.Batches}, &f.WriteOptions)
	bar.stop()
	var lost *txlog.ConflictError
	if f.Resolved != nil && errors.As(err, &lost) {
		return &cliError{code: "CONFLICT", exit: exitConflict, err: err, hint: "others changed the feature after it was resolved: resolve again and write what that gives"}
	}
	if err != nil {
		return err
	}
	a.warn(r.Warnings)
	if f.DryRun {
		a.note("Dry run: would write " + wouldWrite(store, &r))
	}
	out := members{member("feature", key.String()), member("rows", r.Rows), member("files", r.Files), member("bytes", r.Bytes), member("table_version", r.TableVersion), member("dry_run", f.DryRun)}
	if f.Resolved != nil {
		out = append(out, member("dropped", r.Dropped))
	}
	if f.AppID != "" {
		out = append(out, member("already_written", r.AlreadyWritten))
		if r.AlreadyWritten {
			a.note(key.String() + ": already written by " + f.AppID + "; the table has the rows at version " + thousands(r.TableVersion))
		}
	}
	return a.printResult(out)
}

// writeFailed records samples that failed.
func (a *app) writeFailed(cmd *cobra.Command, keyText string, f *writeFlags) error {
	ctx := cmd.Context()
	key, err := a.parseKey(keyText)
	if err != nil {
		return err
	}
	for _, name := range []string{"preserve-versions", "materialization-id", "allow-null-ids", "resolved-version", "resolved-manifest", "if-newer", "app-id", "app-version", "dry-run"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s is for rows that are stored, not for --failed", name)
		}
	}
	store, err := a.openStore(ctx, openOptions{cross: f.cross})
	if err != nil {
		return err
	}
	defer store.Close()
	in, done, err := a.readRows(ctx, f.failed, f.inputFormat, func() (rowio.Types, error) { return featureTypes(ctx, store, key) })
	if err != nil {
		return err
	}
	defer done()
	r, err := store.WriteFailed(ctx, key, &metaxy.Rows{Schema: in.Schema, Batches: in.Batches})
	if err != nil {
		return err
	}
	return a.printJSON(members{member("feature", key.String()), member("failed", r.Rows), member("table_version", r.TableVersion)})
}

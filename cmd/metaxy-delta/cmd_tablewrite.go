package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// tableWriteFlags are the flags of `table write`.
type tableWriteFlags struct {
	mode, inputFormat, appID, where string
	partitionBy, properties         []string
	mergeSchema                     bool
	appVersion                      int64
}

func (a *app) tableWriteCommand() *cobra.Command {
	var f tableWriteFlags
	cmd := &cobra.Command{Use: "write URL FILE", Short: "Append or overwrite rows of a table, creating it when missing", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.tableWrite(cmd, args[0], args[1], &f) }}
	fl := cmd.Flags()
	fl.StringVar(&f.mode, "mode", "append", "append, overwrite or error (when the table exists)")
	fl.StringVar(&f.where, "where", "", "with --mode overwrite, SQL predicate: only rows for which it is true are replaced, and only such rows are written")
	fl.StringVar(&f.inputFormat, "input-format", "", "parquet, arrow, csv or jsonl; default by suffix")
	fl.StringSliceVar(&f.partitionBy, "partition-by", nil, "partition columns of a new table")
	fl.BoolVar(&f.mergeSchema, "merge-schema", false, "add new columns to the table")
	fl.StringArrayVar(&f.properties, "property", nil, "K=V property of a new table")
	fl.StringVar(&f.appID, "app-id", "", "application id that makes the write idempotent")
	fl.Int64Var(&f.appVersion, "app-version", 0, "version of the application's write")
	return cmd
}

func (a *app) tableWrite(cmd *cobra.Command, url, path string, f *tableWriteFlags) error {
	ctx := cmd.Context()
	opts := &delta.AppendOptions{MergeSchema: f.mergeSchema, Cast: true, PartitionBy: f.partitionBy, AppID: f.appID, AppVersion: f.appVersion, Configuration: map[string]string{}}
	for _, p := range f.properties {
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			return usagef("--property %q: want K=V", p)
		}
		opts.Configuration[k] = v
	}
	if cmd.Flags().Changed("where") && f.mode != "overwrite" {
		return usagef("--where needs --mode overwrite")
	}
	where, err := parseRemoval(cmd, f.where)
	if err != nil {
		return err
	}
	t, done, err := a.openTable(ctx, url, false)
	if err != nil {
		return err
	}
	defer done()
	switch f.mode {
	case "append":
	case "overwrite":
		opts.Overwrite = true
	case "error":
		if _, err := t.Snapshot(ctx); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = &cliError{code: "TABLE_EXISTS", exit: exitFailure, msg: "table " + url + " exists", hint: "--mode append adds to it, --mode overwrite replaces its rows"}
			}
			return err
		}
	default:
		return usagef("--mode %q: want append, overwrite or error", f.mode)
	}
	in, closeInput, err := a.readRows(ctx, path, f.inputFormat, func() (rowio.Types, error) { return tableTypes(ctx, t) })
	if err != nil {
		return err
	}
	defer closeInput()
	r, err := a.overwriteOrAppend(ctx, t, &delta.Rows{Schema: in.Schema, Batches: in.Batches}, where, opts)
	if err != nil {
		return fmt.Errorf("table %s: %w", url, err)
	}
	for _, w := range r.Warnings {
		a.warning(w.Code, w.Message)
	}
	out := members{member("version", r.Version), member("files", r.Files), member("rows", r.Rows), member("bytes", r.Bytes), member("dry_run", a.flags.dryRun)}
	text := fmt.Sprintf("%s rows in %d files, %s bytes", thousands(r.Rows), r.Files, thousands(r.Bytes))
	if where != nil {
		out = append(out, member("rows_removed", r.RowsRemoved), member("files_removed", r.FilesRemoved), member("deletion_vectors", r.Vectors))
		text += fmt.Sprintf(", in place of %s rows, with %d files taken out and %d deletion vectors", thousands(r.RowsRemoved), r.FilesRemoved, r.Vectors)
	}
	a.wouldCommit(url, r.Version, "write "+text)
	return a.printResult(out)
}

// overwriteOrAppend writes rows: in place of those of a predicate, or as the options say.
func (a *app) overwriteOrAppend(ctx context.Context, t *delta.Table, rows *delta.Rows, where filter.Expr, opts *delta.AppendOptions) (rewrite.OverwriteResult, error) {
	if where == nil {
		r, err := t.Append(ctx, rows, opts)
		return rewrite.OverwriteResult{Result: r}, err
	}
	o, err := a.deleteOptions(ctx, t)
	if errors.Is(err, fs.ErrNotExist) {
		o, err = &rewrite.DeleteOptions{}, nil
	}
	if err != nil {
		return rewrite.OverwriteResult{}, err
	}
	return rewrite.Overwrite(ctx, t, rows, where, &rewrite.OverwriteOptions{Write: *opts, Delete: *o})
}

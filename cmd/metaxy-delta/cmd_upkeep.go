package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

func (a *app) optimizeCommand() *cobra.Command {
	var f optimizeFlags
	var all, asWritten bool
	cmd := &cobra.Command{Use: "optimize KEY...", Short: "Sort the rows of features' tables by id and merge small files, without changing a row",
		Long: `Sort the rows of features' tables by their ids, and merge small files, without changing a row: the next resolves and reads of a few samples read few
files and pages. Which of two rows of one sample is the newer one stays. What is sorted already is left alone until a tenth of it is new; small files beside
it are merged meanwhile. The first run writes the whole table again; --as-written merges small files alone, in the order in which they were written.

With --all-features the table of the definitions and those of samples that failed are merged, too, as they were written; --sort-by and --where are not for
them.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.optimizeOptions(&f)
			if err != nil {
				return err
			}
			if asWritten && len(f.sortBy) > 0 {
				return usagef("--as-written and --sort-by exclude each other")
			}
			return a.overTables(cmd.Context(), args, all, func(t *storeTable) (members, error) {
				own := *o
				switch {
				case t.beside: // its columns are its own
					own.SortBy, own.Where, own.KeepOrder = nil, nil, true
				case !asWritten && len(f.sortBy) == 0:
					s, err := t.table.Snapshot(cmd.Context())
					if err != nil {
						return nil, err
					}
					own.SortBy, own.Lazy = rewrite.Sortable(s, t.def.Spec.IDColumns), true
				}
				return a.optimize(cmd.Context(), t.table, &own, t.url)
			})
		}}
	cmd.Flags().BoolVar(&all, "all-features", false, "every feature of the project, and the tables that the store keeps beside them")
	cmd.Flags().BoolVar(&asWritten, "as-written", false, "merge small files alone and sort nothing")
	f.register(cmd)
	return cmd
}

func (a *app) vacuumCommand() *cobra.Command {
	var f vacuumFlags
	var all bool
	cmd := &cobra.Command{Use: "vacuum KEY...", Short: "Delete files of features' tables that no version within the retention needs",
		Long: `Delete files of features' tables that no version within the retention needs: of the named features, or with --all-features of the whole store, with the
table of the definitions and those of samples that failed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.vacuumOptions(cmd, &f)
			if err != nil {
				return err
			}
			what := strings.Join(args, ", ")
			if all {
				what = "every feature"
			}
			if err := a.confirm("Delete unused files of "+what+"? Versions older than the retention can no longer be read.", "Deleting files requires --yes", "--dry-run lists them"); err != nil {
				return err
			}
			return a.overTables(cmd.Context(), args, all, func(t *storeTable) (members, error) { return a.vacuum(cmd.Context(), t.table, o) })
		}}
	cmd.Flags().BoolVar(&all, "all-features", false, "every feature of the project, and the tables that the store keeps beside them")
	f.register(cmd)
	return cmd
}

// vacuumFlags are the flags of a vacuum.
type vacuumFlags struct {
	retention time.Duration
	shorter   bool
}

func (f *vacuumFlags) register(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.retention, "retention", 0, "how long removed files stay, such as 168h; default delta.deletedFileRetentionDuration, else 168h")
	cmd.Flags().BoolVar(&f.shorter, "allow-short-retention", false, "accept a retention below the table's own")
}

func (a *app) vacuumOptions(cmd *cobra.Command, f *vacuumFlags) (*rewrite.VacuumOptions, error) {
	o := &rewrite.VacuumOptions{Now: a.now(), Retention: -1, Shorter: f.shorter, DryRun: a.flags.dryRun}
	if cmd.Flags().Changed("retention") {
		if o.Retention = f.retention; f.retention < 0 {
			return nil, usagef("--retention %s is below zero", f.retention)
		}
	}
	return o, nil
}

func (a *app) vacuum(ctx context.Context, t *delta.Table, o *rewrite.VacuumOptions) (members, error) {
	r, err := rewrite.Vacuum(ctx, t, o)
	var short *rewrite.RetentionError
	if errors.As(err, &short) {
		return nil, &cliError{code: "RETENTION_TOO_SHORT", exit: exitUsage, msg: short.Error(), hint: "--allow-short-retention deletes all the same"}
	}
	return members{member("files", r.Deleted), member("num_files", len(r.Deleted)), member("unfinished_writes", r.Unfinished), member("bytes", r.Bytes), member("dry_run", a.flags.dryRun)}, err
}

// storeTable is a table of a store, with what reports call it.
type storeTable struct {
	name, url string
	key       feature.Key
	def       *feature.Definition // nil of those beside
	table     *delta.Table
	// beside those of features: of the definitions, or of samples that failed.
	beside bool
}

// definitionsTable is the key of the table in which a store keeps what was pushed to it.
const definitionsTable = "metaxy-system/feature_versions"

// tablesOf are the tables of features; all adds those that the store keeps
// beside them, which need not exist.
func (a *app) tablesOf(store *metaxy.DeltaStore, g *feature.Graph, keys []feature.Key, all bool) ([]storeTable, error) {
	var out []storeTable
	for _, key := range keys {
		def, _ := g.Get(key)
		out = append(out, storeTable{name: key.String(), url: store.TableURL(key), key: key, def: def, table: a.tended(store.Table(key), false)})
	}
	if !all {
		return out, nil
	}
	for _, key := range keys {
		out = append(out, storeTable{name: key.String() + ", samples that failed", url: store.TableURL(key) + "/_metaxy_delta/failed", key: key, table: a.tended(store.FailedTable(key), false), beside: true})
	}
	key, err := a.parseKey(definitionsTable)
	return append(out, storeTable{name: definitionsTable, url: store.TableURL(key), key: key, table: a.tended(store.Table(key), false), beside: true}), err
}

// overTables runs a verb on the tables of features, and reports per table. A
// table that is not there is left out with --all-features, else an error.
func (a *app) overTables(ctx context.Context, args []string, all bool, verb func(*storeTable) (members, error)) error {
	store, err := a.openStore(ctx, openOptions{})
	if err != nil {
		return err
	}
	defer store.Close()
	keys, err := a.chosenToChange(ctx, store, args, all)
	if err != nil {
		return err
	}
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	if err := a.allDefined(g, keys); err != nil {
		return err
	}
	tables, err := a.tablesOf(store, g, keys, all)
	if err != nil {
		return err
	}
	partial := &metaxy.PartialError{Failed: map[feature.Key]error{}}
	list := []members{}
	for i := range tables {
		t := &tables[i]
		key := t.key
		v, err := verb(t)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case errors.Is(err, fs.ErrNotExist) && all:
			continue
		case err != nil:
			partial.Failed[key] = errors.Join(partial.Failed[key], err)
			list = append(list, members{member("feature", t.name), member("error", err.Error())})
		default:
			if !t.beside {
				partial.Done = append(partial.Done, key)
			}
			list = append(list, append(members{member("feature", t.name)}, v...))
		}
	}
	if len(tables) == 1 && len(partial.Failed) == 1 {
		return fmt.Errorf("%s: %w", keys[0], partial.Failed[keys[0]])
	}
	if err := a.printUpkeep(list); err != nil || len(partial.Failed) == 0 {
		return err
	}
	return partial
}

// tended is a table for its upkeep. With --dry-run what is written to it is not kept.
func (a *app) tended(t *delta.Table, outside bool) *delta.Table {
	objects := t.Store()
	if a.flags.dryRun {
		objects = objects.Rehearse()
	}
	return delta.New(objects, &delta.Options{Now: a.now, AllowOutsideRoot: outside, EngineInfo: engineInfo(), Check: rewrite.Checker})
}

func (a *app) printUpkeep(list []members) error {
	if a.forPrograms() {
		return a.printList(members{member("features", list), member("dry_run", a.flags.dryRun)}, list)
	}
	var b strings.Builder
	for _, o := range list {
		var parts []string
		for _, m := range o[1:] {
			if files, ok := m.Value.([]string); ok {
				for _, f := range files {
					parts = append(parts, f)
				}
				continue
			}
			parts = append(parts, fmt.Sprintf("%s %v", strings.ReplaceAll(m.Name, "_", " "), m.Value))
		}
		fmt.Fprintf(&b, "%v: %s\n", o[0].Value, strings.Join(parts, ", "))
	}
	return a.printText(terminal.Printable(b.String()))
}

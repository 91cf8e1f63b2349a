package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

type deleteFlags struct {
	all, soft, hard, featureHistory, sampleHistory, cross, orphaned bool
	filters                                                         []string
}

func (a *app) deleteCommand() *cobra.Command {
	var f deleteFlags
	cmd := &cobra.Command{Use: "delete KEY...", Short: "Hide rows of features behind tombstones, or remove them",
		RunE: func(cmd *cobra.Command, args []string) error { return a.delete(cmd.Context(), args, &f) }}
	fl := cmd.Flags()
	fl.BoolVar(&f.all, "all-features", false, "every feature of the project")
	fl.StringArrayVar(&f.filters, "filter", nil, "predicate on the rows")
	fl.BoolVar(&f.orphaned, "orphaned", false, "only samples that a resolve finds orphaned, of an expansion all rows of each group")
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
	Files        int           `json:"files"`
	FilesRemoved int           `json:"files_removed"`
	Bytes        int64         `json:"bytes"`
	TableVersion int64         `json:"table_version"`
	Error        string        `json:"error,omitempty"`
	Warnings     []warningJSON `json:"warnings"`
}

func (a *app) delete(ctx context.Context, args []string, f *deleteFlags) error {
	filters, err := parseFilters("--filter", f.filters)
	if err != nil {
		return err
	}
	hard := f.hard || !f.soft
	store, err := a.openStore(ctx, openOptions{cross: f.cross})
	if err != nil {
		return err
	}
	defer store.Close()
	keys, err := a.chosenToChange(ctx, store, args, f.all)
	if err != nil {
		return err
	}
	if len(filters) == 0 && !f.orphaned {
		if err := a.confirmAll(ctx, store, keys, hard); err != nil {
			return err
		}
	}
	o := &metaxy.DeleteOptions{Filters: filters, Orphaned: f.orphaned, Hard: hard, FeatureHistory: f.featureHistory, SampleHistory: f.sampleHistory, DryRun: a.flags.dryRun}
	said := deletion{store: store, what: "Deletion", mode: "soft delete", filters: slices.Clone(f.filters), history: f.featureHistory}
	if f.orphaned {
		said.filters = append(said.filters, "orphaned samples")
	}
	if hard {
		said.mode = "hard delete"
	}
	return a.each(keys, &said, func(key feature.Key) (metaxy.DeleteResult, error) { return store.Delete(ctx, key, o) })
}

// confirmAll asks before a delete without a filter. Where nothing is defined
// there is nothing to ask about.
func (a *app) confirmAll(ctx context.Context, store *metaxy.DeltaStore, keys []feature.Key, hard bool) error {
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(slices.Clone(keys), func(k feature.Key) bool { _, ok := g.Get(k); return !ok })
	if len(keys) == 0 {
		return nil
	}
	question, refusal := "Hide every row of ", "Deleting every row requires --yes to prevent accidental deletion."
	if hard {
		question, refusal = "Remove every row of ", "Hard deleting all metadata requires --yes flag to prevent accidental deletion."
	}
	return a.confirm(question+joinKeys(keys)+"?", refusal, "Use --yes to confirm, or provide --filter to restrict deletion; --dry-run shows what would go")
}

// deletion is what a verb says about what it did.
type deletion struct {
	store      *metaxy.DeltaStore
	what, mode string
	filters    []string
	history    bool
}

// preview tells what a deletion would do.
func (d *deletion) preview(list []deletedJSON) string {
	var b strings.Builder
	history, total := "no", int64(0)
	if d.history {
		history = "yes"
	}
	fmt.Fprintf(&b, "Dry run (%s, with_feature_history=%s)\n\nStore: %s\n\nFeatures (%d):\n", d.mode, history, d.store.Name(), len(list))
	for _, x := range list {
		if x.Error != "" {
			fmt.Fprintf(&b, "  • %s (%s)\n", x.Feature, x.Error)
			continue
		}
		total += x.Rows
		fmt.Fprintf(&b, "  • %s (%s rows)\n", x.Feature, thousands(x.Rows))
		if x.TableVersion >= 0 {
			fmt.Fprintf(&b, "    commit %d: %d file(s) written, %s bytes, %d file(s) taken out\n", x.TableVersion, x.Files, thousands(x.Bytes), x.FilesRemoved)
		}
	}
	fmt.Fprintf(&b, "\nTotal rows to delete: %s\n", thousands(total))
	if len(d.filters) > 0 {
		b.WriteString("\nFilters:\n")
	}
	for _, f := range d.filters {
		fmt.Fprintf(&b, "  • %s\n", f)
	}
	return terminal.Printable(b.String())
}

// each runs a deletion for every feature, reports per feature, and fails with 8 when some failed, with the failure itself when there was one feature only.
func (a *app) each(keys []feature.Key, said *deletion, run func(feature.Key) (metaxy.DeleteResult, error)) error {
	var out []deletedJSON
	partial := &metaxy.PartialError{Failed: map[feature.Key]error{}}
	for _, key := range keys {
		a.about.feature = key.String()
		r, err := run(key)
		d := deletedJSON{Feature: key.String(), Rows: r.Rows, Files: r.Files, FilesRemoved: r.FilesRemoved, Bytes: r.Bytes, TableVersion: r.TableVersion, Warnings: warningsJSON(r.Warnings)}
		if err != nil {
			d.Error, d.TableVersion = err.Error(), -1
			partial.Failed[key] = err
		} else {
			partial.Done = append(partial.Done, key)
		}
		a.warn(r.Warnings)
		out = append(out, d)
		if err == nil && r.PreviousVersion >= 0 && r.TableVersion > r.PreviousVersion {
			a.undoHint(said.store, key, r.TableVersion)
		}
	}
	if len(partial.Failed) > 0 && len(keys) == 1 {
		return partial.Failed[keys[0]]
	}
	if err := a.printDeleted(out, said); err != nil {
		return err
	}
	if len(partial.Failed) > 0 {
		return partial
	}
	switch {
	case a.flags.dryRun:
	case !slices.ContainsFunc(out, func(d deletedJSON) bool { return d.Rows > 0 }):
		a.note("Nothing was deleted: there are no such rows (" + said.mode + ")")
	default:
		a.note("✓ " + said.what + " complete (" + said.mode + ")")
	}
	return nil
}

// undoHint tells how to take back a commit to a feature's table; the first one cannot be taken back.
func (a *app) undoHint(store *metaxy.DeltaStore, key feature.Key, version int64) {
	if version > 0 && !a.flags.dryRun {
		a.note(fmt.Sprintf("%s was at table version %d before; undo: metaxy-delta table restore %s --to-version %d", key, version-1, store.TableURL(key), version-1))
	}
}

func (a *app) printDeleted(list []deletedJSON, said *deletion) error {
	if a.forPrograms() {
		return a.printList(map[string]any{"features": list, "dry_run": a.flags.dryRun}, list)
	}
	if a.flags.dryRun {
		return a.printText(said.preview(list))
	}
	var b strings.Builder
	for _, d := range list {
		if d.Error != "" {
			fmt.Fprintf(&b, "%s: %s\n", d.Feature, terminal.Printable(d.Error))
			continue
		}
		fmt.Fprintf(&b, "%s: deleted %s rows\n", d.Feature, thousands(d.Rows))
	}
	return a.printText(b.String())
}

// confirm asks on a terminal unless --yes or --dry-run is given; where nobody can be asked it fails with refusal.
func (a *app) confirm(question, refusal, hint string) error {
	if a.flags.yes || a.flags.dryRun {
		return nil
	}
	fail := &cliError{code: "MISSING_CONFIRMATION", exit: exitUsage, msg: refusal, hint: hint}
	if !a.interactive() {
		return fail
	}
	fmt.Fprint(a.sys.stderr, terminal.Printable(question)+" [y/N] ")
	line, err := bufio.NewReader(a.sys.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return fail
	}
	return nil
}

func (a *app) dropCommand() *cobra.Command {
	var cross bool
	cmd := &cobra.Command{Use: "drop KEY", Short: "Remove every row of a feature and keep its table", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := a.confirm("Remove every row of "+args[0]+"?", "Dropping a feature requires --yes", "--dry-run shows what would go"); err != nil {
				return err
			}
			store, err := a.openStore(ctx, openOptions{cross: cross})
			if err != nil {
				return err
			}
			defer store.Close()
			keys, err := a.chosen(ctx, store, args, false)
			if err != nil {
				return err
			}
			return a.each(keys, &deletion{store: store, what: "Drop", mode: "all rows", history: true}, func(key feature.Key) (metaxy.DeleteResult, error) {
				res, err := store.Drop(ctx, key, &metaxy.DeleteOptions{DryRun: a.flags.dryRun})
				if g, gerr := store.Graph(ctx); err == nil && gerr == nil {
					if _, ok := g.Get(key); !ok { // no error, as in Metaxy, so that a drop can be repeated
						a.warning("NOT_DEFINED", "nothing defines "+key.String()+", so there is nothing to drop: "+nearestHint(g, key.String()))
					}
				}
				return res, err
			})
		}}
	cmd.Flags().BoolVar(&cross, "allow-cross-project-writes", false, "drop a feature of another project")
	return cmd
}

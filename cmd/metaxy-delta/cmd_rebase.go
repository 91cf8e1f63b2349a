package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

type rebaseFlags struct {
	from, to         string
	onePerRow, cross bool
	stale            bool
}

func (a *app) rebaseCommand() *cobra.Command {
	var f rebaseFlags
	cmd := &cobra.Command{Use: "rebase KEY", Short: "Write rows of one feature version again, with the provenance of another", Args: cobra.ExactArgs(1),
		Long: `Write rows of one feature version again, with the provenance that they have under another version of the definition. Nothing is computed anew:
it is for changes of the definition that leave the results valid. Rows that upstream no longer has are left out, and a sample whose newest row has
another version than --from is left as it is. So is a sample that was stale under --from (STALE_KEPT counts its rows): it stays to do.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.rebase(cmd.Context(), args[0], &f) }}
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "", "feature version of the rows")
	fl.StringVar(&f.to, "to", "", "feature version to write them with, which must have been pushed; default that of the definitions")
	fl.BoolVar(&f.stale, "include-stale", false, "rows of samples that were stale under --from too: they count as up to date afterwards")
	fl.BoolVar(&f.onePerRow, "one-per-row", false, "one row for each row, where an aggregation would give one for each upstream row")
	fl.BoolVar(&f.cross, "allow-cross-project-writes", false, "rebase a feature of another project")
	return cmd
}

type rebasedJSON struct {
	Feature      string        `json:"feature"`
	From         string        `json:"from"`
	To           string        `json:"to"`
	Rows         int64         `json:"rows"`
	StaleKept    int64         `json:"stale_kept"`
	Files        int           `json:"files"`
	Bytes        int64         `json:"bytes"`
	TableVersion int64         `json:"table_version"`
	DryRun       bool          `json:"dry_run"`
	Warnings     []warningJSON `json:"warnings"`
}

func (a *app) rebase(ctx context.Context, text string, f *rebaseFlags) error {
	if f.from == "" {
		return usagef("--from names the feature version of the rows")
	}
	key, err := a.parseKey(text)
	if err != nil {
		return err
	}
	store, err := a.openStore(ctx, openOptions{cross: f.cross})
	if err != nil {
		return err
	}
	defer store.Close()
	read := func() (*metaxy.Rows, error) {
		version := filter.Compare{Op: filter.Eq, Left: filter.Column{Path: []string{"metaxy_feature_version"}}, Right: filter.Literal{Value: f.from}}
		return store.Read(ctx, key, &metaxy.ReadOptions{FeatureHistory: true, Filters: []filter.Expr{version}, NoFallback: true})
	}
	g, err := store.Graph(ctx)
	if err != nil {
		return err
	}
	if d, ok := g.Get(key); ok && len(d.Spec.Deps) == 0 && f.to == "" {
		_, err := store.Rebase(ctx, key, nil, nil) // says why a root cannot be, whatever its rows are
		return err
	}
	rows, err := read()
	if err != nil {
		return err
	}
	n, err := countFrame(frame.Rows{Schema: rows.Schema, Batches: rows.Batches})
	if err != nil {
		return err
	}
	if n == 0 {
		return a.noneToRebase(ctx, store, key, f)
	}
	if rows, err = read(); err != nil {
		return err
	}
	o := &metaxy.RebaseOptions{ToVersion: f.to, OnePerRow: f.onePerRow}
	if !f.stale {
		o.FromVersion = f.from
	}
	r, err := store.Rebase(ctx, key, rows, o)
	if none := notFound(err); none != nil && none.Version == f.from && f.from != f.to {
		return &cliError{code: "FEATURES_NOT_FOUND", exit: exitNotFound, err: err, hint: "so nobody knows which rows were in sync under it; --include-stale rebases all of them", details: map[string]any{"features": []string{key.String()}}}
	}
	if err != nil {
		return err
	}
	w, err := store.Write(ctx, key, r.Rows, &metaxy.WriteOptions{PreserveVersions: true, DryRun: a.flags.dryRun})
	if err != nil {
		return err
	}
	w.Warnings = append(r.Warnings, w.Warnings...)
	a.warn(w.Warnings)
	return a.printRebased(store, &w, rebasedJSON{Feature: key.String(), From: f.from, To: r.FeatureVersion, StaleKept: r.StaleKept})
}

// noneToRebase says why no row of a version was found: there is none, which is
// an error, or newer rows hide them. A wrong target is an error, too.
func (a *app) noneToRebase(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, f *rebaseFlags) error {
	rows, err := store.Read(ctx, key, &metaxy.ReadOptions{FeatureHistory: true, SampleHistory: true, SoftDeleted: true, NoFallback: true, Columns: []string{"metaxy_feature_version"}})
	if err != nil {
		return err
	}
	versions := map[string]int64{}
	for b, err := range rows.Batches {
		if err != nil {
			return err
		}
		for i := range int(b.NumRows()) {
			versions[strings.Clone(rowio.Text(b.Column(0), i, "null"))]++
		}
	}
	if rows, err = store.Read(ctx, key, &metaxy.ReadOptions{FeatureHistory: true, NoFallback: true}); err != nil {
		return err
	}
	rows.Batches = func(func(arrow.RecordBatch, error) bool) {}
	r, err := store.Rebase(ctx, key, rows, &metaxy.RebaseOptions{ToVersion: f.to})
	if err != nil {
		return err
	}
	if versions[f.from] == 0 {
		return &cliError{code: "UNKNOWN_VERSION", exit: exitNotFound, msg: fmt.Sprintf("no row of %s has the feature version %s", key, f.from), hint: "its rows have " + orDash(sortedNames(versions))}
	}
	w := metaxy.WriteResult{Feature: key, TableVersion: -1}
	w.Warnings = append(r.Warnings, metaxy.Warning{Code: "NOTHING_TO_REBASE", Message: fmt.Sprintf("%s: newer rows hide all %s rows of version %s", key, thousands(versions[f.from]), f.from)})
	a.warn(w.Warnings)
	return a.printRebased(store, &w, rebasedJSON{Feature: key.String(), From: f.from, To: r.FeatureVersion})
}

func (a *app) printRebased(store *metaxy.DeltaStore, w *metaxy.WriteResult, out rebasedJSON) error {
	a.undoHint(store, w.Feature, w.TableVersion)
	if a.forPrograms() {
		out.Rows, out.Files, out.Bytes, out.TableVersion, out.DryRun, out.Warnings = w.Rows, w.Files, w.Bytes, w.TableVersion, a.flags.dryRun, warningsJSON(w.Warnings)
		return a.printJSON(out)
	}
	text := fmt.Sprintf("✓ Rebased %d row(s)\n", w.Rows)
	if a.flags.dryRun {
		text = fmt.Sprintf("Dry run: %d row(s) would be rebased\n", w.Rows)
		if w.TableVersion >= 0 {
			text += "would write " + wouldWrite(store, w) + "\n"
		}
	}
	if out.StaleKept > 0 {
		text += fmt.Sprintf("%s row(s) of stale samples are left as they are\n", thousands(out.StaleKept))
	}
	return a.printText(terminal.Printable(text))
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

type rebaseFlags struct {
	from, to         string
	onePerRow, cross bool
}

func (a *app) rebaseCommand() *cobra.Command {
	var f rebaseFlags
	cmd := &cobra.Command{Use: "rebase KEY", Short: "Write rows of one feature version again, with the provenance of another", Args: cobra.ExactArgs(1),
		Long: `Write rows of one feature version again, with the provenance that they have under another version of the definition. Nothing is computed anew:
it is for changes of the definition that leave the results valid. Rows that upstream no longer has are left out, and a sample whose newest row has
another version than --from is left as it is.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.rebase(cmd.Context(), args[0], &f) }}
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "", "feature version of the rows")
	fl.StringVar(&f.to, "to", "", "feature version to write them with, which must have been pushed; default that of the definitions")
	fl.BoolVar(&f.onePerRow, "one-per-row", false, "one row for each row, where an aggregation would give one for each upstream row")
	fl.BoolVar(&f.cross, "allow-cross-project-writes", false, "rebase a feature of another project")
	return cmd
}

type rebasedJSON struct {
	Feature      string        `json:"feature"`
	From         string        `json:"from"`
	To           string        `json:"to"`
	Rows         int64         `json:"rows"`
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
	w := metaxy.WriteResult{Feature: key, TableVersion: -1}
	to := f.to
	rows, err := read()
	n := int64(0)
	if err == nil {
		n, err = countFrame(frame.Rows{Schema: rows.Schema, Batches: rows.Batches})
	}
	var none *metaxy.NotFoundError
	switch {
	case errors.As(err, &none) && none.NoTable:
		w.Warnings = []metaxy.Warning{{Code: "NO_TABLE", Message: "feature " + key.String() + " has no table in store " + store.Name()}}
	case err != nil:
		return err
	default:
		if rows, err = read(); err != nil {
			return err
		}
		r, err := store.Rebase(ctx, key, rows, &metaxy.RebaseOptions{ToVersion: f.to, OnePerRow: f.onePerRow}) // also without rows: a wrong target is an error
		if err != nil {
			return err
		}
		to = r.FeatureVersion
		if n == 0 {
			none, err := noneToRebase(ctx, store, key, f.from)
			if err != nil {
				return err
			}
			w.Warnings = append(r.Warnings, none...)
			break
		}
		if w, err = store.Write(ctx, key, r.Rows, &metaxy.WriteOptions{PreserveVersions: true, DryRun: a.flags.dryRun}); err != nil {
			return err
		}
		w.Warnings = append(r.Warnings, w.Warnings...)
	}
	a.warn(w.Warnings)
	return a.printRebased(store, &w, f.from, to)
}

// noneToRebase says why no row of a version was found: there is none, or newer rows hide them.
func noneToRebase(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, version string) ([]metaxy.Warning, error) {
	rows, err := store.Read(ctx, key, &metaxy.ReadOptions{FeatureHistory: true, FeatureVersion: version, SampleHistory: true, SoftDeleted: true, NoFallback: true})
	if err != nil {
		return nil, err
	}
	n, err := countFrame(frame.Rows{Schema: rows.Schema, Batches: rows.Batches})
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return []metaxy.Warning{{Code: "UNKNOWN_VERSION", Message: fmt.Sprintf("%s: no row has the feature version %s", key, version)}}, nil
	}
	return []metaxy.Warning{{Code: "NOTHING_TO_REBASE", Message: fmt.Sprintf("%s: newer rows hide all %s rows of version %s", key, thousands(n), version)}}, nil
}

func (a *app) printRebased(store *metaxy.DeltaStore, w *metaxy.WriteResult, from, to string) error {
	a.undoHint(store, w.Feature, w.TableVersion)
	if a.forPrograms() {
		return a.printJSON(rebasedJSON{w.Feature.String(), from, to, w.Rows, w.Files, w.Bytes, w.TableVersion, a.flags.dryRun, warningsJSON(w.Warnings)})
	}
	text := fmt.Sprintf("✓ Rebased %d row(s)\n", w.Rows)
	if a.flags.dryRun {
		text = fmt.Sprintf("Dry run: %d row(s) would be rebased\n", w.Rows)
		if w.TableVersion >= 0 {
			text += "would write " + wouldWrite(store, w) + "\n"
		}
	}
	return a.printText(terminal.Printable(text))
}

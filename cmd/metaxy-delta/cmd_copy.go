package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

type copyFlags struct {
	from, to                    string
	all, featureHistory, sample bool
	cross                       bool
	filters                     []string
}

func (a *app) copyCommand() *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{Use: "copy KEY...", Short: "Copy rows of features from one store to another",
		RunE: func(cmd *cobra.Command, args []string) error { return a.copy(cmd.Context(), args, &f) }}
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "", "source store: name or URL")
	fl.StringVar(&f.to, "to", "", "target store: name or URL")
	fl.BoolVar(&f.all, "all-features", false, "every feature of the project")
	fl.StringArrayVar(&f.filters, "filter", nil, "predicate on the rows of every feature")
	fl.BoolVar(&f.featureHistory, "with-feature-history", true, "rows of every feature version")
	fl.BoolVar(&f.sample, "with-sample-history", false, "older rows of each id too")
	fl.BoolVar(&f.cross, "allow-cross-project-writes", false, "copy features of another project")
	return cmd
}

func (a *app) copy(ctx context.Context, args []string, f *copyFlags) error {
	if f.from == "" || f.to == "" {
		return usagef("--from and --to name the stores")
	}
	filters, err := parseFilters("--filter", f.filters)
	if err != nil {
		return err
	}
	from, err := a.openStore(ctx, openOptions{name: f.from})
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := a.openStore(ctx, openOptions{name: f.to, cross: f.cross})
	if err != nil {
		return err
	}
	defer to.Close()
	keys, err := a.chosenToChange(ctx, to, args, f.all)
	if err != nil {
		return err
	}
	o := &metaxy.CopyOptions{Features: keys, GlobalFilters: filters, CurrentVersionOnly: !f.featureHistory, SampleHistory: f.sample, DryRun: a.flags.dryRun}
	r, err := to.Copy(ctx, from, o)
	a.warn(r.Warnings)
	var partial *metaxy.PartialError
	if err != nil && !errors.As(err, &partial) {
		return err
	}
	for _, w := range r.Written {
		a.undoHint(to, w.Feature, w.TableVersion)
	}
	if err := errors.Join(a.printCopied(to, &r, partial), err); err != nil || r.Features > 0 {
		return err
	}
	return &cliError{code: "NOTHING_TO_COPY", exit: exitNotFound, msg: "nothing was copied: store " + from.Name() + " has no such rows of the chosen features", hint: "`metaxy-delta status --store " + from.Name() + "` shows what it holds"}
}

type copiedJSON struct {
	Copied   int           `json:"features_copied"`
	Rows     int64         `json:"rows_copied"`
	DryRun   bool          `json:"dry_run"`
	Features []writtenJSON `json:"features"`
}

// writtenJSON is a feature that was written, or failed to be.
type writtenJSON struct {
	Feature      string `json:"feature"`
	Rows         int64  `json:"rows"`
	Files        int    `json:"files"`
	Bytes        int64  `json:"bytes"`
	TableVersion int64  `json:"table_version"`
	Error        string `json:"error,omitempty"`
}

func writtenOf(w *metaxy.WriteResult) writtenJSON {
	return writtenJSON{Feature: w.Feature.String(), Rows: w.Rows, Files: w.Files, Bytes: w.Bytes, TableVersion: w.TableVersion}
}

// wouldWrite is what a dry run says of one feature.
func wouldWrite(store *metaxy.DeltaStore, w *metaxy.WriteResult) string {
	if w.TableVersion < 0 {
		return w.Feature.String() + ": nothing"
	}
	return fmt.Sprintf("%s: %s row(s) in %d file(s), %s bytes, as commit %d of %s", w.Feature, thousands(w.Rows), w.Files, thousands(w.Bytes), w.TableVersion, store.TableURL(w.Feature))
}

func (a *app) printCopied(to *metaxy.DeltaStore, r *metaxy.CopyResult, partial *metaxy.PartialError) error {
	if a.forPrograms() {
		out := copiedJSON{Copied: r.Features, Rows: r.Rows, DryRun: a.flags.dryRun, Features: []writtenJSON{}}
		for i := range r.Written {
			out.Features = append(out.Features, writtenOf(&r.Written[i]))
		}
		if partial != nil {
			out.Features = append(out.Features, failedOf(partial)...)
			slices.SortStableFunc(out.Features, func(x, y writtenJSON) int { return strings.Compare(x.Feature, y.Feature) })
		}
		return a.printList(out, out.Features)
	}
	var b strings.Builder
	done := "✓ Copy complete"
	switch {
	case partial == nil && r.Features == 0:
		done = "Nothing to copy"
	case a.flags.dryRun:
		done = "Dry run"
		for i := range r.Written {
			b.WriteString("would write " + wouldWrite(to, &r.Written[i]) + "\n")
		}
	case partial != nil:
		done = "Copy incomplete"
	}
	fmt.Fprintf(&b, "%s: %d feature(s), %d row(s) copied\n", done, r.Features, r.Rows)
	return a.printText(terminal.Printable(b.String()))
}

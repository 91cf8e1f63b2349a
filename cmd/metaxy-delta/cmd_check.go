package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

func (a *app) checkCommand() *cobra.Command {
	var all, readData bool
	cmd := &cobra.Command{Use: "check [KEY...]", Short: "Hold what features have stored against their tables, their upstream features and the settings",
		Long: `Check the tables of features, when none is named of the whole project and those that the store keeps beside them, and the samples in them: stored provenance against what the upstream features said
then, samples that are stored twice, nulls, orphans, other hash settings. Exit code 4 when a table is damaged, 1 when stored samples are wrong; orphans are
work, and no fault.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.check(cmd.Context(), args, all || len(args) == 0, readData)
		}}
	cmd.Flags().BoolVar(&all, "all-features", false, "every feature of the project, which is the default")
	cmd.Flags().BoolVar(&readData, "read-data", false, "read every row and compare it with the statistics")
	return cmd
}

type checkedJSON struct {
	Feature  string            `json:"feature"`
	OK       bool              `json:"ok"`
	Problems []rewrite.Problem `json:"problems"` // of the table
	Findings []warningJSON     `json:"findings"` // of the samples
	Error    string            `json:"error,omitempty"`
	err      error
}

// harmless findings are no fault of what is stored.
var harmless = []string{"ORPHANED", "VERSIONS_NOT_READ", "CLOCK_BEHIND"}

func (a *app) check(ctx context.Context, args []string, all, readData bool) error {
	store, err := a.openStore(ctx, openOptions{sync: true})
	if err != nil {
		return err
	}
	defer store.Close()
	keys, _, err := a.chosenDefined(ctx, store, args, all)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return a.nothingToCheck(store, true)
	}
	var list []checkedJSON
	var failed error
	damaged, wrong := 0, 0
	for _, key := range keys {
		c := checkedJSON{Feature: key.String(), Problems: []rewrite.Problem{}, Findings: []warningJSON{}}
		err := a.checkOne(ctx, store, key, readData, &c)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case errors.Is(err, fs.ErrNotExist) && all: // it was not written yet
			c.Findings = append(c.Findings, warningJSON{"NO_TABLE", "it has no table in this store"})
		case err != nil:
			c.Error = err.Error()
			if failed == nil {
				failed = fmt.Errorf("%s: %w", key, err)
			}
		}
		if len(c.Problems) > 0 {
			damaged++
		}
		if slices.ContainsFunc(c.Findings, func(w warningJSON) bool { return w.Code != "NO_TABLE" && !slices.Contains(harmless, w.Code) }) {
			wrong++
		}
		list = append(list, c)
	}
	features := len(list)
	if all {
		beside, err := a.checkBeside(ctx, store, keys, readData)
		if err != nil {
			return err
		}
		for _, c := range beside {
			if len(c.Problems) > 0 {
				damaged++
			}
			if c.Error != "" && failed == nil {
				failed = fmt.Errorf("%s: %w", c.Feature, c.err)
			}
		}
		list = append(list, beside...)
	}
	if err := a.printChecked(list, damaged+wrong == 0 && failed == nil); err != nil {
		return err
	}
	switch {
	case failed != nil:
		return failed
	case damaged > 0:
		return &cliError{code: "CORRUPT", exit: exitCorrupt, msg: fmt.Sprintf("%d of %d tables are damaged", damaged, len(list)), hint: "`metaxy-delta table history URL` and `metaxy-delta table restore URL --to-version N` may lead back to a sound version"}
	case wrong > 0:
		return &cliError{code: "CHECK", exit: exitFailure, msg: fmt.Sprintf("stored samples of %d of %d features are wrong", wrong, features), hint: "`metaxy-delta explain CODE` says what a code means and what to do"}
	}
	return nil
}

// checkBeside checks the tables that the store keeps beside those of features, as
// far as they are there.
func (a *app) checkBeside(ctx context.Context, store *metaxy.DeltaStore, keys []feature.Key, readData bool) ([]checkedJSON, error) {
	tables, err := a.tablesOf(store, feature.NewGraph(0), keys, true)
	if err != nil {
		return nil, err
	}
	var out []checkedJSON
	for _, t := range tables {
		if !t.beside {
			continue
		}
		c := checkedJSON{Feature: t.name, Problems: []rewrite.Problem{}, Findings: []warningJSON{}}
		problems, err := rewrite.Audit(ctx, t.table, readData)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, err
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			c.Error, c.err = err.Error(), err
		}
		c.Problems = append(c.Problems, problems...)
		c.OK = err == nil && len(problems) == 0
		out = append(out, c)
	}
	return out, nil
}

// checkOne checks a table, and the samples in it where it is sound.
func (a *app) checkOne(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, readData bool, out *checkedJSON) error {
	problems, err := rewrite.Audit(ctx, store.Table(key), readData)
	if err != nil {
		return err
	}
	out.Problems = append(out.Problems, problems...)
	if len(problems) > 0 {
		return nil
	}
	found, err := store.Verify(ctx, key, &metaxy.ExamineOptions{Now: a.now()})
	out.Findings = warningsJSON(found)
	out.OK = err == nil && !slices.ContainsFunc(found, func(w metaxy.Warning) bool { return !slices.Contains(harmless, w.Code) })
	return err
}

func (a *app) printChecked(list []checkedJSON, ok bool) error {
	if a.forPrograms() {
		return a.printList(members{member("features", list), member("ok", ok)}, list)
	}
	var b strings.Builder
	for i := range list {
		c := &list[i]
		if c.Error == "" && len(c.Problems)+len(c.Findings) == 0 {
			fmt.Fprintf(&b, "%s: sound\n", c.Feature)
			continue
		}
		fmt.Fprintf(&b, "%s:\n", c.Feature)
		for _, p := range c.Problems {
			fmt.Fprintf(&b, "  damaged: %s %s: %s\n", p.Kind, p.Path, p.Message)
		}
		for _, w := range c.Findings {
			fmt.Fprintf(&b, "  %s: %s\n", w.Code, strings.TrimPrefix(w.Message, c.Feature+": "))
		}
		if c.Error != "" {
			fmt.Fprintf(&b, "  error: %s\n", c.Error)
		}
	}
	return a.printText(terminal.Printable(b.String()))
}

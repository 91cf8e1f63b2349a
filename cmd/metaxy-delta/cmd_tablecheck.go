package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/examine"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// examineMetaxyTable warns of what is doubtful in a feature's table, although it is sound.
func (a *app) examineMetaxyTable(ctx context.Context, url string, t *delta.Table) error {
	snap, err := t.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("table %s: %w", url, err)
	}
	warnings, err := examine.Table(ctx, url, snap, &examine.Options{Now: a.now()})
	a.warn(warnings)
	return err
}

func (a *app) tableCheckCommand() *cobra.Command {
	var readData, outside bool
	cmd := &cobra.Command{Use: "check URL", Short: "List what is wrong with a table; exit code 4 if anything is", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, done, err := a.openTable(cmd.Context(), args[0], outside)
			if err != nil {
				return err
			}
			defer done()
			problems, err := rewrite.Audit(cmd.Context(), t, readData)
			if err != nil {
				return fmt.Errorf("table %s: %w", args[0], err)
			}
			if readData && len(problems) == 0 {
				if err := a.examineMetaxyTable(cmd.Context(), args[0], t); err != nil {
					return err
				}
			}
			if a.forPeople() {
				err = a.printStyled(problemTable(a.style(), problems))
			} else {
				err = a.printList(map[string]any{"problems": problems}, problems)
			}
			if err != nil || len(problems) == 0 {
				return err
			}
			return &cliError{code: "CORRUPT", exit: exitCorrupt, msg: fmt.Sprintf("table %s: %d problems", args[0], len(problems)), hint: "`metaxy-delta table history URL` and `metaxy-delta table restore URL --to-version N` may lead back to a sound version"}
		}}
	cmd.Flags().BoolVar(&readData, "read-data", false, "read every row and compare it with the statistics")
	cmd.Flags().BoolVar(&outside, "allow-outside-root", false, "read files that lie outside the table's root")
	return cmd
}

// problemTable has a line a problem.
func problemTable(style terminal.Style, list []rewrite.Problem) string {
	if len(list) == 0 {
		return "no problems found\n"
	}
	var rows [][]string
	for _, p := range list {
		rows = append(rows, []string{p.Kind, p.Path, p.Message})
	}
	return style.Table("", terminal.Left("Problem", "Path", "What is wrong"), rows)
}

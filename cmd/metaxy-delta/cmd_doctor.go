package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
)

// maxSkew is how far the clocks of this machine and of the store may lie apart; the newest row of a sample is told by its stamp.
const maxSkew = time.Minute

// finding is one line of a doctor's report. Status is ok, warning or failed.
type finding struct {
	Check   string `json:"check"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

// findings are a report in the making.
type findings []finding

func (f *findings) add(check, status, format string, args ...any) {
	*f = append(*f, finding{check, status, fmt.Sprintf(format, args...)})
}

func (a *app) doctorCommand() *cobra.Command {
	var readData bool
	cmd := &cobra.Command{Use: "doctor", Short: "Prove that the store can be read, listed and committed to safely", Args: cobra.NoArgs,
		Long: `Check the configuration, the credentials and access to the store, its clock, that creating an object which exists fails (commits depend on it), that listings
are whole and in order, that this build can read and write the table of every feature, what writers that were killed left behind, stamps of the future and
stored versions that may hash alike. Two small probe objects are written and deleted, unless there is no such folder, or with --dry-run. Exit code 1 when a
check failed; warnings do not count.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows := int64(doctorRows)
			if readData {
				rows = 0
			}
			return a.doctor(cmd.Context(), rows)
		}}
	cmd.Flags().BoolVar(&readData, "read-data", false, fmt.Sprintf("look at the stored versions of tables with more than %s rows, too", thousands(doctorRows)))
	return cmd
}

// doctorRows are as many rows as a table may have for its versions to be read without being asked to.
const doctorRows = 1_000_000

func (a *app) doctor(ctx context.Context, maxRows int64) error {
	var out findings
	c, err := a.config()
	if err != nil {
		out.add("configuration", "failed", "%v", err)
		return a.printFindings(out)
	}
	out.examineConfiguration(c)
	store, err := a.openStore(ctx, openOptions{})
	if err != nil {
		out.add("store", "failed", "%v", err)
		return a.printFindings(out)
	}
	defer store.Close()
	if root := store.URL(); !strings.Contains(root, "://") {
		if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
			out.add("store", "failed", "there is no folder %s: is the path right? The first push or write creates it", root)
			return a.printFindings(out)
		}
	}
	out.add("store", "ok", "%s", store.URL())
	if out.examineAccess(ctx, store.Storage(), a.now, !a.flags.dryRun) == nil {
		out.examineTables(ctx, store, &metaxy.ExamineOptions{Now: a.now(), MaxRows: maxRows})
		out.examineLeftovers(ctx, store, a.now())
	}
	return a.printFindings(out)
}

// printFindings shows the report, a line that sums it up last, and fails when a check did.
func (a *app) printFindings(list findings) error {
	counts := map[string]int{}
	var b strings.Builder
	for i := range list {
		list[i].Message = a.redact(list[i].Message)
		f := list[i]
		counts[f.Status]++
		fmt.Fprintf(&b, "%-8s  %s: %s\n", f.Status, terminal.Printable(f.Check), terminal.Printable(f.Message))
	}
	failed := counts["failed"]
	summary := fmt.Sprintf("%d checks: %d ok", len(list), counts["ok"])
	for _, word := range []string{"warning", "failed"} {
		if n := counts[word]; n > 0 {
			summary += fmt.Sprintf(", %d %s", n, word)
		}
	}
	var err error
	if a.forPrograms() {
		err = a.printList(members{member("checks", list), member("ok", failed == 0), member("summary", summary)}, list)
	} else {
		err = a.printText(b.String() + summary + "\n")
	}
	if err == nil && failed > 0 {
		return &cliError{code: "DOCTOR", exit: exitFailure, msg: fmt.Sprintf("%d of %d checks failed", failed, len(list))}
	}
	return err
}

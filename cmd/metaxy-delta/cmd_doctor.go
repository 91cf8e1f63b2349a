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
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// maxSkew is how far the clocks of this machine and of the store may lie apart; the newest row of a sample is told by its stamp.
const maxSkew = time.Minute

// finding is one line of a doctor's report. Status is ok, warning or failed.
type finding struct {
	Check   string `json:"check"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{Use: "doctor", Short: "Prove that the store can be read, listed and committed to safely", Args: cobra.NoArgs,
		Long: `Check the configuration, the access to the store, its clock, that creating an object which exists fails (commits depend on it), that listings are
whole and in order, and that this build can read and write the table of every feature. Two small probe objects are written and deleted.
Exit code 1 when a check failed; warnings do not count.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) }}
}

func (a *app) doctor(ctx context.Context) error {
	var out []finding
	add := func(check, status, format string, args ...any) {
		out = append(out, finding{check, status, fmt.Sprintf(format, args...)})
	}
	if _, err := a.config(); err != nil {
		add("configuration", "failed", "%v", err)
		return a.printFindings(out)
	}
	add("configuration", "ok", "loaded")
	store, err := a.openStore(ctx, "", nil)
	if err != nil {
		add("store", "failed", "%v", err)
		return a.printFindings(out)
	}
	defer store.Close()
	add("store", "ok", "%s", store.URL())
	if err := a.examineAccess(ctx, store.Storage(), add); err == nil {
		examineTables(ctx, store, add)
	}
	return a.printFindings(out)
}

// examineAccess lists, writes probe objects and compares clocks. Its error is that of the listing: without one nothing can be read.
func (a *app) examineAccess(ctx context.Context, s *objstore.Store, add func(check, status, format string, args ...any)) error {
	for _, err := range s.List(ctx, objstore.ListOptions{}) {
		if err != nil {
			add("access", "failed", "listing the store: %v", err)
			return err
		}
		break
	}
	add("access", "ok", "the store can be listed")
	before := a.now()
	r, err := objstore.Probe(ctx, s)
	after := a.now()
	switch {
	case errors.Is(err, fs.ErrPermission):
		add("commits", "warning", "the store can be read only: %v", err)
	case err != nil:
		add("commits", "failed", "%v", err)
	default:
		add("commits", "ok", "an object that exists is not created again; listings are in order")
	}
	if r.LeftErr != nil && err == nil {
		add("probe objects", "warning", "delete %s by hand: %v", strings.Join(r.Left, ", "), r.LeftErr)
	}
	if t := r.ServerTime; !t.IsZero() {
		skew := max(before.Truncate(time.Second).Sub(t), t.Sub(after), 0)
		if skew > maxSkew {
			add("clock", "warning", "this machine and the store are %s apart: a row that a slow clock stamps is hidden behind older ones", skew.Round(time.Second))
		} else {
			add("clock", "ok", "less than %s from the store's", maxSkew)
		}
	}
	return nil
}

// examineTables judges the table of every feature.
func examineTables(ctx context.Context, store *metaxy.DeltaStore, add func(check, status, format string, args ...any)) {
	g, err := store.Graph(ctx)
	if err != nil {
		add("definitions", "failed", "%v", err)
		return
	}
	tables, bad := 0, 0
	for _, d := range g.Definitions() {
		key := d.Spec.Key
		snap, err := store.Table(key).Snapshot(ctx)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		tables++
		if err != nil {
			bad++
			add("table "+key.String(), "failed", "%v", err)
		} else if err := snap.Writable(); err != nil {
			bad++
			add("table "+key.String(), "warning", "can be read, not written: %v", err)
		} else if hint := smallFilesHint(snap, store.TableURL(key)); hint != "" {
			add("table "+key.String(), "warning", "%s", hint)
		}
	}
	if bad == 0 {
		add("tables", "ok", "%d of %d features have a table, all of which can be read and written", tables, len(g.Definitions()))
	}
}

// printFindings shows the report and fails when a check did.
func (a *app) printFindings(list []finding) error {
	failed := 0
	var b strings.Builder
	for _, f := range list {
		if f.Status == "failed" {
			failed++
		}
		fmt.Fprintf(&b, "%-8s  %s: %s\n", f.Status, printable(f.Check), printable(f.Message))
	}
	var err error
	if a.flags.json || a.flags.format == "json" {
		err = a.printJSON(map[string]any{"checks": list, "ok": failed == 0})
	} else {
		err = a.printText(b.String())
	}
	if err == nil && failed > 0 {
		return &cliError{code: "DOCTOR", exit: exitFailure, msg: fmt.Sprintf("%d of %d checks failed", failed, len(list))}
	}
	return err
}

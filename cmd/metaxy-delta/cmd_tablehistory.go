package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/terminal"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

func (a *app) tableHistoryCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{Use: "history URL", Short: "Commits of a table, newest first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, done, err := a.openTable(cmd.Context(), args[0], false)
			if err != nil {
				return err
			}
			defer done()
			s, err := t.Snapshot(cmd.Context())
			if err != nil {
				return fmt.Errorf("table %s: %w", args[0], err)
			}
			list, err := tableHistory(cmd.Context(), t, s, limit)
			if err != nil {
				return err
			}
			if a.forPrograms() {
				return a.printList(list, list)
			}
			var rows [][]string
			for _, c := range list {
				rows = append(rows, []string{strconv.FormatInt(c.Version, 10), c.Timestamp, c.Operation, "+" + strconv.Itoa(c.Adds), "-" + strconv.Itoa(c.Removes)})
			}
			return a.printRows(append(append(terminal.Right("version"), terminal.Left("time (UTC)", "operation")...), terminal.Right("added", "removed")...), rows)
		}}
	cmd.Flags().IntVar(&limit, "limit", 0, "at most that many commits")
	return cmd
}

// commitEntry is one commit in the JSON of `table history`.
type commitEntry struct {
	Version    int64          `json:"version"`
	Timestamp  string         `json:"timestamp"`
	Operation  string         `json:"operation"`
	Parameters any            `json:"operation_parameters,omitempty"`
	Adds       int            `json:"files_added"`
	Removes    int            `json:"files_removed"`
	Info       map[string]any `json:"commit_info,omitempty"`
}

// tableHistory returns the commits up to a snapshot, newest first, each with
// the time by which --timestamp finds it. A version that is missing between
// others is a *txlog.CorruptError.
func tableHistory(ctx context.Context, t *delta.Table, s *delta.Snapshot, limit int) ([]commitEntry, error) {
	var files []txlog.CommitFile
	for c, err := range t.Log().Commits(ctx, 0) {
		if err != nil {
			return nil, err
		}
		files = append(files, c)
	}
	times := s.CommitTimes(files)
	out := []commitEntry{}
	for i := len(files) - 1; i >= 0 && (limit <= 0 || len(out) < limit); i-- {
		if gap := files[min(i+1, len(files)-1)].Version - 1; gap > files[i].Version {
			return nil, &txlog.CorruptError{Path: fmt.Sprintf("_delta_log/%020d.json", gap), Err: fmt.Errorf("missing, although version %d is there; --limit %d lists what is younger", files[i].Version, len(out))}
		}
		actions, err := t.Log().ReadCommit(ctx, files[i].Version)
		if err != nil {
			return nil, err
		}
		e, at := commitEntry{Version: files[i].Version}, times[i]
		for _, act := range actions {
			switch act := act.(type) {
			case *txlog.Add:
				e.Adds++
			case *txlog.Remove:
				e.Removes++
			case *txlog.CommitInfo:
				e.Operation, e.Info, e.Parameters = act.Operation, act.Fields, act.Fields["operationParameters"]
				if ms := act.InCommitTimestamp; ms != nil && at.IsZero() {
					at = time.UnixMilli(*ms)
				}
			}
		}
		e.Timestamp = at.UTC().Format("2006-01-02 15:04:05.000")
		out = append(out, e)
	}
	return out, nil
}

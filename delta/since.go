package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// AddedSince are the live files that commits after a version added, those of compactions included, in tie order. A commit that removed rows, or one
// that the log no longer tells, is a *txlog.ConflictError: what was added and removed in between cannot be read.
// One request a commit.
func (s *Snapshot) AddedSince(ctx context.Context, version int64) ([]File, error) {
	added := map[string]bool{}
	err := s.since(ctx, version, func(a txlog.Action) (string, error) {
		switch a := a.(type) {
		case *txlog.Remove:
			if a.DataChange {
				return "removed rows", nil
			}
		case *txlog.Add:
			key, err := txlog.DecodePath(a.Path)
			added[key] = true
			return "", err
		}
		return "", nil
	})
	if err != nil {
		return nil, err
	}
	var out []File
	for i := range s.files {
		if added[s.files[i].Key] {
			out = append(out, s.files[i])
		}
	}
	return out, nil
}

// unchangedSince is a *txlog.ConflictError if a commit after a version added or removed rows.
func (s *Snapshot) unchangedSince(ctx context.Context, version int64) error {
	return s.since(ctx, version, func(a txlog.Action) (string, error) { return changesRows(a), nil })
}

// changesRows tells how an action changes what a reader sees; "" if it does not.
func changesRows(a txlog.Action) string {
	switch a := a.(type) {
	case *txlog.Add:
		if a.DataChange {
			return "added rows"
		}
	case *txlog.Remove:
		if a.DataChange {
			return "removed rows"
		}
	}
	return ""
}

// since shows judge every action of the commits after a version up to that of the snapshot; what it finds is a conflict.
func (s *Snapshot) since(ctx context.Context, version int64, judge func(txlog.Action) (string, error)) error {
	if version > s.Version() {
		return &txlog.ConflictError{Version: s.Version(), Err: fmt.Errorf("the table has no version %d: it was made anew", version)}
	}
	for v := version + 1; v <= s.Version(); v++ {
		actions, err := s.table.log.ReadCommit(ctx, v)
		if errors.Is(err, fs.ErrNotExist) {
			return &txlog.ConflictError{Version: v, Err: fmt.Errorf("the log no longer tells what it did since version %d", version)}
		}
		if err != nil {
			return err
		}
		id := ""
		for _, a := range actions {
			if ci, ok := a.(*txlog.CommitInfo); ok && id == "" {
				id = ci.TxnID
			}
			what, err := judge(a)
			if err != nil {
				return err
			}
			if what != "" {
				return &txlog.ConflictError{Version: v, WinnerID: id, Err: fmt.Errorf("it %s since version %d", what, version)}
			}
		}
	}
	return nil
}

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

// AppendedSince are the live files with rows that commits after a version
// added, in tie order. Files that only hold what others held before, as after a
// compaction, are not among them, unless one of those others was appended since;
// replaced are those others. A commit that removed rows, or one that the log no longer tells, is a
// *txlog.ConflictError. One request a commit.
func (s *Snapshot) AppendedSince(ctx context.Context, version int64) (added []File, replaced []*txlog.Remove, err error) {
	fresh := map[string]bool{}
	err = s.commitsSince(ctx, version, func(actions []txlog.Action) (string, error) {
		for _, a := range actions {
			if r, ok := a.(*txlog.Remove); ok {
				replaced = append(replaced, r)
			}
		}
		return appended(actions, fresh)
	})
	if err != nil {
		return nil, nil, err
	}
	for i := range s.files {
		if fresh[s.files[i].Key] {
			added = append(added, s.files[i])
		}
	}
	return added, replaced, nil
}

// appended brings fresh, the files with appended rows, up to date with a commit.
func appended(actions []txlog.Action, fresh map[string]bool) (string, error) {
	var moved []string
	adds, removes, spread := 0, 0, false
	for _, a := range actions {
		switch a := a.(type) {
		case *txlog.Remove:
			if a.DataChange {
				return "removed rows", nil
			}
			key, err := txlog.DecodePath(a.Path)
			if err != nil {
				return "", err
			}
			removes++
			spread = spread || fresh[key]
			delete(fresh, key)
		case *txlog.Add:
			key, err := txlog.DecodePath(a.Path)
			if err != nil {
				return "", err
			}
			adds++
			if a.DataChange {
				fresh[key] = true
			} else {
				moved = append(moved, key)
			}
		}
	}
	if removes > 0 && adds == 0 {
		return "removed files", nil
	}
	for _, key := range moved {
		if spread {
			fresh[key] = true
		}
	}
	return "", nil
}

// since shows judge every action of the commits after a version up to that of the snapshot; what it finds is a conflict.
func (s *Snapshot) since(ctx context.Context, version int64, judge func(txlog.Action) (string, error)) error {
	return s.commitsSince(ctx, version, func(actions []txlog.Action) (string, error) {
		for _, a := range actions {
			if what, err := judge(a); what != "" || err != nil {
				return what, err
			}
		}
		return "", nil
	})
}

// commitsSince shows judge the actions of every commit after a version up to
// that of the snapshot; what it finds is a conflict.
func (s *Snapshot) commitsSince(ctx context.Context, version int64, judge func([]txlog.Action) (string, error)) error {
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
		what, err := judge(actions)
		if err != nil {
			return err
		}
		if what != "" {
			return &txlog.ConflictError{Version: v, WinnerID: winner(actions), Err: fmt.Errorf("it %s since version %d", what, version)}
		}
	}
	return nil
}

// winner is the transaction that a commit says it is; "" if it does not.
func winner(actions []txlog.Action) string {
	for _, a := range actions {
		if ci, ok := a.(*txlog.CommitInfo); ok {
			return ci.TxnID
		}
	}
	return ""
}

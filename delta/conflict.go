package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// winners is what the commits that came first have done.
type winners struct {
	metadata, protocol bool
	next               int64 // the free version after them
}

// rebase checks the change against the commits from version on, and returns the snapshot that the table's settings come from and the next free version. Only the commits that won
// are read: a retry that cost as much as opening the table would lose the next race as well.
func (t *Table) rebase(ctx context.Context, ch *Change, current *Snapshot, version int64, lost *txlog.ConflictError) (*Snapshot, int64, error) {
	conflict := func(format string, a ...any) error {
		return &txlog.ConflictError{Version: version, WinnerID: lost.WinnerID, Err: fmt.Errorf(format, a...)}
	}
	if ch.Read == nil && ch.Merge == nil {
		return nil, 0, conflict("the table was created by another writer")
	}
	won, err := t.judge(ctx, ch, version, conflict)
	if err != nil {
		return nil, 0, err
	}
	if current != nil && !won.metadata && !won.protocol {
		return current, won.next, nil
	}
	if current != nil && won.protocol && ch.Protocol != nil && ch.Merge == nil {
		return nil, 0, conflict("the table's protocol changed")
	}
	if ch.Merge == nil && won.metadata {
		return nil, 0, conflict("the table's metadata changed")
	}
	snap, err := t.SnapshotAt(ctx, won.next-1)
	if err != nil {
		return nil, 0, err
	}
	if ch.Merge != nil {
		if ch.Protocol, ch.Metadata, err = ch.Merge(snap); err != nil {
			return nil, 0, conflict("the table's metadata changed: %w", err)
		}
		ch.Read = snap
	}
	return snap, won.next, t.checkChange(snap, ch)
}

// judge reads the commits from version on and refuses when one of them forbids the change.
func (t *Table) judge(ctx context.Context, ch *Change, version int64, conflict func(string, ...any) error) (won winners, err error) {
	for won.next = version; ; won.next++ {
		actions, err := t.log.ReadCommit(ctx, won.next)
		if errors.Is(err, fs.ErrNotExist) {
			return won, nil
		}
		if err != nil {
			return won, err
		}
		blind := false
		for _, a := range actions {
			if ci, ok := a.(*txlog.CommitInfo); ok {
				blind, _ = ci.Fields["isBlindAppend"].(bool)
				if ci.InCommitTimestamp != nil {
					ch.stamp = max(ch.stamp, *ci.InCommitTimestamp)
				}
			}
		}
		for _, a := range actions {
			switch a := a.(type) {
			case *txlog.Protocol:
				won.protocol = true
			case *txlog.Metadata:
				won.metadata = true
			case *txlog.DomainMetadata:
				if a.Domain == rowTrackingDomain {
					if ch.rowIDs, err = highWaterMark(a); err != nil {
						return won, err
					}
				} else if slices.ContainsFunc(ch.Domains, func(x *txlog.DomainMetadata) bool { return x.Domain == a.Domain }) {
					return won, conflict("version %d changed the same domain metadata %q", won.next, a.Domain)
				}
			default:
				if msg := ch.clash(a, blind); msg != "" {
					return won, conflict("version %d %s", won.next, msg)
				}
			}
		}
	}
}

// isolation is the level that a change is checked at: one that changes no rows sees a snapshot.
func (ch *Change) isolation(current *Snapshot) string {
	if !ch.changesData() && (len(ch.Adds) > 0 || len(ch.Removes) > 0) {
		return "SnapshotIsolation"
	}
	return isolation(current.state.Metadata)
}

func (ch *Change) changesData() bool {
	return slices.ContainsFunc(ch.Adds, func(a *txlog.Add) bool { return a.DataChange }) ||
		slices.ContainsFunc(ch.Removes, func(r *txlog.Remove) bool { return r.DataChange })
}

// clash tells why an action of a winning commit forbids this change; "" when it does not. blind: the winner read nothing.
func (ch *Change) clash(a txlog.Action, blind bool) string {
	if what := changesRows(a); ch.NoneSince && what != "" {
		return what
	}
	switch a := a.(type) {
	case *txlog.Txn:
		if slices.ContainsFunc(ch.Txns, func(x *txlog.Txn) bool { return x.AppID == a.AppID }) {
			return "wrote for the same application id"
		}
	case *txlog.Add:
		if !ch.ReadAll || ch.Read == nil || !a.DataChange && ch.Metadata == nil {
			return ""
		}
		switch level := ch.isolation(ch.Read); {
		case level == "SnapshotIsolation" && ch.Metadata == nil:
			return ""
		case level == "WriteSerializable" && blind && ch.Metadata == nil:
			return "" // as if it had come after
		case ch.wouldRead(a):
			return "added files that this change did not see"
		}
	case *txlog.Remove:
		key, err := txlog.DecodePath(a.Path)
		if err != nil {
			return "removed a file whose path cannot be read"
		}
		if slices.ContainsFunc(ch.Removes, func(x *txlog.Remove) bool { return samePath(x.Path, key) }) {
			return "removed a file that this change removes"
		}
		if slices.ContainsFunc(ch.Adds, func(x *txlog.Add) bool { return samePath(x.Path, key) }) {
			return "removed a file that this change adds again"
		}
		if ch.ReadAll && a.DataChange && ch.changesData() && ch.hadRead(key) {
			return "removed files that this change read"
		}
	}
	return ""
}

// wouldRead reports whether the change would have looked at a file that another commit added.
func (ch *Change) wouldRead(a *txlog.Add) bool {
	if ch.Reads == nil {
		return true
	}
	key, err := txlog.DecodePath(a.Path)
	return err != nil || ch.Reads(&File{LiveFile: &txlog.LiveFile{Add: a, Key: key, Version: -1}, snap: ch.Read})
}

// hadRead reports whether the change looked at a file of its snapshot that another commit removed.
func (ch *Change) hadRead(key string) bool {
	if ch.Reads == nil || ch.Read == nil {
		return true
	}
	for i := range ch.Read.files {
		if f := ch.Read.files[i]; f.Key == key {
			return ch.Reads(&f)
		}
	}
	return false
}

func samePath(raw, key string) bool {
	k, err := txlog.DecodePath(raw)
	return err != nil || k == key
}

package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Change is a set of actions against the version they were decided on.
type Change struct {
	// Read is the snapshot that the change was decided on; nil for creating a table.
	Read      *Snapshot
	Operation string
	// Parameters become operationParameters.
	Parameters map[string]any
	Protocol   *txlog.Protocol
	Metadata   *txlog.Metadata
	Adds       []*txlog.Add
	Removes    []*txlog.Remove
	CDC        []*txlog.CDC
	Txns       []*txlog.Txn
	Domains    []*txlog.DomainMetadata
	// ReadAll says that the whole table decided (a delete by predicate); without it only what is removed counts as read.
	ReadAll bool
	// BlindAppend says that nothing was read.
	BlindAppend bool
	// Merge makes the schema action anew after another commit changed the metadata; nil = such a commit is a conflict.
	Merge func(*Snapshot) (*txlog.Protocol, *txlog.Metadata, error)

	// stamp is the newest in-commit time seen while rebasing, in milliseconds.
	stamp int64
}

// maxCommitTries bounds how often a change is rebased. Blind appends are bounded by their context alone: losing a race is no reason to fail.
const maxCommitTries = 100

// Commit writes a change, rebasing it over commits that do not conflict, and returns its version. A conflict is a *txlog.ConflictError.
func (t *Table) Commit(ctx context.Context, ch *Change) (int64, error) {
	if t.opts.Now == nil {
		return -1, errors.New("commit: Options.Now is not set")
	}
	if ch.Read != nil {
		if err := t.checkWritable(ch); err != nil {
			return -1, err
		}
	}
	version := int64(0)
	if ch.Read != nil {
		version = ch.Read.Version() + 1
	}
	current := ch.Read
	for try := 0; ; try++ {
		err := t.log.Commit(ctx, version, t.actions(ch, current))
		var lost *txlog.ConflictError
		switch {
		case err == nil:
			t.afterCommit(ctx, version, ch.configuration(current))
			return version, nil
		case !errors.As(err, &lost):
			return -1, err
		case try == maxCommitTries && !ch.BlindAppend:
			return -1, lost
		}
		if current, version, err = t.rebase(ctx, ch, current, version, lost); err != nil {
			return -1, err
		}
		if err := pause(ctx, try); err != nil {
			return -1, err
		}
	}
}

// configuration is that of the table after the change.
func (ch *Change) configuration(current *Snapshot) map[string]string {
	switch {
	case ch.Metadata != nil:
		return ch.Metadata.Configuration
	case current != nil:
		return current.state.Metadata.Configuration
	}
	return nil
}

// pause waits a little longer after every lost race, with jitter so that writers spread out.
func pause(ctx context.Context, try int) error {
	limit := min(time.Millisecond<<min(try, 7), 100*time.Millisecond)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
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
	metadataChanged := current == nil
	next := version
	for ; ; next++ {
		actions, err := t.log.ReadCommit(ctx, next)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		for _, a := range actions {
			switch a := a.(type) {
			case *txlog.Protocol, *txlog.Metadata:
				metadataChanged = true
			case *txlog.CommitInfo:
				if a.InCommitTimestamp != nil {
					ch.stamp = max(ch.stamp, *a.InCommitTimestamp)
				}
			default:
				if msg := ch.clash(a); msg != "" {
					return nil, 0, conflict("version %d %s", next, msg)
				}
			}
		}
	}
	if !metadataChanged {
		return current, next, nil
	}
	if ch.Merge == nil {
		return nil, 0, conflict("the table's metadata changed")
	}
	snap, err := t.Snapshot(ctx)
	if err != nil {
		return nil, 0, err
	}
	if ch.Protocol, ch.Metadata, err = ch.Merge(snap); err != nil {
		return nil, 0, err
	}
	ch.Read = snap
	return snap, snap.Version() + 1, t.checkWritable(ch)
}

// clash tells why an action of a winning commit forbids this change; "" when it does not.
func (ch *Change) clash(a txlog.Action) string {
	switch a := a.(type) {
	case *txlog.Txn:
		if slices.ContainsFunc(ch.Txns, func(x *txlog.Txn) bool { return x.AppID == a.AppID }) {
			return "wrote for the same application id"
		}
	case *txlog.DomainMetadata:
		if slices.ContainsFunc(ch.Domains, func(x *txlog.DomainMetadata) bool { return x.Domain == a.Domain }) {
			return "changed the same domain metadata"
		}
	case *txlog.Add:
		if ch.ReadAll && a.DataChange {
			return "added files that this change did not see"
		}
	case *txlog.Remove:
		if slices.ContainsFunc(ch.Removes, func(x *txlog.Remove) bool { return x.Path == a.Path }) {
			return "removed a file that this change removes"
		}
		if ch.ReadAll && a.DataChange {
			return "removed files that this change read"
		}
	}
	return ""
}

// actions are the lines of the commit: commitInfo first, as delta-rs and in-commit timestamps have it.
func (t *Table) actions(ch *Change, current *Snapshot) []txlog.Action {
	now := t.opts.Now().UnixMilli()
	info := &txlog.CommitInfo{Timestamp: &now, Operation: ch.Operation, TxnID: uuid.NewString(), Fields: map[string]any{
		"operationParameters": stringsOf(ch.Parameters), "engineInfo": t.opts.EngineInfo, "isBlindAppend": ch.BlindAppend, "clientVersion": t.opts.EngineInfo}}
	if current != nil {
		info.Fields["readVersion"] = ch.Read.Version()
		if current.property("delta.enableInCommitTimestamps") == "true" {
			stamp := max(now, current.Timestamp().UnixMilli()+1, ch.stamp+1)
			info.InCommitTimestamp = &stamp
		}
	}
	out := []txlog.Action{info}
	if current == nil {
		out = append(out, ch.Protocol, ch.Metadata)
	} else {
		if ch.Metadata != nil {
			out = append(out, ch.Metadata)
		}
		if ch.Protocol != nil {
			out = append(out, ch.Protocol)
		}
	}
	for _, x := range ch.Txns {
		out = append(out, x)
	}
	for _, x := range ch.Domains {
		out = append(out, x)
	}
	for _, x := range ch.Removes {
		out = append(out, x)
	}
	for _, x := range ch.Adds {
		out = append(out, x)
	}
	for _, x := range ch.CDC {
		out = append(out, x)
	}
	return out
}

// stringsOf gives operation parameters as the log has them: texts.
func stringsOf(m map[string]any) map[string]any {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]any{}
	}
	return out
}

// checkWritable refuses a change that the table's protocol or properties forbid.
func (t *Table) checkWritable(ch *Change) error {
	p := ch.Read.state.Protocol
	if err := gateWrite(p); err != nil {
		return err
	}
	refuse := func(feature string) error {
		return &UnsupportedError{Feature: feature, Need: "writing with", Have: "tables without it"}
	}
	if ch.Read.property("delta.appendOnly") == "true" && slices.ContainsFunc(ch.Removes, func(r *txlog.Remove) bool { return r.DataChange }) {
		return errors.New("the table is append-only (delta.appendOnly): rows cannot be removed")
	}
	if hasFeature(p, "rowTracking") && (ch.Read.property("delta.enableRowTracking") == "true" || slices.Contains(p.WriterFeatures, "rowTracking")) && len(ch.Adds) > 0 {
		return refuse("row tracking")
	}
	for k := range ch.Read.state.Metadata.Configuration {
		if len(k) > len("delta.constraints.") && k[:len("delta.constraints.")] == "delta.constraints." && len(ch.Adds) > 0 {
			return refuse("CHECK constraint " + k)
		}
		if (k == "delta.enableIcebergCompatV1" || k == "delta.enableIcebergCompatV2") && ch.Read.property(k) == "true" {
			return refuse(k)
		}
	}
	if ch.Read.property("delta.enableChangeDataFeed") == "true" && len(ch.Removes) > 0 && len(ch.Adds) > 0 && len(ch.CDC) == 0 && ch.Adds[0].DataChange {
		return refuse("change data feed (rewriting rows needs change files)")
	}
	return checkColumns(ch.Read.schema.Fields, refuse, len(ch.Adds) > 0)
}

// checkColumns refuses columns whose values a writer would have to compute or check.
func checkColumns(fields []Field, refuse func(string) error, adds bool) error {
	if !adds {
		return nil
	}
	for i := range fields {
		for _, k := range []string{"delta.generationExpression", "delta.identity.start", "delta.invariants"} {
			if _, ok := fields[i].Metadata[k]; ok {
				return refuse(k + " of column " + fields[i].Name)
			}
		}
		if err := checkColumns(fields[i].Type.Fields, refuse, adds); err != nil {
			return err
		}
	}
	return nil
}

package delta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Change is a set of actions against the version they were decided on. Commit fills in what depends on the version that it gets: row ids, in-commit
// time, and schema actions by Merge; a Change is used once.
type Change struct {
	// Read is the snapshot that the change was decided on; nil for creating a table.
	Read      *Snapshot
	Operation string
	// Parameters become operationParameters, Metrics operationMetrics; values are texts.
	Parameters, Metrics map[string]any
	Protocol            *txlog.Protocol
	Metadata            *txlog.Metadata
	Adds                []*txlog.Add
	Removes             []*txlog.Remove
	CDC                 []*txlog.CDC
	Txns                []*txlog.Txn
	Domains             []*txlog.DomainMetadata
	// ReadAll says that the whole table decided (a delete by predicate); without it only what is removed counts as read.
	ReadAll bool
	// Reads narrows ReadAll: it tells whether the change would have looked at a file, by its partition values or statistics. nil = at every file.
	Reads func(*File) bool
	// NoneSince makes every commit after Read that added or removed rows a conflict.
	NoneSince bool
	// BlindAppend says that nothing was read.
	BlindAppend bool
	// Replaces says that no row of a removed file lives on in an added one, so that the change feed needs no change files and rows keep no ids.
	Replaces bool
	// Merge makes the schema action anew after another commit changed the metadata; nil = such a commit is a conflict.
	Merge func(*Snapshot) (*txlog.Protocol, *txlog.Metadata, error)

	// stamp is the newest in-commit time seen while rebasing, in milliseconds.
	stamp int64
	// rowIDs is the greatest row id handed out by commits seen while rebasing, -1 without any.
	rowIDs int64
}

// maxCommitTries bounds how often a change is rebased. Blind appends are bounded by their context alone: losing a race is no reason to fail.
const maxCommitTries = 100

// Commit writes a change, rebasing it over commits that do not conflict, and returns its version. A conflict is a *txlog.ConflictError.
func (t *Table) Commit(ctx context.Context, ch *Change) (int64, error) {
	if t.opts.Now == nil {
		return -1, errors.New("commit: Options.Now is not set")
	}
	ch.rowIDs = -1
	version := int64(0)
	if ch.Read != nil {
		if err := t.checkWritable(ch); err != nil {
			return -1, err
		}
		version = ch.Read.Version() + 1
	}
	current := ch.Read
	for try := 0; ; try++ {
		actions, err := t.actions(ch, current, version)
		if err != nil {
			return -1, err
		}
		err = t.log.Commit(ctx, version, actions)
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
		if err := t.pause(ctx, try); err != nil {
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
func (t *Table) pause(ctx context.Context, try int) error {
	limit := min(time.Millisecond<<min(try, 7), 100*time.Millisecond)
	wait := rand.N(limit)
	if t.opts.Backoff != nil {
		wait = t.opts.Backoff(try)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// actions are the lines of the commit: commitInfo first, as delta-rs and in-commit timestamps have it; a new table tells its protocol before its metadata,
// a changed one after, as delta-rs does. current gives the table's settings; nil when the table is created.
func (t *Table) actions(ch *Change, current *Snapshot, version int64) ([]txlog.Action, error) {
	now := t.opts.Now().UnixMilli()
	info := &txlog.CommitInfo{Timestamp: &now, Operation: ch.Operation, TxnID: uuid.NewString(), Fields: map[string]any{
		"operationParameters": orNothing(ch.Parameters), "engineInfo": t.opts.EngineInfo, "isBlindAppend": ch.BlindAppend, "clientVersion": t.opts.EngineInfo}}
	if ch.Metrics != nil {
		info.Fields["operationMetrics"] = ch.Metrics
	}
	metadata := ch.Metadata
	if current != nil {
		info.Fields["readVersion"] = ch.Read.Version()
		info.Fields["isolationLevel"] = ch.isolation(current)
	}
	if ch.configuration(current)[propICT] == "true" {
		stamp := ch.inCommitStamp(current, now)
		info.InCommitTimestamp = &stamp
		metadata = enablesStamps(metadata, current, version, stamp)
	}
	adds, domain, err := ch.rowTracked(current, version)
	if err != nil {
		return nil, err
	}
	out := []txlog.Action{info}
	if current == nil {
		out = append(out, ch.Protocol, metadata)
	} else {
		if metadata != nil {
			out = append(out, metadata)
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
	if domain != nil {
		out = append(out, domain)
	}
	for _, x := range ch.Removes {
		out = append(out, x)
	}
	for _, x := range adds {
		out = append(out, x)
	}
	for _, x := range ch.CDC {
		out = append(out, x)
	}
	return out, nil
}

// inCommitStamp is the time of the commit in milliseconds, after that of every commit before it.
func (ch *Change) inCommitStamp(current *Snapshot, now int64) int64 {
	if current == nil {
		return now
	}
	stamp := max(now, ch.stamp+1)
	if before := current.Timestamp(); !before.IsZero() {
		stamp = max(stamp, before.UnixMilli()+1)
	}
	return stamp
}

// enablesStamps records since when commits have stamps inside, where this metadata turns them on for an existing table.
func enablesStamps(m *txlog.Metadata, current *Snapshot, version, stamp int64) *txlog.Metadata {
	if m == nil || current == nil || current.property(propICT) == "true" {
		return m
	}
	out := *m
	out.Configuration = map[string]string{propICTVersion: fmt.Sprint(version), propICTStamp: fmt.Sprint(stamp)}
	for k, v := range m.Configuration {
		if _, ours := out.Configuration[k]; !ours {
			out.Configuration[k] = v
		}
	}
	return &out
}

func orNothing(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// jsonOf is a value as JSON text, the form of operation parameters; "" when there is none.
func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

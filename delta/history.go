package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"time"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// The properties of in-commit timestamps.
const (
	propICT        = "delta.enableInCommitTimestamps"
	propICTVersion = "delta.inCommitTimestampEnablementVersion"
	propICTStamp   = "delta.inCommitTimestampEnablementTimestamp"
)

// SnapshotAsOf reads the newest version committed at or before at: by the stamps inside the commits from the version on that has them, else by
// file times made strictly increasing. fs.ErrNotExist when all versions are younger. Beside the versions' own reads: one LIST of the commits and,
// for stamps inside them, about log2 of their number GETs.
func (t *Table) SnapshotAsOf(ctx context.Context, at time.Time) (*Snapshot, error) {
	seg, err := t.log.Segment(ctx, txlog.Newest)
	if err != nil {
		return nil, err
	}
	newest, err := seg.Replay(ctx)
	if err != nil {
		return nil, err
	}
	var commits []txlog.CommitFile
	for c, err := range t.log.Commits(ctx, 0) {
		if err != nil {
			return nil, err
		}
		if c.Version <= newest.Version {
			commits = append(commits, c)
		}
	}
	from := stampedFrom(newest)
	first := sort.Search(len(commits), func(i int) bool { return commits[i].Version >= from })
	found, err := t.stampedAt(ctx, commits[first:], at)
	if err != nil {
		return nil, err
	}
	if found < 0 {
		found = filedAt(commits[:first], at)
	}
	if found < 0 {
		return nil, fmt.Errorf("no version at or before %s: %w", at.UTC().Format(time.RFC3339Nano), fs.ErrNotExist)
	}
	return t.SnapshotAt(ctx, found)
}

// stampedFrom is the first version with a stamp inside; beyond the newest when the table has none.
func stampedFrom(st *txlog.State) int64 {
	if st.Metadata.Configuration[propICT] != "true" {
		return st.Version + 1
	}
	n, err := strconv.ParseInt(st.Metadata.Configuration[propICTVersion], 10, 64)
	if err != nil {
		return 0 // enabled since the table exists
	}
	return n
}

// stampedAt is the newest of commits with stamps inside that is not after at; -1 when all are.
func (t *Table) stampedAt(ctx context.Context, commits []txlog.CommitFile, at time.Time) (int64, error) {
	lo, hi := 0, len(commits)
	for lo < hi {
		mid := (lo + hi) / 2
		stamp, err := t.inCommitTime(ctx, commits[mid].Version)
		if err != nil {
			return -1, err
		}
		if stamp.After(at) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 {
		return -1, nil
	}
	return commits[lo-1].Version, nil
}

// filedAt is the same by file times.
func filedAt(commits []txlog.CommitFile, at time.Time) int64 {
	found := int64(-1)
	for i, stamp := range increasing(commits) {
		if stamp.After(at) {
			break
		}
		found = commits[i].Version
	}
	return found
}

// increasing returns the file times of commits in milliseconds, which is what
// every engine tells, each at least one after the one before.
func increasing(commits []txlog.CommitFile) []time.Time {
	out := make([]time.Time, len(commits))
	for i, c := range commits {
		out[i] = c.ModTime.Truncate(time.Millisecond)
		if i > 0 && !out[i].After(out[i-1]) {
			out[i] = out[i-1].Add(time.Millisecond)
		}
	}
	return out
}

// CommitTimes returns the times by which SnapshotAsOf finds commits, which must
// be all that the log has, in order. The time is zero where the stamp inside
// the commit is the one that counts. It reads nothing.
func (s *Snapshot) CommitTimes(commits []txlog.CommitFile) []time.Time {
	from := stampedFrom(s.state)
	first := sort.Search(len(commits), func(i int) bool { return commits[i].Version >= from })
	return append(increasing(commits[:first]), make([]time.Time, len(commits)-first)...)
}

// inCommitTime is the stamp inside a commit.
func (t *Table) inCommitTime(ctx context.Context, version int64) (time.Time, error) {
	actions, err := t.log.ReadCommit(ctx, version)
	if err != nil {
		return time.Time{}, err
	}
	for _, a := range actions {
		if ci, ok := a.(*txlog.CommitInfo); ok && ci.InCommitTimestamp != nil {
			return time.UnixMilli(*ci.InCommitTimestamp).UTC(), nil
		}
	}
	return time.Time{}, corrupt(fmt.Sprintf("%s version %d", t.store.URL(), version), errors.New("the commit has no inCommitTimestamp although the table has them enabled"))
}

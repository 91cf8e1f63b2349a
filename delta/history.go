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

// filedAt is the same by file times in milliseconds, each at least one after the one before.
func filedAt(commits []txlog.CommitFile, at time.Time) int64 {
	found, last := int64(-1), time.Time{}
	for _, c := range commits {
		stamp := c.ModTime.Truncate(time.Millisecond) // as every engine tells it
		if !last.IsZero() && !stamp.After(last) {
			stamp = last.Add(time.Millisecond)
		}
		if stamp.After(at) {
			break
		}
		found, last = c.Version, stamp
	}
	return found
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

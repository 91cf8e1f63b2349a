package txlog

import (
	"context"
	"errors"
	"io/fs"
)

// Segment is the log files that make one version.
//
// A Segment guarantees: 1. commits, or compactions in their place, follow each other without a gap, from the checkpoint (or 0) to
// Version. 2. the checkpoint, if any, has all its parts. 3. files are in ascending order.
type Segment struct {
	Version int64
	// CheckpointVersion is -1 without a checkpoint.
	CheckpointVersion int64
	// Commits are the JSON commits after the checkpoint, as far as they exist.
	Commits []CommitFile

	log        *Log
	listed     *listing
	bad        rejected
	checkpoint *checkpoint
	steps      []step
	newest     *CommitFile
}

// step is one file to replay after the checkpoint; version is the last that it covers.
type step struct {
	key       string
	version   int64
	size      int64
	tag       string // objstore.Object.Tag
	compacted bool
}

// Segment lists the files that make version (or Newest). fs.ErrNotExist: no log, or a version that is not there.
// One LIST from the last checkpoint hint, a second one only when the hint is wrong. A commit that the listing passed over while others were being
// made is looked for by its name, one request each.
func (l *Log) Segment(ctx context.Context, version int64) (*Segment, error) {
	if version < Newest {
		return nil, errors.New("txlog: a version is not negative")
	}
	from := l.hintedVersion(ctx)
	if version != Newest && from > version {
		from = 0
	}
	if from > 0 {
		// The hint is only a place to start at: it counts when a complete checkpoint stands there or later, and nothing is missing after it.
		switch s, err := l.segmentFrom(ctx, from, version); {
		case err == nil && s.checkpoint != nil:
			return s, nil
		case err != nil && !errors.Is(err, ErrCorrupt) && !isMissing(err):
			return nil, err
		}
	}
	return l.segmentFrom(ctx, 0, version)
}

func (l *Log) segmentFrom(ctx context.Context, from, version int64) (*Segment, error) {
	ls, err := l.list(ctx, from)
	if err != nil {
		return nil, err
	}
	return ls.filled(ctx, l, version, nil)
}

// without returns another segment of the same version that does not use a file found bad, fs.ErrNotExist or corrupt when there is none.
func (s *Segment) without(ctx context.Context, key string) (*Segment, error) {
	ls := s.listed
	if ls.from > 0 {
		var err error
		if ls, err = s.log.list(ctx, 0); err != nil {
			return nil, err
		}
	}
	bad := rejected{key: true}
	for k := range s.bad {
		bad[k] = true
	}
	return ls.filled(ctx, s.log, s.Version, bad)
}

// isMissing tells a file that is not there from other failures.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

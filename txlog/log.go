package txlog

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// Log is the _delta_log of a table. It holds no state and is safe for concurrent use.
type Log struct{ store *objstore.Store }

// Open returns the log of the table at the root of store. No I/O.
func Open(store *objstore.Store) *Log { return &Log{store: store} }

// Newest asks Segment for the newest version.
const Newest int64 = -1

// Segment lists the files that make version (or Newest). fs.ErrNotExist: no log, or a version that is not there.
// One LIST from the last checkpoint hint, a second one only when the hint is wrong.
func (l *Log) Segment(ctx context.Context, version int64) (*Segment, error) {
	return nil, errors.ErrUnsupported
}

// Commits lists the commits from a version on that exist as JSON files, ascending, with their file times.
func (l *Log) Commits(ctx context.Context, from int64) iter.Seq2[CommitFile, error] { return nil }

// CommitFile is one NNN.json of the log.
type CommitFile struct {
	Version int64
	Size    int64
	ModTime time.Time
}

// ReadCommit returns the actions of one commit in file order. fs.ErrNotExist when it is not there.
func (l *Log) ReadCommit(ctx context.Context, version int64) ([]Action, error) {
	return nil, errors.ErrUnsupported
}

// Commit writes actions as version. nil: this call owns it. *ConflictError: another commit does. Doubt is settled by
// reading the version back and comparing CommitInfo.TxnID, which actions must carry. Any other error: nothing is known to be there.
func (l *Log) Commit(ctx context.Context, version int64, actions []Action) error {
	return errors.ErrUnsupported
}

// Segment is the log files that make one version.
//
// A Segment guarantees: 1. commits follow each other without a gap, from the checkpoint (or 0) to Version.
// 2. the checkpoint, if any, is complete. 3. files are in ascending order.
type Segment struct {
	Version int64
	// CheckpointVersion is -1 without a checkpoint.
	CheckpointVersion int64
	// Commits are the JSON commits after the checkpoint.
	Commits []CommitFile
}

// Replay reads the segment. A checkpoint that cannot be read falls back to an older one or to the commits where those suffice.
func (s *Segment) Replay(ctx context.Context) (*State, error) { return nil, errors.ErrUnsupported }

// LiveFile is an add that is in force. Version is the commit that added it, -1 when only a checkpoint tells of it;
// Position is its place among the actions of the commit, for checkpoint adds its rank by (modificationTime, path).
// So ordering by (Version, Position) is the tie order of rows.
type LiveFile struct {
	*Add
	// Key is the decoded path: relative to the table's root with slashes, or an absolute URI.
	Key      string
	Version  int64
	Position int
}

// State is what replay leaves: raw, not yet judged.
type State struct {
	Version  int64
	Protocol *Protocol
	Metadata *Metadata
	// Files are the live files in tie order, oldest first.
	Files []LiveFile
	// Tombstones are removes in force.
	Tombstones []*Remove
	Txns       map[string]*Txn
	// Domains are live ones only.
	Domains map[string]*DomainMetadata
	// CommitInfo is that of the newest commit; nil if it has none or only a checkpoint tells of it.
	CommitInfo *CommitInfo
	// ModTime is the file time of the newest commit (zero if unknown).
	ModTime time.Time
}

package txlog

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// maxCommitBytes bounds one JSON file of the log.
const maxCommitBytes = 1 << 30

// Log is the _delta_log of a table. It holds no state and is safe for concurrent use.
type Log struct{ store *objstore.Store }

// Open returns the log of the table at the root of store. No I/O.
func Open(store *objstore.Store) *Log { return &Log{store: store} }

// Newest asks Segment for the newest version.
const Newest int64 = -1

// CommitFile is one NNN.json of the log.
type CommitFile struct {
	Version int64
	Size    int64
	ModTime time.Time

	tag string // objstore.Object.Tag
}

// Commits lists the commits from a version on that exist as JSON files,
// ascending, with their file times. A table without a log has none. A few
// commits that the listing passed over are looked for by their names, one
// request each; versions that are still left out are not there.
func (l *Log) Commits(ctx context.Context, from int64) iter.Seq2[CommitFile, error] {
	return func(yield func(CommitFile, error) bool) {
		opts := objstore.ListOptions{Prefix: logDir}
		if from > 0 {
			opts.After = versionStart(from)
		}
		next, tries := int64(-1), maxPassedOver
		for o, err := range l.store.List(ctx, opts) {
			if err != nil {
				if !errors.Is(err, fs.ErrNotExist) {
					yield(CommitFile{}, err)
				}
				return
			}
			f := parseName(o.Key)
			if f.kind != kindCommit {
				continue
			}
			for passed := f.version - next; next >= 0 && next < f.version && passed <= int64(tries); next++ {
				c, err := l.statCommit(ctx, next)
				if tries--; isMissing(err) {
					continue
				}
				if !yield(c, err) || err != nil {
					return
				}
			}
			if !yield(CommitFile{Version: f.version, Size: o.Size, ModTime: o.ModTime, tag: o.Tag}, nil) {
				return
			}
			next = f.version + 1
		}
	}
}

// statCommit is a commit that no listing shows.
func (l *Log) statCommit(ctx context.Context, version int64) (CommitFile, error) {
	o, err := l.store.Stat(ctx, commitKey(version))
	if err != nil {
		return CommitFile{}, err
	}
	return CommitFile{Version: version, Size: o.Size, ModTime: o.ModTime, tag: o.Tag}, nil
}

// ReadCommit returns the actions of one commit in file order. fs.ErrNotExist when it is not there.
func (l *Log) ReadCommit(ctx context.Context, version int64) ([]Action, error) {
	return l.readActions(ctx, objstore.Object{Key: commitKey(version), Size: -1}) // nobody has listed it
}

// readActions reads a JSON file of the log whole: as it was listed, where it has a tag.
func (l *Log) readActions(ctx context.Context, o objstore.Object) ([]Action, error) {
	data, err := l.store.ReadObject(ctx, o, maxCommitBytes)
	if err != nil {
		if errors.Is(err, objstore.ErrTooLarge) {
			return nil, corrupt(o.Key, "%v", err)
		}
		return nil, err
	}
	var out []Action
	err = decodeCommit(o.Key, data, func(a Action) error {
		out = append(out, a)
		return nil
	})
	return out, err
}

package txlog

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// sidecarAge is how old an unreferenced sidecar must be to go: a younger one may belong to a checkpoint being written.
const sidecarAge = 24 * time.Hour

// CleanupOptions says what may go.
type CleanupOptions struct {
	// Before is the end of the retention: a commit made at or before it may go if a complete checkpoint at least as old makes it superfluous.
	Before time.Time
	// Now is the present, for the age of sidecars.
	Now time.Time
	// DryRun deletes nothing.
	DryRun bool
}

// CleanupResult tells what went, or would go. Checkpoint is the version that everything older was dropped before, -1 when nothing could go.
type CleanupResult struct {
	Checkpoint int64
	Deleted    []string
	Bytes      int64
}

// Cleanup deletes log files that no version from a retained checkpoint on needs: the newest checkpoint at or before the last expired commit is
// read as a whole first, and it, its commit and everything later stay. Files go oldest first, so that an interruption leaves a readable log. The caller
// has run the protocol gate. Two LISTs, and the reading of one checkpoint.
func (l *Log) Cleanup(ctx context.Context, opts *CleanupOptions) (CleanupResult, error) {
	res := CleanupResult{Checkpoint: -1}
	ls, err := l.list(ctx, 0)
	if err == nil && len(ls.commits) > 0 {
		err = ls.fill(ctx, l, ls.commits[0].Version)
	}
	if err != nil {
		return res, err
	}
	cut, err := l.cutoff(ctx, ls, opts.Before)
	if err != nil || cut == nil {
		return res, err
	}
	res.Checkpoint = cut.version
	gone, err := l.expired(ctx, ls, cut.version)
	if err != nil {
		return res, err
	}
	sidecars, err := l.looseSidecars(ctx, ls, cut.version, opts.Now)
	if err != nil {
		return res, err
	}
	for _, o := range append(gone, sidecars...) {
		res.Deleted = append(res.Deleted, o.Key)
		res.Bytes += o.Size
	}
	if opts.DryRun {
		return res, nil
	}
	for part := range slices.Chunk(res.Deleted, 500) {
		if err := l.store.Delete(ctx, part...); err != nil {
			return res, err
		}
	}
	return res, nil
}

// cutoff finds the newest checkpoint, readable to its last row, whose version is not younger than the last expired commit. Nil: none.
func (l *Log) cutoff(ctx context.Context, ls *listing, before time.Time) (*checkpoint, error) {
	// File times are made ascending first, as a copied file may be younger than its successors.
	last, stamp := int64(-1), time.Time{}
	for _, c := range ls.commits {
		if c.ModTime.After(stamp) {
			stamp = c.ModTime
		}
		if stamp.After(before) {
			break
		}
		last = c.Version
	}
	for i := len(ls.checkpoints) - 1; i >= 0; i-- {
		c := &ls.checkpoints[i]
		if c.version > last {
			continue
		}
		r := newReplayer(c.version)
		r.begin(-1)
		err := l.readCheckpoint(ctx, c, r)
		switch {
		case err == nil && r.state.Protocol != nil && r.state.Metadata != nil:
			return c, nil
		case err == nil, errors.Is(err, ErrCorrupt), errors.Is(err, fs.ErrNotExist):
			continue // not complete: an older one may be
		default:
			return nil, err
		}
	}
	return nil, nil
}

// expired lists the files older than a version, and the compactions that start
// by it, in ascending order.
func (l *Log) expired(ctx context.Context, ls *listing, version int64) ([]objstore.Object, error) {
	files := map[string]objstore.Object{}
	for _, c := range ls.commits { // those that a listing passes over, too
		if c.Version < version {
			files[commitKey(c.Version)] = objstore.Object{Key: commitKey(c.Version), Size: c.Size}
		}
	}
	for o, err := range l.store.List(ctx, objstore.ListOptions{Prefix: logDir}) {
		if err != nil {
			return nil, err
		}
		f := parseName(o.Key)
		switch f.kind {
		case kindStray:
		case kindCompaction:
			if f.version <= version {
				files[o.Key] = o
			}
		default:
			if f.version < version {
				files[o.Key] = o
			}
		}
	}
	return slices.SortedFunc(maps.Values(files), func(a, b objstore.Object) int { return cmp.Compare(a.Key, b.Key) }), nil
}

// looseSidecars lists the sidecars that no retained checkpoint names and that are old enough. A checkpoint that cannot be read keeps them all.
func (l *Log) looseSidecars(ctx context.Context, ls *listing, version int64, now time.Time) ([]objstore.Object, error) {
	named := map[string]bool{}
	for i := range ls.checkpoints {
		c := &ls.checkpoints[i]
		if c.version < version {
			continue
		}
		err := l.readFiles(ctx, c.files, func(_ logFile, a Action) error {
			if s, ok := a.(*Sidecar); ok {
				key, err := sidecarKey(s.Path)
				named[key] = true
				return err
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, nil
		}
	}
	var out []objstore.Object
	for o, err := range l.store.List(ctx, objstore.ListOptions{Prefix: sidecarDir}) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(o.Key, ".parquet") && !named[o.Key] && o.ModTime.Before(now.Add(-sidecarAge)) {
			out = append(out, o)
		}
	}
	return out, nil
}

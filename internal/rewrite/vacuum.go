package rewrite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// fileRetention is how long removed files stay where the table does not say.
const fileRetention = 7 * 24 * time.Hour

// VacuumOptions of a vacuum; nil = a dry run is not possible without Now.
type VacuumOptions struct {
	// Now is the present.
	Now time.Time
	// Retention is how long files stay after they were removed; negative = the table's delta.deletedFileRetentionDuration, else seven days.
	Retention time.Duration
	// Shorter allows a Retention below the table's own.
	Shorter bool
	// DryRun deletes nothing.
	DryRun bool
}

// VacuumResult lists the files that went, or would go, ascending.
type VacuumResult struct {
	Deleted []string
	Bytes   int64
	// Unfinished are the writes that never came to their end, older than the retention, which went with them.
	Unfinished int
	// Young are files and unfinished writes that nothing needs and that stay for the retention: writers may be about to commit them.
	Young      int
	YoungBytes int64
}

// RetentionError is a retention below what the table asks for.
type RetentionError struct{ Asked, Table time.Duration }

func (e *RetentionError) Error() string {
	return fmt.Sprintf("retention %s is shorter than the table's %s: readers and writers under way may still need the files", e.Asked, e.Table)
}

// Vacuum deletes the files below the table's root that no live version and no tombstone within the retention names and that are older than the
// retention: data files, deletion vectors and change files. The log, files and directories whose names start with _ or . (but for partition directories and
// change files) and everything outside the root stay. Memory: the names of the files in force.
func Vacuum(ctx context.Context, t *delta.Table, opts *VacuumOptions) (VacuumResult, error) {
	o := VacuumOptions{Retention: -1}
	if opts != nil {
		o = *opts
	}
	res := VacuumResult{Deleted: []string{}}
	snap, err := newest(ctx, t)
	if err != nil {
		return res, err
	}
	if err := snap.Writable(); err != nil {
		return res, err
	}
	own := snap.Retention("delta.deletedFileRetentionDuration", fileRetention)
	switch {
	case o.Now.IsZero():
		return res, fmt.Errorf("vacuum: VacuumOptions.Now is not set")
	case o.Retention < 0:
		o.Retention = own
	case o.Retention < own && !o.Shorter:
		return res, &RetentionError{o.Retention, own}
	}
	cutoff := o.Now.Add(-o.Retention)
	keep, err := inForce(snap, cutoff)
	if err != nil {
		return res, err
	}
	for obj, err := range t.Store().List(ctx, objstore.ListOptions{Recursive: true}) {
		if err != nil {
			return res, err
		}
		if keep[obj.Key] || keep["*/"+path.Base(obj.Key)] || hidden(obj.Key, snap.PartitionColumns()) {
			continue
		}
		if !obj.ModTime.Before(cutoff) {
			res.Young++
			res.YoungBytes += obj.Size
			continue
		}
		res.Deleted = append(res.Deleted, obj.Key)
		res.Bytes += obj.Size
	}
	left, err := unfinished(ctx, t.Store(), cutoff, &res)
	if err != nil || o.DryRun {
		return res, err
	}
	for _, w := range left {
		if err := t.Store().Abandon(ctx, w); err != nil {
			return res, err
		}
	}
	for part := range slices.Chunk(res.Deleted, 500) {
		if err := t.Store().Delete(ctx, part...); err != nil {
			return res, err
		}
	}
	return res, nil
}

// newest is a snapshot that no commit follows. A listing that leaves the newest
// commit out would let files go that this commit brought back.
func newest(ctx context.Context, t *delta.Table) (*delta.Snapshot, error) {
	const tries = 3
	for n := 1; ; n++ {
		snap, err := t.Snapshot(ctx)
		if err != nil {
			return nil, err
		}
		next := fmt.Sprintf("_delta_log/%020d.json", snap.Version()+1)
		switch _, err := t.Store().Stat(ctx, next); {
		case errors.Is(err, fs.ErrNotExist):
			return snap, nil
		case err != nil:
			return nil, err
		case n == tries:
			return nil, fmt.Errorf("vacuum: the store has %s and leaves it out of the listing of the log: nothing was deleted", next)
		}
	}
}

// unfinished are the writes that began before the cutoff and never came to their end. A store that does not let us list them has none for us.
func unfinished(ctx context.Context, s *objstore.Store, cutoff time.Time, res *VacuumResult) (left []objstore.UnfinishedWrite, err error) {
	for w, err := range s.UnfinishedWrites(ctx) {
		switch {
		case errors.Is(err, fs.ErrPermission):
			return left, nil
		case err != nil:
			return left, err
		case w.Began.Before(cutoff):
			left = append(left, w)
			res.Unfinished++
			res.Bytes += w.Size
		default:
			res.Young++
			res.YoungBytes += w.Size
		}
	}
	return left, nil
}

// inForce are the keys that live files and tombstones within the retention name. A tombstone without a time counts as young.
func inForce(snap *delta.Snapshot, cutoff time.Time) (map[string]bool, error) {
	keep := map[string]bool{}
	hold := func(raw string, v *txlog.DeletionVector) error {
		key, err := txlog.DecodePath(raw)
		if err != nil {
			return &txlog.CorruptError{Path: raw, Err: fmt.Errorf("vacuum: a path of the log cannot be read: %w", err)}
		}
		hide(keep, snap.Table().Within(key))
		if v == nil || v.StorageType == "i" {
			return nil
		}
		if key, err = scan.VectorPath(v); err != nil {
			return &txlog.CorruptError{Path: raw, Err: fmt.Errorf("vacuum: its deletion vector: %w", err)}
		}
		hide(keep, snap.Table().Within(key))
		return nil
	}
	for _, f := range snap.Files() {
		if err := hold(f.Path, f.DeletionVector); err != nil {
			return nil, err
		}
	}
	for _, r := range snap.State().Tombstones {
		if r.DeletionTimestamp != nil && time.UnixMilli(*r.DeletionTimestamp).Before(cutoff) {
			continue
		}
		if err := hold(r.Path, r.DeletionVector); err != nil {
			return nil, err
		}
	}
	return keep, nil
}

// hide protects a key. One that leads out of the root may be another spelling of a place within, so that its file name protects wherever it lies.
func hide(keep map[string]bool, key string) {
	keep[key] = true
	if leaves(key) {
		keep["*/"+path.Base(key)] = true
	}
}

// hidden reports whether a vacuum leaves a file alone by its name.
func hidden(key string, partitions []string) bool {
	for i, part := range strings.Split(key, "/") {
		if part == "" || part[0] != '_' && part[0] != '.' {
			continue
		}
		column, _, isPartition := strings.Cut(part, "=")
		if isPartition && slices.Contains(partitions, column) || i == 0 && part == "_change_data" {
			continue
		}
		return true
	}
	return false
}

// leaves reports whether a key leads out of the table's root.
func leaves(key string) bool { return strings.HasPrefix(key, "../") || strings.Contains(key, "://") }

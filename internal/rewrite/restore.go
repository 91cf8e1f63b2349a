package rewrite

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// RestoreOptions of a restore; nil = defaults.
type RestoreOptions struct {
	// Now is the time of tombstones in milliseconds.
	Now int64
}

// RestoreResult is what a restore did. Version is the commit, -1 when nothing was written.
type RestoreResult struct {
	Version                  int64
	FilesRemoved, FilesAdded int
	BytesRemoved, BytesAdded int64
}

// Restore makes the newest version hold the files and the schema of an older one. The protocol stays. fs.ErrNotExist when that version cannot be read any
// more; a file of it that was vacuumed is corruption, and nothing is written. One request for each file that comes back.
func Restore(ctx context.Context, t *delta.Table, version int64, opts *RestoreOptions) (RestoreResult, error) {
	o := RestoreOptions{}
	if opts != nil {
		o = *opts
	}
	res := RestoreResult{Version: -1}
	now, err := t.Snapshot(ctx)
	if err != nil {
		return res, err
	}
	then, err := t.SnapshotAt(ctx, version)
	if err != nil {
		return res, err
	}
	ch := &delta.Change{Read: now, Operation: "RESTORE", Parameters: map[string]any{"version": strconv.FormatInt(version, 10)}, ReadAll: true, NoneSince: true, Replaces: true}
	if ch.Metadata, err = restoredMetadata(now, then); err != nil {
		return res, err
	}
	live, back := byKey(now.Files()), byKey(then.Files())
	for _, f := range now.Files() {
		if _, stays := back[keyOf(&f)]; !stays {
			ch.Removes = append(ch.Removes, f.Remove(o.Now, true))
			res.BytesRemoved += f.Size
		}
	}
	for _, f := range then.Files() {
		if _, there := live[keyOf(&f)]; there {
			continue
		}
		if err := present(ctx, t, &f); err != nil {
			return res, err
		}
		a := *f.Add
		a.DataChange = true
		ch.Adds = append(ch.Adds, &a)
		res.BytesAdded += a.Size
	}
	res.FilesRemoved, res.FilesAdded = len(ch.Removes), len(ch.Adds)
	if res.FilesRemoved+res.FilesAdded == 0 && ch.Metadata == nil {
		return res, now.Writable()
	}
	res.Version, err = t.Commit(ctx, ch)
	return res, err
}

// restoredMetadata is the metadata of then with the settings of now that a protocol binds; nil where that changes nothing.
func restoredMetadata(now, then *delta.Snapshot) (*txlog.Metadata, error) {
	if now.MappingMode() != then.MappingMode() {
		return nil, errors.New("restore: the versions differ in column mapping (delta.columnMapping.mode), which cannot be undone")
	}
	a, b := now.State().Metadata, then.State().Metadata
	out := *a
	out.SchemaString, out.PartitionColumns, out.Name, out.Description = b.SchemaString, b.PartitionColumns, b.Name, b.Description
	out.Configuration = maps.Clone(b.Configuration)
	if out.Configuration == nil {
		out.Configuration = map[string]string{}
	}
	bound := func(k string) bool {
		return strings.Contains(k, "nCommitTimestamp") || strings.Contains(strings.ToLower(k), "rowtracking") || strings.HasPrefix(k, "delta.columnMapping.") || k == "delta.appendOnly"
	}
	maps.DeleteFunc(out.Configuration, func(k, _ string) bool { return bound(k) })
	for k, v := range a.Configuration {
		if bound(k) {
			out.Configuration[k] = v
		}
	}
	if len(a.Configuration) == 0 && len(out.Configuration) == 0 {
		out.Configuration = a.Configuration
	}
	if reflect.DeepEqual(a, &out) {
		return nil, nil
	}
	return &out, nil
}

type fileKey struct{ path, vector string }

func keyOf(f *delta.File) fileKey { return fileKey{f.Key, f.DeletionVector.UniqueID()} }

func byKey(files []delta.File) map[fileKey]struct{} {
	out := make(map[fileKey]struct{}, len(files))
	for i := range files {
		out[keyOf(&files[i])] = struct{}{}
	}
	return out
}

// present fails unless the data file and the deletion vector of an add are where the log says.
func present(ctx context.Context, t *delta.Table, f *delta.File) error {
	keys := []string{f.Key}
	if v := f.DeletionVector; v != nil && v.StorageType != "i" {
		key, err := scan.VectorPath(v)
		if err != nil {
			return &txlog.CorruptError{Path: f.Key, Err: err}
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		if leaves(key) {
			continue // the scan judges it when it is read
		}
		_, err := t.Store().Stat(ctx, key)
		err = t.Store().Absent(ctx, key, err)
		if errors.Is(err, fs.ErrNotExist) {
			return &txlog.CorruptError{Path: key, Err: errors.New("the file is gone, so the version cannot be restored")}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

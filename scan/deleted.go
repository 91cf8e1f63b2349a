package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/dv"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

func cleanPath(p string) string { return path.Clean(p) }

// DeletedRows fetches the deletion vector of a file; empty without one. One or two requests; damage carries txlog.ErrCorrupt.
func DeletedRows(ctx context.Context, f *delta.File) (*dv.Bitmap, error) {
	if f.DeletionVector == nil {
		return &dv.Bitmap{}, nil
	}
	return readDeleted(ctx, f.Snapshot().Table(), &dataFile{File: *f})
}

// readDeleted fetches and verifies the deletion vector of a file.
func readDeleted(ctx context.Context, t *delta.Table, f *dataFile) (*dv.Bitmap, error) {
	d := f.DeletionVector
	fail := func(err error) error {
		return damaged("deletion vector of", f.Key, -1, err)
	}
	if d.Cardinality < 0 {
		return nil, fail(fmt.Errorf("a cardinality of %d", d.Cardinality))
	}
	if d.StorageType == "i" {
		b, err := dv.DecodeInline(d.PathOrInlineDV, d.SizeInBytes, d.Cardinality)
		if err != nil {
			return nil, fail(err)
		}
		return b, nil
	}
	store, key, err := deletedPath(t, d)
	if err != nil {
		if errors.Is(err, delta.ErrOutsideRoot) {
			return nil, &FileError{Op: "deletion vector of", Path: f.Key, RowGroup: -1, Err: err}
		}
		return nil, fail(err)
	}
	off, length, err := dv.BlockRange(d.Offset, d.SizeInBytes)
	if err != nil {
		return nil, fail(err)
	}
	obj, err := store.Stat(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(fmt.Errorf("%s is missing", key))
	}
	if err != nil {
		return nil, &FileError{Op: "deletion vector of", Path: f.Key, RowGroup: -1, Err: err}
	}
	if off+length > obj.Size {
		return nil, fail(fmt.Errorf("%s has %d bytes, the vector ends at %d", key, obj.Size, off+length))
	}
	r, err := store.OpenObject(ctx, objstore.Object{Key: key, Size: obj.Size, Tag: obj.Tag}, 0)
	if err != nil {
		return nil, &FileError{Op: "deletion vector of", Path: f.Key, RowGroup: -1, Err: err}
	}
	defer r.Close()
	first, block := make([]byte, 1), make([]byte, length)
	if _, err := r.ReadAt(first, 0); err != nil {
		return nil, fail(err)
	}
	if err := dv.CheckFile(first[0]); err != nil {
		return nil, fail(fmt.Errorf("%s: %w", key, err))
	}
	if n, err := r.ReadAt(block, off); int64(n) < length {
		return nil, fail(err)
	}
	b, err := dv.DecodeBlock(block, d.SizeInBytes, d.Cardinality)
	if err != nil {
		return nil, fail(fmt.Errorf("%s: %w", key, err))
	}
	return b, nil
}

// VectorPath is the path of the file of a deletion vector that is not inline, as
// the log has it. An error says that its storage is of a type that nobody knows,
// or that the path cannot be read.
func VectorPath(d *txlog.DeletionVector) (string, error) {
	switch d.StorageType {
	case "u":
		return dv.RelativePath(d.PathOrInlineDV)
	case "p":
		return txlog.DecodePath(d.PathOrInlineDV)
	}
	return "", fmt.Errorf("storage of type %q, known are u, p and i", d.StorageType)
}

func deletedPath(t *delta.Table, d *txlog.DeletionVector) (*objstore.Store, string, error) {
	key, err := VectorPath(d)
	if err != nil {
		return nil, "", err
	}
	if key = t.Within(key); !outside(key) {
		return t.Store(), key, nil
	}
	if !t.AllowsOutsideRoot() {
		return nil, "", delta.ErrOutsideRoot
	}
	return absolute(t, key)
}

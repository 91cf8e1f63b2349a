package rewrite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// defaultTargetBytes is the size of compacted files where the caller does not say.
const defaultTargetBytes = 100 << 20

// OptimizeOptions of a compaction; nil = defaults.
type OptimizeOptions struct {
	// TargetBytes is the size that compacted files aim at; 0 = 100 MiB. Files of three quarters of it or more are left alone unless a twentieth of their
	// rows or more is deleted.
	TargetBytes int64
	// DryRun plans and writes nothing.
	DryRun bool
	// Now is the time of tombstones in milliseconds.
	Now int64
}

// OptimizeResult is what a compaction did, or would do. Version is the commit, -1 when nothing was written.
type OptimizeResult struct {
	Version                  int64
	FilesRemoved, FilesAdded int
	Rows                     int64
	BytesRemoved, BytesAdded int64
}

// Optimize merges small files of a partition, and files with many deleted rows, into files of about the target size, in one commit that changes no row.
// Rows keep their order within what is merged. Memory is a few batches; a conflict leaves nothing visible.
func Optimize(ctx context.Context, t *delta.Table, opts *OptimizeOptions) (OptimizeResult, error) {
	o := OptimizeOptions{}
	if opts != nil {
		o = *opts
	}
	if o.TargetBytes == 0 {
		o.TargetBytes = defaultTargetBytes
	}
	res := OptimizeResult{Version: -1}
	if o.TargetBytes < 0 {
		return res, fmt.Errorf("optimize: target size %d is below zero", o.TargetBytes)
	}
	snap, err := t.Snapshot(ctx)
	if err != nil {
		return res, err
	}
	ch := &delta.Change{Read: snap, Operation: "OPTIMIZE", Parameters: map[string]any{"predicate": "[]", "targetSize": strconv.FormatInt(o.TargetBytes, 10)}}
	bins := pack(snap.Files(), o.TargetBytes)
	for _, bin := range bins {
		for i := range bin {
			ch.Removes = append(ch.Removes, bin[i].Remove(o.Now, false))
			res.BytesRemoved += bin[i].Size
			res.Rows += max(bin[i].Rows(), 0)
		}
	}
	res.FilesRemoved = len(ch.Removes)
	if o.DryRun || len(bins) == 0 {
		return res, snap.Writable()
	}
	if err := snap.Rewritable(); err != nil {
		return res, err
	}
	for _, bin := range bins {
		sc, err := scan.New(snap, &scan.Options{Files: bin, Parallel: 1})
		if err != nil {
			return res, errors.Join(err, discardAdds(ctx, t, ch.Adds))
		}
		adds, err := t.WriteFiles(ctx, snap, &delta.Rows{Schema: sc.Schema(), Batches: sc.Batches(ctx)}, false)
		ch.Adds = append(ch.Adds, adds...)
		if err != nil {
			return res, errors.Join(err, discardAdds(ctx, t, ch.Adds))
		}
	}
	res.FilesAdded = len(ch.Adds)
	for _, a := range ch.Adds {
		res.BytesAdded += a.Size
	}
	ch.Metrics = map[string]any{"numRemovedFiles": strconv.Itoa(res.FilesRemoved), "numAddedFiles": strconv.Itoa(res.FilesAdded),
		"numRemovedBytes": strconv.FormatInt(res.BytesRemoved, 10), "numAddedBytes": strconv.FormatInt(res.BytesAdded, 10)}
	res.Version, err = t.Commit(ctx, ch)
	var lost *txlog.ConflictError
	if errors.As(err, &lost) {
		err = errors.Join(err, discardAdds(ctx, t, ch.Adds))
	}
	return res, err
}

// pack puts the files worth merging into bins of one partition, in file order, each filled up to the target.
func pack(files []delta.File, target int64) [][]delta.File {
	open := map[string]int{}
	size := map[string]int64{}
	var bins [][]delta.File
	for i := range files {
		f := &files[i]
		if f.Size >= target/4*3 && !worn(f) {
			continue
		}
		key := partitionKey(f)
		at, ok := open[key]
		if !ok || size[key]+f.Size > target {
			at = len(bins)
			open[key], size[key] = at, 0
			bins = append(bins, nil)
		}
		bins[at] = append(bins[at], *f)
		size[key] += f.Size
	}
	return slices.DeleteFunc(bins, func(b []delta.File) bool { return len(b) == 1 && !worn(&b[0]) })
}

// worn reports whether a twentieth of the rows of a file or more is deleted.
func worn(f *delta.File) bool {
	return f.DeletionVector != nil && (f.Records() < 0 || f.DeletionVector.Cardinality*20 >= f.Records())
}

// partitionKey is the same text for files of one partition and no others.
func partitionKey(f *delta.File) string {
	names := make([]string, 0, len(f.PartitionValues))
	for k := range f.PartitionValues {
		names = append(names, k)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, k := range names {
		v := f.PartitionValues[k]
		if v == nil || *v == "" {
			fmt.Fprintf(&b, "%q;", k) // an empty text is null too
			continue
		}
		fmt.Fprintf(&b, "%q=%q;", k, *v)
	}
	return b.String()
}

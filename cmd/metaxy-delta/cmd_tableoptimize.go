package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
)

// optimizeFlags are the flags of an optimize.
type optimizeFlags struct {
	target             int64
	sortBy             []string
	where, memoryLimit string
}

func (a *app) tableOptimizeCommand() *cobra.Command {
	var f optimizeFlags
	cmd := &cobra.Command{Use: "optimize URL", Short: "Merge small files into larger ones without changing a row", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := a.optimizeOptions(&f)
			if err != nil {
				return err
			}
			return a.onTable(cmd.Context(), args[0], func(t *delta.Table) (members, error) { return a.optimize(cmd.Context(), t, o, args[0]) })
		}}
	f.register(cmd)
	return cmd
}

func (f *optimizeFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.Int64Var(&f.target, "target-size", 100<<20, "bytes that merged files aim at")
	fl.StringSliceVar(&f.sortBy, "sort-by", nil, "columns to sort the rows of each partition by, such as the ids, so that reads of a few rows skip files")
	fl.StringVar(&f.where, "where", "", "SQL predicate over partition columns: only those partitions")
	fl.StringVar(&f.memoryLimit, "memory-limit", "", "memory for --sort-by to work in, about, such as 512MB; the rest goes to spill_dir, by default the system's directory for temporary files")
}

func (a *app) optimizeOptions(f *optimizeFlags) (*rewrite.OptimizeOptions, error) {
	if f.target <= 0 {
		return nil, usagef("--target-size %d: want a number of bytes above 0", f.target)
	}
	where, err := parseWhere(f.where)
	if err != nil {
		return nil, err
	}
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	base, err := a.baseOptions(c)
	if err != nil {
		return nil, err
	}
	o := &rewrite.OptimizeOptions{TargetBytes: f.target, SortBy: f.sortBy, Where: where, MemoryLimit: base.MemoryLimit, SpillDir: base.SpillDir, DryRun: a.flags.dryRun, Now: a.now().UnixMilli()}
	if f.memoryLimit != "" {
		n, err := parseSize(f.memoryLimit)
		if err != nil {
			return nil, err
		}
		o.MemoryLimit = n
	}
	if o.MemoryLimit > 0 {
		keepTo(o.MemoryLimit, sortHeap)
	}
	return o, nil
}

// optimize compacts a table. Rows of a feature table keep their tie order, which decides between rows of one time stamp.
func (a *app) optimize(ctx context.Context, t *delta.Table, o *rewrite.OptimizeOptions, url string) (members, error) {
	s, err := t.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	o.KeepOrder = o.KeepOrder || isFeatureTable(s)
	r, err := rewrite.Optimize(ctx, t, o)
	if err != nil {
		return nil, err
	}
	if o.DryRun {
		version := int64(-1)
		if r.FilesRemoved > 0 {
			version = s.Version() + 1
		}
		a.wouldCommit(url, version, fmt.Sprintf("move %s rows out of %d files, %s bytes", thousands(r.Rows), r.FilesRemoved, thousands(r.BytesRemoved)))
	}
	return members{member("version", r.Version), member("rows", r.Rows), member("files_removed", r.FilesRemoved), member("files_added", r.FilesAdded),
		member("bytes_removed", r.BytesRemoved), member("bytes_added", r.BytesAdded), member("dry_run", o.DryRun)}, nil
}

// isFeatureTable reports whether a table holds the samples of a feature.
func isFeatureTable(s *delta.Snapshot) bool {
	for _, name := range []string{"metaxy_feature_version", "metaxy_provenance_by_field"} {
		if _, ok := s.Schema().Find([]string{name}); !ok {
			return false
		}
	}
	return true
}

// smallFilesHint offers to merge the files of a feature table that has many small ones; "" when it has not.
func smallFilesHint(s *delta.Snapshot, url string) string {
	if !isFeatureTable(s) {
		return ""
	}
	n := rewrite.Mergeable(s)
	if n < rewrite.ManySmallFiles {
		return ""
	}
	return fmt.Sprintf("%d of %d files are small: `metaxy-delta table optimize %s` merges them", n, len(s.Files()), url)
}

// hintSmallFiles offers to merge the files of features that have many small ones, to people.
func (a *app) hintSmallFiles(ctx context.Context, store *metaxy.DeltaStore, list []*featureStatus) {
	if a.forPrograms() {
		return
	}
	for _, st := range list {
		key, err := a.parseKey(st.FeatureKey)
		if err != nil {
			continue
		}
		if snap, err := store.Table(key).Snapshot(ctx); err == nil { // one that cannot be opened has its line already
			if hint := smallFilesHint(snap, store.TableURL(key)); hint != "" {
				a.note("Hint: " + st.FeatureKey + ": " + hint)
			}
		}
	}
}

package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"reflect"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
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
	// Where limits the compaction to partitions: a predicate over partition columns; nil = all.
	Where filter.Expr
	// SortBy are columns to sort the rows of each partition by, so that a reader who asks for a few keys skips files. Files that are sorted so already, and
	// hold no key that other files hold too, are left alone.
	SortBy []string
	// Lazy leaves sorted files alone as long as what is not sorted beside them,
	// and shares keys with them, is less than a tenth of it; only small files
	// are merged then. So a table to which little is added is not written again
	// as a whole.
	Lazy bool
	// KeepOrder keeps the tie order of all rows of a partition: small files are
	// merged with their neighbours in that order alone, and newer files, also
	// those that others add meanwhile, are named again in the commit.
	KeepOrder bool
	// MemoryLimit is what a sort works in, about; 0 = 512 MiB. What needs more goes to SpillDir; without one it is a *hashjoin.LimitError.
	MemoryLimit int64
	SpillDir    string
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
// Rows keep their order within what is merged, rows with equal keys within what is sorted. Memory is a few batches, of a sort the limit; a conflict leaves
// nothing visible.
func Optimize(ctx context.Context, t *delta.Table, opts *OptimizeOptions) (OptimizeResult, error) {
	c := &compaction{table: t, res: OptimizeResult{Version: -1}}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.TargetBytes == 0 {
		c.opts.TargetBytes = defaultTargetBytes
	}
	if c.opts.TargetBytes < 0 {
		return c.res, fmt.Errorf("optimize: target size %d is below zero", c.opts.TargetBytes)
	}
	var err error
	if c.snap, err = t.Snapshot(ctx); err != nil {
		return c.res, err
	}
	if err := c.plan(); err != nil {
		return c.res, err
	}
	if c.opts.DryRun || len(c.jobs) == 0 {
		return c.res, c.snap.Writable()
	}
	if err := c.snap.Rewritable(); err != nil {
		return c.res, err
	}
	for _, j := range c.jobs {
		if err := c.run(ctx, j); err != nil {
			return c.res, errors.Join(err, discardAdds(ctx, t, c.adds))
		}
	}
	return c.commit(ctx)
}

// ManySmallFiles are worth a hint: each costs a request and a line of the log.
const ManySmallFiles = 100

// Mergeable is how many files of a table Optimize would merge, keeping their order, into files of the default size.
func Mergeable(snap *delta.Snapshot) int {
	n := 0
	for _, j := range pack(snap.Files(), defaultTargetBytes, true, "") {
		n += len(j.files)
	}
	return n
}

// compaction is one Optimize on its way.
type compaction struct {
	table *delta.Table
	snap  *delta.Snapshot
	opts  OptimizeOptions
	by    *sortKeys // nil: not sorted
	jobs  []*job
	// planned are the keys of the files that were there when jobs were chosen.
	planned map[string]bool
	adds    []*txlog.Add
	res     OptimizeResult
}

// job is a set of files of one partition, in tie order, whose rows move into others, the adds.
type job struct {
	files  []delta.File
	sorted bool
	adds   []*txlog.Add
}

// wrongPartitions is the error of a predicate that names other columns than
// those of the partitions.
func wrongPartitions(snap *delta.Snapshot, e filter.Expr) error {
	if _, err := filtereval.Bind(e, snap.Schema().Arrow()); err != nil {
		return err
	}
	return fmt.Errorf("%w: predicate over %s: want one over the partition columns %v alone", fs.ErrInvalid, columnsOf(e), snap.PartitionColumns())
}

// plan chooses the files.
func (c *compaction) plan() error {
	files := c.snap.Files()
	c.planned = make(map[string]bool, len(files))
	for i := range files {
		c.planned[files[i].Key] = true
	}
	if c.opts.Where != nil {
		in, err := scan.ByPartition(c.snap, c.opts.Where)
		if err != nil {
			return err
		}
		if in == nil {
			return wrongPartitions(c.snap, c.opts.Where)
		}
		var chosen []delta.File
		for i := range files {
			ok, err := in(&files[i])
			if err != nil {
				return err
			}
			if ok {
				chosen = append(chosen, files[i])
			}
		}
		files = chosen
	}
	if len(c.opts.SortBy) == 0 {
		c.jobs = pack(files, c.opts.TargetBytes, c.opts.KeepOrder, "")
	} else {
		var err error
		if c.by, err = sortKeysOf(c.snap, c.opts.SortBy); err != nil {
			return err
		}
		for _, j := range sortJobs(files, c.snap.Schema().Fields[c.by.columns[0]].Name, c.order(), c.opts.TargetBytes) {
			if c.opts.Lazy && j.almostSorted(c.order()) {
				c.jobs = append(c.jobs, pack(j.files, c.opts.TargetBytes, c.opts.KeepOrder, c.order())...)
			} else {
				j.sorted = true
				c.jobs = append(c.jobs, j)
			}
		}
	}
	for _, j := range c.jobs {
		for i := range j.files {
			c.res.FilesRemoved++
			c.res.BytesRemoved += j.files[i].Size
			c.res.Rows += max(j.files[i].Rows(), 0)
		}
	}
	return nil
}

// run writes the rows of a job.
func (c *compaction) run(ctx context.Context, j *job) error {
	o := &scan.Options{Files: j.files, Parallel: 1}
	if j.sorted {
		o.BatchRows = sortedRows
	}
	sc, err := scan.New(c.snap, o)
	if err != nil {
		return err
	}
	if j.sorted {
		return c.runSorted(ctx, j, sc)
	}
	return c.write(ctx, j, &delta.Rows{Schema: sc.Schema(), Batches: sc.Batches(ctx)}, &delta.FileOptions{TargetBytes: -1})
}

// runSorted sorts the rows of a job into files of about the target size, whose keys do not overlap.
func (c *compaction) runSorted(ctx context.Context, j *job, sc *scan.Scan) error {
	rows, size := int64(0), int64(0)
	for i := range j.files {
		n, err := physicalRows(ctx, &j.files[i])
		if err != nil {
			return err
		}
		if d := j.files[i].DeletionVector; d != nil {
			n -= d.Cardinality
		}
		rows, size = rows+n, size+j.files[i].Size
	}
	names := make([]string, len(c.by.columns))
	for i, at := range c.by.columns {
		names[i] = c.snap.Schema().Fields[at].Name
	}
	few, err := scan.New(c.snap, &scan.Options{Files: j.files, Parallel: 1, Columns: names})
	if err != nil {
		return err
	}
	s := &sorter{by: c.by, limit: c.opts.MemoryLimit, dir: c.opts.SpillDir}
	if s.limit <= 0 {
		s.limit = defaultSortMemory
	}
	next, stop := iter.Pull2(s.rows(ctx, source{sc.Batches, few.Batches}))
	defer stop()
	files := max(size/c.opts.TargetBytes, 1)
	cut := &cutter{next: next, by: c.by, rows: (rows + files - 1) / files}
	o := &delta.FileOptions{TargetBytes: -1, GroupRows: sortedGroupRows, Tags: c.sortedTag()}
	for !cut.done {
		if err := c.write(ctx, j, &delta.Rows{Schema: sc.Schema(), Batches: cut.file()}, o); err != nil {
			return err
		}
	}
	return nil
}

func (c *compaction) write(ctx context.Context, j *job, rows *delta.Rows, o *delta.FileOptions) error {
	adds, err := c.table.WriteFiles(ctx, c.snap, rows, o)
	j.adds, c.adds = append(j.adds, adds...), append(c.adds, adds...)
	return err
}

// commit puts removes and adds into one commit. Where order counts, files that
// others add meanwhile must come behind the rows that were there before: the
// commit is made again over the newer snapshot then.
func (c *compaction) commit(ctx context.Context) (OptimizeResult, error) {
	c.res.FilesAdded = len(c.adds)
	for _, a := range c.adds {
		c.res.BytesAdded += a.Size
	}
	var err error
	for try := 0; ; try++ {
		c.res.Version, err = c.table.Commit(ctx, c.change())
		var lost *txlog.ConflictError
		if !c.opts.KeepOrder || !errors.As(err, &lost) || try == maxOvertaken {
			break
		}
		snap, newer := c.table.Snapshot(ctx)
		if newer != nil || !c.holds(snap) {
			break
		}
		c.snap = snap
	}
	if notCommitted(err) {
		err = errors.Join(err, discardAdds(ctx, c.table, c.adds))
	}
	return c.res, err
}

// maxOvertaken bounds how often a commit is made again for what others added.
const maxOvertaken = 20

// holds reports whether a newer snapshot has all that was compacted as it was,
// and can take the files that were written.
func (c *compaction) holds(snap *delta.Snapshot) bool {
	if now, then := snap.State(), c.snap.State(); !reflect.DeepEqual(now.Metadata, then.Metadata) || !reflect.DeepEqual(now.Protocol, then.Protocol) {
		return false
	}
	live := map[string]delta.File{}
	for _, f := range snap.Files() {
		live[f.Key] = f
	}
	for _, j := range c.jobs {
		for i := range j.files {
			f, ok := live[j.files[i].Key]
			if !ok || !reflect.DeepEqual(f.DeletionVector, j.files[i].DeletionVector) {
				return false
			}
		}
	}
	return true
}

func (c *compaction) change() *delta.Change {
	ch := &delta.Change{Read: c.snap, Operation: "OPTIMIZE", Parameters: map[string]any{"predicate": "[]", "targetSize": strconv.FormatInt(c.opts.TargetBytes, 10)}, Adds: c.adds,
		NoneSince: c.opts.KeepOrder}
	if c.opts.Where != nil {
		ch.Parameters["predicate"] = listText([]string{c.opts.Where.String()})
	}
	if c.by != nil {
		ch.Parameters["sortBy"] = listText(c.opts.SortBy)
	}
	for _, j := range c.jobs {
		for i := range j.files {
			ch.Removes = append(ch.Removes, j.files[i].Remove(c.opts.Now, false))
		}
	}
	if c.opts.KeepOrder {
		ch.Adds = c.inOrder()
	}
	ch.Metrics = map[string]any{"numRemovedFiles": strconv.Itoa(c.res.FilesRemoved), "numAddedFiles": strconv.Itoa(c.res.FilesAdded),
		"numRemovedBytes": strconv.FormatInt(c.res.BytesRemoved, 10), "numAddedBytes": strconv.FormatInt(c.res.BytesAdded, 10)}
	return ch
}

// inOrder are the adds of the commit in tie order: written files stand where
// their rows stood, and files that are newer than one of them are added again
// behind it, unless they share no key with it, as beside a sort. A written file
// is as old as its newest source, since the order of a checkpoint is that of
// the times.
func (c *compaction) inOrder() (out []*txlog.Add) {
	jobs, left := map[string]*job{}, map[*job]int{}
	merged := false
	for _, j := range c.jobs {
		left[j], merged = len(j.files), merged || !j.sorted
		for i := range j.files {
			jobs[j.files[i].Key] = j
		}
	}
	files := c.snap.Files()
	for i := range files {
		f := &files[i]
		j := jobs[f.Key]
		switch {
		case j == nil && len(out) > 0 && (merged || !c.planned[f.Key]):
			again := *f.Add
			again.DataChange = false
			out = append(out, &again)
		case j != nil:
			for _, a := range j.adds {
				a.ModificationTime = f.ModificationTime
			}
			if left[j]--; left[j] == 0 {
				out = append(out, j.adds...)
			}
		}
	}
	return out
}

// cutter gives a stream of sorted batches in pieces of about so many rows, none of which ends between rows of one key.
type cutter struct {
	next func() (arrow.RecordBatch, error, bool)
	by   *sortKeys
	rows int64
	done bool
	rest arrow.RecordBatch // what the last piece left of a batch
	last []byte            // key of the row before
}

// file is the next piece, to be read once.
func (c *cutter) file() iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for n := int64(0); !c.done; {
			b := c.rest
			c.rest = nil
			if b == nil {
				next, err, ok := c.next()
				if !ok || err != nil {
					c.done = true
					if err != nil {
						yield(nil, err)
					}
					return
				}
				next.Retain()
				b = next
			}
			at, err := c.cut(b, n)
			if err == nil && at < b.NumRows() {
				c.rest = b.NewSlice(at, b.NumRows())
			}
			part := b.NewSlice(0, at)
			n += at
			if !yield(part, err) || err != nil {
				c.done = true
			}
			part.Release()
			b.Release()
			if c.rest != nil {
				return
			}
		}
	}
}

// cut is how many rows of a batch belong to a piece that has n.
func (c *cutter) cut(b arrow.RecordBatch, n int64) (int64, error) {
	ks, err := c.by.of(b, false)
	if err != nil {
		return 0, err
	}
	for i := max(c.rows-n, 0); i < b.NumRows(); i++ {
		before := c.last
		if i > 0 {
			before = ks.at(int(i - 1))
		}
		if n+i > 0 && !slices.Equal(before, ks.at(int(i))) {
			c.last = nil // the next piece begins with another key
			return i, nil
		}
	}
	c.last = slices.Clone(ks.at(int(b.NumRows() - 1)))
	return b.NumRows(), nil
}

func listText(list []string) string {
	text, err := json.Marshal(list)
	if err != nil {
		return "[]"
	}
	return string(text)
}

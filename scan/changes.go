package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/dv"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// The columns of the change feed behind those of the table, beside delta.ChangeColumn.
const (
	CommitVersionColumn   = "_commit_version"
	CommitTimestampColumn = "_commit_timestamp"
)

// The values of delta.ChangeColumn that whole files have.
const (
	inserted = "insert"
	deleted  = "delete"
)

// feedFiles is how many files of a commit are open at once.
const feedFiles = 64

// Changes is the change feed of the commits from one version to another, both included (to < 0: the newest): the rows that each commit inserted, deleted or
// updated, with delta.ChangeColumn, CommitVersionColumn and CommitTimestampColumn behind the table's columns as of the last version. Rows come
// commit by commit; within one their order is unspecified. Files of the options is ignored; Columns never names the feed's own.
// It is an error when delta.enableChangeDataFeed was not true in the whole range, when a commit is gone (fs.ErrNotExist), and when the schema of the last
// version would not show rows of the range whole (*delta.SchemaError). Memory: the actions of one commit and a few batches. The producer releases each
// batch after the step.
func Changes(ctx context.Context, t *delta.Table, from, to int64, opts *Options) (*delta.Rows, error) {
	f := &feed{table: t, from: from}
	if opts != nil {
		f.opts = *opts
	}
	var err error
	if to < 0 {
		f.last, err = t.Snapshot(ctx)
	} else {
		f.last, err = t.SnapshotAt(ctx, to)
	}
	if err != nil {
		return nil, err
	}
	if from < 0 || from > f.last.Version() {
		return nil, fmt.Errorf("change feed: there is no version %d up to version %d: %w", from, f.last.Version(), fs.ErrNotExist)
	}
	for _, name := range []string{delta.ChangeColumn, CommitVersionColumn, CommitTimestampColumn} {
		if _, ok := f.last.Schema().Find([]string{name}); ok {
			return nil, fmt.Errorf("change feed: the table has a column %s of its own", name)
		}
	}
	first := f.last
	if from != f.last.Version() {
		if first, err = t.SnapshotAt(ctx, from); err != nil {
			return nil, fmt.Errorf("change feed: version %d cannot be read any more: %w", from, err)
		}
	}
	if err := f.check(from, first.State().Metadata); err != nil {
		return nil, err
	}
	f.stamped = first.State().Metadata.Configuration["delta.enableInCommitTimestamps"] == "true"
	plain, err := New(f.last, &Options{Columns: f.opts.Columns, Filter: f.opts.Filter, Files: []delta.File{}})
	if err != nil {
		return nil, err
	}
	fields := append(slices.Clone(plain.Schema().Fields()), arrow.Field{Name: delta.ChangeColumn, Type: arrow.BinaryTypes.String},
		arrow.Field{Name: CommitVersionColumn, Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: CommitTimestampColumn, Type: arrow.FixedWidthTypes.Timestamp_us})
	f.schema = arrow.NewSchema(fields, nil)
	return &delta.Rows{Schema: f.schema, Batches: f.batches(ctx)}, nil
}

// feed is a change feed on its way.
type feed struct {
	table   *delta.Table
	opts    Options
	from    int64
	last    *delta.Snapshot
	schema  *arrow.Schema
	stamped bool // the commits have stamps inside
}

// check refuses metadata that a version of the range sets.
func (f *feed) check(version int64, m *txlog.Metadata) error {
	if !delta.FeedEnabled(m) {
		return fmt.Errorf("change feed: the table recorded no changes at version %d (delta.enableChangeDataFeed is not true there); ask for later versions, or turn it on for those to come with `table set`", version)
	}
	if err := f.last.CanReadRowsOf(m); err != nil {
		return fmt.Errorf("change feed: the schema of version %d does not show the rows of version %d (ask for ranges before and after the change): %w", f.last.Version(), version, err)
	}
	return nil
}

// batches reads the commits one after the other.
func (f *feed) batches(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		next, stamp := f.from, time.Time{}
		for c, err := range f.table.Log().Commits(ctx, 0) {
			if err != nil {
				yield(nil, err)
				return
			}
			// Times of files may go backwards, those of versions may not, whatever the first version asked for.
			if at := c.ModTime.Truncate(time.Millisecond); stamp.IsZero() || at.After(stamp) {
				stamp = at
			} else {
				stamp = stamp.Add(time.Millisecond)
			}
			if c.Version < next {
				continue
			}
			if c.Version > next || c.Version > f.last.Version() {
				break
			}
			next++
			more, err := f.commit(ctx, c.Version, stamp, yield)
			if err != nil {
				yield(nil, err)
				return
			}
			if !more {
				return
			}
		}
		if next <= f.last.Version() {
			yield(nil, fmt.Errorf("change feed: commit %d is gone (log clean-up), so its changes are not known: %w", next, fs.ErrNotExist))
		}
	}
}

// changed is what one commit says of files.
type changed struct {
	adds    []*txlog.Add
	removes []*txlog.Remove
	cdc     []*txlog.CDC
	info    *txlog.CommitInfo
}

// commit gives the rows of one commit; more is false when the consumer has enough.
func (f *feed) commit(ctx context.Context, version int64, stamp time.Time, yield func(arrow.RecordBatch, error) bool) (more bool, err error) {
	actions, err := f.table.Log().ReadCommit(ctx, version)
	if err != nil {
		return false, err
	}
	var c changed
	reshaped := false
	for _, a := range actions {
		switch a := a.(type) {
		case *txlog.Metadata:
			reshaped = true
			if err := f.check(version, a); err != nil {
				return false, err
			}
			f.stamped = a.Configuration["delta.enableInCommitTimestamps"] == "true"
		case *txlog.Add:
			if a.DataChange {
				c.adds = append(c.adds, a)
			}
		case *txlog.Remove:
			if a.DataChange {
				c.removes = append(c.removes, a)
			}
		case *txlog.CDC:
			c.cdc = append(c.cdc, a)
		case *txlog.CommitInfo:
			c.info = a
		}
	}
	if f.stamped && c.info != nil && c.info.InCommitTimestamp != nil {
		stamp = time.UnixMilli(*c.info.InCommitTimestamp)
	}
	out := &feedCommit{feed: f, version: version, reshaped: reshaped, stamp: arrow.Timestamp(stamp.UnixMilli() * 1000), yield: yield}
	switch {
	case len(c.cdc) > 0:
		return out.changeFiles(ctx, c.cdc)
	case changedNothing(c.info):
		return true, nil
	}
	return out.dataFiles(ctx, c.adds, c.removes)
}

// changedNothing reports whether a merge says that it moved rows only.
func changedNothing(info *txlog.CommitInfo) bool {
	if info == nil || info.Operation != "MERGE" {
		return false
	}
	metrics, _ := info.Fields["operationMetrics"].(map[string]any)
	for _, name := range []string{"numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted"} {
		if fmt.Sprint(metrics[name]) != "0" {
			return false
		}
	}
	return true
}

// feedCommit gives the rows of one commit to the consumer.
type feedCommit struct {
	feed     *feed
	version  int64
	reshaped bool // the commit brings metadata
	stamp    arrow.Timestamp
	yield    func(arrow.RecordBatch, error) bool
}

// changeFiles reads change data files, which tell the whole of a commit.
func (c *feedCommit) changeFiles(ctx context.Context, list []*txlog.CDC) (bool, error) {
	snap := c.feed.last.ForChangeFiles()
	files := make([]delta.File, 0, len(list))
	for _, a := range list {
		file, err := snap.FileOf(&txlog.Add{Path: a.Path, PartitionValues: a.PartitionValues, Size: a.Size})
		if err != nil {
			return false, err
		}
		files = append(files, file)
	}
	o := c.options()
	if o.Columns == nil {
		for _, f := range c.feed.last.Schema().Fields {
			o.Columns = append(o.Columns, f.Name)
		}
	}
	o.Columns = append(slices.Clone(o.Columns), delta.ChangeColumn)
	return c.scan(ctx, snap, files, &o, "", nil)
}

// dataFiles gives the rows of files that came and went; of a file that only changed its deletion vector, the rows between the two.
func (c *feedCommit) dataFiles(ctx context.Context, adds []*txlog.Add, removes []*txlog.Remove) (bool, error) {
	added := map[string]*txlog.Add{}
	for _, a := range adds {
		key, err := txlog.DecodePath(a.Path)
		if err != nil {
			return false, &txlog.CorruptError{Path: a.Path, Offset: -1, Err: err}
		}
		added[key] = a
	}
	var gone, come []delta.File
	both := map[string]bool{}
	for _, r := range removes {
		file, err := c.removed(ctx, r)
		if err != nil {
			return false, err
		}
		if a := added[file.Key]; a != nil {
			both[file.Key] = true
			if more, err := c.between(ctx, file, a); err != nil || !more {
				return more, err
			}
			continue
		}
		gone = append(gone, file)
	}
	if more, err := c.scan(ctx, c.feed.last, gone, nil, deleted, nil); err != nil || !more {
		var narrow *delta.SchemaError
		if c.reshaped && errors.As(err, &narrow) { // a restore to types that its removed rows have outgrown; they are not damaged
			err = fmt.Errorf("change feed: version %d removed rows that its own schema cannot hold: %w", c.version, narrow)
		}
		return more, err
	}
	for _, a := range adds {
		file, err := c.feed.last.FileOf(a)
		if err != nil {
			return false, err
		}
		if !both[file.Key] {
			come = append(come, file)
		}
	}
	return c.scan(ctx, c.feed.last, come, nil, inserted, nil)
}

// removed is the file that a tombstone names.
func (c *feedCommit) removed(ctx context.Context, r *txlog.Remove) (delta.File, error) {
	a := &txlog.Add{Path: r.Path, PartitionValues: r.PartitionValues, DeletionVector: r.DeletionVector, Stats: r.Stats}
	// Spark leaves nulls out, so that a file of nulls has no values at all.
	told := r.PartitionValues != nil || r.ExtendedFileMetadata != nil && *r.ExtendedFileMetadata
	if !told && len(c.feed.last.PartitionColumns()) > 0 {
		return delta.File{}, fmt.Errorf("change feed: version %d removed %s without telling its partition, so its rows are not known", c.version, r.Path)
	}
	file, err := c.feed.last.FileOf(a)
	if err != nil {
		return file, err
	}
	if r.Size != nil {
		a.Size = *r.Size
		return file, nil
	}
	store, key, err := (&dataFile{File: file}).locate(c.feed.table)
	if err != nil {
		return file, err
	}
	obj, err := store.Stat(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return file, damaged("open", file.Key, -1, errMissingFile)
	}
	a.Size = obj.Size
	return file, err
}

// between gives the rows that a new deletion vector of a file took or gave back.
func (c *feedCommit) between(ctx context.Context, before delta.File, a *txlog.Add) (bool, error) {
	after, err := c.feed.last.FileOf(a)
	if err != nil {
		return false, err
	}
	old, err := DeletedRows(ctx, &before)
	if err != nil {
		return false, err
	}
	now, err := DeletedRows(ctx, &after)
	if err != nil {
		return false, err
	}
	plain := *a
	plain.DeletionVector = nil
	file, err := c.feed.last.FileOf(&plain)
	if err != nil {
		return false, err
	}
	for _, x := range []struct {
		rows   *dv.Bitmap
		change string
	}{{now.Less(old), deleted}, {old.Less(now), inserted}} {
		if x.rows.Count() == 0 {
			continue
		}
		if more, err := c.scan(ctx, c.feed.last, []delta.File{file}, nil, x.change, x.rows); err != nil || !more {
			return more, err
		}
	}
	return true, nil
}

// options are those of a scan of the feed's files.
func (c *feedCommit) options() Options {
	o := c.feed.opts
	o.Files = nil
	return o
}

// scan gives the rows of files, of those in only where it is not nil; change is their kind, "" where the files tell it.
func (c *feedCommit) scan(ctx context.Context, snap *delta.Snapshot, files []delta.File, o *Options, change string, only *dv.Bitmap) (bool, error) {
	if o == nil {
		plain := c.options()
		o = &plain
	}
	for part := range slices.Chunk(files, feedFiles) {
		own := *o
		own.Files = part
		s, err := New(snap, &own)
		if err != nil {
			return false, err
		}
		s.only = only
		for b, err := range s.Batches(ctx) {
			if err != nil {
				return false, err
			}
			out, err := c.complete(b, change)
			if err != nil {
				return false, err
			}
			more := frame.Give(c.yield, out, out)
			if !more {
				return false, nil
			}
		}
	}
	return true, nil
}

// complete appends the columns of the feed; the caller releases the batch.
func (c *feedCommit) complete(b arrow.RecordBatch, change string) (arrow.RecordBatch, error) {
	mem, n := allocatorOr(c.feed.opts.Allocator), int(b.NumRows())
	cols := slices.Clone(b.Columns())
	if change != "" {
		kind, err := repeat(mem, arrow.BinaryTypes.String, change, n)
		if err != nil {
			return nil, err
		}
		defer kind.Release()
		cols = append(cols, kind)
	} else if n := cols[len(cols)-1].NullN(); n > 0 {
		return nil, &txlog.CorruptError{Path: fmt.Sprintf("change files of version %d", c.version), Offset: -1, Err: fmt.Errorf("%s is null in %d rows", delta.ChangeColumn, n)}
	}
	versions, err := repeat(mem, arrow.PrimitiveTypes.Int64, c.version, n)
	if err != nil {
		return nil, err
	}
	defer versions.Release()
	stamps := stampsOf(mem, c.stamp, n)
	defer stamps.Release()
	return array.NewRecordBatch(c.feed.schema, append(cols, versions, stamps), b.NumRows()), nil
}

func stampsOf(mem memory.Allocator, v arrow.Timestamp, n int) arrow.Array {
	b := array.NewTimestampBuilder(mem, arrow.FixedWidthTypes.Timestamp_us.(*arrow.TimestampType))
	defer b.Release()
	b.Reserve(n)
	for range n {
		b.UnsafeAppend(v)
	}
	return b.NewArray()
}

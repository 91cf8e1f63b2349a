package metaxy

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/txlog"
	"github.com/metaxy-delta/metaxy-delta/why"
)

// maxGoneFiles bounds how many files that were taken out of a table are looked
// into, newest first.
const maxGoneFiles = 200

// goneRow is a row that a table had until a time.
type goneRow struct {
	batch arrow.RecordBatch // holds this row alone
	id    string
	stamp int64
	until time.Time
	file  string
}

// addGone puts before a history the rows of its samples that were removed from
// the table since, such as by a hard delete, as far as no vacuum took their
// files: the last row of each id is followed by a tombstone of the time at which
// it went. An id of which an older row is still there is left alone: what is
// seen of it is that row.
func (e *explainer) addGone(ctx context.Context, l *located, names, by []string, keys map[string]bool, h *why.History) error {
	if !slices.Contains(names, syscol.DeletedAt) {
		return nil
	}
	var tombs []*txlog.Remove
	for _, r := range l.snap.State().Tombstones {
		if r.DataChange && r.Size != nil && r.DeletionTimestamp != nil && len(l.snap.PartitionColumns()) == 0 {
			tombs = append(tombs, r)
		}
	}
	slices.SortStableFunc(tombs, func(a, b *txlog.Remove) int { return cmp.Compare(*b.DeletionTimestamp, *a.DeletionTimestamp) })
	if len(tombs) == 0 {
		return nil
	}
	seen, oldest := map[string]bool{}, map[string]int64{}
	for _, b := range h.Batches {
		cols := columnsOf(b, h.IDs)
		for i := range int(b.NumRows()) {
			seen[sameRow(b, i)] = true
			id, _ := keyText(cols, i)
			if at, ok := oldest[id]; !ok || rowStamp(b, i) < at {
				oldest[strings.Clone(id)] = rowStamp(b, i)
			}
		}
	}
	var gone []goneRow
	defer func() {
		for _, g := range gone {
			g.batch.Release()
		}
	}()
	for _, r := range tombs[:min(len(tombs), maxGoneFiles)] {
		found, err := e.rowsOfGone(ctx, l, r, names, by, keys, h.IDs, seen)
		gone = append(gone, found...)
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		} // else the file is gone, or damaged: nothing is told of its rows
	}
	last := map[string]*goneRow{}
	for i := range gone {
		g := &gone[i]
		if l := last[g.id]; l == nil || g.stamp > l.stamp {
			last[g.id] = g
		}
	}
	return e.putGone(ctx, l, gone, last, oldest, h)
}

// rowsOfGone are the rows of some keys in a file that was taken out of the table
// and that are nowhere later.
func (e *explainer) rowsOfGone(ctx context.Context, l *located, r *txlog.Remove, names, by []string, keys map[string]bool, ids []string, seen map[string]bool) ([]goneRow, error) {
	file, err := l.snap.FileOf(&txlog.Add{Path: r.Path, Size: *r.Size, PartitionValues: r.PartitionValues, DeletionVector: r.DeletionVector, Stats: r.Stats})
	if err != nil {
		return nil, err
	}
	var out []goneRow
	err = e.scanRows(ctx, l, []delta.File{file}, names, by, keys, func(b arrow.RecordBatch, rows []int64) error {
		cols := columnsOf(b, ids)
		for _, i := range rows {
			same := sameRow(b, int(i))
			if seen[same] {
				continue
			}
			seen[same] = true
			id, _ := keyText(cols, int(i))
			one, err := rowAlone(ctx, b, i)
			if err != nil {
				return err
			}
			out = append(out, goneRow{batch: one, id: strings.Clone(id), stamp: rowStamp(b, int(i)), until: time.UnixMilli(*r.DeletionTimestamp), file: r.Path})
		}
		return nil
	})
	return out, err
}

// putGone puts rows that are gone, and their tombstones, before a history.
func (e *explainer) putGone(ctx context.Context, l *located, gone []goneRow, last map[string]*goneRow, oldest map[string]int64, h *why.History) error {
	var batches []arrow.RecordBatch
	var commits []int64
	known := &fileCommits{}
	if e.commits && len(gone) > 0 {
		var err error
		if known, err = e.commitsOfFiles(ctx, l.snap); err != nil {
			return err
		}
	}
	for i := range gone {
		g := &gone[i]
		until := last[g.id].until.UnixMicro()
		if at, ok := oldest[g.id]; ok && at <= until {
			continue
		}
		g.batch.Retain()
		batches, commits = append(batches, g.batch), append(commits, -1)
		if last[g.id] != g {
			continue
		}
		commit := int64(-1)
		if v, ok := known.removed[g.file]; ok {
			commit = v
		}
		batches, commits = append(batches, buried(g.batch, g.until)), append(commits, commit)
	}
	h.Batches, h.Commits = append(batches, h.Batches...), append(commits, h.Commits...)
	if len(batches) > 0 {
		h.Schema = batches[0].Schema()
	}
	return nil
}

// rowStamp is when a row was written, in microseconds.
func rowStamp(b arrow.RecordBatch, i int) int64 {
	for _, name := range []string{syscol.DeletedAt, syscol.UpdatedAt, syscol.CreatedAt} {
		for _, at := range b.Schema().FieldIndices(name) {
			if c, ok := b.Column(at).(*array.Timestamp); ok && c.IsValid(i) {
				return c.Value(i).ToTime(c.DataType().(*arrow.TimestampType).Unit).UnixMicro()
			}
		}
	}
	return 0
}

// sameRow is a text that two copies of a row have in common.
func sameRow(b arrow.RecordBatch, i int) string {
	var out strings.Builder
	for n, f := range b.Schema().Fields() {
		if _, nested := f.Type.(arrow.NestedType); !nested {
			out.WriteString(f.Name + "=" + b.Column(n).ValueStr(i) + "\x00")
		}
	}
	return out.String()
}

// rowAlone is one row of a batch, in memory of its own.
func rowAlone(ctx context.Context, b arrow.RecordBatch, i int64) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, 0, b.NumCols())
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for _, c := range b.Columns() {
		taken, err := takeRows(ctx, c, []int64{i})
		if err != nil {
			return nil, err
		}
		cols = append(cols, taken)
	}
	return array.NewRecordBatch(b.Schema(), cols, 1), nil
}

// buried is a row with a time of deletion.
func buried(row arrow.RecordBatch, at time.Time) arrow.RecordBatch {
	cols := slices.Clone(row.Columns())
	n := row.Schema().FieldIndices(syscol.DeletedAt)[0]
	if typ, ok := row.Schema().Field(n).Type.(*arrow.TimestampType); ok {
		stamp, err := arrow.TimestampFromTime(at.UTC(), typ.Unit)
		b := array.NewTimestampBuilder(memory.DefaultAllocator, typ)
		if err == nil {
			b.Append(stamp)
		} else {
			b.AppendNull()
		}
		cols[n] = b.NewArray()
		defer cols[n].Release()
		b.Release()
	}
	return array.NewRecordBatch(row.Schema(), cols, 1)
}

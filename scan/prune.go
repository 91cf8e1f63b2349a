package scan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

var (
	errMissingRow  = errors.New("a row that was seen before is gone")
	errMissingFile = errors.New("the data file is missing")
)

// Plan counts files and row groups; String renders it for people. Files lists what is left to read, oldest first.
type Plan struct {
	FilesTotal, SkippedByPartition, SkippedByStats int
	RowGroupsTotal, RowGroupsSkipped               int
	Files                                          []delta.File
}

// String is one line: `files 120 -> 7 (stats 98, partition 15)`, with row groups once they are known.
func (p *Plan) String() string {
	s := fmt.Sprintf("files %d -> %d (stats %d, partition %d)", p.FilesTotal, len(p.Files), p.SkippedByStats, p.SkippedByPartition)
	if p.RowGroupsTotal > 0 {
		s += fmt.Sprintf("; row groups %d -> %d", p.RowGroupsTotal, p.RowGroupsTotal-p.RowGroupsSkipped)
	}
	return s
}

// fileBounds are the log's statistics of a file, of partition columns alone when partitionOnly is set.
type fileBounds struct {
	file          *delta.File
	partitionOnly bool
}

func (b fileBounds) Column(path []string) filter.Range {
	if b.partitionOnly && !slices.ContainsFunc(b.file.Snapshot().PartitionColumns(), func(c string) bool { return len(path) == 1 && strings.EqualFold(c, path[0]) }) {
		return filter.Range{}
	}
	return b.file.Range(path)
}

// prune keeps the files that may hold a row for which the filter is true.
func prune(snap *delta.Snapshot, files []delta.File, e filter.Expr) *Plan {
	if files == nil {
		files = snap.Files()
	}
	p := &Plan{FilesTotal: len(files)}
	for i := range files {
		f := files[i]
		switch {
		case e == nil:
		case len(snap.PartitionColumns()) > 0 && !filter.MayMatch(e, fileBounds{&f, true}):
			p.SkippedByPartition++
			continue
		case !filter.MayMatch(e, fileBounds{&f, false}):
			p.SkippedByStats++
			continue
		}
		p.Files = append(p.Files, f)
	}
	return p
}

// stats are what the footer proves of a column over a row group. exact: both ends occur.
func (u *unit) stats(s *Scan, path []string) (filter.Range, bool) {
	c, err := s.columnIndex(path[0])
	if err != nil {
		return filter.Range{}, false
	}
	name := s.snap.Schema().Fields[c].Name
	rows := u.file.meta.RowGroup(u.group).NumRows()
	if slices.Contains(s.snap.PartitionColumns(), name) {
		return u.file.Range([]string{name}), true
	}
	if len(u.file.columns[c].leaves) == 0 {
		return filter.Range{Known: true, Nulls: rows, Rows: rows}, true
	}
	index, typ := u.leafOf(s, path)
	if index < 0 {
		return filter.Range{}, false
	}
	return u.leafStats(index, typ, rows)
}

// leafOf finds the leaf of the file that holds a column or member, and its type
// in the table; -1 where there is none.
func (u *unit) leafOf(s *Scan, path []string) (index int, typ string) {
	c, err := s.columnIndex(path[0])
	if err != nil {
		return -1, ""
	}
	full := strings.Join(append([]string{s.snap.Schema().Fields[c].Name}, path[1:]...), pathSeparator)
	leaves := u.file.columns[c].leaves
	i := slices.IndexFunc(leaves, func(l leaf) bool { return l.path == full })
	field, ok := s.snap.Schema().Find(path)
	if i < 0 || !ok || field.Type.Name == "" {
		return -1, ""
	}
	return leaves[i].index, field.Type.Name
}

// leafStats reads the statistics of a column chunk as values of the table's type; what is not surely ordered as we order is left unknown.
func (u *unit) leafStats(index int, typ string, rows int64) (r filter.Range, exact bool) {
	defer func() {
		if recover() != nil {
			r, exact = filter.Range{}, false
		}
	}()
	chunk, err := u.file.meta.RowGroup(u.group).ColumnChunk(index)
	if err != nil {
		return filter.Range{}, false
	}
	st, err := chunk.Statistics()
	if err != nil || st == nil {
		return filter.Range{}, false
	}
	r = filter.Range{Known: true, Nulls: -1, Rows: rows, MayNaN: typ == "float" || typ == "double"}
	if st.HasNullCount() && st.NullCount() >= 0 && st.NullCount() <= rows {
		r.Nulls = st.NullCount()
	}
	if !st.HasMinMax() {
		return r, false
	}
	col := u.file.meta.Schema.Column(index)
	switch st := st.(type) {
	case *metadata.Int32Statistics:
		r.Min, r.Max = intStat(int64(st.Min()), typ, col), intStat(int64(st.Max()), typ, col)
	case *metadata.Int64Statistics:
		r.Min, r.Max = intStat(st.Min(), typ, col), intStat(st.Max(), typ, col)
	case *metadata.ByteArrayStatistics:
		if typ == "string" {
			r.Min, r.Max = string(st.Min()), greatestText(st.Max())
			exact = len(st.Min()) < 32 && len(st.Max()) < 32
			if strings.HasPrefix(u.file.meta.GetCreatedBy(), "parquet-go version ") { // Arrow for Go, whose minima may leave empty texts out
				r.Min, exact = "", false
			}
			return r, exact
		}
	}
	return r, r.Min != nil && r.Max != nil
}

// greatestText is a text that no text is above whose statistics have this
// maximum: some writers cut long ones without saying so.
func greatestText(most []byte) string {
	if len(most) >= 32 {
		return string(most) + "\U0010FFFF"
	}
	return string(most)
}

// intStat gives an integer of a footer the meaning that the column has in the file; nil when that is not plain.
func intStat(v int64, typ string, col *schema.Column) any {
	switch lt := col.LogicalType().(type) {
	case schema.TimestampLogicalType:
		switch lt.TimeUnit() {
		case schema.TimeUnitMillis:
			v *= 1000
		case schema.TimeUnitNanos:
			return nil // the cast to microseconds rounds
		}
	case schema.DecimalLogicalType:
		return nil
	case *schema.DecimalLogicalType:
		return nil
	}
	switch typ {
	case "byte", "short", "integer", "long":
		return v
	case "date":
		return filter.Date(v)
	case "timestamp":
		return filter.Timestamp(v)
	case "timestamp_ntz":
		if _, ok := col.LogicalType().(schema.TimestampLogicalType); ok {
			return filter.TimestampNTZ(v)
		}
	}
	return nil
}

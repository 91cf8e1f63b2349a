package delta

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Snapshot is a table at a version, after the protocol gate. It is immutable.
type Snapshot struct {
	table      *Table
	state      *txlog.State
	schema     *Schema
	mapping    MappingMode
	partitions []string
	files      []File
}

// MappingMode is the column mapping of a table: MappingNone, MappingName, MappingID.
type MappingMode uint8

// The column mapping modes.
const (
	MappingNone MappingMode = iota
	MappingName
	MappingID
)

// newSnapshot judges a raw state: protocol gate, schema, column mapping, partition columns.
func newSnapshot(t *Table, st *txlog.State) (*Snapshot, error) {
	where := fmt.Sprintf("%s version %d", t.store.URL(), st.Version)
	if st.Protocol == nil {
		return nil, corrupt(where, fmt.Errorf("the log has no protocol"))
	}
	if st.Metadata == nil {
		return nil, corrupt(where, fmt.Errorf("the log has no metadata"))
	}
	if err := gateRead(st.Protocol); err != nil {
		if _, ok := err.(*UnsupportedError); ok {
			return nil, err
		}
		return nil, corrupt(where, err)
	}
	if p := st.Metadata.Format.Provider; p != "" && p != "parquet" {
		return nil, &UnsupportedError{Feature: p, Need: "data format", Have: "parquet"}
	}
	s := &Snapshot{table: t, state: st}
	var err error
	if s.schema, err = ParseSchema(st.Metadata.SchemaString); err != nil {
		if _, ok := err.(*UnsupportedError); ok {
			return nil, err
		}
		return nil, corrupt(where, err)
	}
	if err := s.setMapping(where); err != nil {
		return nil, err
	}
	for _, c := range st.Metadata.PartitionColumns {
		f, ok := s.schema.Find([]string{c})
		switch {
		case !ok || f.Type.Name == "":
			return nil, corrupt(where, fmt.Errorf("partition column %q is not a primitive column of the schema", c))
		case f.Name != c:
			return nil, corrupt(where, fmt.Errorf("partition column %q is spelled %q in the schema", c, f.Name))
		case slices.Contains(s.partitions, c):
			return nil, corrupt(where, fmt.Errorf("partition column %q is named twice", c))
		}
		s.partitions = append(s.partitions, f.Name)
	}
	s.files = make([]File, len(st.Files))
	dv := hasFeature(st.Protocol, "deletionVectors")
	for i := range st.Files {
		if st.Files[i].DeletionVector != nil && !dv {
			return nil, corrupt(where, fmt.Errorf("file %s has a deletion vector, but the table lacks the feature", st.Files[i].Key))
		}
		s.files[i] = File{LiveFile: &st.Files[i], snap: s}
		if err := s.files[i].checkPartition(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Snapshot) setMapping(where string) error {
	mode := s.state.Metadata.Configuration["delta.columnMapping.mode"]
	switch mode {
	case "", "none":
		return nil
	case "name":
		s.mapping = MappingName
	case "id":
		s.mapping = MappingID
	default:
		return &UnsupportedError{Feature: mode, Need: "column mapping mode", Have: "none, name, id"}
	}
	p := s.state.Protocol
	if p.MinReaderVersion == 3 && !hasFeature(p, "columnMapping") || p.MinReaderVersion < 2 {
		s.mapping = MappingNone // the property has no effect without the feature
		return nil
	}
	if err := mapColumns(s.schema.Fields, ""); err != nil {
		return corrupt(where, err)
	}
	return nil
}

// Table is the handle the snapshot was read through.
func (s *Snapshot) Table() *Table { return s.table }

// Version of the table.
func (s *Snapshot) Version() int64 { return s.state.Version }

// Timestamp of the version: in-commit time where enabled, else file time; the zero time when only a checkpoint tells of it.
func (s *Snapshot) Timestamp() time.Time {
	if ci := s.state.CommitInfo; ci != nil && ci.InCommitTimestamp != nil && s.property("delta.enableInCommitTimestamps") == "true" {
		return time.UnixMilli(*ci.InCommitTimestamp).UTC()
	}
	return s.state.ModTime
}

// Warnings are what is wrong beside the table and changes nothing of it: CRC_MISMATCH, where the version's checksum file contradicts the log.
func (s *Snapshot) Warnings() []Warning {
	if err := s.state.ChecksumFault; err != nil {
		return []Warning{{"CRC_MISMATCH", err.Error()}}
	}
	return nil
}

// Schema is the logical schema.
func (s *Snapshot) Schema() *Schema { return s.schema }

// State is the raw state behind the snapshot.
func (s *Snapshot) State() *txlog.State { return s.state }

// PartitionColumns are logical names in table order.
func (s *Snapshot) PartitionColumns() []string { return s.partitions }

// Files are the live files in tie order, oldest first.
func (s *Snapshot) Files() []File { return s.files }

// MappingMode is how columns are found in data files.
func (s *Snapshot) MappingMode() MappingMode { return s.mapping }

func (s *Snapshot) property(name string) string { return s.state.Metadata.Configuration[name] }

// File is a live data file with typed access to what the log says of it. It is not safe for concurrent use: statistics are parsed on first use.
type File struct {
	*txlog.LiveFile
	snap  *Snapshot
	stats *fileStats
}

// Snapshot is what the file belongs to.
func (f *File) Snapshot() *Snapshot { return f.snap }

// Partition returns the typed value of a partition column (a filter literal value, nil = null). An unparsable text is a corruption error.
func (f *File) Partition(column string) (any, error) {
	field, ok := f.snap.schema.Find([]string{column})
	if !ok {
		return nil, fmt.Errorf("no partition column %q", column)
	}
	text, ok := f.PartitionValues[field.Physical]
	if !ok {
		text, ok = f.PartitionValues[field.Name]
	}
	if !ok || text == nil {
		return nil, nil
	}
	v, err := parsePartition(*text, field.Type.Name)
	if err != nil {
		return nil, corrupt(f.Key, fmt.Errorf("partition column %s: %w", column, err))
	}
	return v, nil
}

// checkPartition refuses values under a name that differs in case from that of a partition column: it is not known what they were meant for.
func (f *File) checkPartition() error {
	for _, column := range f.snap.partitions {
		field, _ := f.snap.schema.Find([]string{column})
		if _, ok := f.PartitionValues[field.Physical]; ok {
			continue
		}
		if _, ok := f.PartitionValues[field.Name]; ok {
			continue
		}
		for key := range f.PartitionValues {
			if strings.EqualFold(key, field.Physical) {
				return corrupt(f.Key, fmt.Errorf("the partition value of column %q stands under %q", column, key))
			}
		}
	}
	return nil
}

// Records is numRecords; -1 if the log does not tell.
func (f *File) Records() int64 { return f.parsed().records }

// Rows is numRecords less the deleted rows; -1 if the log does not tell.
func (f *File) Rows() int64 {
	n := f.parsed().records
	if n < 0 {
		return -1
	}
	if f.DeletionVector != nil {
		n -= f.DeletionVector.Cardinality
	}
	return max(n, -1)
}

package delta

import (
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Snapshot is a table at a version, after the protocol gate. It is immutable.
type Snapshot struct{}

// Table is the handle the snapshot was read through.
func (s *Snapshot) Table() *Table { return nil }

// Version of the table.
func (s *Snapshot) Version() int64 { return 0 }

// Timestamp of the version: in-commit time where enabled, else file time.
func (s *Snapshot) Timestamp() time.Time { return time.Time{} }

// Schema is the logical schema.
func (s *Snapshot) Schema() *Schema { return nil }

// State is the raw state behind the snapshot.
func (s *Snapshot) State() *txlog.State { return nil }

// PartitionColumns are logical names in table order.
func (s *Snapshot) PartitionColumns() []string { return nil }

// Files are the live files in tie order, oldest first.
func (s *Snapshot) Files() []File { return nil }

// MappingMode is how columns are found in data files.
func (s *Snapshot) MappingMode() MappingMode { return MappingNone }

// MappingMode is the column mapping of a table: MappingNone, MappingName, MappingID.
type MappingMode uint8

// The column mapping modes.
const (
	MappingNone MappingMode = iota
	MappingName
	MappingID
)

// File is a live data file with typed access to what the log says of it.
type File struct {
	*txlog.LiveFile
	snap *Snapshot
}

// Partition returns the typed value of a partition column (a filter literal value, nil = null). An unparsable text is a corruption error.
func (f *File) Partition(column string) (any, error) { return nil, nil }

// Rows is numRecords less the deleted rows; -1 if the log does not tell.
func (f *File) Rows() int64 { return -1 }

// Range is what the statistics prove of a leaf column (logical path), widened where writers cut values short: timestamps are
// given 999 microseconds more, strings as the protocol says. Partition columns give their value. Unknown: zero Range.
func (f *File) Range(path []string) filter.Range { return filter.Range{} }

// Constant returns the one value that every row of the column has, if the statistics prove it (design: min = max, no nulls, tight,
// not a timestamp, a string shorter than 32 characters), and whether they do. All-null columns give nil, true.
func (f *File) Constant(path []string) (any, bool) { return nil, false }

// Schema is a table's logical schema with the physical names and all metadata of its columns. It is immutable.
type Schema struct{ Fields []Field }

// Field is a column or struct member. Physical is its name in data files (the logical one without column mapping); ID its
// column mapping id, 0 without. Metadata keeps unknown keys as JSON text.
type Field struct {
	Name     string
	Type     Type
	Nullable bool
	Physical string
	ID       int
	Metadata map[string]string
}

// Type is a Delta data type: a primitive (Name set: "string", "long", "decimal(10,2)", "timestamp_ntz" ...), a struct, a list or a map.
type Type struct {
	Name   string
	Fields []Field
	// Elem is the element of a list ("array"), or the value of a "map"; Key the key of a map. Nulls: may elements or values be null.
	Elem, Key *Type
	Nulls     bool
}

// ParseSchema reads a schemaString; faults name the column.
func ParseSchema(schemaString string) (*Schema, error) { return nil, nil }

// JSON is the schemaString.
func (s *Schema) JSON() string { return "" }

// Arrow is the in-memory form: utf8 strings, microsecond timestamps (UTC for timestamp, no zone for timestamp_ntz), decimal128, void as int32.
func (s *Schema) Arrow() *arrow.Schema { return nil }

// Find returns the field at a logical path, matching names exactly, then without case where that is unambiguous.
func (s *Schema) Find(path []string) (*Field, bool) { return nil, false }

// SchemaOf is the Delta schema of an Arrow schema (dictionary values, large strings and views as their plain types). A type Delta lacks is a *SchemaError.
func SchemaOf(a *arrow.Schema) (*Schema, error) { return nil, nil }

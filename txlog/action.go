// Package txlog names, parses, lists, replays, checkpoints and appends the files of _delta_log, judging form and not meaning.
//
// Everything here is raw: a Protocol or a schema string is carried, not understood; package delta gives it meaning.
// Unknown actions and unknown fields are ignored when reading. What cannot be read is a *CorruptError naming file, line
// and offset, and satisfies errors.Is(err, ErrCorrupt); a lost race is a *ConflictError.
package txlog

import "strconv"

// Action is one line of a commit: exactly one of *Protocol, *Metadata, *Add, *Remove, *CommitInfo, *Txn,
// *DomainMetadata, *CDC, *CheckpointMetadata, *Sidecar.
type Action interface{ isAction() }

// Protocol is the raw protocol action. Nil feature lists are absent, empty ones are present: both occur and differ.
type Protocol struct {
	MinReaderVersion int      `json:"minReaderVersion"`
	MinWriterVersion int      `json:"minWriterVersion"`
	ReaderFeatures   []string `json:"readerFeatures,omitzero"`
	WriterFeatures   []string `json:"writerFeatures,omitzero"`
}

// Format is the data file format of a table; Provider is "parquet".
type Format struct {
	Provider string            `json:"provider"`
	Options  map[string]string `json:"options"`
}

// Metadata is the raw metaData action. SchemaString is unparsed JSON.
type Metadata struct {
	ID               string            `json:"id"`
	Name             *string           `json:"name"`
	Description      *string           `json:"description"`
	Format           Format            `json:"format"`
	SchemaString     string            `json:"schemaString"`
	PartitionColumns []string          `json:"partitionColumns"`
	CreatedTime      *int64            `json:"createdTime"`
	Configuration    map[string]string `json:"configuration"`
}

// DeletionVector describes where the deleted rows of a file are recorded.
type DeletionVector struct {
	StorageType    string `json:"storageType"`
	PathOrInlineDV string `json:"pathOrInlineDv"`
	Offset         *int32 `json:"offset,omitempty"`
	SizeInBytes    int32  `json:"sizeInBytes"`
	Cardinality    int64  `json:"cardinality"`
	MaxRowIndex    *int64 `json:"maxRowIndex,omitempty"`
}

// UniqueID is the part of a file's key that its deletion vector contributes ("" without one).
func (d *DeletionVector) UniqueID() string {
	if d == nil {
		return ""
	}
	id := d.StorageType + d.PathOrInlineDV
	if d.Offset != nil {
		id += "@" + strconv.FormatInt(int64(*d.Offset), 10)
	}
	return id
}

// Add is the raw add action. Path is as written (URI-encoded); Stats is JSON text, "" when absent (reading a checkpoint
// renders stats_parsed into it). PartitionValues holds nil for null.
type Add struct {
	Path                    string             `json:"path"`
	PartitionValues         map[string]*string `json:"partitionValues"`
	Size                    int64              `json:"size"`
	ModificationTime        int64              `json:"modificationTime"`
	DataChange              bool               `json:"dataChange"`
	Stats                   string             `json:"stats,omitempty"`
	Tags                    map[string]*string `json:"tags,omitempty"`
	DeletionVector          *DeletionVector    `json:"deletionVector,omitempty"`
	BaseRowID               *int64             `json:"baseRowId,omitempty"`
	DefaultRowCommitVersion *int64             `json:"defaultRowCommitVersion,omitempty"`
	ClusteringProvider      *string            `json:"clusteringProvider,omitempty"`
}

// Remove is the raw remove action (a tombstone).
type Remove struct {
	Path                    string             `json:"path"`
	DeletionTimestamp       *int64             `json:"deletionTimestamp,omitempty"`
	DataChange              bool               `json:"dataChange"`
	ExtendedFileMetadata    *bool              `json:"extendedFileMetadata,omitempty"`
	PartitionValues         map[string]*string `json:"partitionValues,omitzero"`
	Size                    *int64             `json:"size,omitempty"`
	Stats                   string             `json:"stats,omitempty"`
	Tags                    map[string]*string `json:"tags,omitempty"`
	DeletionVector          *DeletionVector    `json:"deletionVector,omitempty"`
	BaseRowID               *int64             `json:"baseRowId,omitempty"`
	DefaultRowCommitVersion *int64             `json:"defaultRowCommitVersion,omitempty"`
}

// CommitInfo is free-form provenance of a commit. Fields keeps every member, in the order read, with numbers as json.Number.
type CommitInfo struct {
	// Timestamp is in milliseconds since the Unix epoch; nil when absent.
	Timestamp *int64
	// InCommitTimestamp is in milliseconds since the Unix epoch; nil when absent.
	InCommitTimestamp *int64
	// TxnID identifies the commit of this writer; read back when an outcome is in doubt.
	TxnID     string
	Operation string
	// Fields holds the members beside those above.
	Fields map[string]any
}

// Txn records the last version an application wrote.
type Txn struct {
	AppID       string `json:"appId"`
	Version     int64  `json:"version"`
	LastUpdated *int64 `json:"lastUpdated,omitempty"`
}

// DomainMetadata is configuration of a named domain; Removed ones are tombstones.
type DomainMetadata struct {
	Domain        string `json:"domain"`
	Configuration string `json:"configuration"`
	Removed       bool   `json:"removed"`
}

// CDC is a change data file.
type CDC struct {
	Path            string             `json:"path"`
	PartitionValues map[string]*string `json:"partitionValues"`
	Size            int64              `json:"size"`
	DataChange      bool               `json:"dataChange"`
	Tags            map[string]*string `json:"tags,omitempty"`
}

// CheckpointMetadata heads a V2 checkpoint.
type CheckpointMetadata struct {
	Version int64              `json:"version"`
	Tags    map[string]*string `json:"tags,omitempty"`
}

// Sidecar names a file of a V2 checkpoint that holds adds and removes.
type Sidecar struct {
	Path             string             `json:"path"`
	SizeInBytes      int64              `json:"sizeInBytes"`
	ModificationTime int64              `json:"modificationTime"`
	Tags             map[string]*string `json:"tags,omitempty"`
}

func (*Protocol) isAction()           {}
func (*Metadata) isAction()           {}
func (*Add) isAction()                {}
func (*Remove) isAction()             {}
func (*CommitInfo) isAction()         {}
func (*Txn) isAction()                {}
func (*DomainMetadata) isAction()     {}
func (*CDC) isAction()                {}
func (*CheckpointMetadata) isAction() {}
func (*Sidecar) isAction()            {}

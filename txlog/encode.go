package txlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"unicode/utf8"
)

// encodeCommit writes actions as the lines of a commit.
func encodeCommit(actions []Action) ([]byte, error) {
	var buf bytes.Buffer
	for i, a := range actions {
		if err := encodeLine(&buf, a); err != nil {
			return nil, fmt.Errorf("action %d: %w", i+1, err)
		}
	}
	return buf.Bytes(), nil
}

// encodeLine writes one action and a newline. Members that the protocol requires are always there, empty or not.
func encodeLine(buf *bytes.Buffer, a Action) error {
	kind, v, err := wire(a)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return enc.Encode(map[string]any{kind: v})
}

// wire returns the name of an action and the value to marshal: the action itself or a copy with its gaps filled.
func wire(a Action) (string, any, error) {
	switch a := a.(type) {
	case *Add:
		c := *a
		c.PartitionValues = orEmpty(a.PartitionValues)
		return "add", c, validFile(a.Path, a.Size)
	case *Remove:
		c := *a
		if a.ExtendedFileMetadata != nil && *a.ExtendedFileMetadata {
			c.PartitionValues = orEmpty(a.PartitionValues)
		}
		return "remove", c, validFile(a.Path, 0)
	case *Metadata:
		c := *a
		c.Format.Options = orEmpty(a.Format.Options)
		c.Configuration = orEmpty(a.Configuration)
		if c.PartitionColumns == nil {
			c.PartitionColumns = []string{}
		}
		if a.ID == "" || a.SchemaString == "" || a.Format.Provider == "" {
			return "", nil, errors.New("metaData needs id, schemaString and format.provider")
		}
		return "metaData", c, nil
	case *Protocol:
		if a.MinReaderVersion < 1 || a.MinWriterVersion < 1 {
			return "", nil, errors.New("protocol versions start at 1")
		}
		return "protocol", a, nil
	case *CommitInfo:
		return "commitInfo", a, nil
	case *Txn:
		if a.AppID == "" {
			return "", nil, errors.New("txn needs appId")
		}
		return "txn", a, nil
	case *DomainMetadata:
		if a.Domain == "" {
			return "", nil, errors.New("domainMetadata needs domain")
		}
		return "domainMetadata", a, nil
	case *CDC:
		c := *a
		c.PartitionValues = orEmpty(a.PartitionValues)
		return "cdc", c, validFile(a.Path, a.Size)
	case *CheckpointMetadata:
		return "checkpointMetadata", a, nil
	case *Sidecar:
		return "sidecar", a, nil
	}
	return "", nil, fmt.Errorf("unknown action %T", a)
}

func validFile(path string, size int64) error {
	if !utf8.ValidString(path) {
		return fmt.Errorf("path %q is not valid UTF-8", path)
	}
	return checkFile(path, size)
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// MarshalJSON writes the members that are set, those of Fields beside the others.
func (c *CommitInfo) MarshalJSON() ([]byte, error) {
	m := make(map[string]any, len(c.Fields)+4)
	maps.Copy(m, c.Fields)
	if c.Timestamp != nil {
		m["timestamp"] = *c.Timestamp
	}
	if c.InCommitTimestamp != nil {
		m["inCommitTimestamp"] = *c.InCommitTimestamp
	}
	if c.TxnID != "" {
		m["txnId"] = c.TxnID
	}
	if c.Operation != "" {
		m["operation"] = c.Operation
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(m)
	return buf.Bytes(), err
}

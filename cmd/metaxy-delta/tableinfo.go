package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// countedFiles is up to how many files are asked how many rows they hold; of more the statistics are believed.
const countedFiles = 128

// describeTable tells what the log says of a table. One whose rows this build cannot read is described without its columns where its log can be understood.
func (a *app) describeTable(ctx context.Context, url string, f *tableFlags) (*tableInfo, error) {
	t, done, err := a.openTable(ctx, url, f.allowOutsideRoot)
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := snapshotOf(ctx, t, f)
	if err == nil {
		info := newTableInfo(s.State())
		info.Schema = columnsOf(s.Schema().Fields)
		info.NumRows = countRows(ctx, s)
		if hint := smallFilesHint(s, url); hint != "" {
			a.note("Hint: " + hint)
		}
		return info, nil
	}
	failed := fmt.Errorf("table %s: %w", url, err)
	if !errors.As(err, new(*delta.UnsupportedError)) || f.timestampGiven {
		return nil, failed
	}
	version := int64(txlog.Newest)
	if f.versionGiven {
		version = f.version
	}
	seg, err := t.Log().Segment(ctx, version)
	if err != nil {
		return nil, failed
	}
	st, err := seg.Replay(ctx)
	if err != nil || !delta.Describable(st.Protocol) {
		return nil, failed
	}
	a.warning("UNREADABLE", failed.Error()+"; its columns and rows are left out")
	return newTableInfo(st), nil
}

// newTableInfo is what the log says without its columns and rows.
func newTableInfo(st *txlog.State) *tableInfo {
	info := &tableInfo{
		Version:          st.Version,
		Protocol:         protocolInfo{st.Protocol.MinReaderVersion, st.Protocol.MinWriterVersion, st.Protocol.ReaderFeatures, st.Protocol.WriterFeatures},
		Schema:           []columnInfo{},
		PartitionColumns: append([]string{}, st.Metadata.PartitionColumns...),
		Properties:       map[string]string{},
		NumFiles:         len(st.Files),
		Txn:              map[string]int64{},
		Domains:          map[string]any{},
	}
	for k, v := range st.Metadata.Configuration {
		info.Properties[k] = v
	}
	for i := range st.Files {
		info.SizeBytes += st.Files[i].Size
		if st.Files[i].DeletionVector != nil {
			info.DeletionVectors++
		}
	}
	for app, t := range st.Txns {
		info.Txn[app] = t.Version
	}
	for name, d := range st.Domains {
		var v any = d.Configuration
		var parsed any
		if json.Unmarshal([]byte(d.Configuration), &parsed) == nil {
			v = parsed
		}
		info.Domains[name] = v
	}
	return info
}

// countRows counts the live rows: in the footers of few files, whose statistics may say anything, else by the statistics; nil when they do not tell.
func countRows(ctx context.Context, s *delta.Snapshot) *int64 {
	files := s.Files()
	rows, deleted := int64(0), int64(0)
	for i := range files {
		n := files[i].Rows()
		if n < 0 {
			return nil
		}
		rows += n
		if d := files[i].DeletionVector; d != nil {
			deleted += d.Cardinality
		}
	}
	if len(files) > countedFiles {
		return &rows
	}
	plan, err := scan.New(s, nil)
	if err != nil {
		return &rows
	}
	units, err := plan.Units(ctx)
	switch {
	case errors.Is(err, txlog.ErrCorrupt):
		return nil // a file is not what the log says: `table check` tells which
	case err != nil:
		return &rows
	}
	rows = -deleted
	for _, u := range units {
		rows += u.Rows
	}
	return &rows
}

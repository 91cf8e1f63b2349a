package delta

import (
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Pinned is what is needed of a version of a table to read some of its files, or
// to write files of its schema, without its log: what one process tells another
// that works with it on one version.
type Pinned struct {
	Version  int64
	Protocol *txlog.Protocol
	Metadata *txlog.Metadata
	// Domains and Adds are those that matter: adds of the files to be read, in tie
	// order.
	Domains map[string]*txlog.DomainMetadata
	Adds    []*txlog.Add
}

// Pin returns a snapshot that has the files of Adds and no others. It reads
// nothing; the protocol gate and the schema are judged as those of a log are. A
// commit needs a snapshot of the log.
func (t *Table) Pin(p *Pinned) (*Snapshot, error) {
	st := &txlog.State{Version: p.Version, Protocol: p.Protocol, Metadata: p.Metadata, Domains: p.Domains, CheckpointVersion: -1}
	for i, add := range p.Adds {
		if add == nil {
			return nil, corrupt(t.store.URL(), fmt.Errorf("file %d of a list of files is none", i))
		}
		key, err := txlog.DecodePath(add.Path)
		if err != nil {
			return nil, corrupt(t.store.URL(), fmt.Errorf("file %d of a list of files: %w", i, err))
		}
		st.Files = append(st.Files, txlog.LiveFile{Add: add, Key: key, Version: p.Version, Position: i})
	}
	return newSnapshot(t, st)
}

// Pinned is what Pin makes the snapshot again from, without files.
func (s *Snapshot) Pinned() *Pinned {
	return &Pinned{Version: s.state.Version, Protocol: s.state.Protocol, Metadata: s.state.Metadata, Domains: s.state.Domains}
}

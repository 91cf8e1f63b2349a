package delta

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Writable refuses a table that this build must not change, clean-ups included: its writer features are checked.
func (s *Snapshot) Writable() error { return gateWrite(s.state.Protocol) }

// Rewritable refuses a table whose rows this build cannot move into other files, before any is written.
func (s *Snapshot) Rewritable() error {
	if err := s.Writable(); err != nil {
		return err
	}
	if s.property(propRowTracking) == "true" {
		return refuse("row tracking (rewriting rows needs their ids in the files)")
	}
	return nil
}

// Allows refuses a change that the table's protocol or properties forbid, as Commit will, so that no file is written for nothing.
func (s *Snapshot) Allows(ch *Change) error { return s.table.checkChange(s, ch) }

// UsesVectors reports whether deletes of the table are to write deletion vectors.
func (s *Snapshot) UsesVectors() bool {
	return strings.EqualFold(s.property("delta.enableDeletionVectors"), "true") && hasFeature(s.state.Protocol, "deletionVectors")
}

// FeedsChanges reports whether commits that move rows into other files must tell in change data files what they did.
func (s *Snapshot) FeedsChanges() bool { return FeedEnabled(s.state.Metadata) }

// LooseStats are the statistics of the file for an add with a deletion vector: the number of physical rows is exact and the bounds need not be tight.
// What is no JSON object is left out.
func (f *File) LooseStats(records int64) string {
	st := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(f.Stats), &st) != nil || st == nil {
		st = map[string]json.RawMessage{}
	}
	st["numRecords"] = strconv.AppendInt(nil, records, 10)
	st["tightBounds"] = []byte("false")
	text, err := json.Marshal(st)
	if err != nil {
		return ""
	}
	return string(text)
}

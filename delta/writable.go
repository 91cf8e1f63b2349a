package delta

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

package metaxy

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// hashMismatch compares a table's record of its hash settings with those in force; "" when they agree or there is none (D11).
func (s *DeltaStore) hashMismatch(snap *delta.Snapshot) string {
	props := snap.State().Metadata.Configuration
	algorithm, length := props[propHashAlgorithm], props[propHashTruncation]
	if (algorithm == "" || algorithm == s.opts.HashAlgorithm) && (length == "" || length == strconv.Itoa(s.opts.HashTruncation)) {
		return ""
	}
	return fmt.Sprintf("the table was hashed with %s cut to %s characters, the store is set to %s cut to %d", algorithm, length, s.opts.HashAlgorithm, s.opts.HashTruncation)
}

// ErrHashMismatch is a write to a table whose rows were hashed with other settings.
var ErrHashMismatch = errors.New("hash settings differ")

// checkTable refuses a write to a table that records other hash settings, and tells when its newest row is of the future.
func (s *DeltaStore) checkTable(key feature.Key, v *visit, now time.Time) ([]Warning, error) {
	if v.snap == nil {
		return nil, nil
	}
	var out []Warning
	if newest := newestStamp(v.snap); newest.After(now) {
		out = append(out, clockBehind(key.String(), newest, now))
	}
	m := s.hashMismatch(v.snap)
	switch {
	case m == "":
		return out, nil
	case s.opts.Switches.IgnoreHashRecord:
		return append(out, Warning{Code: "HASH_MISMATCH", Message: key.String() + ": " + m}), nil
	}
	return nil, fmt.Errorf("%w: %s: %s", ErrHashMismatch, key, m)
}

// newestStamp is the greatest updated_at that the statistics prove; they may be up to a millisecond above it, which is taken off.
func newestStamp(snap *delta.Snapshot) time.Time {
	var newest time.Time
	files := snap.Files()
	for i := range files {
		if max, ok := files[i].Range([]string{syscol.UpdatedAt}).Max.(filter.Timestamp); ok {
			if at := time.UnixMicro(int64(max)).Add(-time.Millisecond); at.After(newest) {
				newest = at
			}
		}
	}
	return newest
}

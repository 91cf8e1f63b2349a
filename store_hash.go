package metaxy

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/examine"
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
	out := examine.Clock(key.String(), v.snap, now)
	m := s.hashMismatch(v.snap)
	switch {
	case m == "":
		return out, nil
	case s.opts.IgnoreHashRecord:
		return append(out, Warning{Code: "HASH_MISMATCH", Message: key.String() + ": " + m}), nil
	}
	return nil, fmt.Errorf("%w: %s: %s", ErrHashMismatch, key, m)
}

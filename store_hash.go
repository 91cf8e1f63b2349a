package metaxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
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

// checkHashRecord refuses a write to a table that records other hash settings.
func (s *DeltaStore) checkHashRecord(ctx context.Context, key feature.Key) ([]Warning, error) {
	snap, err := s.Table(key).Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := s.hashMismatch(snap)
	switch {
	case m == "":
		return nil, nil
	case s.opts.Switches.IgnoreHashRecord:
		return []Warning{{Code: "HASH_MISMATCH", Message: key.String() + ": " + m}}, nil
	}
	return nil, fmt.Errorf("%w: %s: %s", ErrHashMismatch, key, m)
}

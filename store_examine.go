package metaxy

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/examine"
)

// ExamineOptions of an examination.
type ExamineOptions struct {
	// Now is this machine's clock; zero leaves the stamps alone.
	Now time.Time
	// MaxRows bounds the rows whose stored versions are read, 0 = no bound. A
	// table with more keeps its versions unread, which is a warning.
	MaxRows int64
}

// Examine tells what is doubtful in the table of a feature although everything
// can be read: HASH_MISMATCH; CLOCK_BEHIND when its newest stamp lies after
// opts.Now (D25); VERSION_SEPARATOR when stored versions contain the | that
// separates them in what is hashed, so that different versions may hash alike
// (D17); VERSIONS_NOT_READ when the table is too large to look. It reads the
// versions by field of every row. A feature without a table is a
// *NotFoundError.
func (s *DeltaStore) Examine(ctx context.Context, key feature.Key, opts *ExamineOptions) ([]Warning, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	snap, err := s.Table(key).Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.noTable(key)
	}
	if err != nil {
		return nil, err
	}
	var out []Warning
	if m := s.hashMismatch(snap); m != "" {
		out = append(out, Warning{Code: "HASH_MISMATCH", Message: key.String() + ": " + m})
	}
	more, err := examine.Table(ctx, key.String(), snap, (*examine.Options)(opts))
	return append(out, more...), err
}

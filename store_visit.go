package metaxy

import (
	"context"
	"errors"
	"io/fs"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// visit is the one look at a feature's table that all parts of a verb share, so
// that they judge the same version.
type visit struct {
	snap *delta.Snapshot // nil: there is no table
}

// visit looks at a feature's table. A missing one is no error.
func (s *DeltaStore) visit(ctx context.Context, key feature.Key) (*visit, error) {
	snap, err := s.Table(key).Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return &visit{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &visit{snap}, nil
}

// version returns the table's, -1 without one.
func (v *visit) version() int64 {
	if v.snap == nil {
		return -1
	}
	return v.snap.Version()
}

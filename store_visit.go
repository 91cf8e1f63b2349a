package metaxy

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
)

// visit is the one look at a feature's table that all parts of a verb share, so
// that they judge the same version.
type visit struct {
	snap *delta.Snapshot // nil: there is no table
	err  error           // of a look among visits
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
	return &visit{snap: snap}, nil
}

// visits looks at several features' tables at once, as they are far away on
// buckets. Whoever needs a table meets the error of its look.
func (s *DeltaStore) visits(ctx context.Context, keys []feature.Key) map[feature.Key]*visit {
	out := make([]*visit, len(keys))
	var wg sync.WaitGroup
	for i, k := range keys {
		wg.Go(func() {
			v, err := s.visit(ctx, k)
			if err != nil {
				v = &visit{err: err}
			}
			out[i] = v
		})
	}
	wg.Wait()
	byKey := map[feature.Key]*visit{}
	for i, k := range keys {
		byKey[k] = out[i]
	}
	return byKey
}

// version returns the table's, -1 without one.
func (v *visit) version() int64 {
	if v.snap == nil {
		return -1
	}
	return v.snap.Version()
}

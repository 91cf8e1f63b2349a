package metaxy

import (
	"context"
	"errors"
	"fmt"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Resolved makes a write conditional on what was resolved, so that no sample version is stored twice however many workers resolve and write at once.
type Resolved struct {
	// TableVersion of the feature that the increment was made from (Increment.TableVersion); -1 = it had no table.
	TableVersion int64
	// Drop leaves out the rows whose sample version (ids, feature version and provenance) others have written since. Without it any change of rows since fails
	// the write with a *txlog.ConflictError; so does, with Drop, a removal of rows. Rows wait in memory, past 64 MiB in SpillDir if there is one, until the
	// commit is won.
	Drop bool
}

// maxResolvedTries bounds how often rows are written anew because others wrote meanwhile.
const maxResolvedTries = 100

// appendResolved appends rows if nobody has changed the table since, or those that nobody has written since.
func (s *DeltaStore) appendResolved(ctx context.Context, key feature.Key, v *visit, rows *resolve.Rows, ids []string, o *delta.AppendOptions, on Resolved) (WriteResult, error) {
	if !on.Drop {
		o.Since = &on.TableVersion
		return s.append(ctx, key, v, rows, o, false)
	}
	kept := &keptRows{in: rows.Batches, schema: rows.Schema, dir: s.opts.SpillDir, mem: s.opts.Allocator}
	defer kept.release()
	w := intake.NewWritten(ids, on.TableVersion)
	for try := 0; ; try++ {
		err := error(nil)
		if try > 0 {
			v, err = s.visit(ctx, key)
		}
		if err == nil {
			err = w.Advance(ctx, v.snap, s.opts.Parallel, s.opts.Allocator)
		}
		if err != nil {
			return WriteResult{}, fmt.Errorf("write %s: %w", key, err)
		}
		since := w.Version
		o.Since = &since
		w.Dropped = 0
		res, err := s.append(ctx, key, v, &resolve.Rows{Schema: rows.Schema, Batches: w.Without(ctx, rows.Schema, kept.all())}, o, false)
		res.Dropped = w.Dropped
		var lost *txlog.ConflictError
		if err == nil || !errors.As(err, &lost) || lost.Version <= since || try == maxResolvedTries {
			return res, err
		}
	}
}

// Package rewrite removes rows of a Delta table and compacts its files: what needs both reading and writing of data files.
//
// Every change is one commit of removes and adds, decided on one snapshot and checked against later commits; a lost race that cannot be
// rebased is a *txlog.ConflictError and leaves nothing visible.
package rewrite

import (
	"context"
	"errors"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
)

// DeleteOptions of a delete; nil = defaults.
type DeleteOptions struct {
	// DryRun counts rows and writes nothing.
	DryRun bool
	// Parallel is the number of row groups decoded at once; 0 = GOMAXPROCS.
	Parallel int
}

// DeleteResult is what a delete did. Version is the commit, -1 when nothing was written.
type DeleteResult struct {
	Version                  int64
	Rows                     int64
	FilesRemoved, FilesAdded int
}

// Delete removes the rows for which where is true (nil: all of them): by deletion vectors where the table has them enabled, else by rewriting the
// files that hold such rows. Rows for which where is null stay. fs.ErrNotExist when there is no table. Memory is a few batches.
func Delete(ctx context.Context, t *delta.Table, where filter.Expr, opts *DeleteOptions) (DeleteResult, error) {
	return DeleteResult{}, errors.ErrUnsupported
}

package main

import (
	"context"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// readRows opens a file of rows; "-" is stdin. The format is taken from the
// suffix unless named. known gives the types of columns for formats that have
// none; nil = none is known. The caller calls done when it needs no more rows.
func (a *app) readRows(ctx context.Context, path, format string, known func() (rowio.Types, error)) (rows *frame.Rows, done func(), err error) {
	f, err := rowio.Open(ctx, path, &rowio.Options{Format: format, Stdin: a.sys.stdin, Types: known})
	if err != nil {
		return nil, nil, err
	}
	return &f.Rows, func() { f.Close() }, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
	"github.com/metaxy-delta/metaxy-delta/objstore/service"
)

// readRows opens a file of rows: a path, a URL of what stores can be in, or "-"
// for stdin. The format is taken from the suffix unless named. known gives the
// types of columns for formats that have none; nil = none is known. The caller
// calls done when it needs no more rows.
func (a *app) readRows(ctx context.Context, path, format string, known func() (rowio.Types, error)) (rows *frame.Rows, done func(), err error) {
	o := &rowio.Options{Format: format, Stdin: a.sys.stdin, Types: known}
	closeBody := func() {}
	if scheme, _ := service.Scheme(path); scheme != "" { // what is no URL is a path
		if closeBody, err = a.openBody(ctx, path, o); err != nil {
			return nil, nil, err
		}
	}
	f, err := rowio.Open(ctx, path, o)
	if err != nil {
		closeBody()
		return nil, nil, err
	}
	return &f.Rows, func() { f.Close(); closeBody() }, nil
}

// openBody has the options read a file at a URL.
func (a *app) openBody(ctx context.Context, url string, o *rowio.Options) (done func(), err error) {
	if o.Format == "" {
		if _, err := rowio.FormatOf(url); err != nil {
			return nil, err
		}
	}
	slash := strings.LastIndex(url, "/")
	folder, name := url[:max(slash, 0)], url[slash+1:]
	if slash < 0 || name == "" {
		return nil, usagef("%s: want the URL of a file of rows", url)
	}
	objects, err := metaxy.OpenStorage(ctx, folder, &metaxy.Options{Openers: a.openers(), Now: a.now, Observe: a.observer()})
	if err != nil {
		return nil, err
	}
	body, err := objects.Reader(ctx, name, 0, -1)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", url, err), objects.Close())
	}
	o.Body = body
	return func() { body.Close(); objects.Close() }, nil
}

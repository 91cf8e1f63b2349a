package main

import (
	"context"
	"errors"
	"io/fs"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// featureTypes are the column types of a feature.
func featureTypes(ctx context.Context, store *metaxy.DeltaStore, key feature.Key) (rowio.Types, error) {
	types, err := store.ColumnTypes(ctx, key)
	if e := notFound(err); e != nil && !e.NoTable {
		return nil, nil // the verb itself says so
	}
	return types, err
}

// tableTypes are the column types of a table, none when it does not exist.
func tableTypes(ctx context.Context, t *delta.Table) (rowio.Types, error) {
	s, err := t.Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	types := rowio.Types{}
	for _, f := range s.Schema().Arrow().Fields() {
		types[f.Name] = f.Type
	}
	return types, nil
}

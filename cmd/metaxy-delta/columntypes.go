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

// featureTypes are the column types of a feature's table, and of the id columns that it has not yet those of its upstream tables, so that an id
// read from text joins as what it is.
func featureTypes(ctx context.Context, store *metaxy.DeltaStore, key feature.Key) (rowio.Types, error) {
	g, err := store.Graph(ctx)
	if err != nil {
		return nil, err
	}
	def, ok := g.Get(key)
	if !ok {
		return nil, nil // the verb itself says so
	}
	types := rowio.Types{}
	if err := addTypes(ctx, store, key, types, func(name string) string { return name }); err != nil {
		return nil, err
	}
	missing := false
	for _, id := range def.Spec.IDColumns {
		missing = missing || types[id] == nil
	}
	if !missing {
		return types, nil
	}
	ids := rowio.Types{}
	for i := range def.Spec.Deps {
		d := &def.Spec.Deps[i]
		if err := addTypes(ctx, store, d.Feature, ids, d.Renamed); err != nil {
			return nil, err
		}
	}
	for _, id := range def.Spec.IDColumns {
		if types[id] == nil && ids[id] != nil {
			types[id] = ids[id]
		}
	}
	return types, nil
}

// addTypes adds the column types of a feature's table, if it has one. Only the table's schema is read.
func addTypes(ctx context.Context, store *metaxy.DeltaStore, key feature.Key, types rowio.Types, renamed func(string) string) error {
	rows, err := store.Read(ctx, key, &metaxy.ReadOptions{FeatureHistory: true})
	if errors.Is(err, metaxy.ErrFeatureNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range rows.Schema.Fields() {
		types[renamed(f.Name)] = f.Type
	}
	return nil
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

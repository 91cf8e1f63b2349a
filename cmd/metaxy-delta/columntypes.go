package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/apache/arrow-go/v18/arrow"

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
	addSystemTypes(g, def, types)
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

// addSystemTypes adds the types of system columns that no table has yet, so that
// versions stay texts, also those that are all digits.
func addSystemTypes(g *feature.Graph, def *feature.Definition, types rowio.Types) {
	add := func(name string, t arrow.DataType) {
		if types[name] == nil {
			types[name] = t
		}
	}
	for _, name := range []string{"metaxy_provenance", "metaxy_data_version", "metaxy_feature_version", "metaxy_project_version", "metaxy_materialization_id"} {
		add(name, arrow.BinaryTypes.String)
	}
	for _, name := range []string{"metaxy_created_at", "metaxy_updated_at", "metaxy_deleted_at"} {
		add(name, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"})
	}
	byField := func(d *feature.Definition, suffix string) {
		var members []arrow.Field
		for i := range d.Spec.Fields {
			members = append(members, arrow.Field{Name: d.Spec.Fields[i].Key.StructKey(), Type: arrow.BinaryTypes.String, Nullable: true})
		}
		for _, name := range []string{"metaxy_provenance_by_field", "metaxy_data_version_by_field"} {
			add(name+suffix, arrow.StructOf(members...))
		}
	}
	byField(def, "")
	for i := range def.Spec.Deps {
		if d, ok := g.Get(def.Spec.Deps[i].Feature); ok {
			byField(d, d.Spec.Key.ColumnSuffix())
		}
	}
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

package metaxy

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// ColumnTypes are the types that columns of a feature's rows have by name: those
// of its table, of the id columns that it has not yet those of its upstream
// tables, and of system columns that no table has yet. Rows that come without
// types, such as those of CSV, join with others when they are read as these. A
// feature that is not defined is a *NotFoundError. Only schemas are read.
func (s *DeltaStore) ColumnTypes(ctx context.Context, key feature.Key) (map[string]arrow.DataType, error) {
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	def, ok := g.Get(key)
	if !ok {
		return nil, s.undefined(ctx, g, key)
	}
	types := map[string]arrow.DataType{}
	if err := s.addTypes(ctx, key, types, func(name string) string { return name }); err != nil {
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
	ids := map[string]arrow.DataType{}
	for i := range def.Spec.Deps {
		d := &def.Spec.Deps[i]
		if err := s.addTypes(ctx, d.Feature, ids, d.Renamed); err != nil {
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
func addSystemTypes(g *feature.Graph, def *feature.Definition, types map[string]arrow.DataType) {
	add := func(name string, t arrow.DataType) {
		if types[name] == nil {
			types[name] = t
		}
	}
	for _, name := range []string{syscol.Provenance, syscol.DataVersion, syscol.FeatureVersion, syscol.ProjectVersion, syscol.MaterializationID} {
		add(name, arrow.BinaryTypes.String)
	}
	for _, name := range []string{syscol.CreatedAt, syscol.UpdatedAt, syscol.DeletedAt} {
		add(name, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"})
	}
	byField := func(d *feature.Definition, suffix string) {
		var members []arrow.Field
		for i := range d.Spec.Fields {
			members = append(members, arrow.Field{Name: d.Spec.Fields[i].Key.StructKey(), Type: arrow.BinaryTypes.String, Nullable: true})
		}
		for _, name := range []string{syscol.ProvenanceByField, syscol.DataVersionByField} {
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

// addTypes adds the column types of a feature's table, if it has one. Only the
// table's schema is read.
func (s *DeltaStore) addTypes(ctx context.Context, key feature.Key, types map[string]arrow.DataType, renamed func(string) string) error {
	rows, err := s.Read(ctx, key, &ReadOptions{FeatureHistory: true})
	if errors.Is(err, ErrFeatureNotFound) {
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

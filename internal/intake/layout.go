package intake

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// StampType is the type of times in system columns.
var StampType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// layout is the column order that Metaxy gives a written frame, and the
// constants it adds.
type layout struct {
	schema *arrow.Schema
	source []int         // column of the completed batch, -1 = a constant
	fixed  []any         // string, time.Time or nil for each constant
	made   []arrow.Array // of the constants, as long as the longest batch so far
}

// newLayout orders columns: those given, versions, provenance, created,
// updated, deleted, materialization, data versions; what was given keeps its
// place, but for version columns that are rewritten.
func newLayout(given, completed *arrow.Schema, featureVersion string, o *Options) *layout {
	l := &layout{}
	var fields []arrow.Field
	done := map[string]bool{}
	put := func(f arrow.Field, src int, v any) {
		if done[f.Name] {
			return
		}
		done[f.Name] = true
		fields, l.source, l.fixed = append(fields, f), append(l.source, src), append(l.fixed, v)
	}
	constant := func(name string, t arrow.DataType, v any) {
		put(arrow.Field{Name: name, Type: t, Nullable: true}, -1, v)
	}
	copyOf := func(name string) {
		for _, i := range completed.FieldIndices(name) {
			f := completed.Field(i)
			f.Nullable = true
			put(f, i, nil)
		}
	}
	keep := o.PreserveVersions && given.HasField(syscol.FeatureVersion) && given.HasField(syscol.ProjectVersion)
	var matID any
	if o.MaterializationID != "" {
		matID = o.MaterializationID
	}
	for _, f := range given.Fields() {
		switch {
		case (f.Name == syscol.FeatureVersion || f.Name == syscol.ProjectVersion) && !keep:
		case f.Name == syscol.UpdatedAt && !o.Tombstone:
			constant(f.Name, StampType, o.Now)
		case f.Name == syscol.DeletedAt && o.Tombstone:
			constant(f.Name, StampType, o.Now)
		case f.Name == syscol.MaterializationID:
			constant(f.Name, arrow.BinaryTypes.String, matID)
		case f.Type.ID() == arrow.NULL && SystemType(f.Name) != nil:
			constant(f.Name, SystemType(f.Name), nil)
		default:
			copyOf(f.Name)
		}
	}
	constant(syscol.FeatureVersion, arrow.BinaryTypes.String, featureVersion)
	constant(syscol.ProjectVersion, arrow.BinaryTypes.String, o.ProjectVersion)
	copyOf(syscol.Provenance)
	constant(syscol.CreatedAt, StampType, o.Now)
	constant(syscol.UpdatedAt, StampType, o.Now)
	if o.Tombstone {
		constant(syscol.DeletedAt, StampType, o.Now)
	}
	constant(syscol.DeletedAt, StampType, nil)
	constant(syscol.MaterializationID, arrow.BinaryTypes.String, matID)
	for _, f := range completed.Fields() {
		copyOf(f.Name)
	}
	l.schema = arrow.NewSchema(fields, nil)
	return l
}

// SystemType is the type of a system column that a frame may bring as all null;
// nil for others.
func SystemType(name string) arrow.DataType {
	switch name {
	case syscol.CreatedAt, syscol.UpdatedAt, syscol.DeletedAt:
		return StampType
	case syscol.Provenance, syscol.DataVersion, syscol.FeatureVersion, syscol.ProjectVersion, syscol.MaterializationID:
		return arrow.BinaryTypes.String
	}
	return nil
}

func (l *layout) apply(in batches) batches {
	return func(yield func(arrow.RecordBatch, error) bool) {
		defer l.release()
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			out := l.batch(b)
			ok := frame.Give(yield, out, out)
			if !ok {
				return
			}
		}
	}
}

func (l *layout) batch(b arrow.RecordBatch) arrow.RecordBatch {
	cols := make([]arrow.Array, len(l.source))
	for i, src := range l.source {
		if src >= 0 {
			cols[i] = b.Column(src)
			cols[i].Retain()
			continue
		}
		cols[i] = l.constant(i, b.NumRows())
	}
	out := array.NewRecordBatch(l.schema, cols, b.NumRows())
	for _, c := range cols {
		c.Release()
	}
	return out
}

// constant returns n rows of a constant column. Batches share the memory.
func (l *layout) constant(i int, n int64) arrow.Array {
	if l.made == nil {
		l.made = make([]arrow.Array, len(l.source))
	}
	if a := l.made[i]; a == nil || int64(a.Len()) < n {
		if a != nil {
			a.Release()
		}
		l.made[i] = Constant(l.schema.Field(i).Type, l.fixed[i], int(n))
	}
	return array.NewSlice(l.made[i], 0, n)
}

func (l *layout) release() {
	for _, a := range l.made {
		if a != nil {
			a.Release()
		}
	}
	l.made = nil
}

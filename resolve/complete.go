package resolve

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// completer adds the version columns of a feature to batches.
type completer struct {
	ctx     context.Context // of the stream that the batches belong to
	plan    *feature.Plan
	hasher  *rowhash.Hasher
	mapMode bool
	rehash  bool // provenance is computed although it is given
	in, out *arrow.Schema
}

// Complete returns rows with the version columns that a write needs: the
// sample's provenance where it is missing, both data versions (copied from the
// provenance where they are missing, null structs filled), and struct columns
// as maps when mapMode asks. It streams. Missing input is an *InputError.
func Complete(ctx context.Context, rows *Rows, plan *feature.Plan, alg Algorithm, mapMode bool) (*Rows, error) {
	return complete(ctx, rows, plan, alg, mapMode, false)
}

func complete(ctx context.Context, rows *Rows, plan *feature.Plan, alg Algorithm, mapMode, rehash bool) (*Rows, error) {
	rows, err := asDeclared(plan.Feature.Spec.Key.String(), rows)
	if err != nil {
		return nil, err
	}
	h, err := rowhash.New(alg.Name, alg.Truncation)
	if err != nil {
		return nil, err
	}
	c := &completer{ctx: ctx, plan: plan, hasher: h, mapMode: mapMode, rehash: rehash, in: rows.Schema}
	if err := c.planSchema(); err != nil {
		return nil, err
	}
	return &Rows{Schema: c.out, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range rows.Batches {
			if err != nil {
				yield(nil, err)
				return
			}
			out, err := c.batch(b)
			if err != nil {
				yield(nil, err)
				return
			}
			ok := frame.Give(yield, out, out)
			if !ok {
				return
			}
		}
	}}, nil
}

func (c *completer) fail(column, format string, a ...any) error {
	return &InputError{Feature: c.plan.Feature.Spec.Key.String(), Column: column, Msg: fmt.Sprintf(format, a...)}
}

// planSchema orders the columns: those given, then provenance and data versions
// where they are missing.
func (c *completer) planSchema() error {
	i := c.in.FieldIndices(syscol.ProvenanceByField)
	if len(i) == 0 {
		return c.fail(syscol.ProvenanceByField, "is missing")
	}
	given := c.in.Field(i[0]).Type
	if st, ok := given.(*arrow.StructType); ok {
		if !c.in.HasField(syscol.Provenance) || c.rehash {
			for _, m := range members(c.plan) {
				if _, ok := st.FieldIdx(m); !ok {
					return c.fail(syscol.ProvenanceByField+"."+m, "the struct lacks the field's member")
				}
			}
		}
	} else if given.ID() != arrow.MAP {
		return c.fail(syscol.ProvenanceByField, "want a struct or a map, got %s", given)
	}
	if len(c.plan.Fields) == 0 && (!c.in.HasField(syscol.Provenance) || c.rehash) {
		return c.fail(syscol.Provenance, "a feature without fields has no row versions: give the column")
	}
	var fields []arrow.Field
	for _, f := range c.in.Fields() {
		if f.Type.ID() == arrow.DICTIONARY && plainType(f.Type).ID() != arrow.STRING {
			return c.fail(f.Name, "dictionaries of %s are not supported", plainType(f.Type))
		}
		if f.Name != syscol.ProvenanceByField && f.Name != syscol.DataVersionByField {
			f.Type = plainType(f.Type)
		}
		f.Nullable = true
		if f.Type.ID() == arrow.NULL && slices.Contains([]string{syscol.Provenance, syscol.DataVersion}, f.Name) {
			f.Type = arrow.BinaryTypes.String
		}
		if f.Type.ID() == arrow.NULL && f.Name == syscol.DataVersionByField && !c.rehash {
			f.Type = given
		}
		if f.Name == syscol.DataVersionByField && !c.rehash {
			f.Type = withMembers(f.Type, given)
		}
		if f.Name == syscol.DataVersion && !c.in.HasField(syscol.DataVersionByField) {
			f.Type = arrow.BinaryTypes.String // overwritten where it stands
		}
		fields = append(fields, f)
	}
	text := func(name string) {
		fields = append(fields, arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	if !c.in.HasField(syscol.Provenance) {
		text(syscol.Provenance)
	}
	if !c.in.HasField(syscol.DataVersionByField) {
		fields = append(fields, arrow.Field{Name: syscol.DataVersionByField, Type: given, Nullable: true})
	}
	if !c.in.HasField(syscol.DataVersion) && !(c.rehash && c.in.HasField(syscol.DataVersionByField)) {
		text(syscol.DataVersion)
	}
	for i, f := range fields {
		if c.toMap(f.Name, f.Type) {
			fields[i].Type = byFieldType(c.plan, true)
		}
	}
	c.out = arrow.NewSchema(fields, nil)
	return nil
}

// toMap reports whether a column leaves as a map although it is a struct until then.
func (c *completer) toMap(name string, t arrow.DataType) bool {
	return c.mapMode && t.ID() == arrow.STRUCT && (name == syscol.ProvenanceByField || name == syscol.DataVersionByField)
}

func (c *completer) batch(in arrow.RecordBatch) (arrow.RecordBatch, error) {
	b, err := plainBatch(in)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	n := int(b.NumRows())
	made := map[string]arrow.Array{}
	defer func() {
		for _, a := range made {
			a.Release()
		}
	}()
	get := func(name string) (arrow.Array, bool) {
		if a, ok := made[name]; ok {
			return a, true
		}
		if i := b.Schema().FieldIndices(name); len(i) > 0 {
			return b.Column(i[0]), true
		}
		return nil, false
	}
	byField, _ := get(syscol.ProvenanceByField)
	if p, ok := get(syscol.Provenance); !ok || c.rehash {
		a, err := c.sample(byField, n)
		if err != nil {
			return nil, err
		}
		made[syscol.Provenance] = a
	} else if p.DataType().ID() == arrow.NULL {
		made[syscol.Provenance] = array.MakeArrayOfNull(memory.DefaultAllocator, arrow.BinaryTypes.String, n)
	}
	provenance, _ := get(syscol.Provenance)
	if c.rehash && b.Schema().HasField(syscol.DataVersionByField) {
		// Samples bring their own data versions.
	} else if err := c.dataVersions(b, byField, provenance, get, made); err != nil {
		return nil, err
	}
	cols := make([]arrow.Array, c.out.NumFields())
	for i, f := range c.out.Fields() {
		cols[i], _ = get(f.Name)
		if c.toMap(f.Name, cols[i].DataType()) {
			a, err := c.asMap(f.Name, cols[i])
			if err != nil {
				return nil, err
			}
			defer a.Release()
			cols[i] = a
		}
	}
	return array.NewRecordBatch(c.out, cols, b.NumRows()), nil
}

// plainBatch gives text columns of every layout as plain strings; the caller releases it.
func plainBatch(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	cols := slices.Clone(b.Columns())
	fields := b.Schema().Fields()
	for i, a := range cols {
		t := plainType(a.DataType())
		if t.ID() != arrow.STRING || a.DataType().ID() == arrow.STRING {
			continue
		}
		plain, err := plainText(a)
		if err != nil {
			return nil, err
		}
		defer plain.Release()
		cols[i], fields[i].Type = plain, t
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, b.NumRows()), nil
}

// dataVersions makes or completes both data version columns.
func (c *completer) dataVersions(b arrow.RecordBatch, byField, provenance arrow.Array, get func(string) (arrow.Array, bool), made map[string]arrow.Array) error {
	given, ok := get(syscol.DataVersionByField)
	if !ok {
		byField.Retain()
		provenance.Retain()
		made[syscol.DataVersionByField], made[syscol.DataVersion] = byField, provenance
		return nil
	}
	want := withMembers(given.DataType(), byField.DataType())
	grows := !arrow.TypeEqual(given.DataType(), want)
	if grows || given.NullN() > 0 || given.DataType().ID() == arrow.NULL {
		var filled arrow.Array
		var err error
		if grows {
			filled, err = fillMembers(given, byField, want)
		} else {
			filled, err = c.fillNulls(given, byField)
		}
		if err != nil {
			return c.fail(syscol.DataVersionByField, "%v", err)
		}
		if old, ok := made[syscol.DataVersionByField]; ok {
			old.Release()
		}
		made[syscol.DataVersionByField] = filled
		given = filled
	}
	version, ok := get(syscol.DataVersion)
	if !ok {
		a, err := c.sample(given, int(b.NumRows()))
		if err != nil {
			return err
		}
		made[syscol.DataVersion] = a
		return nil
	}
	if version.NullN() == 0 && version.DataType().ID() != arrow.NULL {
		return nil
	}
	filled, err := c.fillNulls(version, provenance)
	if err != nil {
		return c.fail(syscol.DataVersion, "%v", err)
	}
	made[syscol.DataVersion] = filled
	return nil
}

// withMembers is the type of data versions whose null rows take their
// provenance: a struct has the members of both, as text.
func withMembers(versions, provenance arrow.DataType) arrow.DataType {
	own, ok := versions.(*arrow.StructType)
	other, ok2 := provenance.(*arrow.StructType)
	if !ok || !ok2 {
		return versions
	}
	var fields []arrow.Field
	for _, f := range slices.Concat(own.Fields(), other.Fields()) {
		if !slices.ContainsFunc(fields, func(have arrow.Field) bool { return have.Name == f.Name }) {
			fields = append(fields, arrow.Field{Name: f.Name, Type: arrow.BinaryTypes.String, Nullable: true})
		}
	}
	if len(fields) == own.NumFields() {
		return versions
	}
	return arrow.StructOf(fields...)
}

// fillMembers takes rows of b where a is null, as a struct with the members of
// both; the caller releases it.
func fillMembers(a, b arrow.Array, t arrow.DataType) (arrow.Array, error) {
	out := array.NewStructBuilder(memory.DefaultAllocator, t.(*arrow.StructType))
	defer out.Release()
	for i, f := range t.(*arrow.StructType).Fields() {
		var from [2]texts
		for j, s := range []arrow.Array{a, b} {
			from[j] = allNull{}
			if m, err := memberOf(s, f.Name); err == nil {
				defer m.Release()
				if from[j], err = textOf(m); err != nil {
					return nil, err
				}
			}
		}
		text := out.FieldBuilder(i).(*array.StringBuilder)
		for row := range a.Len() {
			s := from[0]
			if a.IsNull(row) {
				s = from[1]
			}
			if s.IsNull(row) {
				text.AppendNull()
			} else {
				text.Append(s.Value(row))
			}
		}
	}
	for row := range a.Len() {
		out.AppendValues([]bool{a.IsValid(row) || b.IsValid(row)})
	}
	return out.NewArray(), nil
}

// fillNulls takes rows of b where a is null; the caller releases it.
func (c *completer) fillNulls(a, b arrow.Array) (arrow.Array, error) {
	if a.DataType().ID() == arrow.NULL {
		b.Retain()
		return b, nil
	}
	if !arrow.TypeEqual(a.DataType(), b.DataType()) {
		aligned, err := alignStruct(b, a.DataType())
		if err != nil {
			return nil, err
		}
		defer aligned.Release()
		b = aligned
	}
	both, err := array.Concatenate([]arrow.Array{a, b}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	defer both.Release()
	idx := make([]int64, a.Len())
	for i := range idx {
		idx[i] = int64(i)
		if a.IsNull(i) {
			idx[i] = int64(a.Len() + i)
		}
	}
	return takeArray(c.ctx, both, idx)
}

// alignStruct gives a struct the members of another type, by name.
func alignStruct(a arrow.Array, t arrow.DataType) (arrow.Array, error) {
	st, ok := a.(*array.Struct)
	want, ok2 := t.(*arrow.StructType)
	if !ok || !ok2 {
		if t.ID() == arrow.STRING || t.ID() == arrow.LARGE_STRING {
			return plainText(a)
		}
		return nil, fmt.Errorf("%s cannot be filled from %s", t, a.DataType())
	}
	var data []arrow.ArrayData
	for _, f := range want.Fields() {
		m, err := memberOf(st, f.Name)
		if err != nil {
			m = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, a.Len())
		}
		defer m.Release()
		data = append(data, m.Data())
	}
	d := array.NewData(want, a.Len(), []*memory.Buffer{nil}, data, 0, 0)
	defer d.Release()
	return array.NewStructData(d), nil
}

// sample hashes the members of a by-field column.
func (c *completer) sample(byField arrow.Array, n int) (arrow.Array, error) {
	var columns []rowhash.Strings
	for _, m := range sortedMembers(c.plan) {
		a, err := memberOf(byField, m)
		if err != nil {
			return nil, c.fail(syscol.ProvenanceByField+"."+m, "the field's member is missing")
		}
		defer a.Release()
		t, err := stringsOf(a)
		if err != nil {
			return nil, c.fail(syscol.ProvenanceByField+"."+m, "%v", err)
		}
		columns = append(columns, t)
	}
	out := &rowhash.Texts{}
	c.hasher.Sample().HashStrings(columns, n, out)
	return out.Array(memory.DefaultAllocator, nil), nil
}

// asMap converts a struct: every member has its key, a null struct has null values.
func (c *completer) asMap(column string, a arrow.Array) (arrow.Array, error) {
	fields := a.DataType().(*arrow.StructType).Fields()
	names, columns := make([]string, len(fields)), make([]arrow.Array, len(fields))
	for i, f := range fields {
		col, err := memberOf(a, f.Name)
		if err != nil {
			return nil, c.fail(column+"."+f.Name, "%v", err)
		}
		defer col.Release()
		if columns[i], err = plainText(col); err != nil {
			return nil, c.fail(column+"."+f.Name, "%v", err)
		}
		defer columns[i].Release()
		names[i] = f.Name
	}
	return byFieldArray(byFieldType(c.plan, true), names, columns, a.Len()), nil
}

package rowio

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// convert makes an array of the plain type out of one of the type as it came;
// the caller releases it. nil stands for one that changes nothing.
type convert func(arrow.Array) (arrow.Array, error)

// plainRows gives rows whose types tables have, as far as there is such a type
// for every value. Batches are checked before anything looks into them.
func plainRows(ctx context.Context, s *arrow.Schema, in iter.Seq2[arrow.RecordBatch, error]) (frame.Rows, error) {
	fields := make([]arrow.Field, s.NumFields())
	converts := make([]convert, len(fields))
	p := &plainer{ctx: ctx}
	for i, f := range s.Fields() {
		if w, ok := f.Type.(*arrow.FixedSizeBinaryType); ok && w.ByteWidth == 0 {
			fields[i], converts[i] = arrow.Field{Name: f.Name, Type: arrow.BinaryTypes.Binary, Nullable: f.Nullable}, blobs
			continue
		}
		t, c, err := p.field(f, f.Name)
		if err != nil {
			return frame.Rows{}, err
		}
		fields[i], converts[i] = arrow.Field{Name: f.Name, Type: t, Nullable: f.Nullable}, c
	}
	schema := arrow.NewSchema(fields, nil)
	return frame.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		row := int64(1)
		for b, err := range in {
			if err != nil {
				yield(nil, plainWords(err))
				return
			}
			out, err := plainBatch(b, schema, converts, row)
			if err != nil {
				yield(nil, err)
				return
			}
			row += b.NumRows()
			ok := yield(out, nil)
			out.Release()
			if !ok {
				return
			}
		}
	}}, nil
}

// plainWords takes the names of libraries out of an error.
func plainWords(err error) error {
	text := err.Error()
	for _, word := range []string{"arrow/ipc: ", "arrow/array: ", "arrow/compute: ", "arrow/schema: ", "parquet: "} {
		text = strings.ReplaceAll(text, word, "")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func plainBatch(b arrow.RecordBatch, schema *arrow.Schema, converts []convert, row int64) (arrow.RecordBatch, error) {
	if int(b.NumCols()) != len(converts) {
		return nil, fmt.Errorf("row %d: a batch of %d columns, and the schema has %d", row, b.NumCols(), len(converts))
	}
	cols := make([]arrow.Array, len(converts))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, c := range converts {
		a := b.Column(i)
		if err := sound(a, row); err != nil {
			return nil, fmt.Errorf("column %s: %w", schema.Field(i).Name, err)
		}
		if c == nil {
			a.Retain()
			cols[i] = a
			continue
		}
		out, err := c(a)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", schema.Field(i).Name, err)
		}
		cols[i] = out
	}
	return array.NewRecordBatch(schema, cols, b.NumRows()), nil
}

// sound checks that offsets lie within their buffers, and texts.
func sound(a arrow.Array, row int64) error {
	err := checked(a)
	if err == nil {
		return nil
	}
	if texts, ok := a.(array.StringLike); ok {
		for i := range texts.Len() {
			if v := texts.Value(i); texts.IsValid(i) && !utf8.ValidString(v) {
				return fmt.Errorf("row %d: %q is no UTF-8", row+int64(i), short(v))
			}
		}
	}
	if strings.Contains(strings.ToLower(err.Error()), "utf") {
		return fmt.Errorf("rows from %d on hold a text that is no UTF-8", row)
	}
	return fmt.Errorf("the rows from %d on are damaged: %w", row, plainWords(err))
}

// checked is what the library finds wrong with an array. It takes arrays that
// have no buffers for damaged, so that they are left out of what it looks at.
func checked(a arrow.Array) error {
	if a.NullN() < 0 || a.Len() < 0 {
		return errDamaged
	}
	var below []arrow.Array
	switch a := a.(type) {
	case *array.Null:
		return nil
	case *array.FixedSizeBinary:
		if a.DataType().(*arrow.FixedSizeBinaryType).ByteWidth == 0 {
			return nil
		}
		return array.ValidateFull(a)
	case *array.Struct:
		for i := range a.NumField() {
			below = append(below, a.Field(i))
		}
	case *array.Map:
		below = []arrow.Array{a.Keys(), a.Items()}
	case array.ListLike:
		below = []arrow.Array{a.ListValues()}
	case *array.Dictionary:
		below = []arrow.Array{a.Dictionary(), a.Indices()}
	case array.ExtensionArray:
		below = []arrow.Array{a.Storage()}
	default:
		return array.ValidateFull(a)
	}
	if v, ok := a.(interface{ ValidateFull() error }); ok {
		if err := v.ValidateFull(); err != nil {
			return err
		}
	}
	for _, b := range below {
		if err := checked(b); err != nil {
			return err
		}
	}
	return nil
}

// plainer finds the plain form of types.
type plainer struct{ ctx context.Context }

// The names of extension types, and where the fields of those that the library
// does not know have them. polars-map keeps maps as lists of structs of key and
// value.
const (
	extensionName = "ARROW:extension:name"
	jsonExtension = "arrow.json"
	uuidExtension = "arrow.uuid"
	mapExtension  = "polars_map.map"
)

func (p *plainer) field(f arrow.Field, path string) (arrow.DataType, convert, error) {
	t := f.Type
	name, _ := f.Metadata.GetValue(extensionName)
	if ext, ok := t.(arrow.ExtensionType); ok {
		name = ext.ExtensionName()
	}
	switch name {
	case mapExtension:
		return p.mapOfPairs(t, path)
	case uuidExtension:
		return arrow.BinaryTypes.String, uuids, nil
	case jsonExtension:
		if arrow.TypeEqual(t, arrow.BinaryTypes.Binary) {
			return arrow.BinaryTypes.String, bytesAsText, nil
		}
	}
	return p.plain(t, path)
}

func (p *plainer) plain(t arrow.DataType, path string) (arrow.DataType, convert, error) {
	switch t := t.(type) {
	case arrow.ExtensionType:
		return p.extension(t, path)
	case *arrow.DictionaryType:
		return p.dictionary(t, path)
	case *arrow.RunEndEncodedType:
		to, then, err := p.plain(t.Encoded(), path)
		return to, func(a arrow.Array) (arrow.Array, error) { return p.runs(a.(*array.RunEndEncoded), then) }, err
	case *arrow.StructType:
		return p.structure(t, path)
	case *arrow.MapType:
		return p.mapping(t, path)
	case *arrow.ListType:
		return p.list(t, path)
	case arrow.ListLikeType:
		elem, then, err := p.field(t.ElemField(), path+".element")
		return arrow.ListOf(elem), func(a arrow.Array) (arrow.Array, error) {
			return gathered(a.(array.ListLike), elem, then)
		}, err
	case *arrow.LargeStringType, *arrow.StringViewType:
		return arrow.BinaryTypes.String, texts, nil
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth == 0 {
			return nil, nil, fmt.Errorf("column %s: bytes of size 0 within lists, maps and structs are not supported", path)
		}
		return arrow.BinaryTypes.Binary, blobs, nil
	case *arrow.LargeBinaryType, *arrow.BinaryViewType:
		return arrow.BinaryTypes.Binary, blobs, nil
	case *arrow.Float16Type:
		return arrow.PrimitiveTypes.Float32, halves, nil
	case *arrow.MonthIntervalType, *arrow.DayTimeIntervalType, *arrow.MonthDayNanoIntervalType:
		return nil, nil, fmt.Errorf("column %s: an interval has no type in a table: want a number of a unit, or text", path)
	}
	return t, nil, nil
}

func (p *plainer) extension(t arrow.ExtensionType, path string) (arrow.DataType, convert, error) {
	switch t.ExtensionName() {
	case uuidExtension:
		return arrow.BinaryTypes.String, uuids, nil
	case "arrow.bool8":
		return arrow.FixedWidthTypes.Boolean, bytesAsBooleans, nil
	case "arrow.parquet.variant", "parquet.variant":
		return nil, nil, fmt.Errorf("column %s: a variant has no type in a table: want JSON as text, or columns of their own", path)
	}
	to, then, err := p.plain(t.StorageType(), path)
	return to, func(a arrow.Array) (arrow.Array, error) {
		return applied(a.(array.ExtensionArray).Storage(), then)
	}, err
}

// applied converts an array, or retains it where there is nothing to convert.
func applied(a arrow.Array, then convert) (arrow.Array, error) {
	if then == nil {
		a.Retain()
		return a, nil
	}
	return then(a)
}

func (p *plainer) dictionary(t *arrow.DictionaryType, path string) (arrow.DataType, convert, error) {
	to, then, err := p.plain(t.ValueType, path)
	return to, func(a arrow.Array) (arrow.Array, error) {
		d := a.(*array.Dictionary)
		for i := range d.Len() {
			if d.IsValid(i) && (d.GetValueIndex(i) < 0 || d.GetValueIndex(i) >= d.Dictionary().Len()) {
				return nil, fmt.Errorf("damaged: value %d of the dictionary does not exist", d.GetValueIndex(i))
			}
		}
		values, err := applied(d.Dictionary(), then)
		if err != nil {
			return nil, err
		}
		defer values.Release()
		return compute.TakeArray(p.ctx, values, d.Indices())
	}, err
}

// runs repeats each value as often as its run says.
func (p *plainer) runs(r *array.RunEndEncoded, then convert) (arrow.Array, error) {
	values, err := applied(r.Values(), then)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	idx := array.NewInt64Builder(memory.DefaultAllocator)
	defer idx.Release()
	for i := range r.Len() {
		idx.Append(int64(r.GetPhysicalIndex(i)))
	}
	rows := idx.NewArray()
	defer rows.Release()
	return compute.TakeArray(p.ctx, values, rows)
}

func (p *plainer) structure(t *arrow.StructType, path string) (arrow.DataType, convert, error) {
	fields := make([]arrow.Field, t.NumFields())
	converts := make([]convert, len(fields))
	changes := false
	for i, f := range t.Fields() {
		to, c, err := p.field(f, path+"."+f.Name)
		if err != nil {
			return nil, nil, err
		}
		fields[i], converts[i] = arrow.Field{Name: f.Name, Type: to, Nullable: f.Nullable}, c
		changes = changes || c != nil
	}
	if !changes {
		return t, nil, nil
	}
	to := arrow.StructOf(fields...)
	return to, func(a arrow.Array) (arrow.Array, error) {
		st := a.(*array.Struct)
		children := make([]arrow.ArrayData, len(converts))
		for i, c := range converts {
			child, err := applied(st.Field(i), c)
			if err != nil {
				return nil, fmt.Errorf("member %s: %w", fields[i].Name, err)
			}
			defer child.Release()
			children[i] = child.Data()
		}
		return built(to, st, nil, children), nil
	}, nil
}

func (p *plainer) list(t *arrow.ListType, path string) (arrow.DataType, convert, error) {
	elem, then, err := p.field(t.ElemField(), path+".element")
	if err != nil || then == nil {
		return t, nil, err
	}
	to := arrow.ListOfField(arrow.Field{Name: "element", Type: elem, Nullable: t.ElemField().Nullable})
	return to, func(a arrow.Array) (arrow.Array, error) {
		values, err := then(a.(*array.List).ListValues())
		if err != nil {
			return nil, err
		}
		defer values.Release()
		return built(to, a, offsetsOf(a), []arrow.ArrayData{values.Data()}), nil
	}, nil
}

func (p *plainer) mapping(t *arrow.MapType, path string) (arrow.DataType, convert, error) {
	key, keys, err := p.field(t.KeyField(), path+".key")
	if err != nil {
		return nil, nil, err
	}
	item, items, err := p.field(t.ItemField(), path+".value")
	if err != nil || keys == nil && items == nil {
		return t, nil, err
	}
	to := arrow.MapOf(key, item)
	return to, func(a arrow.Array) (arrow.Array, error) {
		m := a.(*array.Map)
		return mapOf(to, a, m.Keys(), m.Items(), keys, items)
	}, nil
}

// mapOfPairs is the map that lists of structs of key and value stand for.
func (p *plainer) mapOfPairs(t arrow.DataType, path string) (arrow.DataType, convert, error) {
	if ext, ok := t.(arrow.ExtensionType); ok {
		t = ext.StorageType()
	}
	l, ok := t.(arrow.ListLikeType)
	if !ok {
		return nil, nil, fmt.Errorf("column %s: a map by %s wants lists of key and value, got %s", path, mapExtension, t)
	}
	pair, ok := l.Elem().(*arrow.StructType)
	if !ok || pair.NumFields() != 2 {
		return nil, nil, fmt.Errorf("column %s: a map by %s wants lists of key and value, got %s", path, mapExtension, t)
	}
	list, outer, err := p.plain(t, path)
	if err != nil {
		return nil, nil, err
	}
	pair = list.(*arrow.ListType).Elem().(*arrow.StructType)
	to := arrow.MapOf(pair.Field(0).Type, pair.Field(1).Type)
	return to, func(a arrow.Array) (arrow.Array, error) {
		if ext, ok := a.(array.ExtensionArray); ok {
			a = ext.Storage()
		}
		lists, err := applied(a, outer)
		if err != nil {
			return nil, err
		}
		defer lists.Release()
		pairs := lists.(*array.List).ListValues().(*array.Struct)
		for i := range lists.Len() {
			from, end := lists.(*array.List).ValueOffsets(i)
			for j := from; j < end && lists.IsValid(i); j++ {
				if pairs.IsNull(int(j)) || pairs.Field(0).IsNull(int(j)) {
					return nil, errors.New("a map with a null key")
				}
			}
		}
		return mapOf(to, lists, pairs.Field(0), pairs.Field(1), nil, nil)
	}, nil
}

// mapOf is a map with the offsets and nulls of a list.
func mapOf(to *arrow.MapType, a, keys, items arrow.Array, k, v convert) (arrow.Array, error) {
	plainKeys, err := applied(keys, k)
	if err != nil {
		return nil, err
	}
	defer plainKeys.Release()
	plainItems, err := applied(items, v)
	if err != nil {
		return nil, err
	}
	defer plainItems.Release()
	entries := array.NewData(to.Elem(), plainKeys.Len(), []*memory.Buffer{nil}, []arrow.ArrayData{plainKeys.Data(), plainItems.Data()}, 0, 0)
	defer entries.Release()
	return built(to, a, offsetsOf(a), []arrow.ArrayData{entries}), nil
}

// offsetsOf is the buffer of where each list begins, from its first on.
func offsetsOf(a arrow.Array) *memory.Buffer {
	starts := make([]int32, a.Len()+1)
	l := a.(interface{ ValueOffsets(int) (int64, int64) })
	for i := range a.Len() {
		from, end := l.ValueOffsets(i)
		starts[i], starts[i+1] = int32(from), int32(end)
	}
	return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(starts))
}

// built is an array of other children with the nulls of a.
func built(to arrow.DataType, a arrow.Array, offsets *memory.Buffer, children []arrow.ArrayData) arrow.Array {
	buffers := []*memory.Buffer{validity(a)}
	if offsets != nil {
		buffers = append(buffers, offsets)
	}
	data := array.NewData(to, a.Len(), buffers, children, a.NullN(), 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// validity is the bitmap of what is not null, from bit 0; nil when all is.
func validity(a arrow.Array) *memory.Buffer {
	if a.NullN() == 0 {
		return nil
	}
	bits := make([]byte, (a.Len()+7)/8)
	for i := range a.Len() {
		if a.IsValid(i) {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return memory.NewBufferBytes(bits)
}

// gathered makes lists whose elements lie one after another out of lists of any
// kind.
func gathered(a array.ListLike, elem arrow.DataType, then convert) (arrow.Array, error) {
	values, err := applied(a.ListValues(), then)
	if err != nil {
		return nil, err
	}
	defer values.Release()
	var parts []arrow.Array
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	starts := make([]int32, a.Len()+1)
	total, from, end := int64(0), int64(0), int64(0) // [from, end) is the part that grows
	for i := range a.Len() {
		if a.IsValid(i) {
			s, e := a.ValueOffsets(i)
			if s != end && end > from {
				parts = append(parts, array.NewSlice(values, from, end))
			}
			if s != end {
				from = s
			}
			end, total = e, total+e-s
		}
		if total > 1<<31-1 {
			return nil, errors.New("more than 2,147,483,647 elements in one batch: want smaller batches")
		}
		starts[i+1] = int32(total)
	}
	parts = append(parts, array.NewSlice(values, from, end))
	joined, err := array.Concatenate(parts, memory.DefaultAllocator)
	if err != nil {
		return nil, plainWords(err)
	}
	defer joined.Release()
	return built(arrow.ListOf(elem), a, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(starts)), []arrow.ArrayData{joined.Data()}), nil
}

func texts(a arrow.Array) (arrow.Array, error) {
	in := a.(array.StringLike)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(a.Len())
	size := 0
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		v := in.Value(i)
		if size += len(v); size > 1<<31-1 {
			return nil, errors.New("more than 2 GiB of texts in one batch: want smaller batches")
		}
		b.Append(v)
	}
	return b.NewArray(), nil
}

func blobs(a arrow.Array) (arrow.Array, error) {
	in := a.(interface{ Value(int) []byte })
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	defer b.Release()
	b.Reserve(a.Len())
	f, fixed := a.DataType().(*arrow.FixedSizeBinaryType)
	size := 0
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		var v []byte
		if !fixed || f.ByteWidth > 0 {
			v = in.Value(i)
		}
		if size += len(v); size > 1<<31-1 {
			return nil, errors.New("more than 2 GiB of bytes in one batch: want smaller batches")
		}
		b.Append(v)
	}
	return b.NewArray(), nil
}

// bytesAsText takes bytes for the text that they are.
func bytesAsText(a arrow.Array) (arrow.Array, error) {
	d := a.Data()
	data := array.NewData(arrow.BinaryTypes.String, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
	defer data.Release()
	return array.NewStringData(data), nil
}

func uuids(a arrow.Array) (arrow.Array, error) {
	if ext, ok := a.(array.ExtensionArray); ok {
		a = ext.Storage()
	}
	in, ok := a.(*array.FixedSizeBinary)
	if !ok {
		return nil, fmt.Errorf("want UUIDs as 16 bytes, got %s", a.DataType())
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
			continue
		}
		id, err := uuid.FromBytes(in.Value(i))
		if err != nil {
			return nil, fmt.Errorf("want UUIDs of 16 bytes, got %d", len(in.Value(i)))
		}
		b.Append(id.String())
	}
	return b.NewArray(), nil
}

func bytesAsBooleans(a arrow.Array) (arrow.Array, error) {
	if ext, ok := a.(array.ExtensionArray); ok {
		a = ext.Storage()
	}
	in, ok := a.(*array.Int8)
	if !ok {
		return nil, fmt.Errorf("want booleans as bytes, got %s", a.DataType())
	}
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(in.Value(i) != 0)
	}
	return b.NewArray(), nil
}

func halves(a arrow.Array) (arrow.Array, error) {
	in := a.(*array.Float16)
	b := array.NewFloat32Builder(memory.DefaultAllocator)
	defer b.Release()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(in.Value(i).Float32())
	}
	return b.NewArray(), nil
}

package scan

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// The numbers that the Parquet format has for its physical types.
const (
	physicalInt96 = 3
	physicalFixed = 7
	bytesOfInt96  = 12
)

// asBytes96 gives the 96-bit timestamps in structs, lists and maps of a file the type of bytes of that length, under which the Arrow reader gives them as they
// are: as timestamps it knows only those within the range of nanoseconds. Their statistics go, as nobody orders them by their bytes. It reports whether there
// are any. Flat columns stay: those are read page by page.
func asBytes96(ctx context.Context, meta *metadata.FileMetaData) (*metadata.FileMetaData, bool, error) {
	nested := map[int]bool{}
	for i := range meta.Schema.NumColumns() {
		if c := meta.Schema.Column(i); c.PhysicalType() == parquet.Types.Int96 && (c.MaxRepetitionLevel() > 0 || c.MaxDefinitionLevel() > 1 || len(c.ColumnPath()) > 1) {
			nested[i] = true
		}
	}
	if len(nested) == 0 {
		return meta, false, nil
	}
	leaf, length := 0, int32(bytesOfInt96)
	for _, e := range meta.FileMetaData.Schema {
		if e.NumChildren != nil && *e.NumChildren > 0 || e.Type == nil {
			continue
		}
		if nested[leaf] && *e.Type == physicalInt96 {
			*e.Type, e.TypeLength, e.ConvertedType, e.LogicalType = physicalFixed, &length, nil, nil
		}
		leaf++
	}
	for _, group := range meta.RowGroups {
		for i, c := range group.Columns {
			if nested[i] && c.MetaData != nil {
				c.MetaData.Type, c.MetaData.Statistics = physicalFixed, nil
				c.ColumnIndexOffset, c.ColumnIndexLength = nil, nil
			}
		}
	}
	data, err := meta.Serialize(ctx)
	if err != nil {
		return nil, false, err
	}
	out, err := metadata.NewFileMetaData(data, nil)
	return out, true, err
}

// withStamps gives the bytes of 96-bit timestamps, at the places where the table has timestamps, as those; the caller releases the result.
func withStamps(mem memory.Allocator, a arrow.Array, to arrow.DataType) arrow.Array {
	d := stampData(mem, a.Data(), to)
	defer d.Release()
	return array.MakeFromData(d)
}

// stampData is withStamps for data; the caller releases it.
func stampData(mem memory.Allocator, d arrow.ArrayData, to arrow.DataType) arrow.ArrayData {
	if t, ok := to.(*arrow.TimestampType); ok {
		if w, ok := d.DataType().(*arrow.FixedSizeBinaryType); ok && w.ByteWidth == bytesOfInt96 {
			a := array.NewFixedSizeBinaryData(d)
			defer a.Release()
			out := instants96(mem, a, t)
			defer out.Release()
			out.Data().Retain()
			return out.Data()
		}
	}
	from, ok := d.DataType().(arrow.NestedType)
	wanted, ok2 := to.(arrow.NestedType)
	if !ok || !ok2 || d.DataType().ID() != to.ID() {
		d.Retain()
		return d
	}
	children := make([]arrow.ArrayData, len(d.Children()))
	fields := from.Fields()
	for i, c := range d.Children() {
		t := wanted.Fields()[min(i, wanted.NumFields()-1)].Type
		if st, ok := to.(*arrow.StructType); ok {
			j, found := st.FieldIdx(fields[i].Name)
			if !found {
				c.Retain()
				children[i] = c
				defer c.Release()
				continue
			}
			t = st.Field(j).Type
		}
		children[i] = stampData(mem, c, t)
		defer children[i].Release()
		fields[i].Type = children[i].DataType()
	}
	return array.NewData(nestedOf(d.DataType(), fields), d.Len(), d.Buffers(), children, d.NullN(), d.Offset())
}

// nestedOf is a nested type with other types below.
func nestedOf(t arrow.DataType, fields []arrow.Field) arrow.DataType {
	switch t := t.(type) {
	case *arrow.StructType:
		return arrow.StructOf(fields...)
	case *arrow.MapType:
		entry := fields[0].Type.(*arrow.StructType)
		out := arrow.MapOf(entry.Field(0).Type, entry.Field(1).Type)
		out.SetItemNullable(t.ItemField().Nullable)
		return out
	case *arrow.ListType:
		return arrow.ListOfField(fields[0])
	}
	return t
}

func instants96(mem memory.Allocator, a *array.FixedSizeBinary, t *arrow.TimestampType) arrow.Array {
	b := array.NewTimestampBuilder(mem, t)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.UnsafeAppend(arrow.Timestamp(pqread.Micros96([12]byte(a.Value(i)))))
	}
	return b.NewArray()
}

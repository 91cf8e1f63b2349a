package scan

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
)

// contradiction finds the first place where the type of a column in a data file cannot be read as the table's type: its path, the type in the file and the
// wanted one; no path when there is none. What can is what delta-spark reads without changing a value (internal/docs/formats.md has the table): wider numbers,
// days as midnights, texts and bytes, and integers of every annotation, whose values are then held against the table's type one by one.
func contradiction(file, table arrow.DataType, path string) (at, got, want string) {
	switch table := table.(type) {
	case *arrow.StructType:
		f, ok := file.(*arrow.StructType)
		if !ok {
			return path, file.String(), table.String()
		}
		for _, member := range table.Fields() {
			if i, ok := f.FieldIdx(member.Name); ok {
				if at, got, want = contradiction(f.Field(i).Type, member.Type, path+"."+member.Name); at != "" {
					return at, got, want
				}
			}
		}
		return "", "", ""
	case *arrow.MapType:
		f, ok := file.(*arrow.MapType)
		if !ok {
			return path, file.String(), table.String()
		}
		if at, got, want = contradiction(f.KeyType(), table.KeyType(), path+".key"); at != "" {
			return at, got, want
		}
		return contradiction(f.ItemType(), table.ItemType(), path+".value")
	case *arrow.ListType:
		f, ok := file.(arrow.ListLikeType)
		if !ok || file.ID() == arrow.MAP {
			return path, file.String(), table.String()
		}
		return contradiction(f.Elem(), table.Elem(), path+".element")
	}
	if readable(file, table) {
		return "", "", ""
	}
	return path, file.String(), table.String()
}

// readable reports whether values of a flat type in a file are values of a table's type.
func readable(file, table arrow.DataType) bool {
	switch f := file.(type) {
	case *arrow.DictionaryType:
		return readable(f.ValueType, table)
	case arrow.ExtensionType:
		if f.ExtensionName() == "arrow.uuid" && table.ID() == arrow.STRING {
			return true
		}
		return readable(f.StorageType(), table)
	}
	if file.ID() == arrow.NULL {
		return true
	}
	narrow := arrow.IsInteger(file.ID()) && file.ID() != arrow.INT64 && file.ID() != arrow.UINT64 // 32 bits in the file
	switch table.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32:
		return narrow
	case arrow.INT64:
		return arrow.IsInteger(file.ID())
	case arrow.FLOAT32:
		return file.ID() == arrow.FLOAT32
	case arrow.FLOAT64:
		return file.ID() == arrow.FLOAT64 || file.ID() == arrow.FLOAT32 || narrow
	case arrow.STRING, arrow.BINARY:
		return textOrBytes(file.ID(), table.ID())
	case arrow.BOOL:
		return file.ID() == arrow.BOOL
	case arrow.DATE32:
		return file.ID() == arrow.DATE32 || file.ID() == arrow.INT32 // days without an annotation
	case arrow.TIMESTAMP:
		t, ok := file.(*arrow.TimestampType)
		if table.(*arrow.TimestampType).TimeZone == "" {
			return file.ID() == arrow.DATE32 || ok && t.TimeZone == ""
		}
		return ok
	case arrow.DECIMAL128:
		return readableDecimal(file, table.(*arrow.Decimal128Type))
	}
	return false
}

func textOrBytes(file, table arrow.Type) bool {
	switch file {
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW, arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW:
		return true
	case arrow.FIXED_SIZE_BINARY:
		return table == arrow.BINARY
	}
	return false
}

// readableDecimal takes decimals with no more digits on either side of the point, and integers all of whose values fit.
func readableDecimal(file arrow.DataType, table *arrow.Decimal128Type) bool {
	whole := table.Precision - table.Scale
	switch file.ID() {
	case arrow.INT64, arrow.UINT64:
		return whole >= 20
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.UINT8, arrow.UINT16, arrow.UINT32:
		return whole >= 10
	}
	d, ok := file.(arrow.DecimalType)
	return ok && table.Scale >= d.GetScale() && whole >= d.GetPrecision()-d.GetScale()
}

// asInstants gives timestamps the zone of the table's type, and plain 32-bit numbers the name of days; the values stay. The caller releases the result.
func asInstants(a arrow.Array, to arrow.DataType) arrow.Array {
	return delta.Retyped(a, instantType(a.DataType(), to))
}

func instantType(file, table arrow.DataType) arrow.DataType {
	switch t := table.(type) {
	case *arrow.TimestampType:
		if f, ok := file.(*arrow.TimestampType); ok {
			return &arrow.TimestampType{Unit: f.Unit, TimeZone: t.TimeZone}
		}
	case *arrow.Date32Type:
		if file.ID() == arrow.INT32 {
			return t
		}
	case *arrow.StructType:
		f, ok := file.(*arrow.StructType)
		if !ok {
			return file
		}
		fields := f.Fields()
		for i := range fields {
			if j, ok := t.FieldIdx(fields[i].Name); ok {
				fields[i].Type = instantType(fields[i].Type, t.Field(j).Type)
			}
		}
		return arrow.StructOf(fields...)
	case *arrow.MapType:
		if f, ok := file.(*arrow.MapType); ok {
			out := arrow.MapOf(instantType(f.KeyType(), t.KeyType()), instantType(f.ItemType(), t.ItemType()))
			out.SetItemNullable(f.ItemField().Nullable)
			return out
		}
	case *arrow.ListType:
		if f, ok := file.(*arrow.ListType); ok {
			e := f.ElemField()
			e.Type = instantType(e.Type, t.Elem())
			return arrow.ListOfField(e)
		}
	}
	return file
}

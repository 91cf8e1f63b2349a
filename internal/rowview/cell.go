package rowview

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/internal/rowio"
)

// Type is a short name of a type, as Polars has it, such as str or struct[2].
func Type(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.StringType, *arrow.LargeStringType:
		return "str"
	case *arrow.Int64Type:
		return "i64"
	case *arrow.Int32Type:
		return "i32"
	case *arrow.Float64Type:
		return "f64"
	case *arrow.BooleanType:
		return "bool"
	case *arrow.TimestampType:
		if t.TimeZone != "" {
			return "datetime[μs, " + t.TimeZone + "]"
		}
		return "datetime[μs]"
	case *arrow.StructType:
		return fmt.Sprintf("struct[%d]", t.NumFields())
	case *arrow.ListType:
		return "list[" + Type(t.Elem()) + "]"
	}
	return t.String()
}

func cell(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.String:
		return "'" + a.Value(i) + "'"
	case *array.Timestamp:
		t := a.Value(i).ToTime(a.DataType().(*arrow.TimestampType).Unit)
		zone := ""
		if a.DataType().(*arrow.TimestampType).TimeZone != "" {
			zone = "+00:00"
		}
		return strings.TrimSuffix(t.UTC().Format("2006-01-02 15:04:05.000000"), ".000000") + zone
	case *array.Struct:
		var members []string
		for m, f := range a.DataType().(*arrow.StructType).Fields() {
			text := cell(a.Field(m), i)
			if text == "null" {
				text = "None"
			}
			members = append(members, "'"+f.Name+"': "+text)
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	return rowio.Text(a, i, "null")
}

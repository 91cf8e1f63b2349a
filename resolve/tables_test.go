package resolve_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/filter"
)

// row is a row as plain values: nil, int64 (timestamps in microseconds, too),
// string, bool or members.
type row map[string]any

// members are the texts of a by-field column, a struct or a map.
type members map[string]any

// stored is a table as plain rows, unit by unit, oldest first.
type stored struct {
	schema *arrow.Schema
	units  [][]row
}

// batches returns the units as Arrow batches, which the caller releases.
func (s *stored) batches(mem memory.Allocator) []arrow.RecordBatch {
	var out []arrow.RecordBatch
	for _, rows := range s.units {
		out = append(out, recordOf(mem, s.schema, rows))
	}
	return out
}

func recordOf(mem memory.Allocator, schema *arrow.Schema, rows []row) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	for _, r := range rows {
		for i, f := range schema.Fields() {
			appendCell(b.Field(i), r[f.Name])
		}
	}
	return b.NewRecordBatch()
}

func appendCell(b array.Builder, v any) {
	if v == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.Int32Builder:
		b.Append(int32(v.(int64)))
	case *array.Int16Builder:
		b.Append(int16(v.(int64)))
	case *array.Int8Builder:
		b.Append(int8(v.(int64)))
	case *array.Float64Builder:
		b.Append(v.(float64))
	case *array.Float32Builder:
		b.Append(float32(v.(float64)))
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.(int64)))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.(int64)))
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.LargeStringBuilder:
		b.Append(v.(string))
	case *array.StringViewBuilder:
		b.Append(v.(string))
	case *array.BooleanBuilder:
		b.Append(v.(bool))
	case *array.StructBuilder:
		b.Append(true)
		for i, f := range b.Type().(*arrow.StructType).Fields() {
			appendCell(b.FieldBuilder(i), v.(members)[f.Name])
		}
	case *array.MapBuilder:
		b.Append(true)
		m := v.(members)
		for _, k := range slices.Sorted(maps.Keys(m)) {
			appendCell(b.KeyBuilder(), k)
			appendCell(b.ItemBuilder(), m[k])
		}
	default:
		panic(fmt.Sprintf("no cells of %s", b.Type()))
	}
}

// cellOf reads a cell back as a plain value.
func cellOf(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Int64:
		return a.Value(i)
	case *array.Int32:
		return int64(a.Value(i))
	case *array.Int16:
		return int64(a.Value(i))
	case *array.Int8:
		return int64(a.Value(i))
	case *array.Float64:
		return a.Value(i)
	case *array.Float32:
		return float64(a.Value(i))
	case *array.Date32:
		return int64(a.Value(i))
	case *array.Timestamp:
		return int64(a.Value(i))
	case *array.Boolean:
		return a.Value(i)
	case *array.String:
		return strings.Clone(a.Value(i))
	case *array.LargeString:
		return strings.Clone(a.Value(i))
	case *array.StringView:
		return strings.Clone(a.Value(i))
	case *array.Struct:
		m := members{}
		for c, f := range a.DataType().(*arrow.StructType).Fields() {
			m[f.Name] = cellOf(a.Field(c), i)
		}
		return m
	case *array.Map:
		m := members{}
		from, to := a.ValueOffsets(i)
		for j := int(from); j < int(to); j++ {
			m[fmt.Sprint(cellOf(a.Keys(), j))] = cellOf(a.Items(), j)
		}
		return m
	}
	return "cell of " + a.DataType().String()
}

// cellText tells equal cells from all others.
func cellText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case members:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+":"+cellText(v[k]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprint(v)
}

// rowText tells equal rows of some columns from all others.
func rowText(columns []string, r row) string {
	var b strings.Builder
	for _, c := range columns {
		b.WriteString(c + "=" + cellText(r[c]) + ";")
	}
	return b.String()
}

// batchTexts renders the rows of a batch.
func batchTexts(b arrow.RecordBatch) []string {
	var names []string
	for _, f := range b.Schema().Fields() {
		names = append(names, f.Name)
	}
	out := make([]string, b.NumRows())
	for i := range out {
		r := row{}
		for c, name := range names {
			r[name] = cellOf(b.Column(c), i)
		}
		out[i] = rowText(names, r)
	}
	return out
}

// footer returns the statistics of a column of a unit as the footer of a file
// has them: exact ends unless texts are long, none where all is null.
func (s *stored) footer(unit int, column string) (filter.Range, bool) {
	top, member, nested := strings.Cut(column, ".")
	at := s.schema.FieldIndices(top)
	rows := s.units[unit]
	r := filter.Range{Known: true, Rows: int64(len(rows))}
	if len(at) == 0 {
		r.Nulls = r.Rows
		return r, true
	}
	typ := s.schema.Field(at[0]).Type
	if _, isStruct := typ.(*arrow.StructType); isStruct != nested {
		return filter.Range{}, false
	}
	exact := true
	for _, cells := range rows {
		v := cells[top]
		if m, ok := v.(members); ok {
			v = m[member]
		}
		if v == nil {
			r.Nulls++
			continue
		}
		if t, ok := v.(string); ok && len(t) >= 32 {
			exact = false
		}
		widen(&r, literalOf(typ, v))
	}
	return r, exact && r.Min != nil
}

// literalOf is a value as statistics have it, nil where they have none.
func literalOf(typ arrow.DataType, v any) any {
	switch v := v.(type) {
	case int64:
		if typ.ID() == arrow.TIMESTAMP {
			return filter.Timestamp(v)
		}
		return v
	case string:
		return v
	}
	return nil
}

func widen(r *filter.Range, v any) {
	less := func(a, b any) bool {
		switch a := a.(type) {
		case int64:
			return a < b.(int64)
		case filter.Timestamp:
			return a < b.(filter.Timestamp)
		case string:
			return a < b.(string)
		}
		return false
	}
	if v == nil {
		return
	}
	if r.Min == nil || less(v, r.Min) {
		r.Min = v
	}
	if r.Max == nil || less(r.Max, v) {
		r.Max = v
	}
}

package rewrite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
)

// The columns of the model; a name with a dot is a member that a struct may get, one with a plus says that the type of a column was widened.
var (
	baseColumns = []string{"id", "k", "p", "q", "x", "ts", "dec", "st", "li"}
	newColumns  = []string{"n1", "n2", "st.c"}
	modelTypes  = map[string]arrow.DataType{
		"id": arrow.PrimitiveTypes.Int64, "k": arrow.BinaryTypes.String, "p": arrow.BinaryTypes.String, "q": arrow.PrimitiveTypes.Int32, "x": arrow.PrimitiveTypes.Float64,
		"ts": arrow.FixedWidthTypes.Timestamp_us, "dec": &arrow.Decimal128Type{Precision: 10, Scale: 2}, "li": arrow.ListOf(arrow.PrimitiveTypes.Int64),
		"n1": arrow.PrimitiveTypes.Int64, "n2": arrow.BinaryTypes.String,
	}
	modelValues = map[string][]string{
		"k": {"a", "b", "c", strings.Repeat("ä", 40), ""}, "p": {"a", "b c", "d/e", "50%"}, "q": {"-1", "0", "7"}, "x": {"NaN", "+Inf", "-2.5", "1", "5e-324"},
		"ts": {"2024-01-02T03:04:05.678901Z", "1969-12-31T23:59:59.999999Z"}, "dec": {"-1.75", "99999999.99"}, "st": {`{"a":"x","b":1}`, `{"a":null,"b":2}`, `{"a":null,"b":null}`},
		"li": {"[]", "[1,null]", "[7]"}, "n1": {"5", "6"}, "n2": {"new", ""},
	}
)

func columnNames(columns []string) []string {
	return slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return strings.ContainsAny(c, ".+") })
}

// widened are the types of columns after their widening, here and in the schema of the table.
var widened = map[string]struct {
	arrow    arrow.DataType
	was, now string
}{
	"q":   {arrow.PrimitiveTypes.Int64, "integer", "long"},
	"dec": {&arrow.Decimal128Type{Precision: 20, Scale: 2}, "decimal(10,2)", "decimal(20,2)"},
}

func typeOf(column string, columns []string) arrow.DataType {
	if slices.Contains(columns, column+"+") {
		return widened[column].arrow
	}
	if column != "st" {
		return modelTypes[column]
	}
	members := []arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "b", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}
	if slices.Contains(columns, "st.c") {
		members = append(members, arrow.Field{Name: "c", Type: arrow.BinaryTypes.String, Nullable: true})
	}
	return arrow.StructOf(members...)
}

// newRows draws rows with fresh ids. A value that is absent is null.
func (m *model) newRows(t *rapid.T, columns []string) []row {
	n := rapid.IntRange(0, 6).Draw(t, "rows")
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "values"), 0))
	rows := make([]row, n)
	for i := range rows {
		m.ids++
		rows[i] = row{"id": strconv.Itoa(m.ids)}
		for _, c := range columnNames(columns) {
			if values := modelValues[c]; values != nil && rng.IntN(4) > 0 {
				rows[i][c] = values[rng.IntN(len(values))]
			}
		}
		for c, big := range map[string]string{"q": "5000000000", "dec": "-123456789012345678.25"} {
			if slices.Contains(columns, c+"+") && rng.IntN(3) == 0 {
				rows[i][c] = big
			}
		}
		if st, ok := rows[i]["st"]; ok && slices.Contains(columns, "st.c") && rng.IntN(2) > 0 {
			rows[i]["st"] = strings.TrimSuffix(st, "}") + `,"c":"z"}`
		}
	}
	return rows
}

// frameOf are rows as Arrow batches of at most four rows.
func frameOf(columns []string, rows []row) *delta.Rows {
	var fields []arrow.Field
	for _, c := range columnNames(columns) {
		fields = append(fields, arrow.Field{Name: c, Type: typeOf(c, columns), Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	return &delta.Rows{Schema: schema, Batches: func(yield func(arrow.RecordBatch, error) bool) {
		for part := range slices.Chunk(rows, 4) {
			b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
			for _, r := range part {
				for i, f := range fields {
					text, ok := r[f.Name]
					if !ok {
						b.Field(i).AppendNull()
					} else if err := appendText(b.Field(i), text); err != nil {
						yield(nil, fmt.Errorf("%s %q: %w", f.Name, text, err))
						return
					}
				}
			}
			batch := b.NewRecordBatch()
			more := yield(batch, nil)
			batch.Release()
			b.Release()
			if !more {
				return
			}
		}
	}}
}

func appendText(b array.Builder, text string) error {
	if nested, ok := b.(interface{ UnmarshalJSON([]byte) error }); ok && (b.Type().ID() == arrow.STRUCT || b.Type().ID() == arrow.LIST) {
		return nested.UnmarshalJSON([]byte("[" + text + "]"))
	}
	return b.AppendValueFromString(text)
}

// textsOf are the rows of a scan in the texts of the model.
func textsOf(schema *arrow.Schema, batches iter.Seq2[arrow.RecordBatch, error]) ([]row, error) {
	var rows []row
	for b, err := range batches {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			r := row{}
			for c, f := range schema.Fields() {
				if a := b.Column(c); a.IsValid(i) {
					r[f.Name] = textOf(a, i)
				}
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func textOf(a arrow.Array, i int) string {
	switch a := a.(type) {
	case *array.Struct:
		var out []string
		for m, f := range a.DataType().(*arrow.StructType).Fields() {
			x := a.Field(m)
			switch {
			case x.IsNull(i) && f.Name == "c":
			case x.IsNull(i):
				out = append(out, `"`+f.Name+`":null`)
			case f.Name == "b":
				out = append(out, `"b":`+x.ValueStr(i))
			default:
				out = append(out, fmt.Sprintf("%q:%q", f.Name, x.ValueStr(i)))
			}
		}
		return "{" + strings.Join(out, ",") + "}"
	case *array.Timestamp:
		return a.Value(i).ToTime(arrow.Microsecond).Format("2006-01-02T15:04:05.999999Z")
	}
	return a.ValueStr(i)
}

func keep(before []row) []row { return before }

func none(*rapid.T) change { return change{apply: keep, restores: -1} }

// current are the columns of the newest version.
func (m *model) current() []string { return m.last().columns }

func (m *model) append(t *rapid.T) step {
	columns := m.current()
	rows := m.newRows(t, columns)
	return m.written("append", columns, rows, &delta.AppendOptions{}, change{blind: true, added: rows, restores: -1, apply: func(before []row) []row { return append(slices.Clone(before), rows...) }})
}

func (m *model) written(name string, columns []string, rows []row, opts *delta.AppendOptions, effect change) step {
	return step{name, func(ctx context.Context, tb *delta.Table) (int64, error) {
		r, err := tb.Append(ctx, frameOf(columns, rows), opts)
		return r.Version, err
	}, effect}
}

// evolve appends rows with a column or member that may be new, and without one that is old.
func (m *model) evolve(t *rapid.T) step {
	extra := rapid.SampledFrom(newColumns).Draw(t, "new column")
	columns := slices.DeleteFunc(slices.Clone(m.current()), func(c string) bool { return c == extra || c == "x" })
	columns = append(columns, extra)
	// All that the rows have comes to be, also what a restore took away in between; a type is none of it.
	grown := slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return strings.HasSuffix(c, "+") })
	rows := m.newRows(t, columns)
	return m.written("evolve", columns, rows, &delta.AppendOptions{MergeSchema: true},
		change{blind: true, added: rows, columns: grown, restores: -1, apply: func(before []row) []row { return append(slices.Clone(before), rows...) }})
}

func (m *model) overwrite(t *rapid.T) step {
	columns := m.current()
	rows := m.newRows(t, columns)
	return m.written("overwrite", columns, rows, &delta.AppendOptions{Overwrite: true}, change{restores: -1, apply: func([]row) []row { return rows }})
}

// replace overwrites the rows of one value, by a predicate or, where the table is partitioned, by its files.
func (m *model) replace(t *rapid.T) step {
	columns := m.current()
	rows := m.newRows(t, columns)
	value := rapid.SampledFrom(modelValues["p"]).Draw(t, "partition")
	for _, r := range rows {
		r["p"] = value
	}
	effect := change{restores: -1, apply: func(before []row) []row {
		return append(slices.DeleteFunc(slices.Clone(before), func(r row) bool { v, ok := r["p"]; return ok && v == value }), rows...)
	}}
	if m.partition != nil && rapid.Bool().Draw(t, "by files") {
		of := func(f *delta.File) bool { v, err := f.Partition("p"); return err == nil && v == value }
		return m.written("overwrite p="+value, columns, rows, &delta.AppendOptions{Overwrite: true, Replace: of, Parameters: map[string]string{"predicate": "p = '" + value + "'"}}, effect)
	}
	where, err := filter.ParseSQL("p = '" + value + "'")
	if err != nil {
		t.Fatal(err)
	}
	return step{"delete and write p=" + value, func(ctx context.Context, tb *delta.Table) (int64, error) {
		r, err := rewrite.Overwrite(ctx, tb, frameOf(columns, rows), where, &rewrite.OverwriteOptions{Delete: rewrite.DeleteOptions{Now: m.clock.UnixMilli(), Parallel: 1}})
		return r.Version, err
	}, effect}
}

// delete removes the rows of a predicate.
func (m *model) delete(t *rapid.T) step {
	n := rapid.IntRange(0, m.ids+1).Draw(t, "id")
	id := func(r row) int { v, err := strconv.Atoi(r["id"]); return map[bool]int{true: v, false: -1}[err == nil] }
	kinds := []struct {
		sql   string
		match func(row) bool
	}{
		{fmt.Sprintf("id < %d", n), func(r row) bool { return id(r) < n }},
		{fmt.Sprintf("id = %d", n), func(r row) bool { return id(r) == n }},
		{"k = 'b'", func(r row) bool { return r["k"] == "b" }},
		{"p = 'b c'", func(r row) bool { return r["p"] == "b c" }},
		{"p IS NULL OR k = 'a'", func(r row) bool { _, ok := r["p"]; return !ok || r["k"] == "a" }},
		{"NOT (q < 5)", func(r row) bool { return r["q"] == "7" || r["q"] == "5000000000" }},
		{"st.a = 'x'", func(r row) bool { return strings.Contains(r["st"], `"a":"x"`) }},
	}
	kind := kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "predicate")]
	where, err := filter.ParseSQL(kind.sql)
	if err != nil {
		t.Fatal(err)
	}
	return step{"delete " + kind.sql, func(ctx context.Context, tb *delta.Table) (int64, error) {
		r, err := rewrite.Delete(ctx, tb, where, &rewrite.DeleteOptions{Now: m.clock.UnixMilli(), Parallel: 1})
		return r.Version, err
	}, change{restores: -1, apply: func(before []row) []row { return slices.DeleteFunc(slices.Clone(before), kind.match) }}}
}

func (m *model) deleteAll(*rapid.T) step {
	return step{"delete all", func(ctx context.Context, tb *delta.Table) (int64, error) {
		r, err := rewrite.Delete(ctx, tb, nil, &rewrite.DeleteOptions{Now: m.clock.UnixMilli()})
		return r.Version, err
	}, change{restores: -1, apply: func([]row) []row { return nil }}}
}

func (m *model) optimize(t *rapid.T) step {
	o := rewrite.OptimizeOptions{TargetBytes: rapid.SampledFrom([]int64{0, 6000, 20000}).Draw(t, "target"), KeepOrder: rapid.Bool().Draw(t, "keep order")}
	o.SortBy = rapid.SampledFrom([][]string{nil, nil, {"id"}, {"k", "x"}}).Draw(t, "sort by")
	return step{"optimize", func(ctx context.Context, tb *delta.Table) (int64, error) {
		o.Now = m.clock.UnixMilli()
		r, err := rewrite.Optimize(ctx, tb, &o)
		return r.Version, err
	}, none(t)}
}

func (m *model) restore(t *rapid.T) step {
	v := int64(rapid.IntRange(0, len(m.versions)-1).Draw(t, "restored"))
	rows := m.versions[v].rows
	return step{"restore", func(ctx context.Context, tb *delta.Table) (int64, error) {
		r, err := rewrite.Restore(ctx, tb, v, &rewrite.RestoreOptions{Now: m.clock.UnixMilli()})
		return r.Version, err
	}, change{restores: v, apply: func([]row) []row { return rows }}}
}

// widen gives a column a greater type, as other engines do.
func (m *model) widen(t *rapid.T) step {
	column := rapid.SampledFrom([]string{"q", "dec"}).Draw(t, "widened")
	return step{"widen " + column, func(ctx context.Context, tb *delta.Table) (int64, error) {
		snap, err := tb.Snapshot(ctx)
		if err != nil {
			return -1, err
		}
		w, meta := widened[column], *snap.State().Metadata
		var schema struct {
			Type   string           `json:"type"`
			Fields []map[string]any `json:"fields"`
		}
		if err := json.Unmarshal([]byte(meta.SchemaString), &schema); err != nil {
			return -1, err
		}
		for _, f := range schema.Fields {
			if f["name"] != column || f["type"] != w.was {
				continue
			}
			f["type"] = w.now
			f["metadata"].(map[string]any)["delta.typeChanges"] = []map[string]string{{"fromType": w.was, "toType": w.now}}
			text, err := json.Marshal(schema)
			if err != nil {
				return -1, err
			}
			meta.SchemaString = string(text)
			return tb.Commit(ctx, &delta.Change{Read: snap, Operation: "CHANGE COLUMN", Metadata: &meta})
		}
		return -1, nil // it is wide
	}, change{restores: -1, columns: []string{column + "+"}, apply: keep}}
}

// set changes a property of the table.
func (m *model) set(t *rapid.T) step {
	pair := rapid.SampledFrom([][2]string{{"delta.enableDeletionVectors", "true"}, {"delta.enableDeletionVectors", "false"}, {"delta.checkpointPolicy", "v2"}, {"delta.checkpointPolicy", "classic"},
		{"delta.enableChangeDataFeed", "true"}, {"delta.enableChangeDataFeed", "false"}, {"delta.enableRowTracking", "true"}, {"delta.enableInCommitTimestamps", "true"},
		{"delta.dataSkippingNumIndexedCols", "1"}, {"delta.checkpoint.writeStatsAsStruct", "true"}}).Draw(t, "property")
	return step{"set " + pair[0] + "=" + pair[1], func(ctx context.Context, tb *delta.Table) (int64, error) {
		return tb.SetProperties(ctx, map[string]string{pair[0]: pair[1]}, nil)
	}, none(t)}
}

package resolve

import (
	"context"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// missing is the columns that the table does not have; members count by their column.
func hasColumn(s *arrow.Schema, name string) bool {
	if s.HasField(name) {
		return true
	}
	top, member, ok := strings.Cut(name, ".")
	i := s.FieldIndices(top)
	if !ok || len(i) == 0 {
		return false
	}
	if st, isStruct := s.Field(i[0]).Type.(*arrow.StructType); isStruct {
		_, ok := st.FieldIdx(member)
		return ok
	}
	return true
}

// stampColumns are the columns of the order key that the table has and that
// statistics do not answer.
func stampColumns(ctx context.Context, t frame.Table) (read []string, err error) {
	units, err := t.Units(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{syscol.DeletedAt, syscol.UpdatedAt, syscol.CreatedAt} {
		if !t.Schema().HasField(name) || name == syscol.CreatedAt && t.Schema().HasField(syscol.UpdatedAt) {
			continue
		}
		answered := len(units) > 0
		for _, u := range units {
			answered = answered && name == syscol.DeletedAt && allNullIn(u, name)
		}
		if !answered {
			read = append(read, name)
		}
	}
	return read, nil
}

// allNullIn reports whether statistics say that a column is null in every row of
// a unit. Those that count other rows than the unit has say nothing.
func allNullIn(u frame.Unit, column string) bool {
	r, _ := u.Stats(column)
	return r.Known && r.Rows > 0 && r.Nulls == r.Rows && r.Rows == u.Span()
}

func renamed(b arrow.RecordBatch, cols []string, rename func(string) string) arrow.RecordBatch {
	fields := make([]arrow.Field, len(cols))
	for i, c := range cols {
		fields[i] = b.Schema().Field(i)
		fields[i].Name = rename(c)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), b.Columns()[:len(cols)], b.NumRows())
}

func same(name string) string { return name }

// checkFilters finds unknown columns and wrong types before anything is read.
func checkFilters(exprs []filter.Expr, schema *arrow.Schema) error {
	for _, e := range exprs {
		if _, err := filtereval.Bind(e, schema); err != nil {
			return err
		}
	}
	return nil
}

// filterColumns are the columns that predicates name.
func filterColumns(exprs []filter.Expr) []string {
	var out []string
	for _, e := range exprs {
		for _, p := range filter.Columns(e) {
			out = append(out, p[0])
		}
	}
	return out
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

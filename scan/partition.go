package scan

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// ByPartition returns a test of files by a predicate that names partition columns only: it is true of all rows of a file or of none. nil when the predicate
// names other columns. An unparsable partition value is corruption.
func ByPartition(snap *delta.Snapshot, e filter.Expr) (func(*delta.File) (bool, error), error) {
	parts := snap.PartitionColumns()
	for _, path := range filter.Columns(e) {
		if len(path) != 1 || !slices.ContainsFunc(parts, func(p string) bool { return strings.EqualFold(p, path[0]) }) {
			return nil, nil
		}
	}
	var fields []arrow.Field
	for _, f := range snap.Schema().Arrow().Fields() {
		if slices.Contains(parts, f.Name) {
			fields = append(fields, f)
		}
	}
	schema := arrow.NewSchema(fields, nil)
	program, err := filtereval.Bind(e, schema)
	if err != nil {
		return nil, err
	}
	return func(f *delta.File) (bool, error) {
		cols := make([]arrow.Array, len(fields))
		for i, field := range fields {
			v, err := f.Partition(field.Name)
			if err != nil {
				return false, err
			}
			if cols[i], err = repeat(memory.DefaultAllocator, field.Type, v, 1); err != nil {
				return false, err
			}
			defer cols[i].Release()
		}
		row := array.NewRecordBatch(schema, cols, 1)
		defer row.Release()
		keep, err := program.Eval(row)
		return err == nil && keep[0], err
	}, nil
}

package metaxy

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/internal/nearest"
)

// foreign asks a fallback store that is no DeltaStore. Its rows are what a read of this store would give: filters are applied to them whether or not it has
// applied them, then columns and limit, which it is therefore not asked for.
func (f Fallback) foreign(ctx context.Context, key feature.Key, o *ReadOptions, mem memory.Allocator) (*located, error) {
	ask := *o
	ask.Columns, ask.Limit, ask.at = nil, 0, nil // what was seen was another table
	rows, out, err := f.given(ctx, key, &ask, o, mem)
	if err != nil {
		return nil, err
	}
	source := rows.Source
	source.Feature = key
	if source.Store == "" {
		source.Store, source.TableVersion = f.Name, -1
	}
	again := func(ctx context.Context) (*Rows, error) {
		_, out, err := f.given(ctx, key, &ask, o, mem)
		return out, err
	}
	return &located{rows: out, again: again, source: source, warnings: slices.Clone(rows.Warnings)}, nil
}

// given is what the store answers, and the rows of it that are wanted.
func (f Fallback) given(ctx context.Context, key feature.Key, ask, o *ReadOptions, mem memory.Allocator) (rows, out *Rows, err error) {
	if rows, err = f.Store.Read(ctx, key, ask); err != nil {
		return nil, nil, err
	}
	if rows == nil || rows.Schema == nil || rows.Batches == nil {
		return nil, nil, fmt.Errorf("%w: a read of %s gave no rows and no error", ErrInvalid, key)
	}
	out = &Rows{Schema: rows.Schema, Batches: rows.Batches}
	return rows, out, out.narrow(ctx, o, mem)
}

// narrow applies filters, columns and limit to a stream.
func (r *Rows) narrow(ctx context.Context, o *ReadOptions, mem memory.Allocator) error {
	for _, e := range o.Filters {
		program, err := filtereval.Bind(e, r.Schema)
		if err != nil {
			return err
		}
		r.Batches = kept(compute.WithAllocator(ctx, mem), r.Batches, program)
	}
	if len(o.Columns) > 0 {
		fields := make([]arrow.Field, len(o.Columns))
		columns := make([]int, len(o.Columns))
		for i, name := range o.Columns {
			found := r.Schema.FieldIndices(name)
			if len(found) == 0 {
				return &filtereval.ColumnError{Column: name, Nearest: nearColumns(name, r.Schema)}
			}
			fields[i], columns[i] = r.Schema.Field(found[0]), found[0]
		}
		r.Schema = arrow.NewSchema(fields, nil)
		r.Batches = projected(r.Batches, r.Schema, columns)
	}
	if o.Limit > 0 {
		r.Batches = atMost(r.Batches, o.Limit)
	}
	return nil
}

func nearColumns(name string, schema *arrow.Schema) []string {
	var known []string
	for _, f := range schema.Fields() {
		known = append(known, f.Name)
	}
	return nearest.Names(name, known)
}

// kept are the rows for which a predicate is true.
func kept(ctx context.Context, in iter.Seq2[arrow.RecordBatch, error], program *filtereval.Program) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		program := program.Clone()
		for b, err := range in {
			var keep []bool
			if err == nil {
				keep, err = program.Eval(b)
			}
			if err == nil && slices.Contains(keep, false) {
				b, err = filtered(ctx, b, keep)
			} else if err == nil {
				b.Retain()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			ok := frame.Give(yield, b, b)
			if !ok {
				return
			}
		}
	}
}

// filtered is a batch of the rows to keep.
func filtered(ctx context.Context, b arrow.RecordBatch, keep []bool) (arrow.RecordBatch, error) {
	bools := array.NewBooleanBuilder(compute.GetAllocator(ctx))
	defer bools.Release()
	bools.AppendValues(keep, nil)
	mask := bools.NewArray()
	defer mask.Release()
	return compute.FilterRecordBatch(ctx, b, mask, compute.DefaultFilterOptions())
}

// projected are chosen columns.
func projected(in iter.Seq2[arrow.RecordBatch, error], schema *arrow.Schema, columns []int) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			arrays := make([]arrow.Array, len(columns))
			for i, c := range columns {
				arrays[i] = b.Column(c)
			}
			out := array.NewRecordBatch(schema, arrays, b.NumRows())
			ok := frame.Give(yield, out, out)
			if !ok {
				return
			}
		}
	}
}

// atMost are the first rows of a stream.
func atMost(in iter.Seq2[arrow.RecordBatch, error], left int64) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		left := left
		for b, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			cut := b.NewSlice(0, min(left, b.NumRows()))
			left -= cut.NumRows()
			ok := frame.Give(yield, cut, cut)
			if !ok || left <= 0 {
				return
			}
		}
	}
}

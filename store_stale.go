package metaxy

import (
	"errors"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// judged are the batches up to the first row, where predicates about rows that are not stored yet are wrong; without a row nothing is asked of them.
func (i *Increment) judged(in iter.Seq2[PartBatch, error]) iter.Seq2[PartBatch, error] {
	if i.unjudged == nil {
		return in
	}
	return func(yield func(PartBatch, error) bool) {
		for b, err := range in {
			if err == nil && b.Batch.NumRows() > 0 {
				err = i.unjudged
			}
			if err != nil {
				yield(PartBatch{}, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// judgedPart is judged for one part. The producer releases its batches.
func (i *Increment) judgedPart(in iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	if i.unjudged == nil {
		return in
	}
	return func(yield func(arrow.RecordBatch, error) bool) {
		for b, err := range in {
			if err == nil && b.NumRows() > 0 {
				err = i.unjudged
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// checkStaleIf holds predicates over a feature's rows against the columns that its table will have, while there is none: those of the increment, the system
// columns, and those that the definition's schema declares, whose types are not known.
func checkStaleIf(def *feature.Definition, increment *arrow.Schema, exprs []filter.Expr) error {
	if len(exprs) == 0 {
		return nil
	}
	fields := increment.Fields()
	for _, name := range []string{syscol.FeatureVersion, syscol.ProjectVersion, syscol.CreatedAt, syscol.UpdatedAt, syscol.DeletedAt, syscol.MaterializationID} {
		if !increment.HasField(name) {
			fields = append(fields, arrow.Field{Name: name, Type: intake.SystemType(name), Nullable: true})
		}
	}
	schema := arrow.NewSchema(fields, nil)
	properties, _ := def.Schema.Get("properties")
	for _, e := range exprs {
		_, err := filtereval.Bind(e, schema)
		var unknown *filtereval.ColumnError
		if errors.As(err, &unknown) {
			if _, declared := properties.Get(unknown.Column); declared {
				continue
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

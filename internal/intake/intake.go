// Package intake makes of rows that somebody gives the rows that a feature's
// table takes in: with versions, provenance and stamps, in Metaxy's order of
// columns, and without those that others have stored meanwhile.
//
// It does so for a write of one process and for tasks that write the files of
// one commit. Check judges a schema, Complete gives a stream, and Written holds
// sample versions, a few words each, against what comes. Streams release each
// batch after the step. Rows that do not fit are a *resolve.InputError, a table
// from which rows were removed is a *txlog.ConflictError.
package intake

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// Options say how rows are completed.
type Options struct {
	// ProjectVersion is that of the definitions in force.
	ProjectVersion string
	Algorithm      resolve.Algorithm
	// MapDatatype stores the by-field columns as maps.
	MapDatatype       bool
	MaterializationID string
	AllowNullIDs      bool
	// PreserveVersions keeps both version columns of the rows when both are
	// there.
	PreserveVersions bool
	// Now is what rows are stamped with. Tombstones have it as the time of
	// their deletion, and keep when they were updated.
	Now       time.Time
	Tombstone bool
}

// Complete returns rows that passed Check as the table of a feature stores
// them. It streams; a null id ends the stream, unless it is allowed. Warnings
// are those of the schema.
func Complete(ctx context.Context, plan *feature.Plan, rows *resolve.Rows, o *Options) (
	completed *resolve.Rows, found []resolve.Warning, err error) {
	key := plan.Feature.Spec.Key
	if len(plan.Deps) > 0 && !rows.Schema.HasField(syscol.Provenance) {
		found = append(found, resolve.Warning{Code: "PROVENANCE_MISSING", Message: fmt.Sprintf(
			"%s: the rows lack %s, which a resolve gives: it is computed from %s; was it dropped on the way?",
			key, syscol.Provenance, syscol.ProvenanceByField)})
	}
	in := &resolve.Rows{Schema: rows.Schema, Batches: rows.Batches}
	if !o.AllowNullIDs {
		in.Batches = NoNulls(key, in.Schema, in.Batches, plan.Feature.Spec.IDColumns)
	}
	if completed, err = resolve.Complete(ctx, in, plan, o.Algorithm, o.MapDatatype); err != nil {
		return nil, nil, err
	}
	lay := newLayout(in.Schema, completed.Schema, plan.FeatureVersion, o)
	return &resolve.Rows{Schema: lay.schema, Batches: lay.apply(completed.Batches)}, found, nil
}

// Check finds what rows cannot do without, by their schema: versions by field
// as a struct or a map, every id column, and no name twice. What is wrong is a
// *resolve.InputError.
func Check(plan *feature.Plan, schema *arrow.Schema) error {
	key := plan.Feature.Spec.Key.String()
	f, ok := schema.FieldsByName(syscol.ProvenanceByField)
	if !ok {
		return &resolve.InputError{Feature: key, Column: syscol.ProvenanceByField, Msg: "a write needs it"}
	}
	switch f[0].Type.ID() {
	case arrow.STRUCT, arrow.MAP:
	default:
		msg := fmt.Sprintf("want a struct or a map, got %s", f[0].Type)
		return &resolve.InputError{Feature: key, Column: syscol.ProvenanceByField, Msg: msg}
	}
	for _, id := range plan.Feature.Spec.IDColumns {
		if !schema.HasField(id) {
			return &resolve.InputError{Feature: key, Column: id, Msg: "id column is missing"}
		}
	}
	seen := map[string]bool{}
	for _, f := range schema.Fields() {
		if seen[f.Name] {
			return &resolve.InputError{Feature: key, Column: f.Name, Msg: "occurs twice"}
		}
		seen[f.Name] = true
	}
	return nil
}

type batches = iter.Seq2[arrow.RecordBatch, error]

// NoNulls fails a stream at the first null in one of the columns, before its
// batch is stored; the append then leaves nothing.
func NoNulls(key feature.Key, schema *arrow.Schema, in batches, columns []string) batches {
	var cols []int
	for _, c := range columns {
		cols = append(cols, schema.FieldIndices(c)...)
	}
	return func(yield func(arrow.RecordBatch, error) bool) {
		row := int64(0)
		for b, err := range in {
			if err == nil {
				err = firstNull(key, b, cols, row)
				row += b.NumRows()
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

func firstNull(key feature.Key, b arrow.RecordBatch, cols []int, base int64) error {
	for _, c := range cols {
		col := b.Column(c)
		if col.NullN() == 0 {
			continue
		}
		for i := range col.Len() {
			if col.IsNull(i) {
				msg := "id is null in row %d; nothing was written (nulls are stored only when allowed)"
				return &resolve.InputError{Feature: key.String(), Column: b.ColumnName(c), Msg: fmt.Sprintf(msg, base+int64(i))}
			}
		}
	}
	return nil
}

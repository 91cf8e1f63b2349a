package metaxy

import (
	"context"
	"fmt"
	"time"

	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// CompleteOptions say how rows are completed.
type CompleteOptions struct {
	// ProjectVersion is that of the definitions in force.
	ProjectVersion string
	Algorithm      resolve.Algorithm
	// MapDatatype stores the by-field columns as maps.
	MapDatatype       bool
	MaterializationID string
	AllowNullIDs      bool
	// Now is what rows are stamped with.
	Now time.Time
}

// Complete returns rows as Write stores them in the table of a feature: with
// versions, provenance and stamps, in its order of columns. It is for those who
// write files of one commit in several processes. It streams; rows that Write
// would refuse end the stream with the same error.
func Complete(ctx context.Context, plan *feature.Plan, rows *Rows, o *CompleteOptions) (*Rows, error) {
	in, err := asDeclared(plan.Feature.Spec.Key, rows)
	if err != nil {
		return nil, err
	}
	if err := checkFrame(plan, in.Schema); err != nil {
		return nil, err
	}
	return complete(ctx, plan, in, o, &stamps{WriteOptions: WriteOptions{MaterializationID: o.MaterializationID}, now: o.Now})
}

// complete completes rows that have what a write cannot do without.
func complete(ctx context.Context, plan *feature.Plan, rows *Rows, o *CompleteOptions, st *stamps) (*Rows, error) {
	key := plan.Feature.Spec.Key
	var found []Warning
	if len(plan.Deps) > 0 && !rows.Schema.HasField(syscol.Provenance) {
		found = append(found, Warning{Code: "PROVENANCE_MISSING", Message: fmt.Sprintf("%s: the rows lack %s, which a resolve gives: it is computed from %s; was it dropped on the way?", key, syscol.Provenance, syscol.ProvenanceByField)})
	}
	in := rows
	if !o.AllowNullIDs {
		in = rejectNullIDs(key, in, plan.Feature.Spec.IDColumns)
	}
	completed, err := resolve.Complete(ctx, &resolve.Rows{Schema: in.Schema, Batches: in.Batches}, plan, o.Algorithm, o.MapDatatype)
	if err != nil {
		return nil, err
	}
	lay := newLayout(in.Schema, completed.Schema, plan.FeatureVersion, o.ProjectVersion, st)
	return &Rows{Schema: lay.schema, Batches: lay.apply(completed.Batches), Warnings: found}, nil
}

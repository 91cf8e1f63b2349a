package metaxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

// failedPath is where the table of failures lies in a feature's own table,
// whose readers leave folders alone that begin with an underscore.
const failedPath = "/_metaxy_delta/failed"

// The columns of a table of failures behind the input ids, the feature version
// and the provenance.
const (
	colFailedReason  = "metaxy_failed_reason"
	colFailedAttempt = "metaxy_failed_attempt"
	colFailedAt      = "metaxy_failed_at"
	colClearedAt     = "metaxy_cleared_at"
)

// FailedOptions say which of the samples that failed a resolve leaves out:
// those whose newest attempt at the same version (WriteFailed) meets one of the
// conditions. Samples that never failed, or whose version is another by now,
// come as always.
type FailedOptions struct {
	// Skip leaves out all of them.
	Skip bool
	// MaxAttempts leaves out those that failed so often; 0 = no limit.
	MaxAttempts int64
	// After leaves out those that failed less than this ago.
	After time.Duration
}

// FailedTable is the Delta table of the samples of a feature that failed, which
// need not exist. It is read-only where the store is.
func (s *DeltaStore) FailedTable(key feature.Key) *delta.Table {
	return s.tableAt(s.tablePath(key) + failedPath)
}

// failure is the newest record of a sample.
type failure struct {
	provenance string
	attempt    int64
	at         int64 // microseconds
	cleared    bool
}

// newer is the later of two times.
func (f *failure) newer(o *failure) bool {
	return f.at > o.at || f.at == o.at && (f.cleared || f.attempt >= o.attempt)
}

// failures are the records of a feature version, by input ids.
type failures struct {
	store   *DeltaStore
	key     feature.Key
	on      []string
	version string
	snap    *delta.Snapshot // nil: nothing failed ever
	layout  *hashjoin.Layout
	byKey   map[[2]uint64]failure
	open    int // of them, those that are not cleared
}

// readFailures reads what is recorded of a feature. types are those of the
// input ids that will be looked up. It holds one record of each sample that
// failed.
func (s *DeltaStore) readFailures(ctx context.Context, plan *feature.Plan, types []arrow.DataType) (*failures, error) {
	key := plan.Feature.Spec.Key
	f := &failures{store: s, key: key, on: plan.JoinColumns(), version: plan.FeatureVersion, byKey: map[[2]uint64]failure{}}
	snap, err := s.FailedTable(key).Snapshot(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("failures of %s: %w", key, err)
	}
	sides := [][]arrow.DataType{types}
	var sc *scan.Scan
	if err == nil {
		f.snap = snap
		if sc, err = f.scan(); err != nil {
			return nil, fmt.Errorf("failures of %s: %w", key, err)
		}
		sides = append(sides, typesOf(sc.Schema(), f.on))
	}
	if f.layout, err = hashjoin.NewLayout(sides...); err != nil {
		return nil, fmt.Errorf("failures of %s: %w", key, err)
	}
	if sc == nil {
		return f, nil
	}
	for b, err := range sc.Batches(ctx) {
		if err == nil {
			err = f.add(b)
		}
		if err != nil {
			return nil, fmt.Errorf("failures of %s: %w", key, err)
		}
	}
	for _, one := range f.byKey {
		if !one.cleared {
			f.open++
		}
	}
	return f, nil
}

// scan reads the records of the feature version.
func (f *failures) scan() (*scan.Scan, error) {
	where := filter.Compare{Op: filter.Eq, Left: filter.Column{Path: []string{syscol.FeatureVersion}}, Right: filter.Literal{Value: f.version}}
	columns := append(append([]string{}, f.on...), syscol.FeatureVersion, syscol.Provenance, colFailedReason, colFailedAttempt, colFailedAt, colClearedAt)
	return scan.New(f.snap, &scan.Options{Columns: columns, Filter: where, Parallel: f.store.opts.Parallel, Allocator: f.store.opts.Allocator})
}

// records calls do with each record of a batch of the table.
func (f *failures) records(b arrow.RecordBatch, do func(row int, id [2]uint64, one failure)) error {
	var keys hashjoin.Keys
	if err := f.layout.Encode(columnsOf(b, f.on), &keys); err != nil {
		return err
	}
	at := columnsOf(b, []string{syscol.Provenance, colFailedAttempt, colFailedAt, colClearedAt})
	provenance, ok := at[0].(*array.String)
	attempt, ok1 := at[1].(*array.Int64)
	failed, ok2 := at[2].(*array.Timestamp)
	cleared, ok3 := at[3].(*array.Timestamp)
	if !ok || !ok1 || !ok2 || !ok3 {
		return errors.New("its columns have other types than a table of failures")
	}
	for i := range int(b.NumRows()) {
		one := failure{provenance: provenance.Value(i), attempt: attempt.Value(i), at: int64(failed.Value(i)), cleared: cleared.IsValid(i)}
		if one.cleared {
			one.at = int64(cleared.Value(i))
		}
		do(i, idOf(&keys, i), one)
	}
	return nil
}

func (f *failures) add(b arrow.RecordBatch) error {
	return f.records(b, func(_ int, id [2]uint64, one failure) {
		if old, ok := f.byKey[id]; !ok || one.newer(&old) {
			f.byKey[id] = one
		}
	})
}

// idOf is the key of a row as a value.
func idOf(k *hashjoin.Keys, i int) [2]uint64 {
	if k.Hi == nil {
		return [2]uint64{k.Lo[i]}
	}
	return [2]uint64{k.Lo[i], k.Hi[i]}
}

// WriteFailed records that samples failed, so that a resolve can leave them out
// or bring them back later (ResolveOptions.Failed). Rows need the input ids of
// the feature, by which a resolve joins upstream, and metaxy_provenance, as New
// and Stale give them; columns reason (text) and attempt (whole numbers) may
// come with them, and an attempt that does not is one more than that of the
// last failure of the same version. A write that stores the sample clears the
// record.
//
// The records are a Delta table in the folder of the feature's own, which
// nothing but this module reads. The result is about that table: its
// TableVersion is the newest, also where no rows came, which commit nothing,
// and -1 without a table. It holds one record of each sample that failed
// before.
func (s *DeltaStore) WriteFailed(ctx context.Context, key feature.Key, rows *Rows) (WriteResult, error) {
	if err := s.openToWrite(false); err != nil {
		return WriteResult{}, err
	}
	rows, err := asDeclared(key, rows)
	if err != nil {
		return WriteResult{}, err
	}
	plan, err := s.planToFail(ctx, key)
	if err != nil {
		return WriteResult{}, err
	}
	r, err := newFailedRows(plan, rows.Schema)
	if err != nil {
		return WriteResult{}, err
	}
	if r.before, err = s.readFailures(ctx, plan, typesOf(rows.Schema, plan.JoinColumns())); err != nil {
		return WriteResult{}, err
	}
	r.now = arrow.Timestamp(s.opts.Now().UnixMicro())
	in := intake.NoNulls(key, rows.Schema, rows.Batches, slices.Concat(plan.JoinColumns(), []string{syscol.Provenance}))
	return s.appendFailed(ctx, r.before, &delta.Rows{Schema: r.schema, Batches: r.batches(in)})
}

// planToFail is the plan of a feature that may be written to.
func (s *DeltaStore) planToFail(ctx context.Context, key feature.Key) (*feature.Plan, error) {
	if isSystem(key) {
		return nil, fmt.Errorf("%w: %s is a system table, whose rows do not fail", ErrInvalid, key)
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := g.Get(key); !ok {
		return nil, s.undefined(ctx, g, key)
	}
	if err := s.checkProject(g, key); err != nil {
		return nil, err
	}
	plan, err := g.Plan(key)
	if err != nil {
		return nil, err
	}
	return plan, plan.Check()
}

// appendFailed adds records to the table of failures, if there are any.
func (s *DeltaStore) appendFailed(ctx context.Context, f *failures, rows *delta.Rows) (WriteResult, error) {
	out := WriteResult{Feature: f.key, TableVersion: -1}
	if f.snap != nil {
		out.TableVersion = f.snap.Version()
	}
	staged, err := s.FailedTable(f.key).Stage(ctx, f.snap, rows, &delta.AppendOptions{MergeSchema: true, Cast: true, ExactNames: true})
	if err != nil {
		return WriteResult{}, fmt.Errorf("failures of %s: %w", f.key, err)
	}
	if staged.Rows == 0 {
		staged.Discard()
		return out, nil
	}
	r, err := staged.Commit(ctx)
	if err != nil {
		return WriteResult{}, fmt.Errorf("failures of %s: %w", f.key, err)
	}
	out.Rows, out.Files, out.Bytes, out.TableVersion = r.Rows, r.Files, r.Bytes, r.Version
	return out, nil
}

// Failed gives the samples of a feature that failed and were not stored since:
// the input ids, metaxy_feature_version, metaxy_provenance,
// metaxy_failed_reason, metaxy_failed_attempt and metaxy_failed_at, one row
// each. Where nothing was ever recorded it is a *NotFoundError. It holds one
// record of each.
func (s *DeltaStore) Failed(ctx context.Context, key feature.Key) (*Rows, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := g.Get(key); !ok {
		return nil, s.undefined(ctx, g, key)
	}
	plan, err := g.Plan(key)
	if err != nil {
		return nil, err
	}
	snap, err := s.FailedTable(key).Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{Feature: key.String(), NoTable: true, NoFailures: true}
	}
	if err != nil {
		return nil, err
	}
	schema := snap.Schema().Arrow()
	f, err := s.readFailures(ctx, plan, typesOf(schema, plan.JoinColumns()))
	if err != nil {
		return nil, err
	}
	sc, err := f.scan()
	if err != nil {
		return nil, err
	}
	n := sc.Schema().NumFields() - 1 // but the last, which says when it was cleared
	return &Rows{Schema: arrow.NewSchema(sc.Schema().Fields()[:n], nil), Source: Source{Feature: key, Store: s.name, TableVersion: f.snap.Version()}, Batches: f.newest(ctx, sc, func(_ [2]uint64, one failure) bool { return !one.cleared }, n)}, nil
}

// newest gives the first columns of the newest record of each sample that is
// wanted.
func (f *failures) newest(ctx context.Context, sc *scan.Scan, want func([2]uint64, failure) bool, columns int) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		given := map[[2]uint64]bool{}
		for b, err := range sc.Batches(ctx) {
			var out arrow.RecordBatch
			keep := make([]bool, 0, 64)
			if err == nil {
				err = f.records(b, func(_ int, id [2]uint64, one failure) {
					take := !given[id] && f.byKey[id] == one && want(id, one)
					given[id] = given[id] || take
					keep = append(keep, take)
				})
			}
			if err == nil {
				out, err = filtered(ctx, b, keep)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			part := array.NewRecordBatch(arrow.NewSchema(out.Schema().Fields()[:columns], nil), out.Columns()[:columns], out.NumRows())
			out.Release()
			if !frame.Give(yield, part, part) {
				return
			}
		}
	}
}

// failedRows makes records of rows that failed.
type failedRows struct {
	before          *failures
	schema          *arrow.Schema
	on              []int // the input ids, among the columns of the rows
	provenance      int
	reason, attempt int // -1: not given
	version         string
	now             arrow.Timestamp
}

func newFailedRows(plan *feature.Plan, given *arrow.Schema) (*failedRows, error) {
	key := plan.Feature.Spec.Key.String()
	r := &failedRows{version: plan.FeatureVersion, reason: -1, attempt: -1}
	var fields []arrow.Field
	for _, name := range slices.Concat(plan.JoinColumns(), []string{syscol.Provenance}) {
		at := given.FieldIndices(name)
		if len(at) != 1 {
			return nil, &resolve.InputError{Feature: key, Column: name, Msg: "samples that failed need it, as a resolve gives it"}
		}
		if name == syscol.Provenance {
			r.provenance = at[0]
			continue
		}
		r.on = append(r.on, at[0])
		fields = append(fields, arrow.Field{Name: name, Type: given.Field(at[0]).Type, Nullable: true})
	}
	for name, c := range map[string]struct {
		at   *int
		want []arrow.Type
		text string
	}{syscol.Provenance: {&r.provenance, []arrow.Type{arrow.STRING}, "a text"}, "reason": {&r.reason, []arrow.Type{arrow.STRING, arrow.NULL}, "a text"}, "attempt": {&r.attempt, []arrow.Type{arrow.INT64, arrow.INT32, arrow.NULL}, "whole numbers"}} {
		at := given.FieldIndices(name)
		if len(at) == 0 {
			continue
		}
		if t := given.Field(at[0]).Type; !slices.Contains(c.want, t.ID()) {
			return nil, &resolve.InputError{Feature: key, Column: name, Msg: "want " + c.text + ", got " + t.String()}
		}
		*c.at = at[0]
	}
	text := arrow.BinaryTypes.String
	for _, f := range []arrow.Field{{Name: syscol.FeatureVersion, Type: text}, {Name: syscol.Provenance, Type: text}, {Name: colFailedReason, Type: text},
		{Name: colFailedAttempt, Type: arrow.PrimitiveTypes.Int64}, {Name: colFailedAt, Type: intake.StampType}, {Name: colClearedAt, Type: intake.StampType}} {
		f.Nullable = true
		fields = append(fields, f)
	}
	r.schema = arrow.NewSchema(fields, nil)
	return r, nil
}

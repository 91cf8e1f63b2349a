package metaxy

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/feature"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/internal/rewrite"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// WriteOptions of a write; nil = defaults.
type WriteOptions struct {
	// PreserveVersions keeps both version columns of the rows when both are there, instead of writing those of the definitions.
	PreserveVersions bool
	// MaterializationID replaces the store's default.
	MaterializationID string
	// AllowNullIDs stores rows whose id columns are null.
	AllowNullIDs bool
	// DryRun does everything but store: the rows are read, checked, cast and encoded, and the result is that of the write.
	DryRun bool
	// Resolved makes the write conditional on what was resolved; nil = rows are stored whatever others have written since.
	Resolved *Resolved
	// AppID and AppVersion make the write repeatable: the table remembers the greatest version of each id in the same commit as the rows, and a write whose version is
	// not above it stores nothing and succeeds. A job of several parts numbers them and writes them in order; parallel jobs take an id each.
	AppID      string
	AppVersion int64
}

// WriteResult is what a write stored, or would store in a dry run: rows, data
// files, their bytes. TableVersion is the commit, -1 when there was nothing to
// commit: no rows, and no columns that the table lacks.
type WriteResult struct {
	Feature      feature.Key
	Rows, Bytes  int64
	Files        int
	TableVersion int64
	// AlreadyWritten: an earlier write with the application's id and version stored the rows, and the table has them at TableVersion.
	AlreadyWritten bool
	// Dropped rows were left out because others have written their sample versions since (Resolved.Drop).
	Dropped  int64
	Warnings []Warning
}

// Write appends rows to this store, never to a fallback, and completes what they lack: versions, provenance, stamps. Rows must have
// metaxy_provenance_by_field and every id column. All rows are in one commit; on an error nothing is visible, unless it is ErrOutcomeUnknown.
func (s *DeltaStore) Write(ctx context.Context, key feature.Key, rows *Rows, opts *WriteOptions) (WriteResult, error) {
	o := WriteOptions{}
	if opts != nil {
		o = *opts
	}
	if err := s.openToWrite(o.DryRun); err != nil {
		return WriteResult{}, err
	}
	if o.DryRun {
		s = s.rehearse()
	}
	rows, err := asDeclared(key, rows)
	if err != nil {
		return WriteResult{}, err
	}
	if isSystem(key) {
		v, err := s.visit(ctx, key)
		if err != nil {
			return WriteResult{}, fmt.Errorf("write %s: %w", key, err)
		}
		return s.append(ctx, key, v, &resolve.Rows{Schema: rows.Schema, Batches: rows.Batches}, &delta.AppendOptions{}, false)
	}
	if err := o.validate(); err != nil {
		return WriteResult{}, err
	}
	g, err := s.Graph(ctx)
	if err != nil {
		return WriteResult{}, err
	}
	return s.write(ctx, g, key, nil, rows, &stamps{WriteOptions: o, now: s.opts.Now()})
}

// stamps is a write with its clock reading; tombstones keep the rows' updated_at.
type stamps struct {
	WriteOptions
	now       time.Time
	tombstone bool
}

// write completes rows and appends them to the version that v saw; nil: the newest.
func (s *DeltaStore) write(ctx context.Context, g *feature.Graph, key feature.Key, v *visit, rows *Rows, st *stamps) (WriteResult, error) {
	if _, ok := g.Get(key); !ok {
		return WriteResult{}, s.undefined(ctx, g, key)
	}
	if err := s.checkProject(g, key); err != nil {
		return WriteResult{}, err
	}
	plan, err := g.Plan(key)
	if err != nil {
		return WriteResult{}, err
	}
	if err := intake.Check(plan, rows.Schema); err != nil {
		return WriteResult{}, err
	}
	projectVersion, err := s.projectVersion(g)
	if err != nil {
		return WriteResult{}, err
	}
	if v == nil {
		if v, err = s.visit(ctx, key); err != nil {
			return WriteResult{}, err
		}
	}
	found, err := s.checkTable(key, v, st.now)
	if err != nil {
		return WriteResult{}, err
	}
	in := rows
	var failed *clearing
	if !st.tombstone && !st.DryRun {
		if failed, err = s.clearing(ctx, plan, in.Schema); err != nil {
			found = append(found, notCleared(key, err))
		}
		if failed != nil {
			in = &Rows{Schema: in.Schema, Batches: failed.watch(in.Batches)}
		}
	}
	if st.MaterializationID == "" {
		st.MaterializationID = s.opts.MaterializationID
	}
	out, lacking, err := intake.Complete(ctx, plan, &resolve.Rows{Schema: in.Schema, Batches: in.Batches}, s.intakeOf(projectVersion, st))
	if err != nil {
		return WriteResult{}, err
	}
	found = append(found, lacking...)
	out.Batches = s.progress(key, "write", out.Batches)
	ao := &delta.AppendOptions{Configuration: s.hashProperties(), AppID: st.AppID, AppVersion: st.AppVersion}
	var res WriteResult
	if st.Resolved != nil {
		res, err = s.appendResolved(ctx, key, v, out, plan.Feature.Spec.IDColumns, ao, *st.Resolved)
	} else {
		res, err = s.append(ctx, key, v, out, ao, st.tombstone)
	}
	if err == nil && failed != nil {
		if err := failed.done(ctx, st.now); err != nil {
			found = append(found, notCleared(key, err))
		}
	}
	res.Warnings = append(found, res.Warnings...)
	return res, err
}

// intakeOf says how the rows of a write are completed.
func (s *DeltaStore) intakeOf(projectVersion string, st *stamps) *intake.Options {
	return &intake.Options{
		ProjectVersion: projectVersion, Algorithm: resolve.Algorithm{Name: s.opts.HashAlgorithm, Truncation: s.opts.HashTruncation},
		MapDatatype: s.opts.MapDatatype, MaterializationID: st.MaterializationID, AllowNullIDs: st.AllowNullIDs,
		PreserveVersions: st.PreserveVersions, Now: st.now, Tombstone: st.tombstone,
	}
}

// notCleared tells that samples that were stored are still recorded as failed.
func notCleared(key feature.Key, err error) Warning {
	return Warning{Code: "FAILED_NOT_CLEARED", Feature: key.String(), Message: fmt.Sprintf("%s: what failed before is not cleared by this write: %v", key, err)}
}

// validate refuses options that make no sense together.
func (o *WriteOptions) validate() error {
	switch {
	case o.Resolved != nil && o.Resolved.TableVersion < -1:
		return fmt.Errorf("%w: resolved table version %d: want that of the increment, -1 when the feature had no table", ErrInvalid, o.Resolved.TableVersion)
	case o.AppID == "" && o.AppVersion != 0:
		return fmt.Errorf("%w: an application's version needs the application's id", ErrInvalid)
	}
	return nil
}

// append stores completed rows. New columns are added to the table and types
// are converted to its own. Without rows it makes the table, or adds the
// columns, unless it is for rows only; where nothing is to be done it commits
// nothing.
func (s *DeltaStore) append(ctx context.Context, key feature.Key, v *visit, rows *resolve.Rows, o *delta.AppendOptions, rowsOnly bool) (WriteResult, error) {
	o.MergeSchema, o.Cast, o.ExactNames = true, true, true
	var r delta.Result
	staged, err := s.Table(key).Stage(ctx, v.snap, &delta.Rows{Schema: rows.Schema, Batches: rows.Batches}, o)
	if err == nil && staged.Change != nil && staged.Rows == 0 && (rowsOnly || staged.Change.Metadata == nil && len(staged.Change.Txns) == 0) {
		staged.Discard()
		return WriteResult{Feature: key, TableVersion: -1}, nil
	}
	if err == nil {
		r, err = staged.Commit(ctx)
	}
	if err != nil {
		return WriteResult{}, fmt.Errorf("write %s: %w", key, err)
	}
	out := WriteResult{Feature: key, Rows: r.Rows, Files: r.Files, Bytes: r.Bytes, TableVersion: r.Version}
	if r.Version < 0 {
		out.AlreadyWritten = true
		now, err := s.visit(ctx, key)
		if err != nil {
			return WriteResult{}, fmt.Errorf("write %s: %w", key, err)
		}
		out.TableVersion = now.version()
	}
	for _, w := range r.Warnings {
		out.Warnings = append(out.Warnings, Warning{Code: w.Code, Message: key.String() + ": " + w.Message})
	}
	if n := r.TableFiles; n >= rewrite.ManySmallFiles && r.TableBytes/int64(n) < smallFileBytes {
		out.Warnings = append(out.Warnings, Warning{Code: "SMALL_FILES", Feature: key.String(), Message: fmt.Sprintf("%s: %d files of %d bytes on average", key, n, r.TableBytes/int64(n))})
	}
	return out, nil
}

// smallFileBytes is the average size below which many files are worth a warning.
const smallFileBytes = 4 << 20

// The table properties that record how row versions were hashed (D11).
const (
	propHashAlgorithm  = "metaxy.hash_algorithm"
	propHashTruncation = "metaxy.hash_truncation_length"
)

func (s *DeltaStore) hashProperties() map[string]string {
	return map[string]string{propHashAlgorithm: s.opts.HashAlgorithm, propHashTruncation: strconv.Itoa(s.opts.HashTruncation)}
}

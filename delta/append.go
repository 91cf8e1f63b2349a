package delta

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Append writes rows as new files and commits them, creating the table when it is missing; zero rows still commit.
// Concurrent appends are rebased; an incompatible schema is a *SchemaError and leaves nothing visible.
func (t *Table) Append(ctx context.Context, rows *Rows, opts *AppendOptions) (Result, error) {
	snap, err := t.Snapshot(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Result{}, err
	}
	s, err := t.Stage(ctx, snap, rows, opts)
	if err != nil {
		return Result{}, err
	}
	return s.Commit(ctx)
}

// appending is one append on its way.
type appending struct {
	table *Table
	opts  *AppendOptions
	frame *arrow.Schema
	wrote *Schema  // what the files hold, once that is decided
	parts []string // partition columns of the files
	rules []check  // what the rows were checked against
}

// prepare makes the change of an append onto snap (nil: the table is created) and the schema the table then has.
func (a *appending) prepare(snap *Snapshot) (*Schema, *Change, error) {
	o := a.opts
	ch := &Change{Read: snap, Operation: "WRITE", BlindAppend: !o.Overwrite && o.Since == nil, NoneSince: o.Since != nil, Replaces: true, Parameters: map[string]any{"mode": "Append"}}
	if o.Overwrite {
		ch.Parameters["mode"] = "Overwrite"
	}
	for k, v := range o.Parameters {
		ch.Parameters[k] = v
	}
	if o.AppID != "" {
		now := a.table.opts.Now().UnixMilli()
		ch.Txns = []*txlog.Txn{{AppID: o.AppID, Version: o.AppVersion, LastUpdated: &now}}
	}
	if snap == nil {
		own, err := SchemaOf(a.frame)
		if err != nil {
			return nil, nil, err
		}
		return a.create(own, ch)
	}
	own, err := givenSchema(a.frame)
	if err != nil {
		return nil, nil, err
	}
	merged, ch2, err := a.onto(snap, own, ch)
	return merged, ch2, err
}

// create makes the first version of a table from the columns of the rows.
func (a *appending) create(own *Schema, ch *Change) (*Schema, *Change, error) {
	o := a.opts
	o.PartitionBy = spelled(own.Fields, o.PartitionBy)
	var err error
	ch.Protocol, ch.Metadata, err = a.table.newTable(own, &CreateOptions{PartitionBy: o.PartitionBy, Configuration: o.Configuration, Features: o.Features})
	if err != nil {
		return nil, nil, err
	}
	if len(o.PartitionBy) > 0 {
		if ch.Parameters["partitionBy"], err = partitionList(o.PartitionBy); err != nil {
			return nil, nil, err
		}
	}
	ch.Merge = a.merge
	fresh, err := newSnapshot(a.table, &txlog.State{Version: -1, Protocol: ch.Protocol, Metadata: ch.Metadata})
	if err != nil {
		return nil, nil, err
	}
	return fresh.schema, ch, nil
}

// onto makes the change of an append to a table that exists.
func (a *appending) onto(snap *Snapshot, own *Schema, ch *Change) (*Schema, *Change, error) {
	if p := a.opts.PartitionBy; p != nil && !slices.EqualFunc(p, snap.partitions, strings.EqualFold) && len(p)+len(snap.partitions) > 0 {
		return nil, nil, &SchemaError{Column: fmt.Sprint(p), Want: fmt.Sprintf("the partition columns of the table, %v", snap.partitions), Got: "others"}
	}
	merged, changed, err := a.mergeSchema(snap, own)
	if err != nil {
		return nil, nil, err
	}
	if changed {
		ch.Protocol, ch.Metadata = evolve(snap, merged)
	}
	if !a.opts.Overwrite {
		ch.Merge = a.merge
		return merged, ch, nil
	}
	ch.ReadAll = true
	files := snap.files
	if a.opts.Replace != nil {
		ch.Reads = a.opts.Replace
		files = nil
		for i := range snap.files {
			if f := snap.files[i]; a.opts.Replace(&f) {
				files = append(files, f)
			}
		}
	}
	ch.Removes = removesOf(files, a.table.opts.Now().UnixMilli(), true)
	return merged, ch, nil
}

// precheck refuses before any file is written what the commit would refuse.
func (a *appending) precheck(snap *Snapshot, ch *Change) error {
	if snap == nil {
		return nil
	}
	probe := *ch
	probe.Adds = []*txlog.Add{{DataChange: true}}
	return a.table.checkWritable(&probe)
}

// merge makes the schema action anew after another writer changed the table; what was written must still fit.
func (a *appending) merge(snap *Snapshot) (*txlog.Protocol, *txlog.Metadata, error) {
	moved := func(what string) error {
		return &SchemaError{Column: what, Want: "the table as it was when the files were written", Got: "another layout"}
	}
	if !slices.Equal(snap.partitions, a.parts) {
		return nil, nil, moved("partition columns")
	}
	rules, err := checksOf(snap.state.Metadata, snap.schema)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rules {
		if !slices.Contains(a.rules, r) {
			return nil, nil, moved(r.name)
		}
	}
	if err := checkComputed(snap.schema.Fields, a.given); err != nil {
		return nil, nil, err
	}
	wrote := &Schema{a.wrote.Fields}
	merged, changed, err := a.mergeSchema(snap, wrote)
	if err != nil {
		return nil, nil, err
	}
	if err := sameColumns(wrote.Fields, merged.Fields, ""); err != nil {
		return nil, nil, err
	}
	if err := allGiven(merged.Fields, a.given); err != nil {
		return nil, nil, err
	}
	if !changed {
		return nil, nil, nil
	}
	p, m := evolve(snap, merged)
	return p, m, nil
}

// given reports whether the rows have a column.
func (a *appending) given(f *Field) bool { return indexOf(a.frame.Fields(), f.Name) >= 0 }

func allGiven(fields []Field, given func(*Field) bool) error {
	for i := range fields {
		if f := &fields[i]; !f.Nullable && !given(f) {
			return &SchemaError{Column: f.Name, Want: "values (the column is NOT NULL)", Got: "no such column in the rows"}
		}
	}
	return nil
}

// target decides on the files of this append: the columns of the frame and the partition columns, with the table's types and in the table's order.
func (a *appending) target(snap *Snapshot, ch *Change, merged *Schema) (*target, error) {
	if err := allGiven(merged.Fields, a.given); err != nil {
		return nil, err
	}
	if err := checkComputed(merged.Fields, a.given); err != nil {
		return nil, err
	}
	configuration := ch.configuration(snap)
	a.parts = a.opts.PartitionBy
	to := &target{dataChange: true, stats: newStatsChoice(configuration, nil)}
	switch configuration["delta.columnMapping.mode"] {
	case "name":
		to.mapping = MappingName
	case "id":
		to.mapping = MappingID
	}
	if snap != nil {
		a.parts = snap.partitions
		to.mapping = snap.mapping
		to.stats = newStatsChoice(configuration, snap.state.Domains[clusteringDomain])
	}
	metadata := ch.Metadata
	if metadata == nil {
		metadata = snap.state.Metadata
	}
	var err error
	if a.rules, err = checksOf(metadata, merged); err != nil {
		return nil, err
	}
	var out []Field
	for i := range merged.Fields {
		if f := &merged.Fields[i]; len(a.rules) > 0 || a.given(f) || slices.Contains(a.parts, f.Name) {
			out = append(out, *f)
		}
	}
	a.wrote = &Schema{out}
	to.schema, to.partitions = a.wrote, a.parts
	to.checks, err = a.table.checkers(a.rules, to.schema.Arrow())
	return to, err
}

// removesOf are tombstones for files.
func removesOf(files []File, at int64, dataChange bool) []*txlog.Remove {
	out := make([]*txlog.Remove, 0, len(files))
	for i := range files {
		out = append(out, files[i].Remove(at, dataChange))
	}
	return out
}

// Remove is the tombstone of a file, stamped in milliseconds.
func (f *File) Remove(at int64, dataChange bool) *txlog.Remove {
	extended := true
	size := f.Size
	return &txlog.Remove{Path: f.Path, DeletionTimestamp: &at, DataChange: dataChange, ExtendedFileMetadata: &extended, PartitionValues: f.PartitionValues, Size: &size,
		Tags: f.Tags, DeletionVector: f.DeletionVector, BaseRowID: f.BaseRowID, DefaultRowCommitVersion: f.DefaultRowCommitVersion}
}

// metricsOf is operationMetrics of a write.
func metricsOf(ch *Change, rows int64) map[string]any {
	bytes := int64(0)
	for _, a := range ch.Adds {
		bytes += a.Size
	}
	out := map[string]any{"numFiles": strconv.Itoa(len(ch.Adds)), "numOutputRows": strconv.FormatInt(rows, 10), "numOutputBytes": strconv.FormatInt(bytes, 10)}
	if len(ch.Removes) > 0 {
		out["numRemovedFiles"] = strconv.Itoa(len(ch.Removes))
	}
	return out
}

package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
)

// Input is a table that a resolve reads, and what is needed to cut it into
// partitions that can be resolved each by itself.
type Input struct {
	// Dep is the index of the dep, CurrentInput for the feature's own rows,
	// SamplesInput for samples, which have no table.
	Dep   int
	Table frame.Table
	// Schema is that of the table or of the samples.
	Schema *arrow.Schema
	// IDs tell the rows apart, Keys are the columns they are matched on, by the
	// names of the table.
	IDs, Keys []string
	// Deciding columns are read of every row, late ones of rows of the result.
	// Members of structs are "a.b". A column may be in both.
	Deciding, Late []string
}

// The inputs that are no deps.
const (
	CurrentInput = -1
	SamplesInput = -2
)

// NewestFirst reports whether rows of one id may differ in their keys, so that
// the newest row of each must be found before rows are cut by keys.
func (in *Input) NewestFirst() bool {
	return in.Dep != SamplesInput && slices.ContainsFunc(in.Keys, func(k string) bool { return !slices.Contains(in.IDs, k) })
}

// Inputs are the tables that are read, those of deps in the order of the join,
// then samples, then the feature's own rows. Tables are asked for their units,
// and what the statistics of all of them answer is not among the columns.
func (inc *Increment) Inputs(ctx context.Context) ([]Input, error) {
	var out []Input
	join := inc.joinColumns()
	for _, i := range inc.order {
		d := inc.deps[i]
		in := Input{Dep: i, Table: d.src.Table, Schema: d.src.Table.Schema(), IDs: d.src.IDs}
		var err error
		if in.Deciding, err = d.deciding(ctx, inc); err != nil {
			return nil, err
		}
		for _, c := range join {
			o := d.original(c)
			if !hasColumn(in.Schema, o) {
				return nil, &InputError{Feature: d.key(), Column: c, Msg: "is a join column, but the upstream feature lacks it"}
			}
			in.Keys = append(in.Keys, o)
		}
		for _, c := range inc.columns {
			if c.dep == i {
				in.Late = append(in.Late, c.in)
			}
		}
		out = append(out, in)
	}
	if rows := inc.req.Samples; rows != nil {
		out = append(out, Input{Dep: SamplesInput, Schema: rows.Schema, Keys: join, Deciding: fieldNames(rows.Schema)})
	}
	if inc.compares() {
		src := &inc.req.Current
		cols, err := inc.currentColumns(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, Input{Dep: CurrentInput, Table: src.Table, Schema: src.Table.Schema(), IDs: src.IDs, Keys: join, Deciding: cols, Late: inc.orphanColumns()})
	}
	return out, nil
}

// Parts are the tables of a resolve that were cut before, by one Cutter for all:
// the partitions of Inputs.
type Parts interface {
	// Len is the number of partitions.
	Len() int
	// Part returns the tables of a partition: one for each dep that has a table
	// in the request, and for the feature's own rows if they are compared with.
	// Samples are nil unless the request has some. done gives them back.
	Part(ctx context.Context, p int) (tables PartTables, done func(), err error)
}

// PartTables are the tables of one partition.
type PartTables struct {
	Deps    []frame.Table // by dep; nil where the dep has no table
	Current frame.Table
	Samples *Rows
}

// UpdateParts is Update over tables that are in partitions already: each is
// resolved by itself, as those on disk are where a resolve does not fit memory.
// The tables of the request, and its samples, are asked for their schemas alone.
func UpdateParts(ctx context.Context, req *Request, parts Parts) (*Increment, error) {
	inc, err := Update(ctx, req)
	if err == nil {
		inc.given, inc.part = parts, true
	}
	return inc, err
}

// ofParts are the tables of a partition that was given.
func (c *cut) ofParts(ctx context.Context, req *Request, p int) (done func(), err error) {
	t, done, err := c.given.Part(ctx, p)
	if err != nil {
		return nil, err
	}
	for i := range req.Deps {
		if req.Deps[i].Table != nil {
			req.Deps[i].Table = t.Deps[i]
		}
	}
	if req.Current.Table != nil {
		req.Current.Table = t.Current
	}
	if req.Samples != nil {
		req.Samples = t.Samples // as they came: the partition completes them
	}
	return done, nil
}

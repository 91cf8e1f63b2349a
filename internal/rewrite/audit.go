package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Problem is something wrong with a table: Kind is log, checkpoint, checksum, missing, size, duplicate, statistics, vector or data; Path names the file.
type Problem struct {
	Kind    string `json:"kind"`
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Audit checks a table: gaps and faults of the log, checkpoints and compactions against the commits, and of the newest version missing and wrong-sized
// files, files that are live twice, deletion vectors, statistics that are no statistics. With readData every row is read, and counts and bounds are compared.
// The error is for what stopped the check. One request for each live file, two for each deletion vector in a file.
func Audit(ctx context.Context, t *delta.Table, readData bool) ([]Problem, error) {
	a := &audit{problems: []Problem{}}
	err := a.log(ctx, t)
	if err != nil {
		return a.problems, err
	}
	a.snap, err = t.Snapshot(ctx)
	if errors.Is(err, txlog.ErrCorrupt) {
		a.add("log", "_delta_log", "%v", err)
		return a.problems, nil
	}
	if err != nil {
		return a.problems, err
	}
	if err := a.snap.State().ChecksumFault; err != nil {
		path, text := faultOf(err)
		a.add("checksum", path, "%s", text)
	}
	for _, err := range a.snap.State().Skipped {
		if path, text := faultOf(err); !slices.ContainsFunc(a.problems, func(p Problem) bool { return p.Path == path && p.Kind == "checkpoint" }) {
			a.add("log", path, "%s", text)
		}
	}
	seen := map[string]bool{}
	for _, f := range a.snap.Files() {
		if seen[f.Key] {
			a.add("duplicate", f.Key, "the file is live more than once")
		}
		seen[f.Key] = true
		if err := a.file(ctx, &f, readData); err != nil {
			return a.problems, err
		}
	}
	return a.problems, nil
}

// audit is a check on its way.
type audit struct {
	snap     *delta.Snapshot
	problems []Problem
}

func (a *audit) add(kind, path, format string, args ...any) {
	a.problems = append(a.problems, Problem{kind, path, fmt.Sprintf(format, args...)})
}

// log looks for gaps, and for checkpoints that tell something else than the commits.
func (a *audit) log(ctx context.Context, t *delta.Table) error {
	last := int64(-1)
	for c, err := range t.Log().Commits(ctx, 0) {
		if err != nil {
			return err
		}
		if last >= 0 && c.Version != last+1 {
			a.add("log", "_delta_log", "commits %d to %d are missing", last+1, c.Version-1)
		}
		last = c.Version
		if c.Size == 0 {
			a.add("log", fmt.Sprintf("_delta_log/%020d.json", c.Version), "the commit has no bytes")
		}
	}
	faults, err := t.Log().Check(ctx)
	for _, fault := range faults {
		path, text := faultOf(fault)
		a.add("checkpoint", path, "%s", text)
	}
	return err
}

// faultOf is where something is wrong with a log, and what.
func faultOf(err error) (path, text string) {
	var c *txlog.CorruptError
	if errors.As(err, &c) && c.Path != "" {
		return c.Path, c.Err.Error()
	}
	return "_delta_log", err.Error()
}

// file checks a live file.
func (a *audit) file(ctx context.Context, f *delta.File, readData bool) error {
	if f.Stats != "" && !json.Valid([]byte(f.Stats)) {
		a.add("statistics", f.Key, "the statistics are not JSON")
	}
	whole, err := a.vector(ctx, f)
	if err != nil {
		return err
	}
	if !leaves(a.snap.Table().Within(f.Key)) {
		store, key := a.snap.Table().Store(), a.snap.Table().Within(f.Key)
		obj, err := store.Stat(ctx, key)
		err = store.Absent(ctx, key, err)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			a.add("missing", f.Key, "the data file is missing")
			return nil
		case err != nil:
			return err
		case obj.Size != f.Size:
			a.add("size", f.Key, "the data file has %d bytes, the log says %d", obj.Size, f.Size)
			return nil
		}
	}
	if !readData || !whole {
		return nil
	}
	err = a.rows(ctx, f)
	if errors.Is(err, txlog.ErrCorrupt) || errors.Is(err, delta.ErrOutsideRoot) {
		a.add("data", f.Key, "%v", err)
		return nil
	}
	return err
}

// vector reads the deletion vector of a file; whole: its rows can be read.
func (a *audit) vector(ctx context.Context, f *delta.File) (whole bool, err error) {
	d := f.DeletionVector
	if d == nil {
		return true, nil
	}
	if f.Records() >= 0 && d.Cardinality > f.Records() {
		a.add("vector", f.Key, "the deletion vector deletes %d of %d rows", d.Cardinality, f.Records())
	}
	_, err = scan.DeletedRows(ctx, f)
	if errors.Is(err, txlog.ErrCorrupt) || errors.Is(err, delta.ErrOutsideRoot) {
		a.add("vector", f.Key, "%v", err)
		return false, nil
	}
	return err == nil, err
}

// claim is what statistics say of a column, and what was found.
type claim struct {
	column       string
	nulls, found int64
	null, beyond *filtereval.Program
	lies         int64
}

// rows reads a file and compares it with its statistics.
func (a *audit) rows(ctx context.Context, f *delta.File) error {
	sc, err := scan.New(a.snap, &scan.Options{Files: []delta.File{*f}, Unverified: true})
	if err != nil {
		return err
	}
	claims, err := claimsOf(f, a.snap.Schema().Fields, nil, sc.Schema())
	if err != nil {
		return err
	}
	n := int64(0)
	texts := delta.NewTextCheck(a.snap.Schema(), memory.DefaultAllocator)
	for b, err := range sc.Batches(ctx) {
		if err != nil {
			return err
		}
		n += b.NumRows()
		if texts != nil {
			if err := texts.Batch(ctx, b); err != nil {
				a.add("data", f.Key, "%v", err)
				texts = nil // the first of a file will do
			}
		}
		for i := range claims {
			if err := claims[i].compare(b); err != nil {
				return err
			}
		}
	}
	if want := f.Rows(); want >= 0 && n != want {
		a.add("statistics", f.Key, "the file has %d live rows, the log says %d", n, want)
	}
	for _, c := range claims {
		if c.lies > 0 {
			a.add("statistics", f.Key, "column %q: %d rows lie outside the minimum and maximum of the log", c.column, c.lies)
		}
		if f.DeletionVector == nil && c.nulls >= 0 && c.found != c.nulls {
			a.add("statistics", f.Key, "column %q: %d nulls, the log says %d", c.column, c.found, c.nulls)
		}
	}
	return nil
}

// claimsOf are those of all columns that the log tells of, and of members of structs at any depth.
func claimsOf(f *delta.File, fields []delta.Field, outer []string, schema *arrow.Schema) ([]claim, error) {
	var out []claim
	for i := range fields {
		field := &fields[i]
		path := append(slices.Clone(outer), field.Name)
		if field.Type.Fields != nil {
			inner, err := claimsOf(f, field.Type.Fields, path, schema)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
			continue
		}
		r := f.Range(path)
		if !r.Known || field.Type.Name == "void" {
			continue
		}
		column := filter.Column{Path: path}
		c := claim{column: strings.Join(path, "."), nulls: r.Nulls}
		var err error
		if c.null, err = filtereval.Bind(filter.IsNull{X: column}, schema); err != nil {
			return nil, err
		}
		var outside []filter.Expr
		if r.Min != nil {
			outside = append(outside, filter.Compare{Op: filter.Lt, Left: column, Right: filter.Literal{Value: r.Min}})
		}
		if r.Max != nil && !r.MayNaN {
			outside = append(outside, filter.Compare{Op: filter.Gt, Left: column, Right: filter.Literal{Value: r.Max}})
		}
		if len(outside) > 0 {
			if c.beyond, err = filtereval.Bind(filter.Or{Args: outside}, schema); err != nil {
				c.beyond = nil // bounds of another type bound nothing
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func (c *claim) compare(b arrow.RecordBatch) error {
	for _, x := range []struct {
		p *filtereval.Program
		n *int64
	}{{c.null, &c.found}, {c.beyond, &c.lies}} {
		if x.p == nil {
			continue
		}
		keep, err := x.p.Eval(b)
		if err != nil {
			return err
		}
		for _, k := range keep {
			if k {
				*x.n++
			}
		}
	}
	return nil
}

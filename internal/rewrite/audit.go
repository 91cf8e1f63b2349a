package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// Problem is something wrong with a table: Kind is log, missing, size, duplicate, statistics, vector or data; Path names the file.
type Problem struct {
	Kind    string `json:"kind"`
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Audit checks the newest version of a table: gaps and faults of the log, missing and wrong-sized files, files that are live twice, statistics that are no
// statistics. With readData every row is read, deletion vectors with it, and counts and bounds of top-level columns are compared. The error is for what stopped
// the check. One request for each live file.
func Audit(ctx context.Context, t *delta.Table, readData bool) ([]Problem, error) {
	problems := []Problem{}
	add := func(kind, path, format string, a ...any) {
		problems = append(problems, Problem{kind, path, fmt.Sprintf(format, a...)})
	}
	last := int64(-1)
	for c, err := range t.Log().Commits(ctx, 0) {
		if err != nil {
			return problems, err
		}
		if last >= 0 && c.Version != last+1 {
			add("log", "_delta_log", "commits %d to %d are missing", last+1, c.Version-1)
		}
		last = c.Version
	}
	snap, err := t.Snapshot(ctx)
	if errors.Is(err, txlog.ErrCorrupt) {
		add("log", "_delta_log", "%v", err)
		return problems, nil
	}
	if err != nil {
		return problems, err
	}
	for _, err := range snap.State().Skipped {
		add("log", "_delta_log", "%v", err)
	}
	seen := map[string]bool{}
	for _, f := range snap.Files() {
		if seen[f.Key] {
			add("duplicate", f.Key, "the file is live more than once")
		}
		seen[f.Key] = true
		if f.Stats != "" && !json.Valid([]byte(f.Stats)) {
			add("statistics", f.Key, "the statistics are not JSON")
		}
		if d := f.DeletionVector; d != nil && f.Records() >= 0 && d.Cardinality > f.Records() {
			add("vector", f.Key, "the deletion vector deletes %d of %d rows", d.Cardinality, f.Records())
		}
		if !leaves(below(snap, f.Key)) {
			obj, err := t.Store().Stat(ctx, below(snap, f.Key))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				add("missing", f.Key, "the data file is missing")
				continue
			case err != nil:
				return problems, err
			case obj.Size != f.Size:
				add("size", f.Key, "the data file has %d bytes, the log says %d", obj.Size, f.Size)
				continue
			}
		}
		if readData {
			err := auditRows(ctx, snap, f, add)
			switch {
			case errors.Is(err, txlog.ErrCorrupt), errors.Is(err, delta.ErrOutsideRoot):
				add("data", f.Key, "%v", err)
			case err != nil:
				return problems, err
			}
		}
	}
	return problems, nil
}

// claim is what statistics say of a column, and what was found.
type claim struct {
	column       string
	nulls, found int64
	null, beyond *filtereval.Program
	lies         int64
}

// auditRows reads a file and compares it with its statistics.
func auditRows(ctx context.Context, snap *delta.Snapshot, f delta.File, add func(kind, path, format string, a ...any)) error {
	sc, err := scan.New(snap, &scan.Options{Files: []delta.File{f}, Unverified: true})
	if err != nil {
		return err
	}
	claims, err := claimsOf(snap, &f, sc.Schema())
	if err != nil {
		return err
	}
	n := int64(0)
	for b, err := range sc.Batches(ctx) {
		if err != nil {
			return err
		}
		n += b.NumRows()
		for i := range claims {
			if err := claims[i].compare(b); err != nil {
				return err
			}
		}
	}
	if want := f.Rows(); want >= 0 && n != want {
		add("statistics", f.Key, "the file has %d live rows, the log says %d", n, want)
	}
	for _, c := range claims {
		if c.lies > 0 {
			add("statistics", f.Key, "column %q: %d rows lie outside the minimum and maximum of the log", c.column, c.lies)
		}
		if f.DeletionVector == nil && c.nulls >= 0 && c.found != c.nulls {
			add("statistics", f.Key, "column %q: %d nulls, the log says %d", c.column, c.found, c.nulls)
		}
	}
	return nil
}

func claimsOf(snap *delta.Snapshot, f *delta.File, schema *arrow.Schema) ([]claim, error) {
	var out []claim
	for _, field := range snap.Schema().Fields {
		r := f.Range([]string{field.Name})
		if !r.Known || field.Type.Name == "void" {
			continue
		}
		column := filter.Column{Path: []string{field.Name}}
		c := claim{column: field.Name, nulls: r.Nulls}
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

package rewrite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// OverwriteOptions of an overwrite by predicate; nil = defaults.
type OverwriteOptions struct {
	// Write is how the rows are written; Overwrite, Replace and Inserts are set here.
	Write delta.AppendOptions
	// Delete is how the rows that match are taken out.
	Delete DeleteOptions
}

// OverwriteResult is what an overwrite did: the rows written, and those of the table that made way for them. Files are all new ones, with those of rows that
// were moved.
type OverwriteResult struct {
	delta.Result
	RowsRemoved           int64
	FilesRemoved, Vectors int
}

// Overwrite replaces the rows of a table for which where is true by others, for which it must be true as well: one for which it is false or null is a
// *delta.SchemaError that names row and columns, and leaves nothing visible. Rows of the table for which it is null stay. Files are treated as Delete treats
// them, those that a predicate over partition columns takes out without reading them; all of it is one commit. A missing table is created. Memory is that of
// Delete and of an append.
func Overwrite(ctx context.Context, t *delta.Table, rows *delta.Rows, where filter.Expr, opts *OverwriteOptions) (OverwriteResult, error) {
	none := OverwriteResult{Result: delta.Result{Version: -1}}
	if err := rows.Check(); err != nil {
		return none, err
	}
	o := OverwriteOptions{}
	if opts != nil {
		o = *opts
	}
	o.Write.Overwrite, o.Write.Replace = true, func(*delta.File) bool { return false }
	o.Write.Parameters = withPredicate(o.Write.Parameters, where)
	snap, err := t.Snapshot(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return create(ctx, t, rows, where, &o)
	}
	if err != nil || o.Write.Written(snap) {
		return none, err
	}
	r := newRemoval(t, snap, where, &o.Delete)
	if err := r.decide(ctx); err != nil {
		return none, err
	}
	o.Write.Inserts = len(r.split) > 0 && snap.FeedsChanges()
	if rows, err = accepted(ctx, rows, snap.Schema(), where); err != nil {
		return none, err
	}
	staged, err := t.Stage(ctx, snap, rows, &o.Write)
	if err != nil {
		return none, err
	}
	if err := r.write(ctx); err != nil {
		staged.Discard()
		return none, err
	}
	return r.replace(ctx, staged)
}

func withPredicate(parameters map[string]string, where filter.Expr) map[string]string {
	out := map[string]string{"predicate": where.String()}
	for k, v := range parameters {
		out[k] = v
	}
	return out
}

// create makes a table of rows that all match.
func create(ctx context.Context, t *delta.Table, rows *delta.Rows, where filter.Expr, o *OverwriteOptions) (OverwriteResult, error) {
	own, err := delta.SchemaOf(rows.Schema)
	if err != nil {
		return OverwriteResult{}, err
	}
	if rows, err = accepted(ctx, rows, own, where); err != nil {
		return OverwriteResult{}, err
	}
	r, err := t.Append(ctx, rows, &o.Write)
	return OverwriteResult{Result: r}, err
}

// replace commits what a removal took out together with the rows that come in; those are the newest of the commit.
func (r *removal) replace(ctx context.Context, staged *delta.Staged) (OverwriteResult, error) {
	ch := staged.Change
	ch.Reads, ch.Removes, ch.Replaces = r.ch.Reads, r.ch.Removes, len(r.split) == 0
	ch.Adds, ch.CDC = append(r.ch.Adds, ch.Adds...), append(r.ch.CDC, ch.CDC...)
	ch.Metrics = map[string]any{"numOutputRows": strconv.FormatInt(staged.Rows, 10), "numDeletedRows": strconv.FormatInt(r.res.Rows, 10), "numFiles": strconv.Itoa(len(ch.Adds) - r.res.Vectors),
		"numRemovedFiles": strconv.Itoa(r.res.FilesRemoved), "numDeletionVectorsAdded": strconv.Itoa(r.res.Vectors)}
	res, err := staged.Commit(ctx)
	if err != nil {
		return OverwriteResult{Result: res}, r.undone(ctx, err)
	}
	if res.Version < 0 { // the same write of the same application came first
		return OverwriteResult{Result: res}, discard(ctx, r.table, r.written)
	}
	for _, a := range r.vectors.adds { // of files that were there
		res.Files, res.Bytes = res.Files-1, res.Bytes-a.Size
	}
	return OverwriteResult{Result: res, RowsRemoved: r.res.Rows, FilesRemoved: r.res.FilesRemoved, Vectors: r.res.Vectors}, nil
}

// accepted are the rows with an error at the first one for which the predicate is not true of the values that the table would hold.
func accepted(ctx context.Context, rows *delta.Rows, schema *delta.Schema, where filter.Expr) (*delta.Rows, error) {
	program, err := filtereval.Bind(where, schema.Arrow())
	if err != nil {
		return nil, err
	}
	var fields []arrow.Field
	for _, f := range schema.Arrow().Fields() {
		for _, path := range filter.Columns(where) {
			if strings.EqualFold(path[0], f.Name) {
				fields = append(fields, f)
				break
			}
		}
	}
	judged := arrow.NewSchema(fields, nil)
	cast := delta.NewCaster(rows.Schema, judged, memory.DefaultAllocator)
	check := func(b arrow.RecordBatch, before int64) error {
		values, err := cast.Batch(ctx, b)
		if err != nil {
			return err
		}
		defer values.Release()
		keep, err := program.Eval(values)
		if err != nil {
			return err
		}
		for i, ok := range keep {
			if !ok {
				return mismatch(values, i, before+int64(i)+1, where)
			}
		}
		return nil
	}
	return &delta.Rows{Schema: rows.Schema, Batches: checked(rows.Batches, check)}, nil
}

// checked are batches with an error in place of the first one that a check refuses; it is told how many rows came before.
func checked(batches iter.Seq2[arrow.RecordBatch, error], check func(arrow.RecordBatch, int64) error) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		before := int64(0)
		for b, err := range batches {
			if err == nil {
				err = check(b, before)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			before += b.NumRows()
			if !yield(b, nil) {
				return
			}
		}
	}
}

// mismatch names a row that must not be written, and what it has in the columns of the predicate.
func mismatch(b arrow.RecordBatch, at int, row int64, where filter.Expr) error {
	var names, values []string
	for i, a := range b.Columns() {
		text := "null"
		if a.IsValid(at) {
			text = clip(a.ValueStr(at))
		}
		names, values = append(names, b.ColumnName(i)), append(values, fmt.Sprintf("%s = %s", b.ColumnName(i), text))
	}
	return &delta.SchemaError{Column: strings.Join(names, ", "), Want: "rows for which " + where.String() + ", since only those are overwritten",
		Got: fmt.Sprintf("row %d with %s", row, strings.Join(values, ", "))}
}

// clip shortens a value for a message.
func clip(text string) string {
	if r := []rune(text); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return text
}

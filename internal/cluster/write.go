package cluster

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/intake"
	"github.com/metaxy-delta/metaxy-delta/resolve"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// rowsColumn is null in every row but the last, which counts those before it.
const rowsColumn = "__rows"

// staged is one text of what Write gives: the columns of the rows of a task, a
// file, or a warning.
type staged struct {
	Run    string     `json:"run"`
	Schema string     `json:"schema,omitempty"`
	Add    *txlog.Add `json:"add,omitempty"`
	Rows   int64      `json:"rows,omitempty"`
	Warn   *Warning   `json:"warning,omitempty"`
}

// Write stores rows as files of the feature's table, uncommitted.
func (w *Worker) Write(ctx context.Context, env *Env, in io.Reader) error {
	_, plan, err := w.featurePlan()
	if err != nil {
		return err
	}
	if w.Target.Refused != "" {
		return refused("%s", w.Target.Refused)
	}
	rows, err := openRows(in)
	if err != nil {
		return err
	}
	defer rows.in.r.Release()
	if err := intake.Check(plan, rows.schema); err != nil {
		return err
	}
	completed, lacking, err := intake.Complete(ctx, plan, &resolve.Rows{Schema: rows.schema, Batches: rows.batches()}, &intake.Options{
		ProjectVersion: w.ProjectVersion, Algorithm: resolve.Algorithm{Name: w.Algorithm, Truncation: w.Truncation}, MapDatatype: w.Maps,
		MaterializationID: w.Target.MaterializationID, Now: env.Table.Now()})
	if err != nil {
		return err
	}
	table, done, err := w.table(ctx, env)
	if err != nil {
		return err
	}
	defer done()
	var snap *delta.Snapshot
	if p := w.Target.Pinned; p != nil {
		if snap, err = table.Pin(p.with(nil)); err != nil {
			return err
		}
	}
	st, err := table.Stage(ctx, snap, &delta.Rows{Schema: completed.Schema, Batches: completed.Batches}, w.append())
	if err != nil {
		return err
	}
	if snap != nil && snap.MappingMode() != delta.MappingNone && st.Change.Metadata != nil {
		st.Discard()
		return refused("the rows have columns that the table of %s lacks, and it has column mapping: its tasks would name them each in its own way; add them by a write of one process first", w.Feature)
	}
	texts, err := w.texts(completed.Schema, lacking, st)
	if err == nil {
		err = writeTexts(env.Out, "add", texts, fmt.Sprint(len(texts)))
	}
	if err != nil {
		st.Discard()
	}
	return err
}

// texts are what a commit needs to know of staged files.
func (w *Worker) texts(columns *arrow.Schema, lacking []resolve.Warning, st *delta.Staged) ([]string, error) {
	schema, err := schemaText(columns)
	if err != nil {
		return nil, err
	}
	list := []staged{{Run: w.Run, Schema: schema, Rows: st.Rows}}
	for _, add := range st.Change.Adds {
		list = append(list, staged{Run: w.Run, Add: add})
	}
	for _, f := range lacking {
		list = append(list, staged{Run: w.Run, Warn: &Warning{Code: f.Code, Message: f.Message}})
	}
	for _, f := range st.Warnings {
		list = append(list, staged{Run: w.Run, Warn: &Warning{Code: f.Code, Message: w.Feature + ": " + f.Message}})
	}
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = jsonText(x)
	}
	return out, nil
}

// table opens the feature's own table.
func (w *Worker) table(ctx context.Context, env *Env) (*delta.Table, func(), error) {
	store, err := env.Open(ctx, w.Target.URL)
	if err != nil {
		return nil, nil, err
	}
	o := env.Table
	return delta.New(store, &o), func() { store.Close() }, nil
}

// append is how rows are added, by a write and by the commit.
func (w *Worker) append() *delta.AppendOptions {
	return &delta.AppendOptions{MergeSchema: true, Cast: true, ExactNames: true, Configuration: w.Target.Properties}
}

// rowsInput is a stream of rows with the column that counts them.
type rowsInput struct {
	in     *input
	schema *arrow.Schema // without that column
	at     int
}

func openRows(in io.Reader) (*rowsInput, error) {
	i, err := openInput(in)
	if err != nil {
		return nil, err
	}
	at := i.schema().FieldIndices(rowsColumn)
	if len(at) != 1 {
		i.r.Release()
		return nil, refused("the input has no column %s, or several", rowsColumn)
	}
	fields := slices.Delete(slices.Clone(i.schema().Fields()), at[0], at[0]+1)
	return &rowsInput{i, arrow.NewSchema(fields, nil), at[0]}, nil
}

// batches gives the rows. The stream ends with an error where they are not all.
func (r *rowsInput) batches() func(func(arrow.RecordBatch, error) bool) {
	return func(yield func(arrow.RecordBatch, error) bool) {
		came, said := int64(0), int64(-1)
		for b, err := range r.in.batches() {
			var n int64
			if err == nil {
				n, err = r.judge(b, came, &said)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if came += n; n == 0 {
				continue
			}
			whole := array.NewRecordBatch(r.schema, slices.Delete(slices.Clone(b.Columns()), r.at, r.at+1), b.NumRows())
			cut := whole.NewSlice(0, n)
			whole.Release()
			if !frame.Give(yield, cut, cut) {
				return
			}
		}
		err := r.in.end()
		if err == nil {
			err = counted("rows", came, said)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// judge returns how many rows of a batch are no trailer.
func (r *rowsInput) judge(b arrow.RecordBatch, came int64, said *int64) (int64, error) {
	n := b.NumRows()
	if n > 0 && r.in.whole {
		return 0, damaged("%s", errBehind)
	}
	read, err := intAt(b.Column(r.at))
	if err != nil {
		return 0, refused("column %s: %v", rowsColumn, err)
	}
	for i := range int(n) {
		v, ok := read(i)
		switch {
		case !ok:
			continue
		case i < int(n)-1:
			return 0, damaged("%s", errBehind)
		case v < 0:
			return 0, damaged("the trailer counts %d rows", v)
		}
		*said, r.in.whole = v, true
		return n - 1, nil
	}
	return n, nil
}

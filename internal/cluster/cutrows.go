package cluster

import (
	"context"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// CutRows cuts rows of a table that another engine has read.
func (w *Worker) CutRows(ctx context.Context, env *Env, table int, in io.Reader) error {
	j, err := w.job(ctx)
	if err != nil {
		return err
	}
	if table < 0 || table >= len(w.Tables) {
		return refused("table %d: the plan has %d tables, from 0", table, len(w.Tables))
	}
	t := w.Tables[table]
	i, err := openInput(in)
	if err != nil {
		return err
	}
	defer i.r.Release()
	cast, err := caster("the rows of "+t.Feature, i.schema(), t.read, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	hold := &spool{dir: env.TempDir}
	defer hold.close()
	pw := j.codec.writer(hold)
	c := j.chunk(table, t.first(), pw)
	defer c.release()
	keep, err := j.condition(t)
	if err != nil {
		return err
	}
	came, said := int64(0), int64(-1)
	for b, err := range i.batches() {
		if err != nil {
			return err
		}
		rows, n, err := j.rowsOf(ctx, t, i, b, cast, keep)
		if err != nil {
			return err
		}
		if n >= 0 {
			said, i.whole = n, true
			came += b.NumRows() - 1
		} else {
			came += b.NumRows()
		}
		if rows == nil {
			continue
		}
		if err := c.add(ctx, rows); err != nil {
			return err
		}
	}
	if err := i.end(); err != nil {
		return err
	}
	if err := counted("rows", came, said); err != nil {
		return err
	}
	if err := c.flush(ctx); err != nil {
		return err
	}
	if err := pw.end(); err != nil {
		return err
	}
	return hold.copyTo(env.Out)
}

// rowsOf are the rows of a batch that count, nil for none; the caller releases
// them. said is what a trailer counts, -1 without one.
func (j *job) rowsOf(ctx context.Context, t *Table, in *input, b arrow.RecordBatch, cast *delta.Caster, keep *filtereval.Program) (rows arrow.RecordBatch, said int64, err error) {
	said = -1
	n := b.NumRows()
	if n == 0 {
		return nil, -1, nil
	}
	if in.whole {
		return nil, -1, damaged("%s", errBehind)
	}
	at := func(name string) (func(int) (int64, bool), error) {
		read, err := intAt(b.Column(b.Schema().FieldIndices(name)[0]))
		if err != nil {
			return nil, refused("column %s: %v", name, err)
		}
		return read, nil
	}
	var place [places]func(int) (int64, bool)
	for k, f := range placeFields {
		if place[k], err = at(f.Name); err != nil {
			return nil, -1, err
		}
	}
	for i := range int(n) {
		f, ok := place[0](i)
		if ok && f == -1 && i == int(n)-1 {
			if said, ok = place[2](i); !ok || said < 0 {
				return nil, -1, damaged("the trailer has no number of rows")
			}
			n--
			break
		}
		if !ok || f < 0 {
			return nil, -1, damaged("a row of file %d", f)
		}
		for k := 1; k < places; k++ {
			if _, ok := place[k](i); !ok {
				return nil, -1, damaged("a row without %s", placeFields[k].Name)
			}
		}
	}
	if n == 0 {
		return nil, said, nil
	}
	cut := b.NewSlice(0, n)
	defer cut.Release()
	rows, err = cast.Batch(ctx, cut)
	if err != nil || keep == nil {
		return rows, said, err
	}
	defer rows.Release()
	kept, err := j.kept(ctx, rows, keep)
	if err != nil {
		return nil, said, err
	}
	defer kept.Release()
	return array.NewRecordBatch(t.cut, kept.Columns()[:t.cut.NumFields()], kept.NumRows()), said, nil
}

// kept are the rows that meet a condition, without the columns that only it
// wants; the caller releases them.
func (j *job) kept(ctx context.Context, b arrow.RecordBatch, keep *filtereval.Program) (arrow.RecordBatch, error) {
	mask, err := keep.Eval(b)
	if err != nil {
		return nil, err
	}
	bb := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer bb.Release()
	bb.AppendValues(mask, nil)
	wanted := bb.NewArray()
	defer wanted.Release()
	return compute.FilterRecordBatch(ctx, b, wanted, compute.DefaultFilterOptions())
}

// condition is the one on the rows of a table, nil = all; the sender may have
// left out rows that do not meet it.
func (j *job) condition(t *Table) (*filtereval.Program, error) {
	if t.Where == "" {
		return nil, nil
	}
	e, err := filter.ParseSQL(t.Where)
	if err != nil {
		return nil, refused("table %s: %v", t.Feature, err)
	}
	return filtereval.Bind(e, t.read)
}

package cluster

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// chunkRows is how many rows are collected before they are cut: a piece has that
// many, divided by the partitions.
const chunkRows = 1 << 20

// Cut reads the files that the input names and writes their rows as pieces.
func (w *Worker) Cut(ctx context.Context, env *Env, in io.Reader) error {
	list, err := texts(in, "file")
	if err != nil {
		return err
	}
	return w.CutFiles(ctx, env, list)
}

// CutFiles is Cut of files that are at hand.
func (w *Worker) CutFiles(ctx context.Context, env *Env, list []string) error {
	j, err := w.job(ctx)
	if err != nil {
		return err
	}
	files := make([][]File, len(w.Tables))
	seen := map[[2]int]bool{}
	for _, text := range list {
		var f File
		if err := json.Unmarshal([]byte(text), &f); err != nil || f.Add == nil || f.Ordinal < 0 {
			return refused("the input: %q is no file of a plan", text)
		}
		if f.Table < 0 || f.Table >= len(w.Tables) || w.Tables[f.Table].Pinned == nil {
			return refused("the input: a file of table %d, the plan has no such table with files", f.Table)
		}
		place := [2]int{f.Table, int(f.Ordinal)}
		if seen[place] {
			return refused("the input: file %d of table %d is there twice", f.Ordinal, f.Table)
		}
		seen[place] = true
		files[f.Table] = append(files[f.Table], f)
	}
	pw := j.codec.writer(env.Out)
	for table, list := range files {
		if len(list) > 0 {
			if err := j.cutFiles(ctx, env, table, list, pw); err != nil {
				return err
			}
		}
	}
	return pw.end()
}

// chunk collects rows of a table until they are worth cutting.
type chunk struct {
	job    *job
	table  int
	schema *arrow.Schema
	held   []arrow.RecordBatch
	rows   int64
	give   func(st stage, part int, piece arrow.RecordBatch) error
}

// add takes a batch over.
func (c *chunk) add(ctx context.Context, b arrow.RecordBatch) error {
	c.held, c.rows = append(c.held, b), c.rows+b.NumRows()
	if c.rows < chunkRows {
		return nil
	}
	return c.flush(ctx, c.job.Tables[c.table].first())
}

func (c *chunk) flush(ctx context.Context, st stage) error {
	if c.rows == 0 {
		return nil
	}
	list := c.held
	c.held, c.rows = nil, 0
	whole, err := concat(c.schema, list)
	if err != nil {
		return err
	}
	defer whole.Release()
	cutter := c.job.cutter(c.table, st)
	return cutter.Cut(ctx, whole, func(part int, piece arrow.RecordBatch) error { return c.give(st, part, piece) })
}

func (c *chunk) release() {
	release(c.held)
	c.held = nil
}

// cutFiles reads files of one table and writes their rows.
func (j *job) cutFiles(ctx context.Context, env *Env, table int, files []File, pw *pieceWriter) error {
	t := j.Tables[table]
	slices.SortFunc(files, func(a, b File) int { return int(a.Ordinal - b.Ordinal) })
	adds := make([]*txlog.Add, len(files))
	for i, f := range files {
		adds[i] = f.Add
	}
	snap, done, err := j.snapshot(ctx, env, table, adds)
	if err != nil {
		return err
	}
	defer done()
	var where filter.Expr
	if t.Where != "" {
		if where, err = filter.ParseSQL(t.Where); err != nil {
			return refused("table %s: %v", t.Feature, err)
		}
	}
	c := &chunk{job: j, table: table, schema: t.cut, give: func(st stage, part int, piece arrow.RecordBatch) error { return pw.piece(table, st, part, piece) }}
	defer c.release()
	// Files are opened as their turn comes: a task may have thousands.
	for i, f := range snap.Files() {
		sc, err := scan.New(snap, &scan.Options{Filter: where, Files: []delta.File{f}, Unverified: true})
		if err != nil {
			return err
		}
		if err := j.cutFile(ctx, sc, files[i].Ordinal, t, c); err != nil {
			return err
		}
	}
	return c.flush(ctx, t.first())
}

func (j *job) cutFile(ctx context.Context, sc *scan.Scan, ordinal int32, t *Table, c *chunk) error {
	groups, err := sc.RowGroups(ctx)
	if err != nil {
		return err
	}
	for i, g := range groups {
		for b, err := range sc.Read(ctx, i, frame.Span{To: g.Rows}, t.Columns) {
			if err != nil {
				return err
			}
			placed, err := j.placed(ctx, &b, ordinal, g.First, t)
			if err != nil {
				return err
			}
			if err := c.add(ctx, placed); err != nil {
				return err
			}
		}
	}
	return nil
}

// placed is a block with the places of its rows, in the types of pieces; the
// caller releases it.
func (j *job) placed(ctx context.Context, b *frame.Block, ordinal int32, first int64, t *Table) (arrow.RecordBatch, error) {
	n := int(b.Batch.NumRows())
	file, zero, row := constant32(ordinal, n), numbers(n, func(int) int64 { return 0 }), numbers(n, func(i int) int64 { return first + b.Row(i) })
	defer file.Release()
	defer zero.Release()
	defer row.Release()
	from := arrow.NewSchema(append(slices.Clone(placeFields), b.Batch.Schema().Fields()...), nil)
	whole := array.NewRecordBatch(from, append([]arrow.Array{file, zero, row}, b.Batch.Columns()...), int64(n))
	defer whole.Release()
	c, err := caster(t.Feature, from, t.cut, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	return c.Batch(ctx, whole)
}

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
	c := &chunk{job: j, table: table, schema: t.cut, give: func(st stage, part int, piece arrow.RecordBatch) error { return pw.piece(table, st, part, piece) }}
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
	if err := c.flush(ctx, t.first()); err != nil {
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

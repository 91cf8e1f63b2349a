package cluster

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/scan"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// chunkRows, or so many bytes, are collected before they are cut: a piece has that
// many, divided by the partitions.
const chunkRows, chunkBytes = 1 << 20, 128 << 20

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
	job   *job
	table int
	stage stage
	to    *pieceWriter
	held  []arrow.RecordBatch
	rows  int64
	bytes int64
}

func (j *job) chunk(table int, st stage, to *pieceWriter) *chunk {
	return &chunk{job: j, table: table, stage: st, to: to}
}

// add takes a batch over.
func (c *chunk) add(ctx context.Context, b arrow.RecordBatch) error {
	c.held, c.rows, c.bytes = append(c.held, b), c.rows+b.NumRows(), c.bytes+frame.Size(b)
	if c.rows < chunkRows && c.bytes < chunkBytes {
		return nil
	}
	return c.flush(ctx)
}

func (c *chunk) flush(ctx context.Context) error {
	if c.rows == 0 {
		return nil
	}
	list := c.held
	c.held, c.rows, c.bytes = nil, 0, 0
	whole, err := frame.Concat(ctx, list)
	release(list)
	if err != nil {
		return err
	}
	defer whole.Release()
	cutter := c.job.cutter(c.table, c.stage)
	return cutter.Cut(ctx, whole, func(part int, piece arrow.RecordBatch) error { return c.to.piece(c.table, c.stage, part, piece) })
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
	c := j.chunk(table, t.first(), pw)
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
	return c.flush(ctx)
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

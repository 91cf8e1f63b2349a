package cluster

import (
	"context"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// Newest reduces the rows of tables that are cut by ids to the newest of each id
// and cuts those by join columns. Pieces that are cut by join columns pass.
func (w *Worker) Newest(ctx context.Context, env *Env, in io.Reader) error {
	j, err := w.job(ctx)
	if err != nil {
		return err
	}
	hold := &spool{dir: env.TempDir}
	defer hold.close()
	pw := j.codec.writer(hold)
	p, err := j.readPartitions(in, byIDs, pw.pass)
	if err != nil {
		return err
	}
	chunks := make([]*chunk, len(j.Tables))
	for table := range j.Tables {
		chunks[table] = j.chunk(table, byKeys, pw)
		defer chunks[table].release()
	}
	for i := range p.numbers {
		if err := j.newestOf(ctx, p, i, chunks); err != nil {
			return err
		}
	}
	for _, c := range chunks {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	if err := pw.end(); err != nil {
		return err
	}
	return hold.copyTo(env.Out)
}

// newestOf reduces one partition.
func (j *job) newestOf(ctx context.Context, p *partitions, i int, chunks []*chunk) error {
	tables, done, err := p.Part(ctx, i)
	if err != nil {
		return err
	}
	defer done()
	for at, t := range j.Tables {
		if !t.NewestFirst || len(p.pieces[p.numbers[i]][at]) == 0 {
			continue
		}
		table := tables.Current
		if t.Dep >= 0 {
			table = tables.Deps[t.Dep]
		}
		err := resolve.Newest(ctx, table, t.IDs, fieldNames(t.cut), func(_ int, b arrow.RecordBatch) error {
			return chunks[at].add(ctx, array.NewRecordBatch(t.cut, b.Columns()[:t.cut.NumFields()], b.NumRows()))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func fieldNames(s *arrow.Schema) []string {
	names := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		names[i] = f.Name
	}
	return names
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	metaxy "github.com/metaxy-delta/metaxy-delta"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
	"github.com/metaxy-delta/metaxy-delta/internal/machine"
	"github.com/metaxy-delta/metaxy-delta/resolve"
)

// partitions are the pieces of whole partitions, by partition and table. They
// are decoded when their turn comes.
type partitions struct {
	job     *job
	numbers []int
	pieces  map[int][][]piece
	total   count
	rows    []int64 // by table
}

// readPartitions reads the pieces of an input that are cut by what is wanted;
// other takes the others.
func (j *job) readPartitions(in io.Reader, want stage, other func(piece) error) (*partitions, error) {
	p := &partitions{job: j, pieces: map[int][][]piece{}, rows: make([]int64, len(j.Tables))}
	limit, held := j.limit(), int64(0)
	var err error
	p.total, err = j.codec.readPieces(in, func(x piece) error {
		if x.stage != want {
			return other(x)
		}
		list := p.pieces[x.part]
		if list == nil {
			list = make([][]piece, len(j.Tables))
			p.pieces[x.part], p.numbers = list, append(p.numbers, x.part)
		}
		list[x.table] = append(list[x.table], x)
		p.rows[x.table] += x.rows
		if held += int64(len(x.body)); limit > 0 && held > limit {
			return &hashjoin.LimitError{LimitBytes: limit, NeedBytes: held}
		}
		return nil
	})
	slices.Sort(p.numbers)
	return p, err
}

// limit is how much memory the pieces of a partition may take; 0 = none.
func (j *job) limit() int64 {
	if j.MemoryLimit > 0 {
		return j.MemoryLimit
	}
	return machine.Memory()
}

func (p *partitions) Len() int { return len(p.numbers) }

// Part decodes a partition.
func (p *partitions) Part(ctx context.Context, i int) (t resolve.PartTables, done func(), err error) {
	var held []arrow.RecordBatch
	done = func() { release(held) }
	defer func() {
		if err != nil {
			done()
		}
	}()
	t.Deps = make([]frame.Table, len(p.job.plan.Deps))
	bytes, rows := int64(0), int64(0)
	var keyed []keyedBatch
	for table, list := range p.pieces[p.numbers[i]] {
		own := p.job.Tables[table]
		batches := make([]arrow.RecordBatch, 0, len(list))
		for _, x := range list {
			b, err := p.job.codec.batch(x)
			if err != nil {
				release(batches)
				return t, done, err
			}
			batches = append(batches, b)
			keyed = append(keyed, keyedBatch{table, b})
			bytes, rows = bytes+bytesOf(b), rows+x.rows
		}
		if limit := p.job.limit(); limit > 0 && bytes*heldFactor > limit {
			err := p.job.tooLarge(limit, bytes*heldFactor, rows, keyed)
			release(batches)
			return t, done, err
		}
		units, err := ordered(ctx, own, batches)
		if err != nil {
			return t, done, err
		}
		held = append(held, units...)
		p.job.put(&t, own, units)
	}
	return t, done, nil
}

// heldFactor is how much more memory a resolve of a partition takes than its
// rows: what is known of each row, and what is given out.
const heldFactor = 2

func bytesOf(b arrow.RecordBatch) (n int64) {
	for _, c := range b.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}

// put gives a table of a partition its role.
func (j *job) put(t *resolve.PartTables, own *Table, units []arrow.RecordBatch) {
	switch own.Dep {
	case resolve.SamplesInput:
		t.Samples = &resolve.Rows{Schema: own.full, Batches: func(yield func(arrow.RecordBatch, error) bool) {
			for _, b := range units {
				cut := array.NewRecordBatch(own.full, b.Columns()[places:], b.NumRows())
				if !frame.Give(yield, cut, cut) {
					return
				}
			}
		}}
	case resolve.CurrentInput:
		t.Current = newHeld(own, units)
	default:
		t.Deps[own.Dep] = newHeld(own, units)
	}
}

// keyedBatch is a batch of a table.
type keyedBatch struct {
	table int
	batch arrow.RecordBatch
}

// tooLarge says which part of a partition has one key.
func (j *job) tooLarge(limit, need, rows int64, list []keyedBatch) error {
	e := &hashjoin.LimitError{LimitBytes: limit, NeedBytes: need, Rows: rows}
	var keys hashjoin.Keys
	counts := map[[2]uint64]int64{}
	most := int64(0)
	for _, k := range list {
		t := j.Tables[k.table]
		arrays := make([]arrow.Array, len(t.Keys))
		for i, name := range t.Keys {
			arrays[i] = k.batch.Column(t.cut.FieldIndices(name)[0])
		}
		if err := j.keys.Encode(arrays, &keys); err != nil {
			return e // the share stays unknown
		}
		for i := range keys.Len() {
			key := [2]uint64{keys.Lo[i]}
			if keys.Hi != nil {
				key[1] = keys.Hi[i]
			}
			counts[key]++
			most = max(most, counts[key])
		}
	}
	e.Share = float64(most) / float64(max(rows, 1))
	return e
}

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
	for table, t := range j.Tables {
		chunks[table] = &chunk{job: j, table: table, schema: t.cut, give: func(st stage, part int, piece arrow.RecordBatch) error { return pw.piece(table, st, part, piece) }}
		defer chunks[table].release()
	}
	for i := range p.numbers {
		if err := j.newestOf(ctx, p, i, chunks); err != nil {
			return err
		}
	}
	for _, c := range chunks {
		if err := c.flush(ctx, byKeys); err != nil {
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
		c := chunks[at]
		err := resolve.Newest(ctx, table, t.IDs, fieldNames(t.cut), func(_ int, b arrow.RecordBatch) error {
			kept := array.NewRecordBatch(t.cut, b.Columns()[:t.cut.NumFields()], b.NumRows())
			c.held, c.rows = append(c.held, kept), c.rows+kept.NumRows()
			if c.rows < chunkRows {
				return nil
			}
			return c.flush(ctx, byKeys)
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

// Summary is the trailer of what Resolve writes.
type Summary struct {
	New        int64            `json:"new"`
	Stale      int64            `json:"stale"`
	Orphaned   int64            `json:"orphaned"`
	Unchanged  int64            `json:"unchanged"`
	Expected   int64            `json:"expected"`
	Current    int64            `json:"current"`
	Pieces     int64            `json:"pieces"`
	Rows       map[string]int64 `json:"rows"`
	Partitions int              `json:"partitions"`
	Warnings   []Warning        `json:"warnings"`
}

// Resolve resolves whole partitions and writes the rows of the increment.
func (w *Worker) Resolve(ctx context.Context, env *Env, in io.Reader) error {
	j, err := w.job(ctx)
	if err != nil {
		return err
	}
	p, err := j.readPartitions(in, byKeys, func(x piece) error {
		return refused("a piece of table %d is cut by ids: it goes through `cluster newest` first", x.table)
	})
	if err != nil {
		return err
	}
	inc, err := resolve.UpdateParts(ctx, j.request, p)
	if err != nil {
		return err
	}
	defer inc.Close()
	out := env.Out
	hold := &spool{dir: env.TempDir}
	defer hold.close()
	if p.Len() > 1 {
		out = hold // what is wrong with a partition comes out when its turn comes
	}
	e := j.emitter(out)
	for pb, err := range inc.All(ctx) {
		if err != nil {
			return err
		}
		if err := e.rows(pb); err != nil {
			return err
		}
	}
	st := inc.Stats()
	if st.New > 0 && w.Unjudged != "" {
		return &metaxyInvalid{w.Unjudged}
	}
	sum := Summary{New: st.New, Stale: st.Stale, Orphaned: st.Orphaned, Unchanged: max(0, st.Expected-st.New-st.Stale), Expected: st.Expected, Current: st.Current,
		Pieces: p.total.Pieces, Partitions: len(p.numbers), Rows: map[string]int64{}, Warnings: []Warning{}}
	for table, n := range p.rows {
		sum.Rows[fmt.Sprint(table)] = n
	}
	for _, f := range inc.Warnings() {
		sum.Warnings = append(sum.Warnings, Warning{Code: f.Code, Message: f.Message, Count: f.Count})
	}
	if err := e.end(&sum); err != nil {
		return err
	}
	return hold.copyTo(env.Out)
}

// emitter writes rows of the increment: part, s, o, note.
type emitter struct {
	job    *job
	schema *arrow.Schema
	w      *ipc.Writer
}

const trailerPart = -1

func (j *job) emitter(out io.Writer) *emitter {
	schema := arrow.NewSchema([]arrow.Field{{Name: "part", Type: arrow.PrimitiveTypes.Int8},
		{Name: "s", Type: arrow.StructOf(j.results[metaxy.New].Fields()...), Nullable: true},
		{Name: "o", Type: arrow.StructOf(j.results[metaxy.Orphaned].Fields()...), Nullable: true},
		{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	return &emitter{j, schema, ipc.NewWriter(out, ipc.WithSchema(schema))}
}

// rows writes a batch of one part.
func (e *emitter) rows(pb resolve.PartBatch) error {
	n := int(pb.Batch.NumRows())
	if n == 0 {
		return nil
	}
	at := 1
	if pb.Part == resolve.Orphaned {
		at = 2
	}
	var data []arrow.ArrayData
	for _, f := range e.job.results[pb.Part].Fields() {
		i := pb.Batch.Schema().FieldIndices(f.Name)
		if len(i) != 1 {
			return fmt.Errorf("the rows have no column %s", f.Name)
		}
		data = append(data, pb.Batch.Column(i[0]).Data())
	}
	d := array.NewData(e.schema.Field(at).Type, n, []*memory.Buffer{nil}, data, 0, 0)
	defer d.Release()
	a := array.NewStructData(d)
	defer a.Release()
	return e.write(int8(pb.Part), n, at, a)
}

// write writes rows whose columns but one are null.
func (e *emitter) write(part int8, n, at int, a arrow.Array) error {
	b := array.NewInt8Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(n)
	for range n {
		b.UnsafeAppend(part)
	}
	cols := make([]arrow.Array, e.schema.NumFields())
	for i := range cols {
		switch i {
		case 0:
			cols[i] = b.NewArray()
		case at:
			a.Retain()
			cols[i] = a
		default:
			cols[i] = array.MakeArrayOfNull(memory.DefaultAllocator, e.schema.Field(i).Type, n)
		}
		defer cols[i].Release()
	}
	rec := array.NewRecordBatch(e.schema, cols, int64(n))
	defer rec.Release()
	return e.w.Write(rec)
}

// end writes the trailer.
func (e *emitter) end(sum *Summary) error {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Append(jsonText(sum))
	a := b.NewArray()
	defer a.Release()
	return errors.Join(e.write(trailerPart, 1, 3, a), e.w.Close())
}

// metaxyInvalid is what a driver found wrong with predicates, once it matters.
type metaxyInvalid struct{ msg string }

func (e *metaxyInvalid) Error() string { return e.msg }

// Unwrap makes it the caller's fault.
func (e *metaxyInvalid) Unwrap() error { return metaxy.ErrInvalid }

package resolve

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// A row of deciding columns holds about so much memory while a partition is
// resolved: its key and what is known of it, and each column.
const rowBytes, columnBytes = 64, 12

// maxPartitions bounds how finely work is cut: each partition costs a piece of every batch.
const maxPartitions = 4096

// leastLimit is what a partition may always take.
const leastLimit = 1 << 20

// rowNumber is the last column of spilled batches: the rows of the unit.
const rowNumber = "__row"

// fits reports whether work may hold so many bytes beside its blocks.
func (o *Options) fits(bytes int64) bool {
	return o.MemoryLimit <= 0 || bytes <= o.MemoryLimit-o.blocks()
}

// blocks is the memory that is set aside for blocks.
func (o *Options) blocks() int64 {
	return min(int64(workers(o.Parallel))*workerBytes, o.MemoryLimit/2)
}

// partitionsFor is into how many partitions work is cut that holds so many bytes
// beside its blocks, 1 when it fits.
func (o *Options) partitionsFor(bytes int64) int {
	if o.fits(bytes) {
		return 1
	}
	// A third of the limit for the rows of a partition leaves room for what is
	// read and given out, and for garbage.
	return int(min(max(2, bytes/max(1, o.MemoryLimit/3)+1), maxPartitions))
}

// beyond says that work which holds so many bytes beside its blocks needs a
// spill directory.
func (o *Options) beyond(bytes int64) error {
	return &hashjoin.LimitError{LimitBytes: o.MemoryLimit, NeedBytes: bytes + o.blocks()}
}

// readers is how many row groups are read at once while work is cut: a reader
// holds a chunk of every column.
func (o *Options) readers() int {
	return int(max(1, min(int64(workers(o.Parallel)), o.MemoryLimit>>26)))
}

// tableRows counts the rows that a table has to read.
func tableRows(ctx context.Context, t frame.Table) (rows int64, err error) {
	units, err := t.Units(ctx)
	for _, u := range units {
		rows += u.Rows
	}
	return rows, err
}

// splitter cuts tables into partitions by key columns.
type splitter struct {
	opts  *Options
	parts int
	need  int64 // estimate for all tables, for messages
}

// splitTable is a table on disk.
type splitTable struct {
	table frame.Table
	units []frame.Unit
	spill *hashjoin.Spill
	cols  int
	rows  int64
	// mixed says that the rows of a unit are not in order.
	mixed bool
}

// part is the table that has the rows of one partition.
func (s *splitTable) part(p int) frame.Table { return &partTable{s.table, s, p} }

func (s *splitTable) close() { s.spill.Close() }

func (s *splitter) spill() (*hashjoin.Spill, error) {
	return hashjoin.NewSpill(s.opts.SpillDir, s.parts, s.opts.MemoryLimit, s.need)
}

// split reads columns of a table once and writes them to partitions by key. Where
// rows with equal ids could differ in their key columns the newest row of each id
// is found first, in partitions by id: a partition must have all rows of its ids.
func (s *splitter) split(ctx context.Context, in *Input, l *hashjoin.Layout) (*splitTable, error) {
	if !in.NewestFirst() {
		return s.scatter(ctx, in.Table, in.Deciding, in.Keys, l)
	}
	own, err := hashjoin.NewLayout(typesOf(in.Schema, in.IDs))
	if err != nil {
		return nil, err
	}
	byID, err := s.scatter(ctx, in.Table, in.Deciding, in.IDs, own)
	if err != nil {
		return nil, err
	}
	defer byID.spill.Close()
	return s.newest(ctx, byID, in.Deciding, in.Keys, in.IDs, l)
}

// scatter writes every row of a table.
func (s *splitter) scatter(ctx context.Context, t frame.Table, cols, keys []string, l *hashjoin.Layout) (*splitTable, error) {
	units, err := t.Units(ctx)
	if err != nil {
		return nil, err
	}
	out := &splitTable{table: t, units: units, cols: len(cols)}
	if out.spill, err = s.spill(); err != nil {
		return nil, err
	}
	err = eachOf(ctx, len(units), s.opts.readers(), func(ctx context.Context, _, i int) error {
		return s.unit(ctx, t, i, units[i].Span(), cols, keys, l, out.spill)
	})
	if err != nil {
		out.spill.Close()
		return nil, err
	}
	return out, s.check(out)
}

// check refuses partitions that do not fit although they were cut: many rows of
// one key. A partition needs as much of the whole as it has of the rows, and at
// most what its rows and columns take.
func (s *splitter) check(t *splitTable) error {
	most := int64(0)
	for p := range s.parts {
		rows, _ := t.spill.Size(p)
		t.rows += rows
		most = max(most, rows)
	}
	share := int64(float64(s.need) * float64(most) / float64(max(t.rows, 1)))
	if need := min(share, most*int64(rowBytes+columnBytes*t.cols)); need > max(s.opts.MemoryLimit, leastLimit) {
		t.spill.Close()
		return &hashjoin.LimitError{LimitBytes: s.opts.MemoryLimit, NeedBytes: need, Rows: most}
	}
	return nil
}

func (s *splitter) unit(ctx context.Context, t frame.Table, unit int, rows int64, cols, keys []string, l *hashjoin.Layout, to *hashjoin.Spill) error {
	for b, err := range t.Read(ctx, unit, frame.Span{To: rows}, cols) {
		if err != nil {
			return err
		}
		numbered := withRowNumbers(&b)
		err := s.batch(ctx, numbered, unit, keys, l, to)
		numbered.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// withRowNumbers returns the batch of a block with a last column of row numbers;
// the caller releases it.
func withRowNumbers(block *frame.Block) arrow.RecordBatch {
	b := block.Batch
	nb := array.NewUint32Builder(memory.DefaultAllocator)
	defer nb.Release()
	nb.Reserve(int(b.NumRows()))
	for i := range int(b.NumRows()) {
		nb.UnsafeAppend(uint32(block.Row(i)))
	}
	numbers := nb.NewArray()
	defer numbers.Release()
	fields := append(slices.Clone(b.Schema().Fields()), arrow.Field{Name: rowNumber, Type: numbers.DataType()})
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), append(slices.Clone(b.Columns()), numbers), b.NumRows())
}

// batch writes the rows of a batch to their partitions.
func (s *splitter) batch(ctx context.Context, b arrow.RecordBatch, stream int, keys []string, l *hashjoin.Layout, to *hashjoin.Spill) error {
	c := Cutter{Layout: l, Keys: keys, Parts: s.parts}
	return c.Cut(ctx, b, func(p int, piece arrow.RecordBatch) error { return to.Write(p, stream, piece) })
}

// newest writes the newest row of each id to partitions by other columns.
func (s *splitter) newest(ctx context.Context, from *splitTable, cols, keys, ids []string, l *hashjoin.Layout) (*splitTable, error) {
	out := &splitTable{table: from.table, units: from.units, cols: from.cols, mixed: true}
	var err error
	if out.spill, err = s.spill(); err != nil {
		return nil, err
	}
	for p := range s.parts {
		if err := s.newestOf(ctx, from.part(p), cols, keys, ids, l, out.spill); err != nil {
			out.spill.Close()
			return nil, err
		}
	}
	return out, s.check(out)
}

func (s *splitter) newestOf(ctx context.Context, t frame.Table, cols, keys, ids []string, l *hashjoin.Layout, to *hashjoin.Spill) error {
	return Newest(ctx, t, ids, cols, func(unit int, b arrow.RecordBatch) error { return s.batch(ctx, b, unit, keys, l, to) })
}

// wide are rows as indices of a gather.
func wide(rows []int32) []int64 {
	out := make([]int64, len(rows))
	for i, r := range rows {
		out[i] = int64(r)
	}
	return out
}

// partTable is the rows of one partition of a table: deciding columns come from
// disk, late ones from the table itself.
type partTable struct {
	frame.Table
	from *splitTable
	part int
}

func (t *partTable) Units(context.Context) ([]frame.Unit, error) {
	out := slices.Clone(t.from.units)
	for i := range out {
		out[i].End = out[i].Span()
		out[i].Rows = t.from.spill.Rows(t.part, i)
	}
	return out, nil
}

func (t *partTable) Read(ctx context.Context, unit int, _ frame.Span, cols []string) iter.Seq2[frame.Block, error] {
	return func(yield func(frame.Block, error) bool) {
		batches := t.from.spill.Read(ctx, t.part, unit)
		if t.from.mixed {
			batches = inOrder(ctx, batches)
		}
		for b, err := range batches {
			if err != nil {
				yield(frame.Block{}, err)
				return
			}
			out, err := project(b, cols)
			if err != nil {
				yield(frame.Block{}, err)
				return
			}
			ok := frame.Give(yield, frame.Block{Batch: out, Rows: numbersOf(b)}, out)
			if !ok {
				return
			}
		}
	}
}

// numbersOf returns the row numbers of a spilled batch.
func numbersOf(b arrow.RecordBatch) []uint32 {
	return b.Column(int(b.NumCols()) - 1).(*array.Uint32).Uint32Values()
}

// inOrder gives all rows of batches as one batch in the order of their row numbers.
func inOrder(ctx context.Context, batches iter.Seq2[arrow.RecordBatch, error]) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		var list []arrow.RecordBatch
		defer func() {
			for _, b := range list {
				b.Release()
			}
		}()
		for b, err := range batches {
			if err != nil {
				yield(nil, err)
				return
			}
			b.Retain()
			list = append(list, b)
		}
		if len(list) == 0 {
			return
		}
		b, err := sortedByRow(ctx, list)
		if err != nil {
			yield(nil, err)
			return
		}
		defer b.Release()
		yield(b, nil)
	}
}

func sortedByRow(ctx context.Context, list []arrow.RecordBatch) (arrow.RecordBatch, error) {
	whole, err := frame.Concat(ctx, list)
	if err != nil {
		return nil, err
	}
	defer whole.Release()
	numbers := whole.Column(int(whole.NumCols()) - 1).(*array.Uint32).Uint32Values()
	order := make([]int64, whole.NumRows())
	for i := range order {
		order[i] = int64(i)
	}
	slices.SortFunc(order, func(a, b int64) int { return cmp.Compare(numbers[a], numbers[b]) })
	return takeBatch(ctx, whole, order)
}

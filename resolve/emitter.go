package resolve

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/syscol"
)

// emitter makes the result rows of one unit of the driver. Where results have
// columns that deciding does not read, pieces wait until the unit is decided,
// so that those columns are read once, in file order.
type emitter struct {
	pass   *pass
	leg    *leg
	w      *worker
	unit   int
	pieces [2][]*piece
}

// piece is rows of one part: the columns that are there already.
type piece struct {
	rows  int
	cols  []arrow.Array // by column of the result; nil where late
	refs  []frame.Ref   // of the driver
	sides [][]uint32    // by joined dep: row number plus one, 0 = none
}

func (p *piece) release() {
	for _, a := range p.cols {
		if a != nil {
			a.Release()
		}
	}
	p.cols = nil
}

func (e *emitter) release() {
	for _, list := range e.pieces {
		for _, p := range list {
			p.release()
		}
	}
}

// add takes joined rows of a block, picks of the worker's.
func (e *emitter) add(ctx context.Context, part Part, b *picked, picks []int32) error {
	l, s := e.leg, e.pass.s
	p := &piece{rows: len(picks), cols: make([]arrow.Array, len(l.out)), sides: make([][]uint32, len(s.sides))}
	if err := e.fill(ctx, p, b, picks); err != nil {
		p.release()
		return err
	}
	for _, dep := range l.joins {
		if !l.wants(dep) {
			continue
		}
		side, entries := s.sides[dep], e.w.entriesOf(dep)
		p.sides[dep] = make([]uint32, len(picks))
		for k, j := range picks {
			if entry := entries[j]; entry >= 0 {
				p.sides[dep][k] = side.last[entry]
			}
		}
	}
	if len(l.late) > 0 {
		p.refs = make([]frame.Ref, len(picks))
		for k, j := range picks {
			p.refs[k] = frame.RefOf(e.unit, b.Row(int(e.w.rows[j])))
		}
	}
	if !l.waits() {
		return e.send(ctx, part, p)
	}
	e.pieces[part] = append(e.pieces[part], p)
	return nil
}

// fill makes the columns that a block and its versions give.
func (e *emitter) fill(ctx context.Context, p *piece, b *picked, picks []int32) error {
	all := picks
	if len(picks) == len(e.w.rows) && isRange(picks) {
		all = nil
	}
	var texts []arrow.Array
	if e.leg.dep >= 0 {
		texts = e.w.texts(all)
	}
	defer func() {
		for _, a := range texts {
			a.Release()
		}
	}()
	rows := make([]int32, len(picks))
	for k, j := range picks {
		rows[k] = e.w.rows[j]
	}
	if len(rows) == int(b.Batch.NumRows()) && isRange(rows) {
		rows = nil
	}
	for i, c := range e.leg.out {
		var err error
		switch {
		case c.kept >= 0 && c.kept < e.leg.skip:
			p.cols[i], err = e.ids(ctx, picks, c.typ)
		case c.kept >= 0:
			p.cols[i], err = keptColumn(ctx, b.Batch.Column(c.kept-e.leg.skip), rows, c.typ)
		case c.dep < 0:
			p.cols[i] = e.version(p, c.outColumn, texts)
		case c.late < 0 && c.side < 0:
			p.cols[i] = array.MakeArrayOfNull(memory.DefaultAllocator, c.typ, len(picks))
		}
		if err != nil {
			return &InputError{Feature: e.leg.feed.name, Column: c.name, Msg: err.Error()}
		}
	}
	return nil
}

// isRange reports whether picks are 0, 1, 2 and so on.
func isRange(picks []int32) bool {
	for i, p := range picks {
		if int(p) != i {
			return false
		}
	}
	return true
}

// version is one of the four version columns; the data versions are the provenance.
func (e *emitter) version(p *piece, c outColumn, texts []arrow.Array) arrow.Array {
	last := len(texts) - 1
	if c.name == syscol.Provenance || c.name == syscol.DataVersion {
		texts[last].Retain()
		return texts[last]
	}
	for i, o := range e.leg.out {
		if o.dep < 0 && p.cols[i] != nil && o.name != syscol.Provenance && o.name != syscol.DataVersion {
			p.cols[i].Retain()
			return p.cols[i]
		}
	}
	return byFieldArray(c.typ, members(e.pass.s.inc.req.Plan), texts[:last], p.rows)
}

// keptColumn picks rows (nil = all) of a column that was read.
func keptColumn(ctx context.Context, a arrow.Array, rows []int32, t arrow.DataType) (arrow.Array, error) {
	var err error
	if rows != nil {
		a, err = takeArray(ctx, a, wide(rows))
	} else if id := a.DataType().ID(); id == arrow.STRING_VIEW || id == arrow.LARGE_STRING || id == arrow.DICTIONARY {
		a, err = plainText(a)
	} else {
		a.Retain()
	}
	if err != nil {
		return nil, err
	}
	if err := castTo(ctx, &a, t); err != nil {
		a.Release()
		return nil, err
	}
	return a, nil
}

// ids are those of joined rows, which their slots give back.
func (e *emitter) ids(ctx context.Context, picks []int32, t arrow.DataType) (arrow.Array, error) {
	const size = len("00000000-0000-0000-0000-000000000000")
	slots, offsets := make([]int32, len(picks)), make([]int32, len(picks)+1)
	for k, j := range picks {
		slots[k], offsets[k+1] = e.w.slots[j], int32(size*(k+1))
	}
	texts := make([]byte, size*len(picks))
	e.pass.s.index().UUIDs(slots, texts)
	d := array.NewData(arrow.BinaryTypes.String, len(picks), []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(texts)}, nil, 0, 0)
	defer d.Release()
	var a arrow.Array = array.NewStringData(d)
	if err := castTo(ctx, &a, t); err != nil {
		a.Release()
		return nil, err
	}
	return a, nil
}

// send gives a piece out whose columns are complete.
func (e *emitter) send(ctx context.Context, part Part, p *piece) error {
	b := array.NewRecordBatch(e.pass.s.inc.schemas[part], p.cols, int64(p.rows))
	p.release()
	return e.pass.send(ctx, part, b)
}

// flush reads the late columns of what waits and gives it out.
func (e *emitter) flush(ctx context.Context) error {
	for part, list := range e.pieces {
		if len(list) == 0 {
			continue
		}
		if err := e.late(ctx, Part(part), list); err != nil {
			return err
		}
	}
	return nil
}

// late completes the pieces of one part and gives them out.
func (e *emitter) late(ctx context.Context, part Part, list []*piece) error {
	if err := e.sideColumns(ctx, list); err != nil {
		return err
	}
	if len(e.leg.late) == 0 {
		for _, p := range list {
			if err := e.send(ctx, part, p); err != nil {
				return err
			}
		}
		return nil
	}
	refs, back := distinct(list)
	if back != nil {
		return e.lateRepeated(ctx, part, list, refs, back)
	}
	var parts []arrow.RecordBatch // read and not given out
	have := 0
	defer func() {
		for _, b := range parts {
			b.Release()
		}
	}()
	at := 0
	for b, err := range e.leg.feed.table.Take(ctx, refs, e.leg.late) {
		if err != nil {
			return err
		}
		b.Retain()
		parts, have = append(parts, b), have+int(b.NumRows())
		for at < len(list) && have >= list[at].rows {
			if parts, err = e.complete(ctx, list[at], parts); err != nil {
				return err
			}
			have -= list[at].rows
			if err := e.send(ctx, part, list[at]); err != nil {
				return err
			}
			at++
		}
	}
	if at < len(list) {
		return errNoRows
	}
	return ctx.Err()
}

// complete fills the driver's late columns of a piece from the front of what was
// read, and returns the rest.
func (e *emitter) complete(ctx context.Context, p *piece, parts []arrow.RecordBatch) ([]arrow.RecordBatch, error) {
	var front []arrow.RecordBatch
	defer func() {
		for _, b := range front {
			b.Release()
		}
	}()
	for need := int64(p.rows); need > 0; {
		b := parts[0]
		if b.NumRows() <= need {
			front, parts, need = append(front, b), parts[1:], need-b.NumRows()
			continue
		}
		front = append(front, b.NewSlice(0, need))
		rest := b.NewSlice(need, b.NumRows())
		b.Release()
		parts[0], need = rest, 0
	}
	for i, c := range e.leg.out {
		if c.late < 0 {
			continue
		}
		arrays := make([]arrow.Array, len(front))
		for k, b := range front {
			arrays[k] = b.Column(c.late)
		}
		a, err := joinArrays(arrays)
		if err != nil {
			return parts, err
		}
		if err := castTo(ctx, &a, c.typ); err != nil {
			a.Release()
			return parts, err
		}
		p.cols[i] = a
	}
	return parts, nil
}

// joinArrays makes one array of several; the caller releases it.
func joinArrays(list []arrow.Array) (arrow.Array, error) {
	if len(list) == 1 {
		list[0].Retain()
		return list[0], nil
	}
	return array.Concatenate(list, memory.DefaultAllocator)
}

// distinct are the driver's rows of pieces, each once, and for each row of the
// pieces which of them it is; nil where no row is repeated.
func distinct(list []*piece) (refs []frame.Ref, back []int64) {
	repeated := false
	for _, p := range list {
		for _, r := range p.refs {
			repeated = repeated || len(refs) > 0 && refs[len(refs)-1] == r
			refs = append(refs, r)
		}
	}
	if !repeated {
		return refs, nil
	}
	once := refs[:0:0]
	for _, r := range refs {
		if len(once) == 0 || once[len(once)-1] != r {
			once = append(once, r)
		}
		back = append(back, int64(len(once)-1))
	}
	return once, back
}

// lateRepeated completes pieces some of whose rows are rows of the driver again,
// because it was joined to several.
func (e *emitter) lateRepeated(ctx context.Context, part Part, list []*piece, refs []frame.Ref, back []int64) error {
	whole, err := readTaken(ctx, e.leg.feed.table, refs, e.leg.late)
	if err != nil {
		return err
	}
	defer func() {
		for _, a := range whole {
			a.Release()
		}
	}()
	for _, p := range list {
		for i, c := range e.leg.out {
			if c.late < 0 {
				continue
			}
			a, err := takeArray(ctx, whole[c.late], back[:p.rows])
			if err != nil {
				return err
			}
			if err := castTo(ctx, &a, c.typ); err != nil {
				a.Release()
				return err
			}
			p.cols[i] = a
		}
		back = back[p.rows:]
		if err := e.send(ctx, part, p); err != nil {
			return err
		}
	}
	return nil
}

// wants reports whether results have columns of a joined dep.
func (l *leg) wants(dep int) bool {
	return slices.ContainsFunc(l.out, func(c legColumn) bool { return c.side == dep })
}

// sideColumns fills the columns that joined deps bring.
func (e *emitter) sideColumns(ctx context.Context, list []*piece) error {
	for _, dep := range e.leg.joins {
		if !e.leg.wants(dep) {
			continue
		}
		var numbers []uint32
		for _, p := range list {
			numbers = append(numbers, p.sides[dep]...)
		}
		var names []string
		var at []int
		for i, c := range e.leg.out {
			if c.side == dep {
				names, at = append(names, c.in), append(at, i)
			}
		}
		arrays, err := e.pass.s.sides[dep].feed.take(ctx, numbers, names)
		if err != nil {
			return err
		}
		for k, a := range arrays {
			from := int64(0)
			for _, p := range list {
				p.cols[at[k]] = pieceOf(a, from, int64(p.rows), e.leg.out[at[k]].typ)
				from += int64(p.rows)
			}
			if a != nil {
				a.Release()
			}
		}
	}
	return nil
}

// pieceOf is a slice of an array, nulls where there is none.
func pieceOf(a arrow.Array, from, n int64, t arrow.DataType) arrow.Array {
	if a == nil {
		return array.MakeArrayOfNull(memory.DefaultAllocator, t, int(n))
	}
	return array.NewSlice(a, from, from+n)
}

// take reads columns of rows by number plus one, null where that is 0; the
// arrays are nil when every row is.
func (f *feed) take(ctx context.Context, numbers []uint32, names []string) ([]arrow.Array, error) {
	refs := make([]frame.Ref, 0, len(numbers))
	for _, n := range numbers {
		if n != 0 {
			refs = append(refs, f.ref(n-1))
		}
	}
	if len(refs) == 0 {
		return make([]arrow.Array, len(names)), nil
	}
	ascending := slices.IsSorted(refs) && len(refs) == len(numbers)
	order := refs
	if ascending {
		for i := 1; i < len(refs) && ascending; i++ {
			ascending = refs[i] != refs[i-1]
		}
	}
	if !ascending {
		order = slices.Clone(refs)
		slices.Sort(order)
		order = slices.Compact(order)
	}
	whole, err := readTaken(ctx, f.table, order, names)
	if err != nil || ascending {
		return whole, err
	}
	idx := make([]int64, len(numbers))
	at := 0
	for i, n := range numbers {
		if idx[i] = -1; n == 0 {
			continue
		}
		p, _ := slices.BinarySearch(order, refs[at])
		idx[i] = int64(p)
		at++
	}
	for i, a := range whole {
		picked, err := takeArray(ctx, a, idx)
		a.Release()
		if err != nil {
			return nil, err
		}
		whole[i] = picked
	}
	return whole, nil
}

// slicesOf hands a batch out under a schema, in pieces; false when the consumer
// has enough.
func slicesOf(ctx context.Context, b arrow.RecordBatch, schema *arrow.Schema, yield func(arrow.RecordBatch, error) bool) bool {
	cols := slices.Clone(b.Columns())
	for i := range cols {
		a := cols[i]
		a.Retain()
		if err := castTo(ctx, &a, schema.Field(i).Type); err != nil {
			yield(nil, err)
			return false
		}
		cols[i] = a
		defer a.Release()
	}
	out := array.NewRecordBatch(schema, cols, b.NumRows())
	defer out.Release()
	return slices64(out, yield)
}

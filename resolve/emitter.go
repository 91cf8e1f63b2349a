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

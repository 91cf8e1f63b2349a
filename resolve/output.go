package resolve

import (
	"cmp"
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// emitRows is the number of result rows that are materialised at once: late columns are read per so many rows.
const emitRows = 1 << 20

// batchRows is the size of the batches that leave.
const batchRows = 1 << 16

// emit materialises a part of the expected rows.
func (inc *Increment) emit(ctx context.Context, p Part, yield func(arrow.RecordBatch, error) bool) {
	rows := inc.result.parts[p]
	if inc.result.samples != nil {
		inc.result.samples.emit(ctx, inc.schemas[p], rows, yield)
		return
	}
	for chunk := range slices.Chunk(rows, emitRows) {
		b, err := inc.materialise(ctx, chunk, inc.schemas[p])
		if err != nil {
			yield(nil, err)
			return
		}
		ok := slices64(b, yield)
		b.Release()
		if !ok {
			return
		}
	}
}

// slices64 hands a batch out in pieces; false when the consumer has enough.
func slices64(b arrow.RecordBatch, yield func(arrow.RecordBatch, error) bool) bool {
	for at := int64(0); at < b.NumRows(); at += batchRows {
		cut := b.NewSlice(at, min(b.NumRows(), at+batchRows))
		ok := yield(cut, nil)
		cut.Release()
		if !ok {
			return false
		}
	}
	return true
}

// materialise makes the result rows of some expected rows.
func (inc *Increment) materialise(ctx context.Context, rows []int32, schema *arrow.Schema) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, len(inc.columns))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, d := range inc.deps {
		var late []int // columns of this dep
		for c, col := range inc.columns {
			if col.dep == i {
				late = append(late, c)
			}
		}
		if len(late) == 0 {
			continue
		}
		if err := inc.depColumns(ctx, d, rows, late, cols); err != nil {
			return nil, err
		}
	}
	if err := inc.coalesceJoin(ctx, rows, cols); err != nil {
		return nil, err
	}
	inc.versionColumns(rows, cols)
	return array.NewRecordBatch(schema, cols, int64(len(rows))), nil
}

// depColumns fills the columns that a dep brings.
func (inc *Increment) depColumns(ctx context.Context, d *depState, rows []int32, want []int, cols []arrow.Array) error {
	pos := make([]int32, len(rows))
	for i, r := range rows {
		pos[i] = inc.result.joined.pos[d.index][r]
	}
	names := make([]string, len(want))
	types := make([]arrow.DataType, len(want))
	for i, c := range want {
		names[i], types[i] = inc.columns[c].in, inc.columns[c].typ
	}
	arrays, err := d.set.take(ctx, pos, names, types)
	if err != nil {
		return err
	}
	for i, c := range want {
		cols[c] = arrays[i]
	}
	return nil
}

// take gives columns of chosen positions, -1 for null: from memory what was read, the rest by reference from the table.
func (r *rowset) take(ctx context.Context, pos []int32, names []string, types []arrow.DataType) ([]arrow.Array, error) {
	out := make([]arrow.Array, len(names))
	var late []string
	for i, name := range names {
		if c := r.column(name); c >= 0 {
			a, err := r.takeRead(ctx, pos, c, types[i])
			if err != nil {
				return nil, err
			}
			out[i] = a
			continue
		}
		late = append(late, name)
	}
	if len(late) == 0 {
		return out, nil
	}
	taken, err := r.takeLate(ctx, pos, late)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if out[i] == nil {
			a := taken[slices.Index(late, name)]
			if a == nil {
				a = array.MakeArrayOfNull(memory.DefaultAllocator, types[i], len(pos))
			}
			out[i] = a
		}
	}
	return out, nil
}

// takeRead gathers a column that is in memory: whole batches are joined, then rows picked.
func (r *rowset) takeRead(ctx context.Context, pos []int32, c int, t arrow.DataType) (arrow.Array, error) {
	if len(r.batches) == 0 {
		return array.MakeArrayOfNull(memory.DefaultAllocator, t, len(pos)), nil
	}
	lo, hi := int32(1<<31-1), int32(-1)
	for _, p := range pos {
		if p >= 0 {
			lo, hi = min(lo, p), max(hi, p)
		}
	}
	if hi < 0 {
		return array.MakeArrayOfNull(memory.DefaultAllocator, t, len(pos)), nil
	}
	first, _ := r.find(lo)
	last, _ := r.find(hi)
	var parts []arrow.Array
	for i := range r.batches {
		if b := &r.batches[i]; b.start >= first.start && b.start <= last.start {
			a := b.rec.Column(c)
			if id := a.DataType().ID(); id == arrow.STRING_VIEW || id == arrow.LARGE_STRING {
				plain, err := plainText(a)
				if err != nil {
					return nil, err
				}
				defer plain.Release()
				a = plain
			}
			parts = append(parts, a)
		}
	}
	whole := parts[0]
	if len(parts) > 1 {
		joined, err := array.Concatenate(parts, memory.DefaultAllocator)
		if err != nil {
			return nil, err
		}
		defer joined.Release()
		whole = joined
	}
	idx := make([]int64, len(pos))
	for i, p := range pos {
		idx[i] = -1
		if p >= 0 {
			idx[i] = int64(p) - int64(first.start)
		}
	}
	return takeArray(ctx, whole, idx)
}

// takeLate reads columns of chosen rows in file order and puts them into the order of pos.
func (r *rowset) takeLate(ctx context.Context, pos []int32, names []string) ([]arrow.Array, error) {
	refs := make([]frame.Ref, 0, len(pos))
	ascending := true
	for _, p := range pos {
		if p < 0 {
			continue
		}
		ref := r.ref(p)
		ascending = ascending && (len(refs) == 0 || refs[len(refs)-1] < ref)
		refs = append(refs, ref)
	}
	if len(refs) == 0 {
		return make([]arrow.Array, len(names)), nil
	}
	order := refs
	if !ascending {
		order = slices.Clone(refs)
		slices.Sort(order)
		order = slices.Compact(order)
	}
	whole, err := readTaken(ctx, r.table, order, names)
	if err != nil {
		return nil, err
	}
	if ascending && len(refs) == len(pos) {
		return whole, nil
	}
	idx := make([]int64, 0, len(pos))
	for _, p := range pos {
		if p < 0 {
			idx = append(idx, -1)
			continue
		}
		at, _ := slices.BinarySearchFunc(order, r.ref(p), func(a, b frame.Ref) int { return cmp.Compare(a, b) })
		idx = append(idx, int64(at))
	}
	for i, a := range whole {
		b, err := takeArray(ctx, a, idx)
		a.Release()
		if err != nil {
			return nil, err
		}
		whole[i] = b
	}
	return whole, nil
}

// readTaken reads columns of rows into one array each.
func readTaken(ctx context.Context, t frame.Table, refs []frame.Ref, names []string) ([]arrow.Array, error) {
	parts := make([][]arrow.Array, len(names))
	defer func() {
		for _, list := range parts {
			for _, a := range list {
				a.Release()
			}
		}
	}()
	for b, err := range t.Take(ctx, refs, names) {
		if err != nil {
			return nil, err
		}
		for i, c := range b.Columns() {
			c.Retain()
			parts[i] = append(parts[i], c)
		}
	}
	out := make([]arrow.Array, len(names))
	for i, list := range parts {
		if len(list) == 0 {
			return nil, errNoRows
		}
		a, err := array.Concatenate(list, memory.DefaultAllocator)
		if err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

// coalesceJoin fills join columns of rows that the first dep does not have (full joins) from the deps that do.
func (inc *Increment) coalesceJoin(ctx context.Context, rows []int32, cols []arrow.Array) error {
	if len(inc.order) < 2 || !inc.deps[inc.order[0]].plan.Optional {
		return nil
	}
	for _, name := range inc.joinColumns() {
		c := slices.IndexFunc(inc.columns, func(o outColumn) bool { return o.name == name })
		if c < 0 {
			continue
		}
		if err := castTo(ctx, &cols[c], inc.columns[c].typ); err != nil {
			return &InputError{Feature: inc.deps[inc.order[0]].key(), Column: name, Msg: err.Error()}
		}
		for _, i := range inc.order[1:] {
			if cols[c].NullN() == 0 {
				break
			}
			if err := inc.fillFrom(ctx, inc.deps[i], rows, name, c, cols); err != nil {
				return err
			}
		}
	}
	return nil
}

// castTo replaces an array by one of another type, if it has to.
func castTo(ctx context.Context, a *arrow.Array, t arrow.DataType) error {
	if arrow.TypeEqual((*a).DataType(), t) {
		return nil
	}
	cast, err := compute.CastArray(ctx, *a, compute.SafeCastOptions(t))
	if err != nil {
		return err
	}
	(*a).Release()
	*a = cast
	return nil
}

func (inc *Increment) fillFrom(ctx context.Context, d *depState, rows []int32, name string, c int, cols []arrow.Array) error {
	pos := make([]int32, len(rows))
	for i, r := range rows {
		pos[i] = inc.result.joined.pos[d.index][r]
	}
	other, err := d.set.take(ctx, pos, []string{d.original(name)}, []arrow.DataType{cols[c].DataType()})
	if err != nil {
		return err
	}
	defer func() { other[0].Release() }()
	if err := castTo(ctx, &other[0], cols[c].DataType()); err != nil {
		return &InputError{Feature: d.key(), Column: name, Msg: err.Error()}
	}
	both, err := array.Concatenate([]arrow.Array{cols[c], other[0]}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	defer both.Release()
	idx := make([]int64, len(rows))
	for i := range rows {
		idx[i] = int64(i)
		if cols[c].IsNull(i) {
			idx[i] = int64(len(rows) + i)
		}
	}
	merged, err := takeArray(ctx, both, idx)
	if err != nil {
		return err
	}
	cols[c].Release()
	cols[c] = merged
	return nil
}

// versionColumns fills the four versions: the data versions are the provenance.
func (inc *Increment) versionColumns(rows []int32, cols []arrow.Array) {
	chunks := inc.result.chunks
	names := members(inc.req.Plan)
	pick := func(of func(v *versions) *rowhash.Text) arrow.Array {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		b.Reserve(len(rows))
		for _, r := range rows {
			t, i := of(&chunks[r/chunkRows]), int(r%chunkRows)
			if t.IsNull(i) {
				b.AppendNull()
				continue
			}
			b.Append(t.Value(i))
		}
		return b.NewArray()
	}
	var byField arrow.Array
	for c, col := range inc.columns {
		if col.dep >= 0 {
			continue
		}
		switch col.name {
		case colProvenance, colDataVersion:
			cols[c] = pick(func(v *versions) *rowhash.Text { return v.sample })
		default:
			if byField == nil {
				arrays := make([]arrow.Array, len(names))
				for m := range names {
					arrays[m] = pick(func(v *versions) *rowhash.Text { return v.byField[m] })
					defer arrays[m].Release()
				}
				byField = byFieldArray(col.typ, names, arrays, len(rows))
				defer byField.Release()
			}
			byField.Retain()
			cols[c] = byField
		}
	}
}

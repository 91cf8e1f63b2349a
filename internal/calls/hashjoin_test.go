package calls_test

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// ids is a column of keys.
func (w *world) ids(from, to int64) []arrow.Array {
	b := array.NewInt64Builder(w.mem)
	defer b.Release()
	for i := from; i < to; i++ {
		b.Append(i)
	}
	col := b.NewArray()
	w.end(col.Release)
	return []arrow.Array{col}
}

func oneWord() *hashjoin.Layout {
	return sample(hashjoin.NewLayout([]arrow.DataType{arrow.PrimitiveTypes.Int64}))
}

// keysCall has the keys of ten rows.
func keysCall(f func(k *hashjoin.Keys)) func(w *world) call {
	return func(w *world) call {
		k := &hashjoin.Keys{}
		w.must(oneWord().Encode(w.ids(0, 10), k))
		return func(context.Context) error { f(k); return nil }
	}
}

// indexCall has an index of ten keys.
func indexCall(f func(x *hashjoin.Index, k *hashjoin.Keys, slots []int32) error) func(w *world) call {
	return func(w *world) call {
		k, l := &hashjoin.Keys{}, oneWord()
		w.must(l.Encode(w.ids(0, 10), k))
		x := hashjoin.NewIndex(l, hashjoin.Hints{Rows: 10})
		w.must(x.Insert(k, make([]int32, 10)))
		return func(context.Context) error { return f(x, k, make([]int32, 10)) }
	}
}

// joinCall has a join of ten rows.
func joinCall(f func(j *hashjoin.Join, cols []arrow.Array) error) func(w *world) call {
	return func(w *world) call {
		j, cols := hashjoin.NewJoin(oneWord(), false, 0), w.ids(0, 10)
		w.must(j.Add(cols))
		w.must(j.Seal())
		return func(context.Context) error { return f(j, cols) }
	}
}

// spillCall has a spill with a batch in it.
func spillCall(f func(w *world, s *hashjoin.Spill, b batch, ctx context.Context) error) func(w *world) call {
	return func(w *world) call {
		s := sample(hashjoin.NewSpill(w.TempDir(), 2, 1, 1))
		w.end(func() { s.Close() })
		b := w.batch(1, 2)
		w.end(b.Release)
		w.must(s.Write(0, 0, b))
		return func(ctx context.Context) error { return f(w, s, b, ctx) }
	}
}

var joinRows = []row{
	{fn: (*hashjoin.LimitError).Error}, {fn: (*hashjoin.LimitError).Unwrap},
	{fn: hashjoin.NewLayout, make: func(*world) call { return func(context.Context) error { oneWord(); return nil } }},
	{fn: hashjoin.NewStableLayout, make: func(*world) call {
		return func(context.Context) error {
			return told(hashjoin.NewStableLayout([]arrow.DataType{arrow.BinaryTypes.String}))
		}
	}},
	{fn: hashjoin.NewSeededLayout, make: func(*world) call {
		return func(context.Context) error {
			return told(hashjoin.NewSeededLayout(7, []arrow.DataType{arrow.BinaryTypes.String}))
		}
	}},
	{fn: hashjoin.SealBlock, make: func(*world) call {
		return func(context.Context) error {
			hashjoin.SealBlock(make([]byte, hashjoin.BlockHeader+8), 7, 1, 2)
			return nil
		}
	}},
	{fn: hashjoin.OpenBlock, make: func(*world) call {
		block := make([]byte, hashjoin.BlockHeader+8)
		hashjoin.SealBlock(block, 7, 1, 2)
		return func(context.Context) error {
			_, _, _, err := hashjoin.OpenBlock(block, 7)
			return err
		}
	}},
	{fn: (*hashjoin.Layout).Words, make: func(*world) call {
		l := oneWord()
		return func(context.Context) error { l.Words(); return nil }
	}},
	{fn: (*hashjoin.Layout).Encode, make: func(w *world) call {
		l, cols := oneWord(), w.ids(0, 10)
		return func(context.Context) error { return l.Encode(cols, &hashjoin.Keys{}) }
	}},
	{fn: hashjoin.Hints.Bytes, make: hintsCall(func(h hashjoin.Hints, l *hashjoin.Layout) { h.Bytes(l) })},
	{fn: hashjoin.Hints.Choose, make: hintsCall(func(h hashjoin.Hints, l *hashjoin.Layout) { h.Choose(l) })},
	{fn: hashjoin.Hints.Slots, make: hintsCall(func(h hashjoin.Hints, l *hashjoin.Layout) { h.Slots(l) })},
	{fn: (*hashjoin.Keys).IsNull, make: keysCall(func(k *hashjoin.Keys) { k.IsNull(9) })},
	{fn: (*hashjoin.Keys).Len, make: keysCall(func(k *hashjoin.Keys) { k.Len() })},
	{fn: (*hashjoin.Keys).Nulls, make: keysCall(func(k *hashjoin.Keys) { k.Nulls() })},
	{fn: (*hashjoin.Keys).Part, make: keysCall(func(k *hashjoin.Keys) { k.Part(9, 4) })},
	{fn: (*hashjoin.Keys).Pick, make: keysCall(func(k *hashjoin.Keys) { k.Pick([]int32{0}) })},
	{fn: (*hashjoin.Keys).Shard, make: keysCall(func(k *hashjoin.Keys) { k.Shard(0, 4) })},
	{fn: hashjoin.NewIndex, make: hintsCall(func(h hashjoin.Hints, l *hashjoin.Layout) { hashjoin.NewIndex(l, h) })},
	{fn: (*hashjoin.Index).Bytes, make: indexCall(func(x *hashjoin.Index, _ *hashjoin.Keys, _ []int32) error { x.Bytes(); return nil })},
	{fn: (*hashjoin.Index).Find, make: indexCall(func(x *hashjoin.Index, k *hashjoin.Keys, slots []int32) error { x.Find(k, slots); return nil })},
	{fn: (*hashjoin.Index).Insert, make: indexCall((*hashjoin.Index).Insert)},
	{fn: (*hashjoin.Index).Len, make: indexCall(func(x *hashjoin.Index, _ *hashjoin.Keys, _ []int32) error { x.Len(); return nil })},
	{fn: (*hashjoin.Index).Slots, make: indexCall(func(x *hashjoin.Index, _ *hashjoin.Keys, _ []int32) error { x.Slots(); return nil })},
	{fn: (*hashjoin.Index).Strategy, make: indexCall(func(x *hashjoin.Index, _ *hashjoin.Keys, _ []int32) error { x.Strategy(); return nil })},
	{fn: (*hashjoin.Index).UUIDs, make: func(w *world) call {
		b := array.NewStringBuilder(w.mem)
		defer b.Release()
		b.Append("01234567-89ab-cdef-0123-456789abcdef")
		col := b.NewArray()
		w.end(col.Release)
		k, l, slots := &hashjoin.Keys{}, sample(hashjoin.NewLayout([]arrow.DataType{arrow.BinaryTypes.String})), make([]int32, 1)
		w.must(l.Encode([]arrow.Array{col}, k))
		x := hashjoin.NewIndex(l, hashjoin.Hints{Rows: 1})
		w.must(x.Insert(k, slots))
		return func(context.Context) error { x.UUIDs(slots, make([]byte, 36)); return nil }
	}},
	{fn: hashjoin.Strategy.String},
	{fn: hashjoin.NewJoin, make: func(*world) call {
		l := oneWord()
		return func(context.Context) error { hashjoin.NewJoin(l, true, 0); return nil }
	}},
	{fn: (*hashjoin.Join).Add, make: joinCall((*hashjoin.Join).Add)},
	{fn: (*hashjoin.Join).Probe, make: joinCall(func(j *hashjoin.Join, cols []arrow.Array) error {
		return j.Probe(hashjoin.Inner, cols, &hashjoin.Matches{})
	})},
	{fn: (*hashjoin.Join).Rows, make: joinCall(func(j *hashjoin.Join, _ []arrow.Array) error { j.Rows(); return nil })},
	{fn: (*hashjoin.Join).Seal, make: joinCall(func(j *hashjoin.Join, _ []arrow.Array) error { return j.Seal() })},
	{fn: hashjoin.NewSpill, make: func(w *world) call {
		dir := w.TempDir()
		return func(context.Context) error {
			s, err := hashjoin.NewSpill(dir, 2, 1, 1)
			if err != nil {
				return err
			}
			return s.Close()
		}
	}},
	{fn: (*hashjoin.Spill).Close, make: spillCall(func(_ *world, s *hashjoin.Spill, _ batch, _ context.Context) error { return s.Close() })},
	{fn: (*hashjoin.Spill).Partitions, make: spillCall(func(_ *world, s *hashjoin.Spill, _ batch, _ context.Context) error { s.Partitions(); return nil })},
	{fn: (*hashjoin.Spill).Read, make: spillCall(func(w *world, s *hashjoin.Spill, _ batch, ctx context.Context) error {
		return drained(w, s.Read(ctx, 0, 0))
	})},
	{fn: (*hashjoin.Spill).Rows, make: spillCall(func(_ *world, s *hashjoin.Spill, _ batch, _ context.Context) error { s.Rows(0, 0); return nil })},
	{fn: (*hashjoin.Spill).Size, make: spillCall(func(_ *world, s *hashjoin.Spill, _ batch, _ context.Context) error { s.Size(0); return nil })},
	{fn: (*hashjoin.Spill).Write, make: spillCall(func(_ *world, s *hashjoin.Spill, b batch, _ context.Context) error { return s.Write(1, 0, b) })},
}

func hintsCall(f func(h hashjoin.Hints, l *hashjoin.Layout)) func(w *world) call {
	return func(*world) call {
		l := oneWord()
		return func(context.Context) error { f(hashjoin.Hints{Rows: 10}, l); return nil }
	}
}

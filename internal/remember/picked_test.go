package remember_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/remember"
)

// lying is a table of the numbers from 0 in one unit. Its search by pages gives
// whatever seek does; reads and what is taken of it are counted.
type lying struct {
	rows  int64
	seek  func(yield func(frame.Block, error) bool)
	reads int
	taken []string
}

var lyingSchema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "twice", Type: arrow.PrimitiveTypes.Int64}}, nil)

func numbers(from, to, factor int64) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	for i := from; i < to; i++ {
		b.Append(i * factor)
	}
	return b.NewArray()
}

func idBlock(from, to int64) frame.Block {
	return frame.Block{Batch: array.NewRecordBatch(arrow.NewSchema(lyingSchema.Fields()[:1], nil), []arrow.Array{numbers(from, to, 1)}, to-from), First: from}
}

func (l *lying) Schema() *arrow.Schema { return lyingSchema }

func (l *lying) Units(context.Context) ([]frame.Unit, error) {
	return []frame.Unit{{Rows: l.rows, Stats: func(string) (filter.Range, bool) { return filter.Range{}, false }}}, nil
}

func (l *lying) Read(_ context.Context, _ int, rows frame.Span, _ []string) iter.Seq2[frame.Block, error] {
	l.reads++
	return func(yield func(frame.Block, error) bool) { yield(idBlock(rows.From, rows.To), nil) }
}

func (l *lying) Take(_ context.Context, refs []frame.Ref, cols []string) iter.Seq2[arrow.RecordBatch, error] {
	l.taken = append(l.taken, cols...)
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, r := range refs {
			factor := int64(1)
			if cols[0] == "twice" {
				factor = 2
			}
			if !yield(array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: cols[0], Type: arrow.PrimitiveTypes.Int64}}, nil), []arrow.Array{numbers(r.Row(), r.Row()+1, factor)}, 1), nil) {
				return
			}
		}
	}
}

func (l *lying) Seek(context.Context, int, []string, func(filter.Range) bool) iter.Seq2[frame.Block, error] {
	return l.seek
}

// TestPickedSeeks wants rows to be found by pages, their keys to be read once,
// and all rows to be read where the pages turn out not to be as was told: what
// came before counts for nothing then.
func TestPickedSeeks(t *testing.T) {
	for name, c := range map[string]struct {
		seek  func(yield func(frame.Block, error) bool)
		want  []int64
		reads int
	}{
		"pages": {func(yield func(frame.Block, error) bool) {
			_ = yield(idBlock(2, 6), nil) && yield(idBlock(40, 44), nil)
		}, []int64{3, 41}, 0},
		"no page": {func(func(frame.Block, error) bool) {}, nil, 0},
		"a lie": {func(yield func(frame.Block, error) bool) {
			yield(frame.Block{}, fmt.Errorf("page 7: %w", frame.ErrBounds))
		}, []int64{3, 41, 70}, 1},
		"a lie found late": {func(yield func(frame.Block, error) bool) {
			_ = yield(idBlock(2, 6), nil) && yield(frame.Block{}, frame.ErrBounds)
		}, []int64{3, 41, 70}, 1},
	} {
		l := &lying{rows: 100, seek: c.seek}
		keys := remember.NewKeys([]remember.Kind{remember.Int})
		if err := keys.Append([]arrow.Array{numbers(3, 4, 1)}); err != nil {
			t.Fatal(err)
		}
		for _, v := range []int64{41, 70} {
			if err := keys.Append([]arrow.Array{numbers(v, v+1, 1)}); err != nil {
				t.Fatal(err)
			}
		}
		set, err := remember.NewSet(keys, []arrow.DataType{arrow.PrimitiveTypes.Int64})
		if err != nil {
			t.Fatal(err)
		}
		p := remember.Pick(l, []string{"id"}, set, func(context.Context, int) (bool, error) { return false, nil }, 1)
		units, err := p.Units(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got, twice []int64
		for u := range units {
			for b, err := range p.Read(t.Context(), u, frame.Span{To: units[u].Rows}, []string{"id", "twice"}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, b.Batch.Column(0).(*array.Int64).Int64Values()...)
				twice = append(twice, b.Batch.Column(1).(*array.Int64).Int64Values()...)
			}
		}
		if !slices.Equal(got, c.want) || l.reads != c.reads || slices.Contains(l.taken, "id") {
			t.Errorf("%s: rows %v, want %v; %d reads, taken %v", name, got, c.want, l.reads, l.taken)
		}
		for i, v := range twice {
			if v != 2*got[i] {
				t.Errorf("%s: %d beside %d", name, v, got[i])
			}
		}
		p.Close()
	}
}

package filtereval_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/filtereval"
)

// TestLongLists: a list says what equalities with its members say, however long
// it is and whatever type the column has.
func TestLongLists(t *testing.T) {
	types := []arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Float64}
	rapid.Check(t, func(rt *rapid.T) {
		typ := rapid.SampledFrom(types).Draw(rt, "type")
		isText := typ.ID() == arrow.STRING || typ.ID() == arrow.LARGE_STRING
		schema := arrow.NewSchema([]arrow.Field{{Name: "c", Type: typ, Nullable: true}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		for range rapid.IntRange(0, 30).Draw(rt, "rows") {
			v := rapid.IntRange(-1, 40).Draw(rt, "value")
			if v < 0 {
				b.Field(0).AppendNull()
			} else if err := b.Field(0).AppendValueFromString(strconv.Itoa(v)); err != nil {
				rt.Fatal(err)
			}
		}
		batch := b.NewRecordBatch()
		defer batch.Release()
		column := filter.Column{Path: []string{"c"}}
		in, or := filter.In{X: column}, filter.Or{}
		mixed := rapid.Bool().Draw(rt, "mixed")
		for i := range rapid.IntRange(1, 20).Draw(rt, "members") {
			n := rapid.IntRange(0, 40).Draw(rt, "member")
			var value any = int64(n)
			switch {
			case isText:
				value = strconv.Itoa(n)
			case mixed && i == 0:
				value = float64(n)
			}
			in.List = append(in.List, filter.Literal{Value: value})
			or.Args = append(or.Args, filter.Compare{Op: filter.Eq, Left: column, Right: filter.Literal{Value: value}})
		}
		kept := func(e filter.Expr) []bool {
			p, err := filtereval.Bind(e, schema)
			if err != nil {
				rt.Fatal(err)
			}
			keep, err := p.Eval(batch)
			if err != nil {
				rt.Fatal(err)
			}
			return slices.Clone(keep)
		}
		for _, pair := range [][2]filter.Expr{{in, or}, {filter.Not{X: in}, filter.Not{X: or}}} {
			if a, b := kept(pair[0]), kept(pair[1]); !slices.Equal(a, b) {
				rt.Fatalf("%v keeps %v, %v keeps %v", pair[0], a, pair[1], b)
			}
		}
	})
}

package hashjoin_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// TestNestedKeys: structs and lists are keys by what is in them, whatever the
// width of their integers and the layout of their texts and lists.
func TestNestedKeys(t *testing.T) {
	spot := func(n, s arrow.DataType) arrow.DataType {
		return arrow.StructOf(arrow.Field{Name: "x", Type: n, Nullable: true}, arrow.Field{Name: "y", Type: arrow.ListOf(s), Nullable: true})
	}
	small := spot(arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String)
	wide := arrow.StructOf(arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, arrow.Field{Name: "y", Type: arrow.LargeListOf(arrow.BinaryTypes.StringView), Nullable: true})
	values := []string{`{"x": 1, "y": ["a", "b"]}`, `{"x": 1, "y": ["a"]}`, `{"x": 1, "y": ["ab"]}`, `{"x": null, "y": ["a"]}`, `{"x": 1, "y": null}`, `{"x": 1, "y": []}`, `{"x": 1, "y": [null]}`, `null`, `{"x": 2, "y": ["a", "b"]}`}
	l, err := hashjoin.NewLayout([]arrow.DataType{small, arrow.PrimitiveTypes.Int64}, []arrow.DataType{wide, arrow.PrimitiveTypes.Int64})
	if err != nil {
		t.Fatal(err)
	}
	one, err := hashjoin.NewLayout([]arrow.DataType{small}, []arrow.DataType{wide})
	if err != nil {
		t.Fatal(err)
	}
	column := func(typ arrow.DataType) arrow.Array {
		a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader("["+strings.Join(values, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	ones, _, err := array.FromJSON(memory.DefaultAllocator, arrow.PrimitiveTypes.Int64, strings.NewReader("[1"+strings.Repeat(",1", len(values)-1)+"]"))
	if err != nil {
		t.Fatal(err)
	}
	a, b := column(small), column(wide)
	for name, c := range map[string]struct {
		layout      *hashjoin.Layout
		left, right []arrow.Array
	}{"alone": {one, []arrow.Array{a}, []arrow.Array{b}}, "with another": {l, []arrow.Array{a, ones}, []arrow.Array{b, ones}}} {
		var x, y hashjoin.Keys
		if err := c.layout.Encode(c.left, &x); err != nil {
			t.Fatal(err)
		}
		if err := c.layout.Encode(c.right, &y); err != nil {
			t.Fatal(err)
		}
		for i := range values {
			if x.IsNull(i) != (values[i] == "null") {
				t.Errorf("%s: %s is null: %v", name, values[i], x.IsNull(i))
			}
			for j := range values {
				if same := x.Lo[i] == y.Lo[j] && x.Hi[i] == y.Hi[j]; same != (i == j) {
					t.Errorf("%s: %s and %s are equal: %v", name, values[i], values[j], same)
				}
			}
		}
	}
}

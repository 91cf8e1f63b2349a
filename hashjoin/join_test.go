package hashjoin_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// Every kind of join gives what two loops over the rows give.
func TestJoinAgainstLoops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, equal := rapid.Bool().Draw(t, "text"), rapid.Bool().Draw(t, "nulls are equal")
		draw := numberKeys
		if text {
			draw = textKeys
		}
		var l *hashjoin.Layout
		var j *hashjoin.Join
		var build []key
		for range rapid.IntRange(1, 3).Draw(t, "seals") {
			for range rapid.IntRange(0, 3).Draw(t, "batches") {
				list := draw(t, 40)
				a := columnOf(list, text)
				if l == nil {
					l = mustLayout(t, a)
					j = hashjoin.NewJoin(l, equal, 0)
				}
				if err := j.Add([]arrow.Array{a}); err != nil {
					t.Fatal(err)
				}
				build = append(build, list...)
			}
			probe := append(draw(t, 20), build...)
			a := columnOf(probe, text)
			if l == nil {
				l = mustLayout(t, a)
				j = hashjoin.NewJoin(l, equal, 0)
			}
			if err := j.Seal(); err != nil {
				t.Fatal(err)
			}
			var m hashjoin.Matches
			for _, kind := range []hashjoin.Kind{hashjoin.Inner, hashjoin.Left, hashjoin.Semi, hashjoin.Anti} {
				if err := j.Probe(kind, []arrow.Array{a}, &m); err != nil {
					t.Fatal(err)
				}
				var from, to []int32
				for i, p := range probe {
					var list []int32
					for row, b := range build {
						if p == b && (!p.null || equal) {
							list = append(list, int32(row))
						}
					}
					switch {
					case len(list) == 0 && (kind == hashjoin.Left || kind == hashjoin.Anti):
						list = []int32{-1}
					case kind == hashjoin.Anti:
						list = nil
					case kind == hashjoin.Semi:
						list = list[:min(1, len(list))]
					}
					for _, row := range list {
						from, to = append(from, int32(i)), append(to, row)
					}
				}
				if !slices.Equal(m.Probe, from) || !slices.Equal(m.Build, to) {
					t.Fatalf("kind %d: %v %v, want %v %v", kind, m.Probe, m.Build, from, to)
				}
			}
			if j.Rows() != len(build) {
				t.Fatalf("%d rows, want %d", j.Rows(), len(build))
			}
		}
	})
}

func mustLayout(t *rapid.T, a arrow.Array) *hashjoin.Layout {
	l, err := hashjoin.NewLayout([]arrow.DataType{a.DataType()})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestJoinRefuses(t *testing.T) {
	a := columnOf(make([]key, 100), false)
	l := layoutOf(t, a)
	j := hashjoin.NewJoin(l, false, 10_000)
	var m hashjoin.Matches
	if err := j.Probe(hashjoin.Inner, []arrow.Array{a}, &m); err == nil {
		t.Error("a join that was not sealed was probed")
	}
	if err := j.Add([]arrow.Array{a}); err != nil {
		t.Fatal(err)
	}
	var le *hashjoin.LimitError
	if err := j.Add([]arrow.Array{a}); !errors.As(err, &le) || le.LimitBytes != 10_000 || le.NeedBytes <= le.LimitBytes {
		t.Errorf("%v", err)
	}
	if err := j.Seal(); err != nil {
		t.Fatal(err)
	}
	if err := j.Add([]arrow.Array{array.NewSlice(a, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := j.Probe(hashjoin.Inner, []arrow.Array{a}, &m); err == nil {
		t.Error("a join with new rows was probed")
	}
	if err := j.Add([]arrow.Array{arrayOf(t, arrow.BinaryTypes.String, `["a"]`)}); err == nil {
		t.Error("text was added to numbers")
	}
}

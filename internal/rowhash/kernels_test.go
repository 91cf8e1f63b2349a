package rowhash_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// cell is a nullable text.
type cell struct {
	text  string
	valid bool
}

// cells draws a seed only: the texts come from a generator of their own, for thousands of rows a check.
func cells(n int) *rapid.Generator[[]cell] {
	return rapid.Custom(func(t *rapid.T) []cell {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		nulls, longest := rapid.SampledFrom([]float64{0, 0.1}).Draw(t, "nulls"), rapid.SampledFrom([]int{8, 13, 60, 700}).Draw(t, "longest")
		out := make([]cell, n)
		for i := range out {
			if r.Float64() < nulls {
				continue
			}
			b := make([]byte, r.IntN(longest+1))
			for j := range b {
				b[j] = "abc|é"[r.IntN(6)]
			}
			out[i] = cell{string(b), true}
		}
		return out
	})
}

// arrowOf lays cells out, with rows before and after that are sliced away.
func arrowOf(t *rapid.T, list []cell) arrow.Array {
	layout := rapid.SampledFrom([]arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.BinaryTypes.StringView,
		&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, arrow.Null}).Draw(t, "layout")
	b := array.NewBuilder(memory.DefaultAllocator, layout)
	defer b.Release()
	extra := rapid.IntRange(0, 3).Draw(t, "offset")
	put := func(c cell) {
		if s, ok := b.(interface{ AppendString(string) error }); ok && c.valid {
			if err := s.AppendString(c.text); err != nil {
				t.Fatal(err)
			}
			return
		}
		if s, ok := b.(array.StringLikeBuilder); ok && c.valid {
			s.Append(c.text)
			return
		}
		b.AppendNull()
	}
	for range extra {
		put(cell{"before", true})
	}
	for _, c := range list {
		put(c)
	}
	for range extra {
		put(cell{"after it", true})
	}
	a := b.NewArray()
	return array.NewSlice(a, int64(extra), int64(extra+len(list)))
}

// column gives cells as input of a kernel, whole, picked, or picked twice, and
// the cells that it then stands for.
func column(t *rapid.T, n int) (rowhash.Strings, []cell) {
	times := rapid.IntRange(0, 2).Draw(t, "picked")
	if times == 0 {
		return whole(t, n)
	}
	a, x := whole(t, rapid.IntRange(1, 300).Draw(t, "from"))
	if times == 2 {
		a, x = pick(t, a, x, 25)
	}
	return pick(t, a, x, n)
}

func pick(t *rapid.T, s rowhash.Strings, list []cell, n int) (rowhash.Strings, []cell) {
	rows, out := make([]int32, n), make([]cell, n)
	for i := range rows {
		rows[i] = int32(rapid.IntRange(-1, len(list)-1).Draw(t, "row"))
		if rows[i] >= 0 {
			out[i] = list[rows[i]]
		}
	}
	return s.Pick(rows), out
}

func whole(t *rapid.T, n int) (rowhash.Strings, []cell) {
	list := cells(n).Draw(t, "cells")
	a := arrowOf(t, list)
	if a.DataType().ID() == arrow.NULL {
		clear(list)
	}
	s, err := rowhash.StringsOf(a)
	if err != nil {
		t.Fatal(err)
	}
	if n > 0 && a.DataType().ID() == arrow.NULL {
		s = s.Pick(make([]int32, n))
	}
	return s, list
}

func hasher(t *rapid.T) *rowhash.Hasher {
	h, err := rowhash.New(rapid.SampledFrom(rowhash.Algorithms()).Draw(t, "algorithm"), rapid.SampledFrom([]int{1, 5, 7, 8, 9, 12, 16, 20, 40, 64, 100}).Draw(t, "length"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// same compares a column of results with the texts that one-value hashing gives.
func same(t *rapid.T, got *rowhash.Texts, want []cell) {
	t.Helper()
	if got.Len() != len(want) {
		t.Fatalf("%d rows, want %d", got.Len(), len(want))
	}
	nulls := 0
	view := got.Strings()
	a := got.Array(memory.DefaultAllocator, nil).(*array.String)
	defer a.Release()
	if err := a.ValidateFull(); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if got.IsNull(i) == w.valid || view.IsNull(i) == w.valid || a.IsNull(i) == w.valid {
			t.Fatalf("row %d: null %v, view %v, array %v, want %v", i, got.IsNull(i), view.IsNull(i), a.IsNull(i), !w.valid)
		}
		if !w.valid {
			nulls++
			continue
		}
		for _, text := range []string{string(got.Append(nil, i)), string(view.Value(i)), a.Value(i)} {
			if text != w.text {
				t.Fatalf("row %d: %q, want %q", i, text, w.text)
			}
		}
	}
	if got.Nulls != nulls || a.NullN() != nulls {
		t.Fatalf("%d nulls, array %d, want %d", got.Nulls, a.NullN(), nulls)
	}
}

func TestFieldsEqualOneValueHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := hasher(t)
		n := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(250, 520)).Draw(t, "rows")
		count := rapid.IntRange(0, 4).Draw(t, "parents")
		var names []string
		var optional []bool
		var parents []rowhash.Strings
		var values [][]cell
		for p := range count {
			names = append(names, strings.Repeat("p", rapid.IntRange(1, 20).Draw(t, "name"))+fmt.Sprint(p))
			optional = append(optional, rapid.Bool().Draw(t, "optional"))
			s, v := column(t, n)
			parents, values = append(parents, s), append(values, v)
		}
		var templates []*rowhash.Template
		var heads []string
		var outs []*rowhash.Texts
		for range rapid.IntRange(1, 3).Draw(t, "fields") {
			field := strings.Repeat("f", rapid.IntRange(1, 50).Draw(t, "field"))
			templates, heads = append(templates, rowhash.NewTemplate(field, "v1", names, optional)), append(heads, field+"|v1")
			outs = append(outs, &rowhash.Texts{})
		}
		kernel := h.Field(templates...)
		for range 2 { // the second time over used buffers
			kernel.Hash(parents, n, outs...)
			for o, head := range heads {
				want := make([]cell, n)
				for i := range want {
					text, valid := head, true
					for p := range names {
						valid = valid && (values[p][i].valid || optional[p])
						text += "|" + names[p] + "|" + values[p][i].text
					}
					if want[i].valid = valid; valid {
						want[i].text = string(h.Append(nil, []byte(text)))
					}
				}
				same(t, outs[o], want)
			}
		}
	})
}

func TestSamplesEqualOneValueHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := hasher(t)
		n := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(250, 520)).Draw(t, "rows")
		count := rapid.IntRange(1, 4).Draw(t, "members")
		want := make([]cell, n)
		join := func(values [][]cell) {
			for i := range want {
				want[i] = cell{valid: true}
				for m := range values {
					if m > 0 {
						want[i].text += "|"
					}
					want[i].valid = want[i].valid && values[m][i].valid
					want[i].text += values[m][i].text
				}
				if want[i].valid {
					want[i].text = string(h.Append(nil, []byte(want[i].text)))
				}
			}
		}
		var stored []rowhash.Strings
		var values [][]cell
		for range count {
			s, v := column(t, n)
			stored, values = append(stored, s), append(values, v)
		}
		var out rowhash.Texts
		kernel := h.Sample()
		kernel.HashStrings(stored, n, &out)
		join(values)
		same(t, &out, want)

		// Members that are hashes themselves, as a field's provenance is.
		var members []*rowhash.Texts
		for m := range stored {
			f := &rowhash.Texts{}
			h.Field(rowhash.NewTemplate("f", "1", []string{"p"}, []bool{false})).Hash(stored[m:m+1], n, f)
			members = append(members, f)
			for i := range n {
				values[m][i] = cell{string(f.Append(nil, i)), !f.IsNull(i)}
				if f.IsNull(i) {
					values[m][i].text = ""
				}
			}
		}
		kernel.Hash(members, n, &out)
		join(values)
		same(t, &out, want)
	})
}

// FuzzTexts compares the kernel with one-value hashing for any two texts.
func FuzzTexts(f *testing.F) {
	f.Add("", "", byte(0))
	f.Add("12345678", strings.Repeat("a", 300), byte(3))
	f.Fuzz(func(t *testing.T, a, b string, which byte) {
		names := rowhash.Algorithms()
		for _, width := range []int{8, 20} {
			h, err := rowhash.New(names[int(which)%len(names)], width)
			if err != nil {
				t.Fatal(err)
			}
			builder := array.NewStringViewBuilder(memory.DefaultAllocator)
			defer builder.Release()
			builder.Append(a)
			builder.Append(b)
			col := builder.NewArray()
			defer col.Release()
			s, err := rowhash.StringsOf(col)
			if err != nil {
				t.Fatal(err)
			}
			var out rowhash.Texts
			h.Field(rowhash.NewTemplate("f", "1", []string{"x/y.z"}, []bool{false})).Hash([]rowhash.Strings{s}, 2, &out)
			for i, v := range []string{a, b} {
				if got, want := string(out.Append(nil, i)), string(h.Append(nil, []byte("f|1|x/y.z|"+v))); got != want {
					t.Fatalf("%q: %s, want %s", v, got, want)
				}
			}
		}
	})
}

func TestNotText(t *testing.T) {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Append(math.MaxInt64)
	if _, err := rowhash.StringsOf(b.NewArray()); err == nil {
		t.Error("numbers were taken for text")
	}
}

// Texts that are too long to be hashed together, and after them short ones, of
// fields whose heads differ.
func TestLongTexts(t *testing.T) {
	for _, name := range rowhash.Algorithms() {
		h, err := rowhash.New(name, 8)
		if err != nil {
			t.Fatal(err)
		}
		heads := []string{strings.Repeat("f", 130), "g", strings.Repeat("h", 130)}
		var templates []*rowhash.Template
		var outs []*rowhash.Texts
		for _, head := range heads {
			templates, outs = append(templates, rowhash.NewTemplate(head, "1", []string{"p"}, []bool{false})), append(outs, &rowhash.Texts{})
		}
		kernel := h.Field(templates...)
		for _, size := range []int{5, 20_000, 7} {
			b := array.NewStringBuilder(memory.DefaultAllocator)
			var values []string
			for i := range 20 {
				values = append(values, strings.Repeat("v", size+i))
				b.Append(values[i])
			}
			parent, err := rowhash.StringsOf(b.NewArray())
			if err != nil {
				t.Fatal(err)
			}
			kernel.Hash([]rowhash.Strings{parent}, len(values), outs...)
			for o, head := range heads {
				for i, v := range values {
					if got, want := string(outs[o].Append(nil, i)), string(h.Append(nil, []byte(head+"|1|p|"+v))); got != want {
						t.Errorf("%s: field %d, %d bytes: %s, want %s", name, o, len(v), got, want)
					}
				}
			}
		}
	}
}

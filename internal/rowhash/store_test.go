package rowhash_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// A store gives back what was put in last, whatever the layout and length.
func TestStoreAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots = 40
		s := rowhash.NewStore(nil, slots)
		want := make([]cell, slots)
		for range rapid.IntRange(0, 4).Draw(t, "puts") {
			n := rapid.IntRange(1, 60).Draw(t, "rows")
			v, list := column(t, n)
			var rows, at []int32
			for range rapid.IntRange(0, 20).Draw(t, "count") {
				row, slot := rapid.IntRange(0, n-1).Draw(t, "row"), rapid.IntRange(0, slots-1).Draw(t, "slot")
				rows, at = append(rows, int32(row)), append(at, int32(slot))
				want[slot] = list[row]
			}
			s.Put(&v, rows, at)
		}
		got := s.Strings()
		for slot, w := range want {
			if got.IsNull(slot) == w.valid || string(got.Value(slot)) != w.text {
				t.Fatalf("slot %d: %q (null %v), want %+v", slot, got.Value(slot), got.IsNull(slot), w)
			}
		}
		// As input of a hash, picked with gaps.
		picks := rapid.SliceOfN(rapid.Int32Range(-1, slots-1), 1, 50).Draw(t, "picks")
		h := hasher(t)
		var out rowhash.Texts
		h.Sample().HashStrings([]rowhash.Strings{got.Pick(picks)}, len(picks), &out)
		expect := make([]cell, len(picks))
		for i, p := range picks {
			if p >= 0 && want[p].valid {
				expect[i] = cell{string(h.Append(nil, []byte(want[p].text))), true}
			}
		}
		same(t, &out, expect)
	})
}

// PutWords tells words from texts that are none.
func TestPutWords(t *testing.T) {
	const null, other = 1 << 63, 1<<63 + 1
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "rows")
		v, list := column(t, n)
		var rows, slots []int32
		for i := range n {
			rows, slots = append(rows, int32(i)), append(slots, int32(n-1-i))
		}
		out := make([]uint64, n)
		all := v.PutWords(rows, slots, out, null, other)
		words := true
		for i, c := range list {
			want := uint64(other)
			switch {
			case !c.valid:
				want = null
			case len(c.text) > 0 && len(c.text) <= 8:
				want = 0
				for j := range len(c.text) {
					want |= uint64(c.text[j]) << (8 * j)
				}
			default:
				words = false
			}
			if got := out[n-1-i]; got != want {
				t.Fatalf("%q (null %v): %x, want %x", c.text, !c.valid, got, want)
			}
		}
		if all != words {
			t.Fatalf("all are words: %v, want %v", all, words)
		}
	})
}

// A text that ends in a NUL looks like a shorter one as a word.
func TestNULIsNoWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := []cell{{"a", true}, {"a\x00", true}, {"\x00", true}, {"", true}, {"a\x00b", true}, {"12345678", true}, {"1234567\x00", true}, {"and so on", true}}
		v, err := rowhash.StringsOf(arrowOf(t, list))
		if err != nil {
			t.Fatal(err)
		}
		if v.IsNull(0) { // a column of type null
			return
		}
		for i, word := range []bool{true, false, false, false, true, true, false, false} {
			out := make([]uint64, 1)
			if got := v.PutWords([]int32{int32(i)}, []int32{0}, out, 0, 0); got != word || got != (out[0] != 0) {
				t.Fatalf("%q: a word %v, %x", list[i].text, got, out[0])
			}
		}
	})
}

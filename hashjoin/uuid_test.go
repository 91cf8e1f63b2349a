package hashjoin_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

var canonical = regexp.MustCompile("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")

// uuidKeys draws UUIDs, some close to each other, and with spoilt those that are
// nearly one: any byte at any place, one too short or too long.
func uuidKeys(t *rapid.T, spoilt bool) []key {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) key {
		word := rapid.SampledFrom([]uint64{0, 1, 0x8000000000000000, ^uint64(0), rapid.Uint64().Draw(t, "word")})
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		s := []byte(fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff))
		if spoilt {
			switch rapid.IntRange(0, 9).Draw(t, "spoil") {
			case 0, 1, 2:
				s[rapid.IntRange(0, 35).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			case 3:
				s = s[:rapid.IntRange(0, 35).Draw(t, "len")]
			case 4:
				s = append(s, '0')
			case 5:
				return key{null: true}
			}
		}
		return key{text: string(s)}
	}), 1, 1200).Draw(t, "keys")
}

// TestUUIDs: keys of UUIDs are equal where the texts are, mixed with others, and
// give the texts back; what only looks like one is never taken for one.
func TestUUIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := uuidKeys(t, rapid.Bool().Draw(t, "spoilt"))
		all := !slices.ContainsFunc(keys, func(k key) bool { return k.null || !canonical.MatchString(k.text) })
		a := columnOf(keys, true)
		defer a.Release()
		l, err := hashjoin.NewLayout([]arrow.DataType{a.DataType()})
		if err != nil {
			t.Fatal(err)
		}
		var k hashjoin.Keys
		encode(t, l, &k, a)
		if k.UUIDs != all {
			t.Fatalf("UUIDs %v, want %v", k.UUIDs, all)
		}
		x := hashjoin.NewIndex(l, hashjoin.Hints{Rows: int64(len(keys)), NullGroup: true})
		slots := make([]int32, len(keys))
		if err := x.Insert(&k, slots); err != nil {
			t.Fatal(err)
		}
		model := map[key]int32{}
		for i, one := range keys {
			if slot, ok := model[one]; ok != (slot == slots[i]) && ok {
				t.Fatalf("%q has the slots %d and %d", one.text, slot, slots[i])
			}
			model[one] = slots[i]
		}
		if x.Len() != len(model) {
			t.Fatalf("%d keys, want %d", x.Len(), len(model))
		}
		if !all {
			return
		}
		texts := make([]byte, 36*len(keys))
		x.UUIDs(slots, texts)
		for i, one := range keys {
			if got := string(texts[36*i:][:36]); got != one.text {
				t.Fatalf("%q became %q", one.text, got)
			}
		}
	})
}

// TestStableLayoutPacksNothing: keys that are the same on every machine stay
// those that they were.
func TestStableLayoutPacksNothing(t *testing.T) {
	a := columnOf([]key{{text: "00000000-0000-0000-0000-000000000000"}}, true)
	defer a.Release()
	l, err := hashjoin.NewStableLayout([]arrow.DataType{a.DataType()})
	if err != nil {
		t.Fatal(err)
	}
	var k hashjoin.Keys
	if encode(t, l, &k, a); k.UUIDs || k.Lo[0] == 0 {
		t.Errorf("packed: %x", k.Lo[0])
	}
}

// FuzzUUIDs holds a text against the pattern of UUIDs, and what becomes of it
// against the text.
func FuzzUUIDs(f *testing.F) {
	for _, s := range []string{"", "123e4567-e89b-42d3-a456-426614174000", "123E4567-e89b-42d3-a456-426614174000", "123e4567-e89b-42d3-a456-42661417400g", "oooooooo-oooo-oooo-oooo-oooooooooooo"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := columnOf([]key{{text: s}}, true)
		defer a.Release()
		l := layoutOf(t, a)
		var k hashjoin.Keys
		encode(t, l, &k, a)
		if k.UUIDs != canonical.MatchString(s) {
			t.Fatalf("%q is a UUID: %v", s, k.UUIDs)
		}
		if !k.UUIDs {
			return
		}
		x := hashjoin.NewIndex(l, hashjoin.Hints{Rows: 1})
		slots, text := []int32{0}, make([]byte, 36)
		if err := x.Insert(&k, slots); err != nil {
			t.Fatal(err)
		}
		if x.UUIDs(slots, text); string(text) != s {
			t.Fatalf("%q became %q", s, text)
		}
	})
}

package hashjoin_test

import (
	"errors"
	"math"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

// key is a nullable value as a Go map takes it.
type key struct {
	text string
	n    int64
	null bool
}

// columnOf lays keys out as the only key column, as text or as numbers.
func columnOf(keys []key, text bool) arrow.Array {
	if text {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		defer b.Release()
		for _, k := range keys {
			if b.Append(k.text); k.null {
				b.SetNull(b.Len() - 1)
			}
		}
		return b.NewArray()
	}
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	for _, k := range keys {
		if b.Append(k.n); k.null {
			b.SetNull(b.Len() - 1)
		}
	}
	return b.NewArray()
}

func layoutOf(t testing.TB, a ...arrow.Array) *hashjoin.Layout {
	t.Helper()
	var types []arrow.DataType
	for _, a := range a {
		types = append(types, a.DataType())
	}
	l, err := hashjoin.NewLayout(types)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func encode(t interface{ Fatal(...any) }, l *hashjoin.Layout, k *hashjoin.Keys, cols ...arrow.Array) {
	if err := l.Encode(cols, k); err != nil {
		t.Fatal(err)
	}
}

// numberKeys draws numbers near each other, far from each other, and those that
// look like a table's own marks.
func numberKeys(t *rapid.T, most int) []key {
	base := rapid.SampledFrom([]int64{0, -7, math.MaxInt64 - 3000, math.MinInt64, 1 << 40}).Draw(t, "base")
	step := rapid.SampledFrom([]int64{1, 3, 1 << 32, 1 << 61, -1}).Draw(t, "step")
	one := rapid.Custom(func(t *rapid.T) key {
		if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
			return key{null: true}
		}
		return key{n: base + step*rapid.Int64Range(0, 600).Draw(t, "n")}
	})
	return rapid.SliceOfN(one, 0, most).Draw(t, "keys")
}

func textKeys(t *rapid.T, most int) []key {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) key {
		if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
			return key{null: true}
		}
		return key{text: rapid.StringOfN(rapid.RuneFrom([]rune("ab|\x00")), 0, 9, -1).Draw(t, "text")}
	}), 0, most).Draw(t, "keys")
}

// Every strategy gives keys the slots that a Go map gives, up to their numbers.
func TestIndexAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Bool().Draw(t, "text")
		draw := numberKeys
		if text {
			draw = textKeys
		}
		inserted, asked := draw(t, 900), draw(t, 300)
		a := columnOf(inserted, text)
		l, err := hashjoin.NewLayout([]arrow.DataType{a.DataType()})
		if err != nil {
			t.Fatal(err)
		}
		var k hashjoin.Keys
		encode(t, l, &k, a)
		distinct := map[key]bool{}
		for _, x := range inserted {
			distinct[x] = true
		}
		h := hashjoin.Hints{
			Rows: int64(len(distinct)), Ranged: k.Min <= k.Max, Min: k.Min, Max: k.Max,
			NullGroup: rapid.Bool().Draw(t, "null group"),
			Force:     rapid.SampledFrom([]hashjoin.Strategy{hashjoin.Auto, hashjoin.Dense, hashjoin.Hash}).Draw(t, "force"),
		}
		if uint64(k.Max)-uint64(k.Min) > 1<<24 && h.Force == hashjoin.Dense {
			h.Force = hashjoin.Auto
		}
		x := hashjoin.NewIndex(l, h)
		slotOf, keyOf := map[key]int32{}, map[int32]key{}
		for from := 0; from < len(inserted); {
			to := min(len(inserted), from+rapid.SampledFrom([]int{1, 100, 700}).Draw(t, "block"))
			encode(t, l, &k, array.NewSlice(a, int64(from), int64(to)))
			slots := make([]int32, to-from)
			if err := x.Insert(&k, slots); err != nil {
				t.Fatal(err)
			}
			for i, s := range slots {
				w := inserted[from+i]
				if w.null && !h.NullGroup {
					if s != -1 {
						t.Fatalf("a null has slot %d", s)
					}
					continue
				}
				if s < 0 || int(s) >= x.Slots() {
					t.Fatalf("slot %d of %d", s, x.Slots())
				}
				if was, ok := slotOf[w]; ok && was != s {
					t.Fatalf("%v has slots %d and %d", w, was, s)
				}
				if was, ok := keyOf[s]; ok && was != w {
					t.Fatalf("%v and %v share slot %d", was, w, s)
				}
				slotOf[w], keyOf[s] = s, w
			}
			from = to
		}
		if x.Len() != len(slotOf) {
			t.Fatalf("%d keys, want %d", x.Len(), len(slotOf))
		}
		asked = append(asked, inserted...)
		encode(t, l, &k, columnOf(asked, text))
		slots := make([]int32, len(asked))
		x.Find(&k, slots)
		for i, s := range slots {
			want, ok := slotOf[asked[i]]
			if !ok {
				want = -1
			}
			if s != want {
				t.Fatalf("%v is found at %d, want %d", asked[i], s, want)
			}
		}
	})
}

func TestHintsAreChecked(t *testing.T) {
	numbers := func(list ...int64) arrow.Array {
		var keys []key
		for _, n := range list {
			keys = append(keys, key{n: n})
		}
		return columnOf(keys, false)
	}
	for _, c := range []struct {
		name string
		h    hashjoin.Hints
		keys arrow.Array
		bad  bool
	}{
		{"below", hashjoin.Hints{Rows: 9, Ranged: true, Min: 5, Max: 9}, numbers(5, 4), true},
		{"above", hashjoin.Hints{Rows: 9, Ranged: true, Min: 5, Max: 9}, numbers(5, 10), true},
		{"within", hashjoin.Hints{Rows: 9, Ranged: true, Min: 5, Max: 9}, numbers(9, 5, 5), false},
		{"too many", hashjoin.Hints{Rows: 2}, numbers(1, 2, 3), true},
		{"too many with zero", hashjoin.Hints{Rows: 2}, numbers(1, 2, 0), true},
		{"equal keys count once", hashjoin.Hints{Rows: 2}, numbers(1, 0, 1, 0, 1), false},
		{"none hinted", hashjoin.Hints{}, numbers(1), true},
		{"none there", hashjoin.Hints{}, numbers(), false},
		{"extremes", hashjoin.Hints{Rows: 2, Ranged: true, Min: math.MinInt64, Max: math.MaxInt64}, numbers(math.MinInt64, math.MaxInt64), false},
	} {
		l := layoutOf(t, c.keys)
		var k hashjoin.Keys
		encode(t, l, &k, c.keys)
		x := hashjoin.NewIndex(l, c.h)
		if err := x.Insert(&k, make([]int32, k.Len())); errors.Is(err, hashjoin.ErrHints) != c.bad || (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	var le *hashjoin.LimitError
	a := numbers(1)
	l := layoutOf(t, a)
	var k hashjoin.Keys
	encode(t, l, &k, a)
	for _, h := range []hashjoin.Hints{
		{Rows: 1 << 31},
		{Rows: math.MaxInt64},
		{Ranged: true, Min: 0, Max: 1 << 31, Force: hashjoin.Dense},
		{Ranged: true, Min: math.MinInt64, Max: math.MaxInt64, Force: hashjoin.Dense},
	} {
		if err := hashjoin.NewIndex(l, h).Insert(&k, make([]int32, 1)); !errors.As(err, &le) || le.NeedBytes <= 0 {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

func TestChoose(t *testing.T) {
	one, two := layoutOf(t, columnOf(nil, false)), layoutOf(t, columnOf(nil, true))
	for _, c := range []struct {
		l    *hashjoin.Layout
		h    hashjoin.Hints
		want hashjoin.Strategy
	}{
		{one, hashjoin.Hints{Rows: 1e6, Ranged: true, Min: -1e6, Max: 1e6}, hashjoin.Dense},
		{one, hashjoin.Hints{Rows: 1e6, Ranged: true, Min: 0, Max: 1e7}, hashjoin.Hash},
		{one, hashjoin.Hints{Rows: 1e6, Ranged: true, Min: 0, Max: 1e7, Force: hashjoin.Dense}, hashjoin.Dense},
		{one, hashjoin.Hints{Rows: 1e6, Ranged: true, Min: 0, Max: 1, Force: hashjoin.Hash}, hashjoin.Hash},
		{one, hashjoin.Hints{Rows: 1e6}, hashjoin.Hash},
		{one, hashjoin.Hints{Rows: 1e6, Force: hashjoin.Dense}, hashjoin.Hash},
		{one, hashjoin.Hints{Rows: math.MaxInt64, Ranged: true, Min: math.MinInt64, Max: math.MaxInt64}, hashjoin.Hash},
		{two, hashjoin.Hints{Rows: 1e6, Ranged: true, Min: 0, Max: 10}, hashjoin.Hash},
	} {
		if got := c.h.Choose(c.l); got != c.want {
			t.Errorf("%d words, %+v: %v, want %v", c.l.Words(), c.h, got, c.want)
		}
	}
}

// Equal keys share a partition, and partitions are about as large as each other.
func TestPartsOfKeys(t *testing.T) {
	for _, text := range []bool{false, true} {
		var list []key
		for i := range 7000 {
			list = append(list, key{n: int64(i) << 20, text: strconv.Itoa(i)})
		}
		a := columnOf(list, text)
		l := layoutOf(t, a)
		var k, again hashjoin.Keys
		encode(t, l, &k, a)
		encode(t, l, &again, array.NewSlice(a, 100, 7000))
		count := make([]int, 7)
		for i := range k.Len() {
			p := k.Part(i, 7)
			if i >= 100 && p != again.Part(i-100, 7) {
				t.Fatal("a key changed its partition")
			}
			count[p]++
		}
		for p, n := range count {
			if n < 800 || n > 1200 {
				t.Errorf("%d of 7000 keys are in partition %d of 7", n, p)
			}
		}
	}
}

// TestHintsTellTheMemory compares what hints say with the index that they make.
func TestHintsTellTheMemory(t *testing.T) {
	number, text := layoutOf(t, columnOf(nil, false)), layoutOf(t, columnOf(nil, true))
	for _, l := range []*hashjoin.Layout{number, text} {
		for _, h := range []hashjoin.Hints{
			{}, {Rows: 1}, {Rows: 1000}, {Rows: 1000, Ranged: true, Min: 5, Max: 900}, {Rows: 64, Ranged: true, Max: 63}, {Rows: 10, Ranged: true, Max: 1 << 40},
		} {
			x := hashjoin.NewIndex(l, h)
			if h.Bytes(l) != x.Bytes() || h.Slots(l) != int64(x.Slots()) {
				t.Errorf("%+v: %d bytes and %d slots, the index has %d and %d", h, h.Bytes(l), h.Slots(l), x.Bytes(), x.Slots())
			}
		}
	}
}

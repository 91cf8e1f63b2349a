package remember_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/internal/remember"
)

// sample is a memory with all there can be.
func sample(t testing.TB) *remember.Memory {
	k := remember.NewKeys([]remember.Kind{remember.Int, remember.Text})
	ints := array.NewInt32Builder(memory.DefaultAllocator)
	texts := array.NewStringBuilder(memory.DefaultAllocator)
	ints.AppendValues([]int32{-1, 0, 7}, []bool{true, false, true})
	texts.AppendValues([]string{"a", "\xff", ""}, []bool{true, true, false})
	if err := k.Append([]arrow.Array{ints.NewArray(), texts.NewArray()}); err != nil {
		t.Fatal(err)
	}
	p := 12.5
	files := remember.FileSet{remember.FileOf("a", ""), remember.FileOf("a", "v"), remember.FileOf("b", "")}
	files.Sort()
	return &remember.Memory{Plan: "plan", Tables: []remember.Table{{ID: "1", Version: 4, Schema: "s", Files: files}, {ID: "2", Version: 0, Schema: "t", Files: remember.FileSet{}}},
		Counts: remember.Counts{New: 3, Expected: 9, Current: 6, Progress: &p, Measured: true}, Keys: k, Warnings: []remember.Warning{{Code: "W", Message: "m"}}}
}

// TestMemoryComesBack writes memories and reads them.
func TestMemoryComesBack(t *testing.T) {
	m := sample(t)
	for range 2 {
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := remember.Decode(data)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("%+v (%v), want %+v", got, err, m)
		}
		m.Keys, m.Warnings, m.Counts.Progress = nil, nil, nil
	}
}

// FuzzDecode gives anything: a memory or ErrUnusable.
func FuzzDecode(f *testing.F) {
	whole, err := sample(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("metaxy-delta memory 1 x 0\n"))
	f.Add(bytes.Replace(whole, []byte("memory 1"), []byte("memory 9"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := remember.Decode(data)
		if err != nil {
			if !errors.Is(err, remember.ErrUnusable) {
				t.Fatal(err)
			}
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remember.Decode(again); err != nil {
			t.Fatal(err)
		}
	})
}

// TestUnsoundMemories have a right checksum and cannot be true.
func TestUnsoundMemories(t *testing.T) {
	for name, change := range map[string]func(m *remember.Memory){
		"negative count":     func(m *remember.Memory) { m.Counts.Current = -1 },
		"negative version":   func(m *remember.Memory) { m.Tables[0].Version = -1 },
		"files in disorder":  func(m *remember.Memory) { slices.Reverse(m.Tables[0].Files) },
		"no keys":            func(m *remember.Memory) { m.Keys = remember.NewKeys(m.Keys.Kinds()) },
		"no columns":         func(m *remember.Memory) { m.Keys = &remember.Keys{Rows: 3} },
		"rows of no value":   func(m *remember.Memory) { m.Keys.Rows++ },
		"another kind":       func(m *remember.Memory) { m.Keys.Columns[0].Kind = "float" },
		"texts as numbers":   func(m *remember.Memory) { m.Keys.Columns[1].Kind = remember.Int },
		"null beyond":        func(m *remember.Memory) { m.Keys.Columns[0].Null = []int32{3} },
		"nulls in disorder":  func(m *remember.Memory) { m.Keys.Columns[0].Null = []int32{1, 1} },
		"null before":        func(m *remember.Memory) { m.Keys.Columns[0].Null = []int32{-1} },
		"fewer than no rows": func(m *remember.Memory) { m.Keys.Rows = -1 },
	} {
		m := sample(t)
		change(m)
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remember.Decode(data); !errors.Is(err, remember.ErrUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// key is a row of two columns.
type key struct {
	n *int64
	s *string
}

func drawKeys(t *rapid.T, name string) []key {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) key {
		return key{rapid.Ptr(rapid.Int64Range(-2, 5), true).Draw(t, "n"), rapid.Ptr(rapid.SampledFrom([]string{"", "a", "b", "a rather long text of a key", "a rather tall text of a key", "12345678", "123456789"}), rapid.Bool().Draw(t, "nulls")).Draw(t, "s")}
	}), 0, 12).Draw(t, name)
}

// columns are keys as arrays of other layouts than those of memories.
func columns(list []key) []arrow.Array {
	ints := array.NewInt16Builder(memory.DefaultAllocator)
	var texts interface {
		array.Builder
		Append(string)
	} = array.NewStringViewBuilder(memory.DefaultAllocator)
	if len(list)%2 == 0 {
		texts = array.NewStringBuilder(memory.DefaultAllocator)
	}
	for _, k := range list {
		if k.n == nil {
			ints.AppendNull()
		} else {
			ints.Append(int16(*k.n))
		}
		if k.s == nil {
			texts.AppendNull()
		} else {
			texts.Append(*k.s)
		}
	}
	return []arrow.Array{ints.NewArray(), texts.NewArray()}
}

func (k key) text() [4]any {
	var out [4]any
	if k.n != nil {
		out[0], out[1] = true, *k.n
	}
	if k.s != nil {
		out[2], out[3] = true, *k.s
	}
	return out
}

// TestSet compares sets of one and two columns with a map, nulls included, and
// holds what they say of ranges against the values in them.
func TestSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, probe := drawKeys(t, "keys"), drawKeys(t, "probe")
		only := rapid.SampledFrom([]string{"number", "text", "both"}).Draw(t, "columns")
		use := func(list []key) []arrow.Array {
			for i := range list {
				switch only {
				case "number":
					list[i].s = nil
				case "text":
					list[i].n = nil
				}
			}
			switch c := columns(list); only {
			case "number":
				return c[:1]
			case "text":
				return c[1:]
			default:
				return c
			}
		}
		cols := use(in)
		var kinds []remember.Kind
		var types []arrow.DataType
		for _, c := range cols {
			k, _ := remember.KindOf(c.DataType())
			kinds, types = append(kinds, k), append(types, c.DataType())
		}
		keys := remember.NewKeys(kinds)
		cut := rapid.IntRange(0, len(in)).Draw(t, "cut")
		for _, part := range [][]key{in[:cut], in[cut:]} {
			other := remember.NewKeys(kinds)
			if err := other.Append(use(part)); err != nil {
				t.Fatal(err)
			}
			keys.AppendKeys(other)
		}
		set, err := remember.NewSet(keys, types)
		if err != nil {
			t.Fatal(err)
		}
		want := map[[4]any]bool{}
		for _, k := range in {
			want[k.text()] = true
		}
		var m remember.Matcher
		rows, err := m.Match(set, use(probe))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]bool, len(probe))
		for _, i := range rows {
			got[i] = true
		}
		for i, k := range probe {
			if got[i] != want[k.text()] {
				t.Fatalf("key %v: %v, want %v", k.text(), got[i], want[k.text()])
			}
			r := filter.Range{Known: true, Rows: 1}
			switch {
			case only == "text" && k.s != nil:
				r.Min, r.Max = *k.s, *k.s
			case only != "text" && k.n != nil:
				r.Min, r.Max = *k.n, *k.n
			default:
				r.Nulls = 1
			}
			if got[i] && !set.MayHold(r) {
				t.Fatalf("key %v is in the set and cannot be in %+v", k.text(), r)
			}
		}
	})
}

// TestMayHold excludes what no key of the set lies in.
func TestMayHold(t *testing.T) {
	keys := remember.NewKeys([]remember.Kind{remember.Int})
	five, fifty := int64(5), int64(50)
	if err := keys.Append(columns([]key{{n: &five}, {n: &fifty}})[:1]); err != nil {
		t.Fatal(err)
	}
	set, err := remember.NewSet(keys, []arrow.DataType{arrow.PrimitiveTypes.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		r    filter.Range
		want bool
	}{
		{filter.Range{}, true},
		{filter.Range{Known: true, Rows: 9, Min: int64(6), Max: int64(49)}, false},
		{filter.Range{Known: true, Rows: 9, Min: int64(6), Max: int64(50)}, true},
		{filter.Range{Known: true, Rows: 9, Min: int64(51)}, false},
		{filter.Range{Known: true, Rows: 9, Max: int64(4)}, false},
		{filter.Range{Known: true, Rows: 9, Nulls: 9}, false},
		{filter.Range{Known: true, Rows: 9, Nulls: -1}, true},
	} {
		if got := set.MayHold(c.r); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
}

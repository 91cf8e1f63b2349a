package hashjoin_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/hashjoin"
)

const benchRows, benchBlock = 10_000_000, 4096

// benchKeys are distinct keys in blocks, in order or shuffled.
func benchKeys(b *testing.B, text, shuffled bool) (*hashjoin.Layout, []*hashjoin.Keys) {
	ids := make([]int64, benchRows)
	for i := range ids {
		ids[i] = int64(i)
	}
	if shuffled {
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	}
	typ := arrow.DataType(arrow.PrimitiveTypes.Int64)
	if text {
		typ = arrow.BinaryTypes.String
	}
	l, err := hashjoin.NewLayout([]arrow.DataType{typ})
	if err != nil {
		b.Fatal(err)
	}
	build := array.NewBuilder(memory.DefaultAllocator, typ)
	defer build.Release()
	var out []*hashjoin.Keys
	for from := 0; from < len(ids); from += benchBlock {
		for _, id := range ids[from:min(from+benchBlock, len(ids))] {
			switch build := build.(type) {
			case *array.Int64Builder:
				build.Append(id)
			case *array.StringBuilder:
				build.Append(fmt.Sprintf("%036d", id))
			}
		}
		a := build.NewArray()
		k := &hashjoin.Keys{}
		encode(b, l, k, a)
		a.Release()
		out = append(out, k)
	}
	return l, out
}

// BenchmarkIndex inserts 10 million keys and finds them again; ns/op is per row
// of both.
func BenchmarkIndex(b *testing.B) {
	for _, shuffled := range []bool{false, true} {
		order := map[bool]string{false: "sorted", true: "shuffled"}[shuffled]
		for _, words := range []int{1, 2} {
			l, keys := benchKeys(b, words == 2, shuffled)
			for _, s := range []hashjoin.Strategy{hashjoin.Dense, hashjoin.Hash} {
				if s == hashjoin.Dense && words == 2 {
					continue
				}
				h := hashjoin.Hints{Rows: benchRows, Ranged: true, Max: benchRows - 1, Force: s}
				name := fmt.Sprintf("%s/%d words/%s", s, words, order)
				slots := make([]int32, benchBlock)
				b.Run("insert/"+name, func(b *testing.B) {
					for range b.N {
						x := hashjoin.NewIndex(l, h)
						for _, k := range keys {
							if err := x.Insert(k, slots); err != nil {
								b.Fatal(err)
							}
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
				})
				x := hashjoin.NewIndex(l, h)
				for _, k := range keys {
					if err := x.Insert(k, slots); err != nil {
						b.Fatal(err)
					}
				}
				b.Run("find/"+name, func(b *testing.B) {
					for range b.N {
						for _, k := range keys {
							x.Find(k, slots)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
				})
			}
		}
	}
}

// BenchmarkEncode makes keys of a block; ns/row is per row.
func BenchmarkEncode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	n, s, v := array.NewInt64Builder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator), array.NewStringViewBuilder(memory.DefaultAllocator)
	for i := range benchBlock {
		n.Append(int64(i))
		id := fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.Uint32())
		s.Append(id)
		v.Append(id)
	}
	ints, texts, views := n.NewArray(), s.NewArray(), v.NewArray()
	for _, c := range []struct {
		name string
		cols []arrow.Array
	}{{"int64", []arrow.Array{ints}}, {"uuid", []arrow.Array{texts}}, {"uuid view", []arrow.Array{views}}, {"int64, int64", []arrow.Array{ints, ints}}, {"int64, uuid", []arrow.Array{ints, texts}}} {
		b.Run(c.name, func(b *testing.B) {
			l := layoutOf(b, c.cols...)
			var k hashjoin.Keys
			for range b.N {
				encode(b, l, &k, c.cols...)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBlock, "ns/row")
		})
	}
}

// BenchmarkUUIDs gives the texts of keys back; ns/row is per row.
func BenchmarkUUIDs(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	s := array.NewStringBuilder(memory.DefaultAllocator)
	for range benchBlock {
		s.Append(fmt.Sprintf("%08x-%04x-4000-8000-%012x", r.Uint32(), r.Uint32()>>16, r.Uint64()>>16))
	}
	ids := s.NewArray()
	l := layoutOf(b, ids)
	var k hashjoin.Keys
	encode(b, l, &k, ids)
	x, slots, dst := hashjoin.NewIndex(l, hashjoin.Hints{Rows: benchBlock}), make([]int32, benchBlock), make([]byte, 36*benchBlock)
	if err := x.Insert(&k, slots); err != nil || !k.UUIDs {
		b.Fatal(k.UUIDs, err)
	}
	for b.Loop() {
		x.UUIDs(slots, dst)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBlock, "ns/row")
}

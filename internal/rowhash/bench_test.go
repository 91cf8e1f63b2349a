//go:build unix

package rowhash_test

import (
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/internal/rowhash"
)

// shape is a workload: fields with the same parents.
type shape struct {
	name    string
	fields  []string
	parents []string
}

var shapes = []shape{
	{"simple", []string{"prediction"}, []string{"bench/simple/root.audio", "bench/simple/root.frames"}},
	{"wide", []string{"prediction_a", "prediction_b"}, []string{"bench/wide/one.a", "bench/wide/one.b", "bench/wide/one.c", "bench/wide/one.d",
		"bench/wide/two.a", "bench/wide/two.b", "bench/wide/two.c", "bench/wide/two.d"}},
}

const benchRows = 1 << 14

func versions(b *testing.B, layout arrow.DataType, n int) []rowhash.Strings {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]rowhash.Strings, n)
	for c := range out {
		build := array.NewBuilder(memory.DefaultAllocator, layout).(array.StringLikeBuilder)
		for range benchRows {
			build.Append("v" + strconv.Itoa(r.IntN(10_000_000)))
		}
		var err error
		if out[c], err = rowhash.StringsOf(build.NewArray()); err != nil {
			b.Fatal(err)
		}
	}
	return out
}

// perRow measures work of so many rows by the process's CPU time, which other
// work on the machine hardly changes.
func perRow(b *testing.B, work func(n int)) {
	cpu := func() int64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return r.Utime.Nano() + r.Stime.Nano()
	}
	b.ReportAllocs()
	b.ResetTimer()
	start := cpu()
	for done := 0; done < b.N; done += benchRows {
		work(min(benchRows, b.N-done))
	}
	b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/row")
}

// BenchmarkProvenance computes field and sample provenance; an operation is a
// row.
func BenchmarkProvenance(b *testing.B) {
	for _, s := range shapes {
		for _, layout := range []arrow.DataType{arrow.BinaryTypes.String, arrow.BinaryTypes.StringView} {
			parents := versions(b, layout, len(s.parents))
			for _, name := range rowhash.Algorithms() {
				b.Run(s.name+"/"+layout.Name()+"/"+name, func(b *testing.B) {
					h, err := rowhash.New(name, 8)
					if err != nil {
						b.Fatal(err)
					}
					var templates []*rowhash.Template
					var outs []*rowhash.Texts
					for _, f := range s.fields {
						templates = append(templates, rowhash.NewTemplate(f, "__metaxy_initial__", s.parents, make([]bool, len(s.parents))))
						outs = append(outs, &rowhash.Texts{})
					}
					field, sample, out := h.Field(templates...), h.Sample(), &rowhash.Texts{}
					perRow(b, func(n int) {
						field.Hash(parents, n, outs...)
						sample.Hash(outs, n, out)
					})
				})
			}
		}
	}
}

// BenchmarkField is the field's kernel alone, for one field.
func BenchmarkField(b *testing.B) {
	for _, s := range shapes {
		parents := versions(b, arrow.BinaryTypes.String, len(s.parents))
		for _, name := range rowhash.Algorithms() {
			b.Run(s.name+"/"+name, func(b *testing.B) {
				h, err := rowhash.New(name, 8)
				if err != nil {
					b.Fatal(err)
				}
				field := h.Field(rowhash.NewTemplate(s.fields[0], "__metaxy_initial__", s.parents, make([]bool, len(s.parents))))
				var out rowhash.Texts
				perRow(b, func(n int) { field.Hash(parents, n, &out) })
			})
		}
	}
}

package scan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/filter"
	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/scan"
)

var benchMembers = []string{"audio", "frames", "optical_flow", "embedding"}

func benchSchema() *arrow.Schema {
	members := make([]arrow.Field, len(benchMembers))
	for i, m := range benchMembers {
		members[i] = arrow.Field{Name: m, Type: arrow.BinaryTypes.String, Nullable: true}
	}
	return arrow.NewSchema([]arrow.Field{
		{Name: "part", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "versions", Type: arrow.StructOf(members...), Nullable: true},
	}, nil)
}

// benchSnapshot writes a local table of ascending ids in one commit; parts > 1 partitions it into that many files.
func benchSnapshot(b *testing.B, rows, parts int) *delta.Snapshot {
	d, err := objstore.NewLocal(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	schema := benchSchema()
	tb := delta.New(objstore.New(d), &delta.Options{Now: time.Now})
	batches := func(yield func(arrow.RecordBatch, error) bool) {
		rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer rb.Release()
		for id := range rows {
			rb.Field(0).(*array.Int32Builder).Append(int32(id * parts / rows))
			rb.Field(1).(*array.Int64Builder).Append(int64(id))
			st := rb.Field(2).(*array.StructBuilder)
			st.Append(true)
			for m := range benchMembers {
				st.FieldBuilder(m).(*array.StringBuilder).Append(fmt.Sprintf("%c%d", 'a'+m, id*7919%(1<<20)))
			}
			if id%65536 == 65535 || id == rows-1 {
				batch := rb.NewRecordBatch()
				ok := yield(batch, nil)
				batch.Release()
				if !ok {
					return
				}
			}
		}
	}
	opts := &delta.AppendOptions{}
	if parts > 1 {
		opts.PartitionBy = []string{"part"}
	}
	if _, err := tb.Append(b.Context(), &delta.Rows{Schema: schema, Batches: batches}, opts); err != nil {
		b.Fatal(err)
	}
	snap, err := tb.Snapshot(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return snap
}

// BenchmarkBatches streams a table of a million rows: all of it, chosen columns, and what filters keep.
func BenchmarkBatches(b *testing.B) {
	const rows = 1_000_000
	snap := benchSnapshot(b, rows, 1)
	for _, c := range []struct {
		name, filter string
		columns      []string
		want         int64
		unverified   bool
	}{
		{"all", "", nil, rows, false},
		{"all unverified", "", nil, rows, true},
		{"ids", "", []string{"id"}, rows, false},
		{"ids unverified", "", []string{"id"}, rows, true},
		{"struct", "", []string{"versions"}, rows, false},
		{"filter half", "id >= 500000", []string{"id"}, rows / 2, false},
		{"filter struct member", "versions.audio = 'a7919'", []string{"id"}, 1, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := stream(b, snap, &scan.Options{Columns: c.columns, Filter: benchFilter(b, c.filter), Unverified: c.unverified}); got != c.want {
					b.Fatalf("%d rows, want %d", got, c.want)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func benchFilter(b *testing.B, text string) filter.Expr {
	if text == "" {
		return nil
	}
	e, err := filter.ParseSQL(text)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func stream(b *testing.B, snap *delta.Snapshot, opts *scan.Options) (rows int64) {
	s, err := scan.New(snap, opts)
	if err != nil {
		b.Fatal(err)
	}
	for batch, err := range s.Batches(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		rows += batch.NumRows()
	}
	return rows
}

// BenchmarkRead reads columns of every unit as a resolve does: the id, one struct member, all of them.
func BenchmarkRead(b *testing.B) {
	const rows = 1_000_000
	s, units := benchUnits(b, rows)
	for _, cols := range [][]string{{"id"}, {"versions.audio"}, {"id", "versions.audio", "versions.frames", "versions.optical_flow", "versions.embedding"}} {
		b.Run(fmt.Sprintf("%d columns from %s", len(cols), cols[0]), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := int64(0)
				for u := range units {
					for block, err := range s.Read(b.Context(), u, frame.Span{To: units[u].Rows}, cols) {
						if err != nil {
							b.Fatal(err)
						}
						n += block.Batch.NumRows()
					}
				}
				if n != rows {
					b.Fatalf("%d rows", n)
				}
			}
			b.ReportMetric(rows*float64(len(cols))*float64(b.N)/b.Elapsed().Seconds(), "values/s")
		})
	}
}

func benchUnits(b *testing.B, rows int) (*scan.Scan, []frame.Unit) {
	s, err := scan.New(benchSnapshot(b, rows, 1), nil)
	if err != nil {
		b.Fatal(err)
	}
	units, err := s.Units(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return s, units
}

// BenchmarkTake fetches late columns of chosen rows: one in so many.
func BenchmarkTake(b *testing.B) {
	const rows = 1_000_000
	s, units := benchUnits(b, rows)
	for _, every := range []int64{10, 1000, 100_000} {
		var refs []frame.Ref
		for u := range units {
			for row := int64(0); row < units[u].Rows; row += every {
				refs = append(refs, frame.RefOf(u, row))
			}
		}
		b.Run(fmt.Sprintf("one in %d", every), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := int64(0)
				for batch, err := range s.Take(b.Context(), refs, []string{"id", "versions"}) {
					if err != nil {
						b.Fatal(err)
					}
					n += batch.NumRows()
				}
				if n != int64(len(refs)) {
					b.Fatalf("%d rows, want %d", n, len(refs))
				}
			}
		})
	}
}

// BenchmarkSkip finds the rows of one file among a thousand, by its partition and by statistics.
func BenchmarkSkip(b *testing.B) {
	const rows, parts = 100_000, 1000
	snap := benchSnapshot(b, rows, parts)
	for _, text := range []string{"part = 500", "id >= 50000 AND id < 50100"} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := stream(b, snap, &scan.Options{Columns: []string{"id"}, Filter: benchFilter(b, text)}); got != rows/parts {
					b.Fatalf("%d rows, want %d", got, rows/parts)
				}
			}
			s, err := scan.New(snap, &scan.Options{Filter: benchFilter(b, text)})
			if err != nil {
				b.Fatal(err)
			}
			if plan := s.Plan(); len(plan.Files) != 1 {
				b.Fatalf("%s: want one file", plan)
			}
		})
	}
}

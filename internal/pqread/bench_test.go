package pqread_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

const benchRows = 1 << 20

// benchFile is a row group as Metaxy's tables have them: Snappy, a dictionary
// that is given up, pages of about 20,000 rows.
func benchFile(b *testing.B) []byte {
	text := func(name string) arrow.Field {
		return arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, text("version"), text("constant"),
		{Name: "by_field", Type: arrow.StructOf(text("audio"), text("frames")), Nullable: true}}, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	r := rand.New(rand.NewPCG(1, 2))
	for id := range benchRows {
		rb.Field(0).(*array.Int64Builder).Append(int64(id))
		rb.Field(1).(*array.StringBuilder).Append(fmt.Sprint(r.Uint32() % 1e8))
		rb.Field(2).(*array.StringBuilder).Append("0123456789abcdef")
		st := rb.Field(3).(*array.StructBuilder)
		st.Append(true)
		for m := range 2 {
			st.FieldBuilder(m).(*array.StringBuilder).Append(fmt.Sprint(r.Uint32() >> 8))
		}
	}
	batch := rb.NewRecordBatch()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy), parquet.WithDataPageSize(200<<10),
		parquet.WithMaxRowGroupLength(benchRows)), pqarrow.DefaultWriterProps())
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Write(batch); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkDecode reads a column of a million rows in batches.
func BenchmarkDecode(b *testing.B) {
	data := benchFile(b)
	o := open(b, data, memory.DefaultAllocator)
	for i := range o.manifest.Fields {
		b.Run(o.manifest.Fields[i].Field.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := columnOf(o.source, o.reader, &o.manifest.Fields[i])
				if err != nil {
					b.Fatal(err)
				}
				for left := benchRows; left > 0; left -= 1 << 16 {
					a, err := c.Next(min(left, 1<<16))
					if err != nil {
						b.Fatal(err)
					}
					a.Release()
				}
				c.Close()
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/benchRows*1e9, "ns/row")
		})
	}
}

// BenchmarkPick reads chosen rows, one in so many.
func BenchmarkPick(b *testing.B) {
	data := benchFile(b)
	o := open(b, data, memory.DefaultAllocator)
	for _, every := range []int64{1, 10, 1000, 100_000} {
		var rows []int64
		for row := int64(0); row < benchRows; row += every {
			rows = append(rows, row)
		}
		b.Run(fmt.Sprintf("one in %d", every), func(b *testing.B) {
			for b.Loop() {
				c, err := columnOf(o.source, o.reader, &o.manifest.Fields[1])
				if err != nil {
					b.Fatal(err)
				}
				a, err := c.Pick(rows)
				if err != nil {
					b.Fatal(err)
				}
				a.Release()
				c.Close()
			}
		})
	}
}

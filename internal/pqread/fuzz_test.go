package pqread_test

import (
	"bytes"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// allEncodings is a file with a column in each encoding, with nulls between and
// without.
func allEncodings(f *testing.F, codec compress.Compression, version parquet.DataPageVersion) []byte {
	var fields []arrow.Field
	opts := []parquet.WriterProperty{parquet.WithCompression(codec), parquet.WithDataPageVersion(version), parquet.WithDataPageSize(400),
		parquet.WithBatchSize(50), parquet.WithDictionaryDefault(false), parquet.WithVersion(parquet.V2_LATEST)}
	add := func(name string, typ arrow.DataType, enc parquet.Encoding) {
		fields = append(fields, arrow.Field{Name: name, Type: typ, Nullable: true})
		opts = append(opts, parquet.WithEncodingFor(name, enc))
	}
	add("plain int", arrow.PrimitiveTypes.Int64, parquet.Encodings.Plain)
	add("plain text", arrow.BinaryTypes.String, parquet.Encodings.Plain)
	add("plain bool", arrow.FixedWidthTypes.Boolean, parquet.Encodings.Plain)
	add("run bool", arrow.FixedWidthTypes.Boolean, parquet.Encodings.RLE)
	add("delta int", arrow.PrimitiveTypes.Int32, parquet.Encodings.DeltaBinaryPacked)
	add("lengths", arrow.BinaryTypes.String, parquet.Encodings.DeltaLengthByteArray)
	add("prefixes", arrow.BinaryTypes.String, parquet.Encodings.DeltaByteArray)
	add("split", arrow.PrimitiveTypes.Float64, parquet.Encodings.ByteStreamSplit)
	for _, typ := range []arrow.DataType{arrow.PrimitiveTypes.Int16, arrow.BinaryTypes.String, &arrow.Decimal128Type{Precision: 30, Scale: 2}} {
		name := "dictionary " + typ.Name()
		fields = append(fields, arrow.Field{Name: name, Type: typ, Nullable: true})
		opts = append(opts, parquet.WithDictionaryFor(name, true))
	}
	schema := arrow.NewSchema(fields, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 300 {
		for c := range fields {
			text := []string{"1", "2", "30", "4"}[i*i%4]
			if fields[c].Type.ID() == arrow.BOOL {
				text = []string{"true", "false"}[i*i%7&1]
			}
			if i%11 == c || i > 280 {
				rb.Field(c).AppendNull()
			} else if err := rb.Field(c).AppendValueFromString(text); err != nil {
				f.Fatal(err)
			}
		}
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(opts...), pqarrow.DefaultWriterProps())
	if err != nil {
		f.Fatal(err)
	}
	if err := w.Write(rb.NewRecordBatch()); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	return out.Bytes()
}

// FuzzPages damages the pages below a footer that is left as it was: each column
// gives rows of the right number and type, or an error. No buffer stays.
func FuzzPages(f *testing.F) {
	var files [][]byte
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd} {
		for _, version := range []parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2} {
			files = append(files, allEncodings(f, codec, version))
		}
	}
	for i := range files {
		for at := 4; at < len(files[i]); at += 97 {
			f.Add(uint8(i), uint32(at), []byte{0xff}, uint16(100))
			f.Add(uint8(i), uint32(at), []byte{0x00, 0x80}, uint16(1))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint32, bytes []byte, step uint16) {
		good := files[int(which)%len(files)]
		bad := append([]byte{}, good...)
		copy(bad[int(at)%len(bad):], bytes)
		readDamaged(t, good, bad, int(step)+1)
	})
}

func readDamaged(t *testing.T, good, bad []byte, step int) {
	r, err := file.NewParquetReader(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := pqarrow.NewSchemaManifest(r.MetaData().Schema, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer mem.AssertSize(t, 0)
	src := &pqread.Source{At: bytes.NewReader(bad), Size: int64(len(bad)), Allocator: mem, Scratch: &pqread.Scratch{}}
	for i := range manifest.Fields {
		c, err := columnOf(src, r, &manifest.Fields[i])
		if err != nil {
			t.Fatal(err)
		}
		for left := int(r.NumRows()); left > 0; {
			n := min(step, left)
			a, err := c.Next(n)
			if err != nil {
				break
			}
			if a.Len() != n || !arrow.TypeEqual(a.DataType(), manifest.Fields[i].Field.Type) {
				t.Fatalf("%d rows of %s, want %d", a.Len(), a.DataType(), n)
			}
			for row := range n {
				_ = a.ValueStr(row)
			}
			a.Release()
			if left -= n; left > n {
				if c.Skip(int64(n)) == nil {
					left -= n
				}
			}
		}
		c.Close()
	}
}

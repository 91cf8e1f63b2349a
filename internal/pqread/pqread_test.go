package pqread_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// leafTypes are those that Delta tables have.
var leafTypes = []arrow.DataType{
	arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int8,
	arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String, arrow.BinaryTypes.Binary,
	arrow.FixedWidthTypes.Boolean, arrow.FixedWidthTypes.Date32, arrow.FixedWidthTypes.Timestamp_us,
	&arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.TimestampType{Unit: arrow.Nanosecond}, &arrow.TimestampType{Unit: arrow.Millisecond},
	&arrow.Decimal128Type{Precision: 7, Scale: 2}, &arrow.Decimal128Type{Precision: 15, Scale: 3}, &arrow.Decimal128Type{Precision: 30, Scale: 10},
	&arrow.FixedSizeBinaryType{ByteWidth: 5},
}

// value appends one value: of few different ones, or of many.
func value(t *rapid.T, b array.Builder, few bool) {
	n := rapid.Int64().Draw(t, "n")
	if few {
		n = n & 3
	}
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(n)
	case *array.Int32Builder:
		b.Append(int32(n))
	case *array.Int16Builder:
		b.Append(int16(n))
	case *array.Int8Builder:
		b.Append(int8(n))
	case *array.Float32Builder:
		b.Append(float32(n) / 3)
	case *array.Float64Builder:
		b.Append(float64(n) / 3)
	case *array.StringBuilder:
		b.Append(textOf(n))
	case *array.BinaryBuilder:
		b.Append([]byte(textOf(n)))
	case *array.BooleanBuilder:
		b.Append(n&1 == 1)
	case *array.Date32Builder:
		b.Append(arrow.Date32(n))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(n))
	case *array.Decimal128Builder:
		if err := b.AppendValueFromString(fmt.Sprint(n % 9999)); err != nil {
			t.Fatal(err)
		}
	case *array.FixedSizeBinaryBuilder:
		b.Append([]byte(fmt.Sprintf("%05d", uint64(n)%99999)))
	default:
		t.Fatalf("no values for %T", b)
	}
}

func textOf(n int64) string {
	s := fmt.Sprintf("%x", uint64(n))
	for i := int64(0); i < n&7; i++ {
		s += s[:min(len(s), 5)]
	}
	return s[:int(uint64(n)%uint64(len(s)+1))]
}

// drawn is a table of one struct column and flat columns.
type drawn struct {
	schema *arrow.Schema
	batch  arrow.RecordBatch
	file   []byte
}

func fill(t *rapid.T, b array.Builder, rows, nulls int, few bool) {
	if st, ok := b.(*array.StructBuilder); ok {
		for range rows {
			st.AppendValues([]bool{rapid.IntRange(0, 9).Draw(t, "null struct") >= nulls})
		}
		for i := range st.NumField() {
			fill(t, st.FieldBuilder(i), rows, nulls, few)
		}
		return
	}
	// Long runs of nulls and of equal values as well as changing ones.
	for n := 0; n < rows; {
		k := min(rows-n, rapid.SampledFrom([]int{1, 2, 9, 70, 700}).Draw(t, "run"))
		null := rapid.IntRange(0, 9).Draw(t, "null") < nulls
		for range k {
			if null {
				b.AppendNull()
			} else {
				value(t, b, few)
			}
		}
		n += k
	}
}

// draw makes a table and writes it in one of the ways that there are.
func draw(t *rapid.T) *drawn {
	member := func(name string) arrow.Field {
		return arrow.Field{Name: name, Type: rapid.SampledFrom(leafTypes).Draw(t, name), Nullable: rapid.Bool().Draw(t, "nullable")}
	}
	inner := arrow.StructOf(member("x"), member("y"))
	fields := []arrow.Field{member("a"), member("b"), member("c"),
		{Name: "s", Type: arrow.StructOf(member("m"), arrow.Field{Name: "i", Type: inner, Nullable: true}), Nullable: true}}
	d := &drawn{schema: arrow.NewSchema(fields, nil)}
	rows := rapid.IntRange(1, 900).Draw(t, "rows")
	few := rapid.Bool().Draw(t, "few")
	rb := array.NewRecordBuilder(memory.DefaultAllocator, d.schema)
	for i := range fields {
		nulls := rapid.SampledFrom([]int{0, 0, 1, 5, 10}).Draw(t, "nulls")
		if !fields[i].Nullable {
			nulls = 0
		}
		fill(t, rb.Field(i), rows, nulls, few)
	}
	d.batch = rb.NewRecordBatch()
	version := rapid.SampledFrom([]parquet.DataPageVersion{parquet.DataPageV1, parquet.DataPageV2}).Draw(t, "version")
	codec := rapid.SampledFrom([]compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip, compress.Codecs.Zstd,
		compress.Codecs.Lz4Raw, compress.Codecs.Brotli}).Draw(t, "codec")
	if version == parquet.DataPageV2 && codec == compress.Codecs.Brotli {
		codec = compress.Codecs.Zstd // the Arrow library does not read an empty page of it
	}
	opts := []parquet.WriterProperty{
		parquet.WithCompression(codec), parquet.WithDataPageSize(rapid.SampledFrom([]int64{64, 300, 5000, 1 << 20}).Draw(t, "page")),
		parquet.WithBatchSize(rapid.SampledFrom([]int64{7, 64, 1024}).Draw(t, "batch")),
		parquet.WithDictionaryDefault(rapid.Bool().Draw(t, "dictionary")), parquet.WithDictionaryPageSizeLimit(rapid.SampledFrom([]int64{50, 1 << 20}).Draw(t, "limit")),
		parquet.WithDataPageVersion(version),
		parquet.WithVersion(parquet.V2_LATEST), parquet.WithStats(rapid.Bool().Draw(t, "stats")), parquet.WithPageIndexEnabled(rapid.Bool().Draw(t, "index")),
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(d.schema, &out, parquet.NewWriterProperties(append(opts, encodings(t, d.schema)...)...), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(d.batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	d.file = out.Bytes()
	return d
}

// encodings draws those that a leaf's type allows.
func encodings(t *rapid.T, s *arrow.Schema) (out []parquet.WriterProperty) {
	var visit func(path string, typ arrow.DataType)
	visit = func(path string, typ arrow.DataType) {
		list := []parquet.Encoding{parquet.Encodings.Plain}
		switch typ := typ.(type) {
		case *arrow.StructType:
			for _, f := range typ.Fields() {
				visit(path+"."+f.Name, f.Type)
			}
			return
		case *arrow.StringType, *arrow.BinaryType:
			list = append(list, parquet.Encodings.DeltaByteArray, parquet.Encodings.DeltaLengthByteArray)
		case *arrow.Int64Type, *arrow.Int32Type, *arrow.Int16Type, *arrow.Date32Type, *arrow.TimestampType:
			list = append(list, parquet.Encodings.DeltaBinaryPacked, parquet.Encodings.ByteStreamSplit)
		case *arrow.Float32Type, *arrow.Float64Type:
			list = append(list, parquet.Encodings.ByteStreamSplit)
		case *arrow.BooleanType:
			list = append(list, parquet.Encodings.RLE)
		}
		out = append(out, parquet.WithEncodingFor(path, rapid.SampledFrom(list).Draw(t, path)))
	}
	for _, f := range s.Fields() {
		visit(f.Name, f.Type)
	}
	return out
}

// columnOf opens a field of a file.
func columnOf(src *pqread.Source, r *file.Reader, f *pqarrow.SchemaField) (pqread.Column, error) {
	if f.IsLeaf() {
		l, ok := pqread.LeafOf(r.MetaData(), 0, f.ColIndex, f.Field.Type)
		if !ok {
			return nil, fmt.Errorf("%s is not supported", f.Field)
		}
		if src.Sparse {
			var err error
			if l.Pages, err = pqread.ReadPages(src, l); err != nil {
				return nil, err
			}
		}
		return pqread.Open(src, l)
	}
	var members []pqread.Column
	for i := range f.Children {
		m, err := columnOf(src, r, &f.Children[i])
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return pqread.Struct(f.Field.Type.(*arrow.StructType), f.LevelInfo.DefLevel, members, src.Allocator)
}

// opened is a file with the columns that the Arrow library reads from it.
type opened struct {
	reader   *file.Reader
	manifest *pqarrow.SchemaManifest
	want     arrow.RecordBatch
	source   *pqread.Source
}

func open(t interface {
	Fatal(args ...any)
	Skip(args ...any)
}, data []byte, mem memory.Allocator) *opened {
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	o := &opened{reader: r, source: &pqread.Source{At: bytes.NewReader(data), Size: int64(len(data)), Allocator: mem, Scratch: &pqread.Scratch{}}}
	if o.manifest, err = pqarrow.NewSchemaManifest(r.MetaData().Schema, nil, nil); err != nil {
		t.Fatal(err)
	}
	fr, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: 1 << 20}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	rr, err := fr.GetRecordReader(context.Background(), nil, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	if !rr.Next() {
		if err := rr.Err(); strings.Contains(fmt.Sprint(err), "zero values per block") {
			t.Skip("the Arrow library writes a page of nulls alone as DELTA_BYTE_ARRAY in a way that it refuses")
		}
		t.Fatal(rr.Err())
	}
	o.want = rr.RecordBatch()
	return o
}

// dirty gives memory with something in it.
type dirty struct{ memory.Allocator }

func (d dirty) Allocate(size int) []byte {
	b := d.Allocator.Allocate(size)
	for i := range b {
		b[i] = 0xa5
	}
	return b
}

// TestSameAsArrow reads random tables, written in all the ways that the Arrow
// library writes, in steps of any kind: what comes is what its reader gives.
func TestSameAsArrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		defer mem.AssertSize(t, 0)
		o := open(t, d.file, mem)
		if rapid.Bool().Draw(t, "dirty") {
			o.source.Values = dirty{mem}
		}
		o.source.Sparse, o.source.Remote = rapid.Bool().Draw(t, "sparse"), rapid.Bool().Draw(t, "remote")
		for i := range o.manifest.Fields {
			c, err := columnOf(o.source, o.reader, &o.manifest.Fields[i])
			if err != nil {
				t.Fatal(err)
			}
			steps(t, c, o.want.Column(i), o.manifest.Fields[i].Field.Type)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// steps reads a column to its end.
func steps(t *rapid.T, c pqread.Column, want arrow.Array, typ arrow.DataType) {
	for at := 0; at < want.Len(); {
		left := want.Len() - at
		n := min(left, rapid.SampledFrom([]int{1, 3, 50, 400, 1000}).Draw(t, "step"))
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			if err := c.Skip(int64(n)); err != nil {
				t.Fatal(err)
			}
			at += n
		case 1:
			got, err := c.Next(n)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, want, at, at+n, typ)
			got.Release()
			at += n
		case 2:
			var rows []int64
			for row := int64(0); row < int64(n); row += int64(rapid.SampledFrom([]int{1, 1, 1, 2, 40}).Draw(t, "gap")) {
				rows = append(rows, row)
			}
			got, err := c.Pick(rows)
			if err != nil {
				t.Fatal(err)
			}
			for i, row := range rows {
				one := array.NewSlice(got, int64(i), int64(i+1))
				same(t, one, want, at+int(row), at+int(row)+1, typ)
				one.Release()
			}
			got.Release()
			at += int(rows[len(rows)-1]) + 1
		}
	}
}

func same(t *rapid.T, got, want arrow.Array, from, to int, typ arrow.DataType) {
	if !arrow.TypeEqual(got.DataType(), typ) {
		t.Fatalf("type %s, want %s", got.DataType(), typ)
	}
	part := array.NewSlice(want, int64(from), int64(to))
	defer part.Release()
	if v, ok := got.(interface{ ValidateFull() error }); ok {
		if err := v.ValidateFull(); err != nil {
			t.Fatal(err)
		}
	}
	if got.NullN() != part.NullN() || !array.Equal(got, part) {
		t.Fatalf("rows %d to %d of %s:\n%s\nwant\n%s", from, to, typ, got, part)
	}
}

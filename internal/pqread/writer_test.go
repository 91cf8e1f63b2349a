package pqread_test

import (
	"bytes"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/deprecated"
	"pgregory.net/rapid"

	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// row has the encodings that the other library writes by its tags.
type row struct {
	Plain   int64   `parquet:"plain"`
	Delta   int64   `parquet:"delta,delta"`
	Narrow  int32   `parquet:"narrow,delta,optional"`
	Dict    *string `parquet:"dict,dict,optional"`
	Lengths string  `parquet:"lengths,delta"`
	Text    *string `parquet:"text,optional"`
	Split   float64 `parquet:"split,split"`
	Flag    *bool   `parquet:"flag,optional"`
	Inner   *struct {
		Number *int64  `parquet:"number,optional"`
		Word   *string `parquet:"word,dict,optional"`
	} `parquet:"inner,optional"`
}

func pointer[T any](t *rapid.T, v T) *T {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return nil
	}
	return &v
}

func drawRow(t *rapid.T, few bool) row {
	n := rapid.Int64().Draw(t, "n")
	if few {
		n &= 3
	}
	r := row{Plain: n, Delta: n, Narrow: int32(n), Dict: pointer(t, textOf(n)), Lengths: textOf(n), Text: pointer(t, textOf(n/3)),
		Split: float64(n) / 7, Flag: pointer(t, n%2 == 0)}
	if rapid.IntRange(0, 4).Draw(t, "inner") > 0 {
		r.Inner = &struct {
			Number *int64  `parquet:"number,optional"`
			Word   *string `parquet:"word,dict,optional"`
		}{pointer(t, n), pointer(t, textOf(n))}
	}
	return r
}

// TestSameAsArrowElsewhere is TestSameAsArrow with files of another writer.
func TestSameAsArrowElsewhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.Bool().Draw(t, "few")
		rows := make([]row, rapid.IntRange(1, 400).Draw(t, "rows"))
		for i := range rows {
			rows[i] = drawRow(t, few)
		}
		codec := rapid.SampledFrom([]compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Zstd, &parquet.Gzip, &parquet.Lz4Raw}).Draw(t, "codec")
		var out bytes.Buffer
		w := parquet.NewGenericWriter[row](&out, parquet.Compression(codec), parquet.DataPageVersion(rapid.IntRange(1, 2).Draw(t, "version")),
			parquet.PageBufferSize(rapid.SampledFrom([]int{100, 1000, 100_000}).Draw(t, "page")))
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		defer mem.AssertSize(t, 0)
		o := open(t, out.Bytes(), mem)
		o.source.Sparse, o.source.Remote = rapid.Bool().Draw(t, "sparse"), rapid.Bool().Draw(t, "remote")
		for i := range o.manifest.Fields {
			c, err := columnOf(o.source, o.reader, &o.manifest.Fields[i])
			if err != nil {
				t.Fatal(err)
			}
			steps(t, c, o.want.Column(i), o.manifest.Fields[i].Field.Type)
			c.Close()
		}
	})
}

// stamped has timestamps of 96 bits, as Spark and Impala write them.
type stamped struct {
	Flat  deprecated.Int96 `parquet:"flat"`
	Inner *struct {
		At deprecated.Int96 `parquet:"at"`
	} `parquet:"inner,optional"`
}

// TestStamps96 wants Julian days and nanoseconds as microseconds, in years that
// nanoseconds of 64 bits do not reach, too.
func TestStamps96(t *testing.T) {
	cases := []struct {
		day    uint32
		nanos  uint64
		micros int64
	}{
		{2440588, 0, 0}, {2440588, 999, 0}, {2440588, 1000, 1}, {2440587, 86_399_999_999_000, -1}, {2440589, 1_000_000, 86_400_001_000},
		{1721426, 0, -62_135_596_800_000_000}, {5373484, 86_399_999_999_999, 253_402_300_799_999_999}, // the years 1 and 9999
	}
	rows := make([]stamped, len(cases))
	for i, c := range cases {
		v := deprecated.Int96{uint32(c.nanos), uint32(c.nanos >> 32), c.day}
		rows[i].Flat = v
		if i > 0 {
			rows[i].Inner = &struct {
				At deprecated.Int96 `parquet:"at"`
			}{v}
		}
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[stamped](&out)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	src := &pqread.Source{At: bytes.NewReader(out.Bytes()), Size: int64(out.Len()), Allocator: memory.DefaultAllocator, Scratch: &pqread.Scratch{}}
	for leaf := range 2 {
		l, ok := pqread.LeafOf(r.MetaData(), 0, leaf, arrow.FixedWidthTypes.Timestamp_us)
		if !ok {
			t.Fatal("96 bits are not read")
		}
		c, err := pqread.Open(src, l)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Next(len(cases))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range cases {
			if leaf == 1 && i == 0 {
				if a.IsValid(0) {
					t.Error("a member of a null struct is not null")
				}
			} else if got := a.(*array.Timestamp).Value(i); int64(got) != want.micros {
				t.Errorf("day %d, %d ns: %d, want %d", want.day, want.nanos, got, want.micros)
			}
		}
	}
}

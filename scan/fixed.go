package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
	parquetgo "github.com/parquet-go/parquet-go"

	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// fixedDelta is the leaf of a wanted flat decimal column whose pages in this row group are delta encoded texts of a fixed length, as writers of version 2
// pages make them, -1 for any other column. The Arrow reader lacks that decoder.
func (f *dataFile) fixedDelta(group int, w want) int {
	leaf := f.flatLeaf(w, parquet.Types.FixedLenByteArray)
	if leaf < 0 {
		return -1
	}
	if _, ok := f.meta.Schema.Column(leaf).LogicalType().(schema.DecimalLogicalType); !ok {
		return -1
	}
	chunk, err := f.meta.RowGroup(group).ColumnChunk(leaf)
	if err != nil || !slices.Contains(chunk.Encodings(), parquet.Encodings.DeltaByteArray) {
		return -1
	}
	return leaf
}

// decimalColumn reads such a column of the row group whole.
func (g *groupReader) decimalColumn(ctx context.Context, leaf int, to arrow.DataType, name string) (arrow.Array, error) {
	lt, ok := g.file.meta.Schema.Column(leaf).LogicalType().(schema.DecimalLogicalType)
	if !ok || lt.Precision() > 38 {
		return nil, damaged("read", g.file.Key, g.group, fmt.Errorf("column %s holds no decimals of at most 38 digits", name))
	}
	b := array.NewDecimal128Builder(g.scan.mem, &arrow.Decimal128Type{Precision: lt.Precision(), Scale: lt.Scale()})
	defer b.Release()
	err := g.eachFixed(ctx, leaf, func(v []byte) error {
		if v == nil {
			b.AppendNull()
			return nil
		}
		d, err := bigEndianDecimal(v)
		if err == nil {
			b.Append(d)
		}
		return err
	})
	if err == nil && int64(b.Len()) != g.left {
		err = fmt.Errorf("the column has %d values, the row group %d rows", b.Len(), g.left)
	}
	if err != nil {
		return nil, damaged("read", g.file.Key, g.group, fmt.Errorf("column %s: %w", name, err))
	}
	a := b.NewArray()
	defer a.Release()
	return g.cast(ctx, a, to, name)
}

// eachFixed gives the values of a flat column of the row group in order, nil for null.
func (g *groupReader) eachFixed(ctx context.Context, leaf int, give func([]byte) error) error {
	store, key, err := g.file.locate(g.scan.table)
	if err != nil {
		return err
	}
	at, err := store.OpenObject(ctx, objstore.Object{Key: key, Size: g.file.Size, Tag: g.file.tag}, footerBytes)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := checkChunk(at, g.file, g.group, leaf); err != nil {
		return err
	}
	f, err := parquetgo.OpenFile(at, g.file.Size, parquetgo.SkipPageIndex(true), parquetgo.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	if g.group >= len(f.RowGroups()) || leaf >= len(f.RowGroups()[g.group].ColumnChunks()) {
		return errors.New("the footer lacks it")
	}
	pages := f.RowGroups()[g.group].ColumnChunks()[leaf].Pages()
	defer pages.Close()
	values := make([]parquetgo.Value, 1024)
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = eachOf(page.Values(), values, give)
		parquetgo.Release(page)
		if err != nil {
			return err
		}
	}
}

func eachOf(r parquetgo.ValueReader, buf []parquetgo.Value, give func([]byte) error) error {
	for {
		n, err := r.ReadValues(buf)
		for _, v := range buf[:n] {
			var b []byte
			if !v.IsNull() {
				b = v.ByteArray()
			}
			if err := give(b); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// checkChunk compares what the page headers of a column chunk claim with its bytes.
func checkChunk(r io.ReaderAt, f *dataFile, group, leaf int) error {
	md, err := f.meta.RowGroup(group).ColumnChunk(leaf)
	if err != nil {
		return err
	}
	from, n := md.DataPageOffset(), md.TotalCompressedSize()
	if md.HasDictionaryPage() && md.DictionaryPageOffset() < from {
		from = md.DictionaryPageOffset()
	}
	if from < 0 || n < 0 || from > f.Size || n > f.Size-from {
		return fmt.Errorf("the column chunk claims %d bytes at %d of %d", n, from, f.Size)
	}
	data := make([]byte, n)
	if _, err := r.ReadAt(data, from); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return pqcheck.Pages(data, md.NumValues())
}

// bigEndianDecimal reads a two's complement number of up to 16 bytes.
func bigEndianDecimal(v []byte) (decimal128.Num, error) {
	if len(v) == 0 || len(v) > 16 {
		return decimal128.Num{}, fmt.Errorf("a decimal of %d bytes", len(v))
	}
	var hi, lo uint64
	if v[0]&0x80 != 0 {
		hi, lo = ^uint64(0), ^uint64(0)
	}
	for _, b := range v {
		hi, lo = hi<<8|lo>>56, lo<<8|uint64(b)
	}
	return decimal128.New(int64(hi), lo), nil
}

package rowio

import (
	"context"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/frame"
	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
	"github.com/metaxy-delta/metaxy-delta/internal/pqread"
)

// parquetRows reads the columns of a Parquet file: those without members page
// by page, as data files of tables are, the others with the Arrow reader, whose
// pages are judged before.
type parquetRows struct {
	at     io.ReaderAt
	size   int64
	meta   *metadata.FileMetaData
	reader *pqarrow.FileReader
	schema *arrow.Schema
	shapes []reshape // of the columns, for those that the Arrow reader reads
	kept   pqread.Scratch
}

// stamps96 is a column as it is read: 96-bit timestamps as microseconds, which
// hold every date that these do.
func (p *parquetRows) stamps96(f *pqarrow.SchemaField, out arrow.Field) arrow.Field {
	if f.IsLeaf() && p.meta.Schema.Column(f.ColIndex).PhysicalType() == parquet.Types.Int96 {
		out.Type = &arrow.TimestampType{Unit: arrow.Microsecond}
		if t, ok := f.Field.Type.(*arrow.TimestampType); ok {
			out.Type = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: t.TimeZone}
		}
	}
	return out
}

func (p *parquetRows) each(ctx context.Context, yield func(arrow.RecordBatch, error) bool) {
	for g := range p.meta.NumRowGroups() {
		more, err := p.group(ctx, g, yield)
		if err != nil {
			yield(nil, err)
		}
		if err != nil || !more {
			return
		}
	}
}

// group gives the rows of a row group and reports whether the consumer wants more.
func (p *parquetRows) group(ctx context.Context, g int, yield func(arrow.RecordBatch, error) bool) (more bool, err error) {
	columns := make([]pqread.Column, p.schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Close()
			}
		}
	}()
	var leaves []int
	for i := range p.reader.Manifest.Fields {
		f := &p.reader.Manifest.Fields[i]
		if f.IsLeaf() {
			if l, ok := pqread.LeafOf(p.meta, g, f.ColIndex, p.schema.Field(i).Type); ok {
				src := &pqread.Source{At: p.at, Size: p.size, Allocator: memory.DefaultAllocator, Scratch: &p.kept}
				if columns[i], err = pqread.Open(src, l); err != nil {
					return false, fmt.Errorf("column %s: %w", f.Field.Name, err)
				}
				continue
			}
		}
		leaves = appendLeaves(leaves, f)
	}
	var reader pqarrow.RecordReader
	if len(leaves) > 0 {
		if err := p.judge(g, leaves); err != nil {
			return false, err
		}
		if reader, err = p.reader.GetRecordReader(ctx, leaves, []int{g}); err != nil {
			return false, err
		}
		defer reader.Release()
	}
	for left := p.meta.RowGroup(g).NumRows(); left > 0; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		b, err := p.next(columns, reader, left)
		if err != nil {
			return false, err
		}
		left -= b.NumRows()
		if !frame.Give(yield, b, b) {
			return false, nil
		}
	}
	return true, nil
}

func appendLeaves(to []int, f *pqarrow.SchemaField) []int {
	if f.IsLeaf() {
		return append(to, f.ColIndex)
	}
	for i := range f.Children {
		to = appendLeaves(to, &f.Children[i])
	}
	return to
}

// judge walks the page headers of columns that the Arrow reader reads.
func (p *parquetRows) judge(g int, leaves []int) error {
	for _, leaf := range leaves {
		c, err := p.meta.RowGroup(g).ColumnChunk(leaf)
		if err != nil {
			return err
		}
		from := c.DataPageOffset()
		if c.HasDictionaryPage() && c.DictionaryPageOffset() > 0 {
			from = min(from, c.DictionaryPageOffset())
		}
		chunk := make([]byte, c.TotalCompressedSize())
		if _, err := p.at.ReadAt(chunk, from); err != nil {
			return err
		}
		if err := pqcheck.Pages(chunk, c.NumValues()); err != nil {
			return fmt.Errorf("column %s: %w", p.meta.Schema.Column(leaf).Path(), err)
		}
	}
	return nil
}

// next gives the next rows of all columns.
func (p *parquetRows) next(columns []pqread.Column, reader pqarrow.RecordReader, left int64) (arrow.RecordBatch, error) {
	n := min(left, batchRows)
	arrays := make([]arrow.Array, len(columns))
	var others []arrow.Array
	if reader != nil {
		if !reader.Next() {
			if err := reader.Err(); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("%d rows are missing", left)
		}
		b := reader.RecordBatch()
		if n = b.NumRows(); n > left {
			return nil, fmt.Errorf("%d rows too many", n-left)
		}
		others = b.Columns()
	}
	defer func() {
		for _, a := range arrays {
			if a != nil {
				a.Release()
			}
		}
	}()
	for i, c := range columns {
		var err error
		switch {
		case c != nil:
			if arrays[i], err = c.Next(int(n)); err != nil {
				return nil, fmt.Errorf("column %s: %w", p.schema.Field(i).Name, err)
			}
		case len(others) == 0:
			return nil, errDamaged
		default:
			data := p.shapes[i](others[0].Data())
			arrays[i], others = array.MakeFromData(data), others[1:]
			data.Release()
		}
	}
	return array.NewRecordBatch(p.schema, arrays, n), nil
}

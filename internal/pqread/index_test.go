package pqread_test

import (
	"bytes"
	"errors"
	"io"
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

const (
	indexedRows = 10_000
	indexedPage = 500 // rows
)

// indexed is a file of one column of ascending numbers in pages of equal rows,
// with its index.
func indexed(t *testing.T) (data []byte, leaf *pqread.Leaf) {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range indexedRows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy), parquet.WithDataPageSize(8*indexedPage),
		parquet.WithBatchSize(indexedPage), parquet.WithDictionaryDefault(false), parquet.WithPageIndexEnabled(true)), pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.Write(b.NewRecordBatch())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	leaf, ok := pqread.LeafOf(r.MetaData(), 0, 0, arrow.PrimitiveTypes.Int64)
	if !ok {
		t.Fatal("the leaf is not read")
	}
	return out.Bytes(), leaf
}

// counted counts what is read of a file.
type counted struct {
	io.ReaderAt
	calls, bytes int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.calls++
	c.bytes += len(p)
	return c.ReaderAt.ReadAt(p, off)
}

// source reads few rows of a file, whose reads are requests or not.
func source(data []byte, remote bool) (*pqread.Source, *counted) {
	at := &counted{ReaderAt: bytes.NewReader(data)}
	return &pqread.Source{At: at, Size: int64(len(data)), Allocator: memory.DefaultAllocator, Scratch: &pqread.Scratch{}, Sparse: true, Remote: remote}, at
}

// TestSparse wants no more than the pages of wanted rows to be read: by request
// those alone, and where reads cost nothing the headers of others too.
func TestSparse(t *testing.T) {
	data, leaf := indexed(t)
	want := []int64{3, indexedPage, indexedPage + 1, 7*indexedPage - 1, indexedRows - 1}
	for _, remote := range []bool{false, true} {
		src, at := source(data, remote)
		var err error
		if leaf.Pages, err = pqread.ReadPages(src, leaf); err != nil || len(leaf.Pages) != indexedRows/indexedPage {
			t.Fatalf("%d pages, %v", len(leaf.Pages), err)
		}
		*at = counted{ReaderAt: at.ReaderAt}
		c, err := pqread.Open(src, leaf)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Pick(want)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range a.(*array.Int64).Int64Values() {
			if v != want[i] {
				t.Errorf("row %d is %d", want[i], v)
			}
		}
		pages, most := 4, int(leaf.Length)/4
		if remote && at.calls != pages+1 || !remote && at.calls != pages+len(leaf.Pages) || at.bytes > most+len(leaf.Pages)*256 {
			t.Errorf("remote %v: %d reads of %d bytes, the chunk has %d", remote, at.calls, at.bytes, leaf.Length)
		}
	}
}

// TestIndexLies changes where the index has pages and rows: what cannot be is not
// believed, the rest is found out where a page is read that is not so.
func TestIndexLies(t *testing.T) {
	data, leaf := indexed(t)
	src, _ := source(data, false)
	pages, err := pqread.ReadPages(src, leaf)
	if err != nil || pages == nil {
		t.Fatal(pages, err)
	}
	for name, lie := range map[string]func(p []pqread.Page){
		"a page begins later":   func(p []pqread.Page) { p[3].First++ },
		"a page begins earlier": func(p []pqread.Page) { p[4].First-- },
		"all begin later": func(p []pqread.Page) {
			for i := range p[1:] {
				p[1+i].First++
			}
		},
		"a page ends later": func(p []pqread.Page) { p[3].Length++; p[4].Offset++; p[4].Length-- },
		"two lie elsewhere": func(p []pqread.Page) { p[3].Offset, p[4].Offset = p[4].Offset, p[3].Offset },
		"one is missing": func(p []pqread.Page) {
			copy(p[3:], p[4:])
		},
	} {
		for _, remote := range []bool{false, true} {
			l := *leaf
			l.Pages = append([]pqread.Page(nil), pages...)
			lie(l.Pages)
			src, _ := source(data, remote)
			c, err := pqread.Open(src, &l)
			if errors.Is(err, pqread.ErrIndex) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Pick([]int64{3 * indexedPage, 4 * indexedPage}); !errors.Is(err, pqread.ErrIndex) {
				t.Errorf("%s, remote %v: %v", name, remote, err)
			}
			c.Close()
		}
	}
}

// TestIndexDamaged damages the index: it is what it was, or not believed, or a
// page that is read contradicts it. No rows are wrong.
func TestIndexDamaged(t *testing.T) {
	data, leaf := indexed(t)
	for at := leaf.PageIndex.Offset; at < leaf.PageIndex.Offset+leaf.PageIndex.Length; at++ {
		for _, change := range []byte{1, 2, 128, 255} {
			bad := bytes.Clone(data)
			bad[at] ^= change
			src, _ := source(bad, false)
			l := *leaf
			var err error
			if l.Pages, err = pqread.ReadPages(src, &l); err != nil {
				t.Fatal(err)
			}
			c, err := pqread.Open(src, &l)
			if err != nil {
				t.Fatal(err)
			}
			row := int64(indexedRows - 1)
			switch a, err := c.Pick([]int64{row}); {
			case err == nil && a.(*array.Int64).Value(0) != row:
				t.Errorf("byte %d: row %d is %d", at, row, a.(*array.Int64).Value(0))
			case err != nil && !errors.Is(err, pqread.ErrIndex):
				t.Errorf("byte %d: %v", at, err)
			}
			c.Close()
		}
	}
}

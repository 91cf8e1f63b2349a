package txlog

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
	"github.com/metaxy-delta/metaxy-delta/objstore"
)

// maxFooterBytes bounds the footer, which holds all columns of stats_parsed.
const maxFooterBytes = 256 << 20

// parquetFile is an open Parquet file of the log. The library under it believes what footers and page headers claim, so both are
// checked against the bytes that are there before it sees them.
type parquetFile struct {
	key  string
	file *parquet.File
	io   *chunkReader
}

// openParquet opens a file as it was listed; nobody replaces it, so all of it may be kept. Damage is a *CorruptError, a failed read is not.
func openParquet(ctx context.Context, store *objstore.Store, o objstore.Object) (f *parquetFile, err error) {
	key, size := o.Key, o.Size
	if size < 12 {
		return nil, corrupt(key, "%d bytes are no Parquet file", size)
	}
	src, err := store.OpenObject(ctx, o, size)
	if err != nil {
		return nil, err
	}
	cr := &chunkReader{src: src}
	f = &parquetFile{key: key, io: cr}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	err = f.guard(func() error {
		if err := cr.loadFooter(size); err != nil {
			return err
		}
		var err error
		f.file, err = parquet.OpenFile(cr, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.SkipMagicBytes(true))
		cr.chunks = nil
		return err
	})
	return f, err
}

// tailBytes is what is read of the end of a file at first: most footers fit.
const tailBytes = 64 << 10

// loadFooter reads the footer, in one read where it is small, checks it and keeps it for the library.
func (c *chunkReader) loadFooter(size int64) error {
	data := make([]byte, min(size, tailBytes))
	if _, err := c.ReadAt(data, size-int64(len(data))); err != nil {
		return err
	}
	n, err := pqcheck.FooterLength([8]byte(data[len(data)-8:]), size, maxFooterBytes)
	if err != nil {
		return err
	}
	if have := int64(len(data)) - 8; n > have {
		front := make([]byte, n-have)
		if _, err := c.ReadAt(front, size-8-n); err != nil {
			return err
		}
		data = append(front, data...)
	}
	c.chunks = append(c.chunks, loadedChunk{size - int64(len(data)), data})
	return pqcheck.Footer(data[int64(len(data))-8-n : len(data)-8])
}

// Close releases the file.
func (f *parquetFile) Close() error { return f.io.src.Close() }

// guard runs a step of reading: a panic or an error within the file's bytes becomes a *CorruptError, an error of the store stays itself.
func (f *parquetFile) guard(step func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = corrupt(f.key, "%v", p)
		}
	}()
	err = step()
	switch {
	case err == nil:
		return nil
	case f.io.err != nil && !errors.Is(f.io.err, io.ErrUnexpectedEOF) && !errors.Is(f.io.err, io.EOF):
		return f.io.err
	case errors.Is(err, ErrCorrupt):
		return err
	}
	return corrupt(f.key, "%v", err)
}

// chunkReader serves loaded column chunks from memory and everything else from the store; it remembers the store's first error.
type chunkReader struct {
	src    objstore.ReaderAtCloser
	err    error
	chunks []loadedChunk
}

type loadedChunk struct {
	off  int64
	data []byte
}

func (c *chunkReader) ReadAt(p []byte, off int64) (int, error) {
	for _, l := range c.chunks {
		if off >= l.off && off+int64(len(p)) <= l.off+int64(len(l.data)) {
			return copy(p, l.data[off-l.off:]), nil
		}
		if off >= l.off && off < l.off+int64(len(l.data)) { // read-ahead of the library past the chunk
			return copy(p, l.data[off-l.off:]), io.EOF
		}
	}
	n, err := c.src.ReadAt(p, off)
	if err != nil && c.err == nil && !(errors.Is(err, io.EOF) && n > 0) {
		c.err = err
	}
	return n, err
}

// load reads the column chunk of a leaf in a row group as a whole and checks its page headers. unload forgets it.
func (f *parquetFile) load(group, leaf int) (unload func(), err error) {
	rg := f.file.Metadata().RowGroups[group]
	if leaf < 0 || leaf >= len(rg.Columns) {
		return nil, fmt.Errorf("row group %d lacks column %d", group, leaf)
	}
	md := &rg.Columns[leaf].MetaData
	off, size := md.DataPageOffset, md.TotalCompressedSize
	if d := md.DictionaryPageOffset; d > 0 && d < off {
		off = d
	}
	if off < 4 || size < 0 || off+size > f.file.Size() || off+size < off {
		return nil, fmt.Errorf("row group %d claims column bytes %d+%d in a file of %d", group, off, size, f.file.Size())
	}
	data := make([]byte, size)
	if _, err := f.io.ReadAt(data, off); err != nil && size > 0 {
		return nil, err
	}
	if err := pqcheck.Pages(data, md.NumValues); err != nil {
		return nil, fmt.Errorf("row group %d, column %v: %w", group, md.PathInSchema, err)
	}
	f.io.chunks = append(f.io.chunks, loadedChunk{off, data})
	return func() {
		for i := range f.io.chunks {
			if f.io.chunks[i].off == off {
				f.io.chunks = append(f.io.chunks[:i], f.io.chunks[i+1:]...)
				return
			}
		}
	}, nil
}

// checkRows judges what a row group claims: an action takes some bytes, however well it is compressed.
func (f *parquetFile) checkRows(group int) error {
	rg := f.file.Metadata().RowGroups[group]
	limit := f.file.Size()*64 + 1024
	if rg.NumRows < 0 || rg.NumRows > limit {
		return fmt.Errorf("row group %d claims %d rows in a file of %d bytes", group, rg.NumRows, f.file.Size())
	}
	for _, c := range rg.Columns {
		if c.MetaData.NumValues < 0 || c.MetaData.NumValues > 64*limit {
			return fmt.Errorf("row group %d claims %d values of %v", group, c.MetaData.NumValues, c.MetaData.PathInSchema)
		}
	}
	return nil
}

// leafReader gives the values of one leaf of a row group in order; a value's bytes are valid until the next call.
type leafReader struct {
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	unload func()
	buf    [128]parquet.Value
	i, n   int
	done   bool
}

// open starts reading a leaf.
func (f *parquetFile) open(group int, col *parquet.Column) (*leafReader, error) {
	unload, err := f.load(group, col.Index())
	if err != nil {
		return nil, err
	}
	chunk := f.file.RowGroups()[group].ColumnChunks()[col.Index()]
	return &leafReader{pages: chunk.Pages(), unload: unload}, nil
}

// close releases the reader.
func (l *leafReader) close() {
	if l.page != nil {
		parquet.Release(l.page)
	}
	l.pages.Close()
	l.unload()
}

// next returns the next value, nil at the end.
func (l *leafReader) next() (*parquet.Value, error) {
	for l.i >= l.n {
		if l.done {
			return nil, nil
		}
		if l.values == nil {
			page, err := l.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				l.done = true
				continue
			}
			if err != nil {
				return nil, err
			}
			l.page, l.values = page, page.Values()
		}
		n, err := l.values.ReadValues(l.buf[:])
		l.i, l.n = 0, n
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			// Byte arrays of the last values lie in the page: it is released when they have been passed.
			l.values = nil
			if n == 0 {
				parquet.Release(l.page)
				l.page = nil
			}
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	v := &l.buf[l.i]
	l.i++
	return v, nil
}

// text copies a string value.
func text(v *parquet.Value) string { return string(v.ByteArray()) }

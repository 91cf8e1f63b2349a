package scan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/metaxy-delta/metaxy-delta/delta"
	"github.com/metaxy-delta/metaxy-delta/internal/dv"
	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
	"github.com/metaxy-delta/metaxy-delta/objstore"
	"github.com/metaxy-delta/metaxy-delta/txlog"
)

// footerBytes is the end of a file that is fetched and kept as one: most footers fit.
const footerBytes = 64 << 10

// maxFooterBytes is the largest footer that is read.
const maxFooterBytes = 256 << 20

// dataFile is a live file with what opening it told.
type dataFile struct {
	delta.File
	meta     *metadata.FileMetaData
	bytes96  bool // the 96-bit timestamps of nested columns are read as bytes
	manifest *pqarrow.SchemaManifest
	columns  []fileColumn // for each column of the table
	starts   []int64      // first row of each row group
	deleted  *dv.Bitmap   // nil without a deletion vector
	tag      string       // objstore.Object.Tag of the file that was opened
}

// guard turns a panic of a decoder into an error.
func guard(path string, group int, err *error) {
	if r := recover(); r != nil {
		*err = damaged("read", path, group, fmt.Errorf("the decoder gave up: %v", r))
	}
}

// damaged blames a file, unless the store failed: what could not be read is not known to be damaged.
func damaged(op, path string, group int, err error) error {
	if storeFailed(err) {
		return &FileError{Op: op, Path: path, RowGroup: group, Err: err}
	}
	return &FileError{Op: op, Path: path, RowGroup: group, Err: &txlog.CorruptError{Path: path, Offset: -1, Err: err}}
}

// storeFailed reports whether an error is the store's, about access or transport and not about what is stored.
func storeFailed(err error) bool {
	if !errors.As(err, new(*objstore.Error)) {
		return false
	}
	for _, content := range []error{fs.ErrNotExist, fs.ErrInvalid, io.EOF, io.ErrUnexpectedEOF, objstore.ErrTooLarge, objstore.ErrInvalidKey} {
		if errors.Is(err, content) {
			return false
		}
	}
	return true
}

// key is where a file is, relative to the table's root. A path that leads out of it is refused unless the table allows it.
func (f *dataFile) locate(t *delta.Table) (*objstore.Store, string, error) {
	if key := t.Within(f.Key); !outside(key) {
		return t.Store(), key, nil
	}
	if !t.AllowsOutsideRoot() {
		return nil, "", &FileError{Op: "open", Path: f.Key, RowGroup: -1, Err: delta.ErrOutsideRoot}
	}
	return absolute(t, f.Key)
}

func outside(key string) bool { return strings.HasPrefix(key, "../") || strings.Contains(key, "://") }

// absolute opens a local file outside the table's root.
func absolute(t *delta.Table, key string) (*objstore.Store, string, error) {
	path, ok := strings.CutPrefix(key, "file://")
	if !ok {
		if strings.Contains(key, "://") {
			return nil, "", &FileError{Op: "open", Path: key, RowGroup: -1, Err: &delta.UnsupportedError{Feature: key, Need: "file", Have: "local files outside the table"}}
		}
		path = t.Store().URL() + "/" + key
	}
	d, err := objstore.NewLocal("/")
	if err != nil {
		return nil, "", err
	}
	return objstore.New(d), strings.TrimPrefix(cleanPath(path), "/"), nil
}

// open reads the footer and the deletion vector of a file and checks both against the log.
func (f *dataFile) open(ctx context.Context, s *Scan) (err error) {
	defer guard(f.Key, -1, &err)
	store, key, err := f.locate(s.table)
	if err != nil {
		return err
	}
	obj, err := store.Stat(ctx, key)
	err = store.Absent(ctx, key, err)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged("open", f.Key, -1, errMissingFile)
	}
	if err != nil {
		return &FileError{Op: "open", Path: f.Key, RowGroup: -1, Err: err}
	}
	if obj.Size != f.Size {
		return damaged("open", f.Key, -1, fmt.Errorf("the file has %d bytes, the log says %d", obj.Size, f.Size))
	}
	f.tag = obj.Tag
	r, err := f.reader(ctx, s, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	if f.meta, f.bytes96, err = asBytes96(ctx, r.MetaData()); err != nil {
		return damaged("open", f.Key, -1, err)
	}
	rows := int64(0)
	for i := range f.meta.NumRowGroups() {
		f.starts = append(f.starts, rows)
		n := f.meta.RowGroup(i).NumRows()
		if n < 0 || n > 1<<40 {
			return damaged("open", f.Key, i, fmt.Errorf("the row group claims %d rows", n))
		}
		rows += n
	}
	if n := f.Records(); n >= 0 && n != rows {
		return damaged("open", f.Key, -1, fmt.Errorf("the file has %d rows, the log says %d", rows, n))
	}
	if f.manifest, err = pqarrow.NewSchemaManifest(f.meta.Schema, nil, nil); err != nil {
		return damaged("open", f.Key, -1, err)
	}
	f.columns = matchColumns(s.snap, f.manifest)
	if f.DeletionVector != nil {
		if f.deleted, err = readDeleted(ctx, s.table, f); err != nil {
			return err
		}
		if last, ok := f.deleted.Max(); ok && last >= uint64(rows) {
			return damaged("open", f.Key, -1, fmt.Errorf("the deletion vector names row %d of %d", last, rows))
		}
	}
	return nil
}

// fileHandle is an open file and what is going to be read of it.
type fileHandle struct {
	objstore.ReaderAtCloser
	section *section
	ranges  []objstore.Range
}

// fileReader is a Parquet reader with the handle below it.
type fileReader struct {
	*file.Reader
	*fileHandle
}

// section is a file whose column chunks are judged by the checksums of their pages when they come from the store.
type section struct {
	*io.SectionReader
	chunks map[int64]int64       // lengths by offset
	early  io.ReaderAt           // has what was fetched before it was wanted, nil for nothing
	failed atomic.Pointer[error] // what the store answered instead of bytes
}

func (s *section) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.read(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed.Store(&err)
	}
	if err == nil && s.chunks[off] == int64(len(p)) {
		err = pqcheck.Checksums(p)
	}
	return n, err
}

// read reads what was fetched early from there.
func (s *section) read(p []byte, off int64) (int, error) {
	if s.early != nil {
		if n, err := s.early.ReadAt(p, off); err == nil {
			return n, nil
		} // the fetch belonged to a caller who gave up
	}
	return s.SectionReader.ReadAt(p, off)
}

// expect tells the section which leaves of a row group are going to be read, each whole.
func (r *fileHandle) expect(meta *metadata.FileMetaData, group int, leaves ...int) error {
	r.section.chunks = map[int64]int64{}
	for _, leaf := range leaves {
		md, err := meta.RowGroup(group).ColumnChunk(leaf)
		if err != nil {
			return err
		}
		if err := decodable(md.Compression()); err != nil {
			return err
		}
		from, length, err := chunkRange(meta, group, leaf)
		if err != nil {
			return err
		}
		if size := r.section.Size(); from < 0 || length < 0 || from > size || length > size-from {
			return fmt.Errorf("column %d claims %d bytes at %d of a file of %d", leaf, length, from, size)
		}
		r.section.chunks[from] = length
		r.want(from, length)
	}
	return nil
}

// chunkRange returns where the column chunk of a leaf lies.
func chunkRange(meta *metadata.FileMetaData, group, leaf int) (from, length int64, err error) {
	md, err := meta.RowGroup(group).ColumnChunk(leaf)
	if err != nil {
		return 0, 0, err
	}
	from = md.DataPageOffset()
	if md.HasDictionaryPage() && md.DictionaryPageOffset() > 0 {
		from = min(from, md.DictionaryPageOffset())
	}
	return from, md.TotalCompressedSize(), nil
}

// want notes a range that is read by one call.
func (r *fileHandle) want(offset, length int64) {
	r.ranges = append(r.ranges, objstore.Range{Offset: offset, Length: length})
}

// remote reports whether reads are requests.
func (r *fileHandle) remote() bool { return objstore.Prefetch(r.ReaderAtCloser, nil) }

// fetch lets what is wanted be fetched by few requests.
func (r *fileHandle) fetch() { objstore.Prefetch(r.ReaderAtCloser, r.ranges) }

// failure is what became of reading a row group: what the store answered where it did not give bytes, else damage.
func (r *fileHandle) failure(f *dataFile, group int, err error) error {
	if why := r.section.failed.Load(); why != nil {
		return &FileError{Op: "read", Path: f.Key, RowGroup: group, Err: *why}
	}
	var unsupported *delta.UnsupportedError
	if errors.As(err, &unsupported) {
		return &FileError{Op: "read", Path: f.Key, RowGroup: group, Err: err}
	}
	return damaged("read", f.Key, group, err)
}

func (r *fileReader) Close() error {
	return errors.Join(r.Reader.Close(), r.fileHandle.Close())
}

// handle opens the file.
func (f *dataFile) handle(ctx context.Context, s *Scan) (*fileHandle, error) {
	store, key, err := f.locate(s.table)
	if err != nil {
		return nil, err
	}
	at, err := store.OpenObject(ctx, objstore.Object{Key: key, Size: f.Size, Tag: f.tag}, footerBytes)
	if err != nil {
		return nil, &FileError{Op: "open", Path: f.Key, RowGroup: -1, Err: err}
	}
	return &fileHandle{ReaderAtCloser: at, section: &section{SectionReader: io.NewSectionReader(at, 0, f.Size)}}, nil
}

// reader opens the Parquet file; with a footer read before, that one is used.
func (f *dataFile) reader(ctx context.Context, s *Scan, meta *metadata.FileMetaData) (*fileReader, error) {
	h, err := f.handle(ctx, s)
	if err != nil {
		return nil, err
	}
	r, err := h.reader(f, s, meta)
	if err != nil {
		h.Close()
	}
	return r, err
}

// reader reads the open file as Parquet. The reader closes it, unless there is
// an error.
func (r *fileHandle) reader(f *dataFile, s *Scan, meta *metadata.FileMetaData) (*fileReader, error) {
	if meta == nil {
		if err := checkFooter(r.section, f.Size); err != nil {
			return nil, damaged("open", f.Key, -1, err)
		}
	}
	props := parquet.NewReaderProperties(s.mem)
	opts := []file.ReadOption{file.WithReadProps(props)}
	if meta != nil {
		opts = append(opts, file.WithMetadata(meta))
	}
	pr, err := parse(r.section, opts)
	if err != nil {
		if why := r.section.failed.Load(); why != nil {
			return nil, &FileError{Op: "open", Path: f.Key, RowGroup: -1, Err: *why}
		}
		if column := unknownType(r.section, f.Size); column != "" {
			return nil, &FileError{Op: "open", Path: f.Key, RowGroup: -1, Err: &delta.UnsupportedError{Feature: column, Need: "the logical type of the column", Have: "those that Parquet has had up to 2026"}}
		}
		return nil, damaged("open", f.Key, -1, err)
	}
	return &fileReader{pr, r}, nil
}

// parse reads a footer, which the library gives up by a panic where it has an
// unknown logical type.
func parse(r parquet.ReaderAtSeeker, opts []file.ReadOption) (pr *file.Reader, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder gave up: %v", p)
		}
	}()
	return file.NewParquetReader(r, opts...)
}

// unknownType is the first column of a sound footer whose logical type nobody
// here knows of, "" for none.
func unknownType(r io.ReaderAt, size int64) string {
	var tail [8]byte
	if _, err := r.ReadAt(tail[:], size-8); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	footer := make([]byte, binary.LittleEndian.Uint32(tail[:4])) // checkFooter has seen it
	if _, err := r.ReadAt(footer, size-8-int64(len(footer))); err != nil || pqcheck.Footer(footer) != nil {
		return ""
	}
	column, err := pqcheck.UnknownType(footer)
	if err != nil {
		return ""
	}
	return column
}

// checkFooter compares what the end of the file claims with its size, before anything is allocated.
func checkFooter(r io.ReaderAt, size int64) error {
	var tail [8]byte
	if size < 12 {
		return fmt.Errorf("%d bytes are too few for a Parquet file", size)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(tail[4:]) != "PAR1" {
		return errors.New("the file does not end as Parquet files do")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if n+12 > size || n > maxFooterBytes {
		return fmt.Errorf("the footer claims %d of %d bytes", n, size)
	}
	return nil
}

// allocatorOr is the default when none is given.
func allocatorOr(mem memory.Allocator) memory.Allocator {
	if mem == nil {
		return memory.DefaultAllocator
	}
	return mem
}

// Package pqread reads leaves of Parquet row groups page by page into Arrow
// arrays.
//
// It knows leaves without repetition, members of structs among them, and gives
// exactly what the Arrow library's reader gives, for a fraction of its time: a
// column chunk is one read into a reused buffer, or only the pages are read that
// have a wanted row, a page without one is passed over by its header, levels that
// say "no nulls" are one comparison, and no array lies between the page and the
// result. Everything streams: beside the chunk, one page and the dictionary are
// in memory, whatever a page claims. What it does not know it says beforehand
// (LeafOf), so that another reader takes over.
package pqread

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// Column is a column of one row group, read once from its first row to its
// last, by one goroutine at a time.
type Column interface {
	// Next returns the next rows; the caller releases the array.
	Next(rows int) (arrow.Array, error)
	// Pick returns chosen rows among those ahead, counted from the next one,
	// ascending. What lies before the last of them is passed.
	Pick(rows []int64) (arrow.Array, error)
	// Skip passes rows. Their pages are not decoded.
	Skip(rows int64) error
	// Close gives back what the column holds.
	Close() error

	// follow makes the column keep its definition levels; levels are those of
	// the rows that were given last.
	follow()
	levels() []uint8
}

// Leaf says how a leaf lies in a row group, as the footer tells.
type Leaf struct {
	// Physical is the type of the stored values; Width counts the bytes of one
	// where it is FIXED_LEN_BYTE_ARRAY.
	Physical parquet.Type
	Width    int
	// Level is the greatest definition level: that of a value.
	Level int16
	Codec compress.Compression
	// Rows are those of the row group.
	Rows int64
	// Offset and Length are where the column chunk lies in the file.
	Offset, Length int64
	// Type is that of the arrays.
	Type arrow.DataType
	// Null is set where the statistics tell that no row has a value: nothing is
	// read then.
	Null bool
	// Pages are the data pages as an index tells of them, from the first to the
	// last of the chunk, nil where that is not known. A page that is read and is
	// not so is ErrIndex.
	Pages []Page
	// PageIndex and BoundIndex are where the file has an index of the pages and
	// one of their smallest and greatest values; without a length it has none.
	PageIndex, BoundIndex Extent
}

// Extent is a part of a file.
type Extent struct{ Offset, Length int64 }

// Page is where a data page lies: its first row in the row group, and the bytes
// of the file from its header to its end.
type Page struct{ First, Offset, Length int64 }

// ErrIndex is a page that is not as the index of pages has it.
var ErrIndex = errors.New("the index of pages contradicts the pages")

// Source is the bytes of a file and where memory comes from.
type Source struct {
	// At has the size of the file as its end: chunks lie within Size bytes.
	At   io.ReaderAt
	Size int64
	// Allocator makes the arrays. Values gives the memory of decoded values, of
	// any content; nil = Allocator.
	Allocator, Values memory.Allocator
	// Scratch is shared by the columns of a scan.
	Scratch *Scratch
	// Sparse says that few rows are wanted: pages are read one by one, and of a
	// page without a wanted row only the header. Otherwise, and where Remote
	// says that every read is a request and the pages are not known, a column
	// chunk is one read. Where they are, Reads tells what is read.
	Sparse, Remote bool
}

// Reads are what Sparse columns of a Remote source read, each once at most, for
// rows of which wanted says whether some lie in a range.
func (l *Leaf) Reads(wanted func(from, to int64) bool) []Extent {
	if l.Pages == nil || wanted == nil {
		return []Extent{{l.Offset, l.Length}}
	}
	var out []Extent
	for i, p := range l.Pages {
		if wanted(p.First, l.end(i)) {
			out = append(out, Extent{p.Offset, p.Length})
		}
	}
	if len(out) == 0 {
		return nil
	}
	if first := l.Pages[0].Offset; first > l.Offset {
		out = append(out, Extent{l.Offset, first - l.Offset})
	}
	return append(out, l.lastHead())
}

// end is the row behind those of a page.
func (l *Leaf) end(page int) int64 {
	if page+1 < len(l.Pages) {
		return l.Pages[page+1].First
	}
	return l.Rows
}

// lastHead is where the header of the last page lies.
func (l *Leaf) lastHead() Extent {
	p := l.Pages[len(l.Pages)-1]
	return Extent{p.Offset, min(headBytes, p.Length)}
}

// Scratch keeps memory of closed columns for the next ones. The zero value is
// ready; it is safe for concurrent use.
type Scratch struct{ pool sync.Pool }

// workspace is the memory of one column, none of which an array ever shares.
type workspace struct {
	chunk, head, body, page []byte
	dictBody, dict          []byte
	ends                    []uint32
}

func (s *Scratch) get() *workspace {
	if w, ok := s.pool.Get().(*workspace); ok {
		return w
	}
	return &workspace{}
}

// slack is how many bytes may be read behind a value, so that short ones are
// copied by whole words.
const slack = 16

// sized returns a buffer of n bytes with slack behind it, b where it is large
// enough.
func sized(b []byte, n int) []byte {
	if cap(b) < n+slack {
		b = make([]byte, n+slack+n/8)
	}
	return b[:n+slack][:n]
}

// LeafOf returns how a leaf of a row group is to be read as arrays of a type;
// false where another reader has to.
func LeafOf(meta *metadata.FileMetaData, group, leaf int, typ arrow.DataType) (*Leaf, bool) {
	col := meta.Schema.Column(leaf)
	rg := meta.RowGroup(group)
	md, err := rg.ColumnChunk(leaf)
	if err != nil || md.CryptoMetadata() != nil || md.FilePath() != "" || md.NumValues() != rg.NumRows() {
		return nil, false
	}
	if col.MaxRepetitionLevel() > 0 || col.MaxDefinitionLevel() > math.MaxUint8 || meta.WriterVersion().LessThan(metadata.Parquet816FixedVersion) {
		return nil, false
	}
	l := &Leaf{Physical: col.PhysicalType(), Width: col.TypeLength(), Level: col.MaxDefinitionLevel(), Codec: md.Compression(),
		Rows: rg.NumRows(), Offset: md.DataPageOffset(), Length: md.TotalCompressedSize(), Type: typ}
	if md.HasDictionaryPage() && md.DictionaryPageOffset() > 0 {
		l.Offset = min(l.Offset, md.DictionaryPageOffset())
	}
	if _, err := compress.GetCodec(l.Codec); err != nil {
		return nil, false
	}
	if at := md.GetOffsetIndexLocation(); at != nil {
		l.PageIndex = Extent{at.Offset, int64(at.Length)}
	}
	if at := md.GetColumnIndexLocation(); at != nil {
		l.BoundIndex = Extent{at.Offset, int64(at.Length)}
	}
	l.Null = l.Level > 0 && nullCount(md) == l.Rows
	_, ok := formOf(l)
	return l, ok
}

// nullCount returns how many nulls the statistics of a column chunk tell of, -1
// where they do not.
func nullCount(md *metadata.ColumnChunkMetaData) (n int64) {
	defer func() {
		if recover() != nil { // bounds of an impossible form
			n = -1
		}
	}()
	if set, err := md.StatsSet(); err != nil || !set {
		return -1
	}
	stats, err := md.Statistics()
	if err != nil || stats == nil || !stats.HasNullCount() {
		return -1
	}
	return stats.NullCount()
}

// Open returns the column of a leaf. Nothing is read before a row is wanted.
func Open(src *Source, l *Leaf) (Column, error) {
	f, ok := formOf(l)
	if !ok {
		return nil, fmt.Errorf("%s is not read as %s", l.Physical, l.Type)
	}
	if l.Offset < 0 || l.Length < 0 || l.Offset > src.Size || l.Length > src.Size-l.Offset {
		return nil, fmt.Errorf("the column chunk claims %d bytes at %d of %d", l.Length, l.Offset, src.Size)
	}
	if l.Pages != nil && !l.tiledBy(l.Pages) {
		return nil, ErrIndex
	}
	c := &leafColumn{src: src, leaf: l, form: f, left: l.Rows, whole: src.Remote && (!src.Sparse || l.Pages == nil), jumps: src.Sparse && src.Remote}
	c.sink = sink{typ: l.Type, form: f, mem: src.Values, top: uint8(l.Level)}
	if src.Values == nil {
		c.sink.mem = src.Allocator
	}
	return c, nil
}

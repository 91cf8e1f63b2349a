// Package pqread reads leaves of Parquet row groups page by page into Arrow
// arrays.
//
// It knows leaves without repetition, members of structs among them, and gives
// exactly what the Arrow library's reader gives, for a fraction of its time: a
// column chunk is one read into a reused buffer, a page without a wanted row is
// passed over by its header, levels that say "no nulls" are one comparison, and
// no array lies between the page and the result. Everything streams: beside the
// chunk, one page and the dictionary are in memory, whatever a page claims. What
// it does not know it says beforehand (LeafOf), so that another reader takes
// over.
package pqread

import (
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
}

// Source is the bytes of a file and where memory comes from.
type Source struct {
	// At has the size of the file as its end: chunks lie within Size bytes.
	At   io.ReaderAt
	Size int64
	// Allocator makes the arrays.
	Allocator memory.Allocator
	// Scratch is shared by the columns of a scan.
	Scratch *Scratch
}

// Scratch keeps memory of closed columns for the next ones. The zero value is
// ready; it is safe for concurrent use.
type Scratch struct{ pool sync.Pool }

// workspace is the memory of one column, none of which an array ever shares.
type workspace struct {
	chunk, page, dict []byte
	ends              []uint32
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
	c := &leafColumn{src: src, leaf: l, form: f, left: l.Rows}
	c.sink = sink{typ: l.Type, form: f, mem: src.Allocator, top: uint8(l.Level)}
	return c, nil
}

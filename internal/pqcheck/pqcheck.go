// Package pqcheck judges the footers and page headers of Parquet files by their bytes, before a library believes what they claim.
//
// Libraries allocate lists as long as a footer says and pages as large as their headers say; a few flipped bits can claim gigabytes. What passes here
// holds what it claims. It does no I/O; a fault is an error that says where.
package pqcheck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// A page may claim this much more than its compressed size before it is taken for a lie.
const (
	maxPageRatio = 2000
	maxPageSlack = 16 << 20
)

const (
	// maxDepth bounds the nesting of a footer, whose format needs less than ten levels.
	maxDepth = 32
	// maxStructs bounds the structs of a footer: columns times row groups, a few each.
	maxStructs = 1 << 23
)

// FooterLength reads the last eight bytes of a file of a known size and returns the length of the footer before them.
func FooterLength(tail [8]byte, size, limit int64) (int64, error) {
	if string(tail[4:]) != "PAR1" {
		return 0, errors.New("does not end as a Parquet file does: cut off or of another format")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if n > size-12 || n > limit {
		return 0, fmt.Errorf("claims a footer of %d bytes in a file of %d", n, size)
	}
	return n, nil
}

// Footer walks a footer: every list and text must lie within it, and it must end with its bytes.
func Footer(b []byte) error {
	w := &walker{b: b, structs: maxStructs}
	if err := w.structure(); err != nil {
		return fmt.Errorf("footer, byte %d: %w", w.pos, err)
	}
	return nil
}

// Pages walks the page headers of a column chunk: sizes must lie within it and counts add up to the number of values that the footer states.
func Pages(chunk []byte, numValues int64) error {
	values, pos := int64(0), 0
	for pos < len(chunk) && values < numValues {
		h, size, err := Page(chunk[pos:])
		if err != nil {
			return fmt.Errorf("page header at byte %d: %w", pos, err)
		}
		n := ValuesOf(h)
		if n > numValues-values {
			return fmt.Errorf("page claims %d values, the column has %d left", n, numValues-values)
		}
		values += n
		pos += size + int(h.CompressedPageSize)
	}
	if values != numValues {
		return fmt.Errorf("pages hold %d values, the footer says %d", values, numValues)
	}
	return nil
}

// Page reads the page header that the rest of a column chunk begins with and
// returns its length. The page itself lies within the chunk.
func Page(chunk []byte) (*format.PageHeader, int, error) { return Head(chunk, int64(len(chunk))) }

// Head is Page for the first bytes of what is left of a column chunk. It fails
// with ErrShort where the header goes on behind them.
func Head(b []byte, left int64) (*format.PageHeader, int, error) {
	h, size, err := header(b)
	if err != nil {
		return nil, 0, err
	}
	return h, size, judge(h, left-int64(size))
}

// header reads a page header without judging what it claims.
func header(chunk []byte) (*format.PageHeader, int, error) {
	w := &walker{b: chunk, structs: 64}
	if err := w.structure(); err != nil {
		return nil, 0, err
	}
	var proto thrift.CompactProtocol
	h := &format.PageHeader{}
	err := thrift.NewDecoder(proto.NewReaderFromBytes(chunk[:w.pos])).Decode(h)
	return h, w.pos, err
}

// PageLocations reads an offset index: where the pages of a column chunk lie.
func PageLocations(b []byte) ([]format.PageLocation, error) {
	var x format.OffsetIndex
	err := decode(b, &x)
	return x.PageLocations, err
}

// ColumnIndex reads a column index: what the pages of a column chunk hold.
func ColumnIndex(b []byte) (*format.ColumnIndex, error) {
	x := &format.ColumnIndex{}
	return x, decode(b, x)
}

// maxPages bounds the pages of an index.
const maxPages = 1 << 18

// decode walks a struct before the library makes room for what it claims.
func decode(b []byte, to any) error {
	w := &walker{b: b, structs: maxPages}
	if err := w.structure(); err != nil {
		return fmt.Errorf("byte %d: %w", w.pos, err)
	}
	var proto thrift.CompactProtocol
	return thrift.NewDecoder(proto.NewReaderFromBytes(b[:w.pos])).Decode(to)
}

// ValuesOf returns how many values a data page has, nulls among them; 0 for
// other pages.
func ValuesOf(h *format.PageHeader) int64 {
	switch {
	case h.DataPageHeader.Valid:
		return int64(h.DataPageHeader.V.NumValues)
	case h.DataPageHeaderV2.Valid:
		return int64(h.DataPageHeaderV2.V.NumValues)
	}
	return 0
}

// ErrChecksum is a page whose bytes are not those that its writer summed up.
var ErrChecksum = errors.New("the checksum of the page does not match its bytes")

// Checksums compares each page of a column chunk with the CRC-32 of its header, where the writer gave one. What cannot be walked is left to those who decode it.
func Checksums(chunk []byte) error {
	for pos := 0; pos < len(chunk); {
		h, size, err := header(chunk[pos:])
		if err != nil {
			return nil
		}
		pos += size
		n := int(h.CompressedPageSize)
		if n < 0 || n > len(chunk)-pos {
			return nil
		}
		if err := Checksum(h, chunk[pos:pos+n]); err != nil {
			return fmt.Errorf("page at byte %d of the column chunk: %w", pos, err)
		}
		pos += n
	}
	return nil
}

// Checksum compares a page with the CRC-32 of its header, where the writer gave
// one.
func Checksum(h *format.PageHeader, page []byte) error {
	if h.CRC != 0 && crc32.ChecksumIEEE(page) != uint32(h.CRC) {
		return ErrChecksum
	}
	return nil
}

// judge compares what a header claims with the bytes after it.
func judge(h *format.PageHeader, left int64) error {
	claimed, held := int64(h.UncompressedPageSize), int64(h.CompressedPageSize)
	if held < 0 || held > left {
		return fmt.Errorf("page claims %d bytes, %d are left", held, left)
	}
	if claimed < 0 || claimed > held*maxPageRatio+maxPageSlack {
		return fmt.Errorf("page of %d bytes claims %d uncompressed ones", held, claimed)
	}
	if h.DictionaryPageHeader.Valid {
		if d := int64(h.DictionaryPageHeader.V.NumValues); d < 0 || d > claimed+1 {
			return fmt.Errorf("dictionary of %d bytes claims %d values", claimed, d)
		}
	}
	if n := ValuesOf(h); n < 0 {
		return fmt.Errorf("page claims %d values", n)
	}
	return nil
}

// walker skips over values of the compact Thrift protocol.
type walker struct {
	b       []byte
	pos     int
	depth   int
	structs int
}

// The compact protocol's types that need more than a varint.
const (
	typeTrue   = 1
	typeFalse  = 2
	typeByte   = 3
	typeDouble = 7
	typeBinary = 8
	typeList   = 9
	typeSet    = 10
	typeMap    = 11
	typeStruct = 12
	typeUUID   = 13
)

// ErrShort is what ends before it should.
var ErrShort = errors.New("ends early")

func (w *walker) take(n uint64) error {
	if n > uint64(len(w.b)-w.pos) {
		return ErrShort
	}
	w.pos += int(n)
	return nil
}

func (w *walker) byte() (byte, error) {
	if w.pos >= len(w.b) {
		return 0, ErrShort
	}
	w.pos++
	return w.b[w.pos-1], nil
}

func (w *walker) varint() (uint64, error) {
	n, size := binary.Uvarint(w.b[w.pos:])
	if size <= 0 {
		return 0, ErrShort
	}
	w.pos += size
	return n, nil
}

func (w *walker) structure() error {
	if w.structs--; w.structs < 0 {
		return errors.New("too many structs")
	}
	if w.depth++; w.depth > maxDepth {
		return errors.New("nested too deep")
	}
	defer func() { w.depth-- }()
	for {
		head, err := w.byte()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 {
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		typ := head & 0x0f
		if typ == typeTrue || typ == typeFalse {
			continue // the value lies in the type
		}
		if err := w.value(typ); err != nil {
			return err
		}
	}
}

func (w *walker) value(typ byte) error {
	switch typ {
	case typeTrue, typeFalse, typeByte:
		return w.take(1)
	case 4, 5, 6:
		_, err := w.varint()
		return err
	case typeDouble:
		return w.take(8)
	case typeUUID:
		return w.take(16)
	case typeBinary:
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.take(n)
	case typeList, typeSet:
		return w.list()
	case typeMap:
		return w.dict()
	case typeStruct:
		return w.structure()
	}
	return fmt.Errorf("unknown type %d", typ)
}

func (w *walker) list() error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.varint(); err != nil {
			return err
		}
	}
	return w.values(n, head&0x0f)
}

func (w *walker) dict() error {
	n, err := w.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := w.byte()
	if err != nil {
		return err
	}
	return w.values(n, kinds>>4, kinds&0x0f)
}

// values skips n times the given types; each takes a byte at least.
func (w *walker) values(n uint64, types ...byte) error {
	if n > uint64(len(w.b)-w.pos) {
		return fmt.Errorf("claims %d elements in %d bytes", n, len(w.b)-w.pos)
	}
	if w.depth++; w.depth > maxDepth {
		return errors.New("nested too deep")
	}
	defer func() { w.depth-- }()
	for range n {
		for _, t := range types {
			if err := w.value(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// sizes are what a footer says of sizes. Other members may be missing that some
// writers leave out, such as the values of keys.
type sizes struct {
	RowGroups []struct {
		Columns []struct {
			MetaData struct {
				NumValues             int64 `thrift:"5"`
				TotalUncompressedSize int64 `thrift:"6"`
				TotalCompressedSize   int64 `thrift:"7"`
				DataPageOffset        int64 `thrift:"9"`
				DictionaryPageOffset  int64 `thrift:"11"`
			} `thrift:"3"`
		} `thrift:"1"`
		NumRows int64 `thrift:"3"`
	} `thrift:"4"`
}

// Chunks checks that the column chunks of which a sound footer tells lie within a file of a known size, and that nothing is counted below zero. Readers take
// memory by these numbers.
func Chunks(footer []byte, size int64) error {
	var meta sizes
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), footer, &meta); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	for g := range meta.RowGroups {
		group := &meta.RowGroups[g]
		if group.NumRows < 0 {
			return fmt.Errorf("row group %d claims %d rows", g, group.NumRows)
		}
		for i := range group.Columns {
			md := &group.Columns[i].MetaData
			from := md.DataPageOffset
			if d := md.DictionaryPageOffset; d > 0 && d < from {
				from = d
			}
			if n := md.TotalCompressedSize; from < 0 || n < 0 || md.TotalUncompressedSize < 0 || md.NumValues < 0 || from > size || n > size-from {
				return fmt.Errorf("row group %d, column %d: it claims %d values in %d bytes at %d of a file of %d", g, i, md.NumValues, n, from, size)
			}
		}
	}
	return nil
}

// annotations are what a footer says of logical types: unions, whose members
// are known here by number only.
type annotations struct {
	Schema []struct {
		Name    string   `thrift:"4"`
		Logical *logical `thrift:"10"`
	} `thrift:"2"`
}

type logical struct {
	String    *struct{} `thrift:"1"`
	Map       *struct{} `thrift:"2"`
	List      *struct{} `thrift:"3"`
	Enum      *struct{} `thrift:"4"`
	Decimal   *struct{} `thrift:"5"`
	Date      *struct{} `thrift:"6"`
	Time      *struct{} `thrift:"7"`
	Timestamp *struct{} `thrift:"8"`
	Integer   *struct{} `thrift:"10"`
	Null      *struct{} `thrift:"11"`
	JSON      *struct{} `thrift:"12"`
	BSON      *struct{} `thrift:"13"`
	UUID      *struct{} `thrift:"14"`
	Float16   *struct{} `thrift:"15"`
	Variant   *struct{} `thrift:"16"`
	Geometry  *struct{} `thrift:"17"`
	Geography *struct{} `thrift:"18"`
}

// UnknownType returns the first column of a sound footer whose logical type
// this build does not know of; "" = there is none.
func UnknownType(footer []byte) (column string, err error) {
	var meta annotations
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), footer, &meta); err != nil {
		return "", fmt.Errorf("footer: %w", err)
	}
	for _, e := range meta.Schema {
		if l := e.Logical; l != nil && *l == (logical{}) {
			return e.Name, nil
		}
	}
	return "", nil
}

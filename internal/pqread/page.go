package pqread

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
)

var errCut = errors.New("ends early")

// decode makes the present page ready for reading.
func (c *leafColumn) decode() (err error) {
	if c.decoded {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("page at byte %d of the column chunk: %w", c.page.at, err)
		}
	}()
	if err := c.body(&c.page, &c.work.body); err != nil {
		return err
	}
	h, body := c.page.head, c.page.body
	if err := pqcheck.Checksum(h, body); err != nil {
		return err
	}
	var levels []byte
	var enc format.Encoding
	switch {
	case h.DataPageHeader.Valid:
		enc = h.DataPageHeader.V.Encoding
		if body, err = c.inflate(&c.work.page, body, int(h.UncompressedPageSize)); err != nil {
			return err
		}
		if levels, body, err = c.levelsOf(&h.DataPageHeader.V, body); err != nil {
			return err
		}
	case h.DataPageHeaderV2.Valid:
		v2 := &h.DataPageHeaderV2.V
		enc = v2.Encoding
		r, d := int(v2.RepetitionLevelsByteLength), int(v2.DefinitionLevelsByteLength)
		if r < 0 || d < 0 || r > len(body) || d > len(body)-r || r+d > int(h.UncompressedPageSize) {
			return errCut
		}
		levels = body[r : r+d]
		size := int(h.UncompressedPageSize) - r - d
		body = body[r+d:]
		// Arrow for C++ before 3.0 said of compressed values that they are not. Their number tells.
		if v2.IsCompressed.Valid && !v2.IsCompressed.V && len(body) == size {
			break
		}
		if body, err = c.inflate(&c.work.page, body, size); err != nil {
			return err
		}
	default:
		return errors.New("a data page without its header")
	}
	if err := c.readLevels(levels); err != nil {
		return err
	}
	c.vals, err = c.valuesOf(enc, body)
	c.decoded = err == nil
	return err
}

// levelsOf cuts the definition levels off the front of a page of version 1.
func (c *leafColumn) levelsOf(h *format.DataPageHeader, b []byte) (levels, rest []byte, err error) {
	if c.leaf.Level == 0 {
		return nil, b, nil
	}
	if h.DefinitionLevelEncoding != format.RLE {
		return nil, nil, fmt.Errorf("definition levels encoded as %s", h.DefinitionLevelEncoding)
	}
	if len(b) < 4 {
		return nil, nil, errCut
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > len(b)-4 {
		return nil, nil, errCut
	}
	return b[4 : 4+n], b[4+n:], nil
}

// readLevels sees whether there are nulls.
func (c *leafColumn) readLevels(b []byte) error {
	c.lev = nil
	if c.leaf.Level == 0 {
		return nil
	}
	h, err := newHybrid(b, bits.Len16(uint16(c.leaf.Level)))
	if err != nil {
		return err
	}
	level, n, err := h.repeats(int(c.rows))
	if err != nil {
		return err
	}
	if int64(n) < c.rows || level != uint32(c.leaf.Level) {
		c.lev = &h
	}
	return nil
}

// inflate returns the bytes of a page with slack behind them.
func (c *leafColumn) inflate(buf *[]byte, b []byte, size int) ([]byte, error) {
	if c.leaf.Codec == compress.Codecs.Uncompressed {
		if len(b) != size {
			return nil, fmt.Errorf("%d bytes, the header says %d", len(b), size)
		}
		return b, nil
	}
	if size == 0 {
		return sized(nil, 0), nil
	}
	codec, err := compress.GetCodec(c.leaf.Codec)
	if err != nil {
		return nil, err
	}
	if err := c.claims(b, size); err != nil {
		return nil, err
	}
	*buf = sized(*buf, size)
	out, err := compress.Decode(codec, *buf, b)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(out) != size {
		return nil, fmt.Errorf("%d bytes came out, the header says %d", len(out), size)
	}
	if &out[0] != &(*buf)[0] {
		copy(*buf, out)
	}
	return *buf, nil
}

// claims refuses bytes that say that they are more than the page, before a
// decoder makes room for them.
func (c *leafColumn) claims(b []byte, size int) error {
	switch c.leaf.Codec {
	case compress.Codecs.Snappy:
		if n, err := s2.DecodedLen(b); err != nil || n != size {
			return fmt.Errorf("the compressed bytes claim to be %d, the header says %d", n, size)
		}
	case compress.Codecs.Zstd:
		var h zstd.Header
		if err := h.Decode(b); err == nil && h.HasFCS && h.FrameContentSize > uint64(size) {
			return fmt.Errorf("the compressed bytes claim to be %d, the header says %d", h.FrameContentSize, size)
		}
	}
	return nil
}

// valuesOf returns the values of the present page; b has slack behind it.
func (c *leafColumn) valuesOf(enc format.Encoding, b []byte) (values, error) {
	switch enc {
	case format.Plain:
		return c.plain(b), nil
	case format.PlainDictionary, format.RLEDictionary:
		return c.indices(b)
	case format.RLE:
		if c.form.kind != bitKind {
			break
		}
		if len(b) < 4 || int(binary.LittleEndian.Uint32(b)) > len(b)-4 {
			return nil, errCut
		}
		h, err := newHybrid(b[4:4+binary.LittleEndian.Uint32(b)], 1)
		return &runBits{h}, err
	case format.DeltaBinaryPacked:
		if p := c.leaf.Physical; p != parquet.Types.Int32 && p != parquet.Types.Int64 {
			break
		}
		d, err := newDifferences(b)
		return &integerValues{d, c.form.from}, err
	case format.DeltaLengthByteArray:
		if c.form.kind == text {
			return newLengths(b, -1)
		}
	case format.DeltaByteArray:
		switch {
		case c.form.kind == text:
			return newPrefixed(b, -1)
		case c.leaf.Physical == parquet.Types.FixedLenByteArray:
			return newPrefixed(b, c.form.from)
		}
	case format.ByteStreamSplit:
		if c.form.kind == fixed {
			return newSplit(b, c.form.from)
		}
	}
	return nil, fmt.Errorf("values of %s encoded as %s", c.leaf.Physical, enc)
}

func (c *leafColumn) plain(b []byte) values {
	switch c.form.kind {
	case bitKind:
		return &bitValues{b: b}
	case text:
		return &textValues{b: b}
	}
	return &fixedValues{b, c.form.from}
}

// indices returns values of the dictionary, which is decoded when the first
// page needs it.
func (c *leafColumn) indices(b []byte) (values, error) {
	if c.form.kind == bitKind {
		return nil, errors.New("a dictionary of booleans")
	}
	if c.dict == nil {
		if err := c.readDictionary(); err != nil {
			return nil, fmt.Errorf("dictionary: %w", err)
		}
	}
	if len(b) == 0 {
		return &fixedValues{nil, 1}, nil // of a page of nulls
	}
	h, err := newHybrid(b[1:], int(b[0]))
	return &dictValues{h, c.dict}, err
}

func (c *leafColumn) readDictionary() error {
	if err := c.findDictionary(); err != nil {
		return err
	}
	if c.dictAt == nil {
		return errors.New("there is none")
	}
	p := c.dictAt
	if err := c.body(p, &c.work.dictBody); err != nil {
		return err
	}
	if err := pqcheck.Checksum(p.head, p.body); err != nil {
		return err
	}
	if !p.head.DictionaryPageHeader.Valid {
		return errors.New("a page without its header")
	}
	if e := p.head.DictionaryPageHeader.V.Encoding; e != format.Plain && e != format.PlainDictionary {
		return fmt.Errorf("encoded as %s", e)
	}
	b, err := c.inflate(&c.work.dict, p.body, int(p.head.UncompressedPageSize))
	if err != nil {
		return err
	}
	d := &dictionary{n: int(p.head.DictionaryPageHeader.V.NumValues)}
	if c.form.kind == text {
		err = c.textDictionary(d, b)
	} else {
		err = c.fixedDictionary(d, b)
	}
	c.dict = d
	return err
}

func (c *leafColumn) fixedDictionary(d *dictionary, b []byte) error {
	if d.n > len(b)/c.form.from {
		return errCut
	}
	d.b = b[:d.n*c.form.from]
	if c.form.turn != nil {
		turned := make([]byte, d.n*c.form.to)
		c.form.turn(turned, d.b)
		d.b = turned
	}
	return nil
}

// textDictionary moves the texts of a dictionary together, over their lengths.
func (c *leafColumn) textDictionary(d *dictionary, b []byte) error {
	if d.n > len(b)/4 {
		return errCut
	}
	if c.leaf.Codec == compress.Codecs.Uncompressed { // b is the chunk itself
		c.work.dict = sized(c.work.dict, len(b))
		copy(c.work.dict, b)
		b = c.work.dict
	}
	if cap(c.work.ends) < d.n+1 {
		c.work.ends = make([]uint32, d.n+1)
	}
	d.ends = c.work.ends[:d.n+1]
	at, end := 0, 0
	d.ends[0] = 0
	for i := range d.n {
		if at+4 > len(b) {
			return errCut
		}
		size := int(binary.LittleEndian.Uint32(b[at:]))
		if at += 4; size > len(b)-at {
			return errCut
		}
		copy(b[end:], b[at:at+size])
		at += size
		end += size
		d.ends[i+1] = uint32(end)
	}
	d.b = b[:end]
	return nil
}

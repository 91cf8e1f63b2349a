package pqread

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"

	"github.com/metaxy-delta/metaxy-delta/internal/pqcheck"
)

// headBytes is how much is read of a page to find its header: more than headers
// have whose statistics are short.
const headBytes = 256

// begin takes memory, and reads the chunk where it is read as a whole.
func (c *leafColumn) begin() error {
	if c.work != nil {
		return nil
	}
	c.work = c.src.Scratch.get()
	switch {
	case c.whole:
		return c.read(&c.work.chunk, 0, int(c.leaf.Length))
	case c.jumps:
		return c.checkLast()
	}
	return nil
}

// checkLast compares the rows of the last page with the index, which has the
// numbers of all rows shifted where it leaves out or adds some.
func (c *leafColumn) checkLast() error {
	at, last := c.leaf.lastHead(), len(c.leaf.Pages)-1
	if err := c.read(&c.work.head, int(at.Offset-c.leaf.Offset), int(at.Length)); err != nil {
		return err
	}
	h, _, err := pqcheck.Head(c.work.head, c.leaf.Pages[last].Length)
	if errors.Is(err, pqcheck.ErrShort) {
		return nil // a header with long statistics
	}
	if err != nil || pqcheck.ValuesOf(h) != c.leaf.end(last)-c.leaf.Pages[last].First {
		return fmt.Errorf("the last page: %w", ErrIndex)
	}
	return nil
}

// read fills a buffer with a part of the chunk, with slack behind it.
func (c *leafColumn) read(buf *[]byte, at, n int) error {
	*buf = sized(*buf, n)
	_, err := c.src.At.ReadAt(*buf, c.leaf.Offset+int64(at))
	if errors.Is(err, io.EOF) {
		return nil // the reader told of the end; the chunk lies before it
	}
	return err
}

// jump passes the next page by the index alone; false where it has a wanted row
// or is not known.
func (c *leafColumn) jump() bool {
	if !c.jumps || c.number >= len(c.leaf.Pages) {
		return false
	}
	n := c.leaf.end(c.number) - c.leaf.Pages[c.number].First
	if n > c.pending {
		return false
	}
	c.pending -= n
	c.seen += n
	c.number++
	return true
}

// nextPage goes to the next data page.
func (c *leafColumn) nextPage() error {
	if err := c.begin(); err != nil {
		return err
	}
	if c.jumps && !c.whole {
		return c.indexedPage()
	}
	for {
		p, err := c.pageAt(c.pos)
		if err != nil {
			return err
		}
		c.pos = p.from + int(p.head.CompressedPageSize)
		switch p.head.Type {
		case format.DictionaryPage:
			c.dictAt, c.dict = p, nil
		case format.DataPage, format.DataPageV2:
			if err := c.enter(p); err != nil {
				return err
			}
			if c.rows > 0 {
				return nil
			}
		}
	}
}

// enter makes a data page the present one.
func (c *leafColumn) enter(p *rawPage) error {
	n := pqcheck.ValuesOf(p.head)
	if n > c.leaf.Rows-c.seen {
		return fmt.Errorf("page claims %d values, the column has %d left", n, c.leaf.Rows-c.seen)
	}
	if err := c.agree(p, n); err != nil {
		return err
	}
	c.seen += n
	c.page, c.rows, c.decoded = *p, n, false
	return nil
}

// agree compares a data page with what the index has of it.
func (c *leafColumn) agree(p *rawPage, rows int64) error {
	pages, i := c.leaf.Pages, c.number
	c.number++
	if pages == nil {
		return nil
	}
	length := int64(p.from-p.at) + int64(p.head.CompressedPageSize)
	if i >= len(pages) || pages[i] != (Page{c.seen, c.leaf.Offset + int64(p.at), length}) || rows != c.leaf.end(i)-c.seen {
		return fmt.Errorf("page of %d rows at byte %d of the column chunk: %w", rows, p.at, ErrIndex)
	}
	return nil
}

// pageAt reads the header of the page at a byte of the chunk.
func (c *leafColumn) pageAt(pos int) (*rawPage, error) {
	left := int(c.leaf.Length) - pos
	if left <= 0 {
		return nil, fmt.Errorf("pages hold %d values, the row group %d rows", c.seen, c.leaf.Rows)
	}
	if c.whole {
		p, err := pageOf(c.work.chunk[pos:], left, pos)
		if err == nil {
			p.body = c.work.chunk[p.from : p.from+int(p.head.CompressedPageSize)]
		}
		return p, err
	}
	for n := min(headBytes, left); ; n = min(8*n, left) {
		if err := c.read(&c.work.head, pos, n); err != nil {
			return nil, err
		}
		p, err := pageOf(c.work.head, left, pos)
		if !errors.Is(err, pqcheck.ErrShort) || n == left {
			return p, err
		}
	}
}

// pageOf reads a page header from the bytes at pos of a chunk, of which left are
// still to come.
func pageOf(b []byte, left, pos int) (*rawPage, error) {
	h, size, err := pqcheck.Head(b, int64(left))
	if err != nil {
		return nil, fmt.Errorf("page header at byte %d of the column chunk: %w", pos, err)
	}
	return &rawPage{head: h, at: pos, from: pos + size}, nil
}

// indexedPage reads the next data page where the index has it.
func (c *leafColumn) indexedPage() error {
	if c.number >= len(c.leaf.Pages) {
		return fmt.Errorf("the index of pages has %d rows of %d: %w", c.seen, c.leaf.Rows, ErrIndex)
	}
	at := c.leaf.Pages[c.number]
	p, err := c.pageIn(&c.work.body, int(at.Offset-c.leaf.Offset), int(at.Length))
	if err != nil {
		return err
	}
	if t := p.head.Type; t != format.DataPage && t != format.DataPageV2 {
		return fmt.Errorf("page at byte %d of the column chunk: %w", p.at, ErrIndex)
	}
	return c.enter(p)
}

// pageIn reads a page that takes n bytes of the chunk.
func (c *leafColumn) pageIn(buf *[]byte, pos, n int) (*rawPage, error) {
	if err := c.read(buf, pos, n); err != nil {
		return nil, err
	}
	p, err := pageOf(*buf, n, pos)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	p.body = (*buf)[p.from-pos:][:p.head.CompressedPageSize]
	return p, nil
}

// body reads what follows the header of a page where it was not read before.
func (c *leafColumn) body(p *rawPage, buf *[]byte) error {
	if p.body != nil {
		return nil
	}
	if err := c.read(buf, p.from, int(p.head.CompressedPageSize)); err != nil {
		return err
	}
	p.body = *buf
	return nil
}

// findDictionary reads what lies before the first data page that the index has.
func (c *leafColumn) findDictionary() error {
	if c.dictAt != nil || c.whole || !c.jumps {
		return nil
	}
	n := int(c.leaf.Pages[0].Offset - c.leaf.Offset)
	if n == 0 {
		return nil
	}
	p, err := c.pageIn(&c.work.dictBody, 0, n)
	if err == nil && p.head.Type == format.DictionaryPage {
		c.dictAt = p
	}
	return err
}

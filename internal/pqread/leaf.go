package pqread

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/parquet-go/parquet-go/format"
)

// leafColumn reads a leaf.
type leafColumn struct {
	src  *Source
	leaf *Leaf
	form form
	sink sink
	work *workspace

	whole   bool  // the chunk is read at once
	jumps   bool  // pages are found by the index
	left    int64 // rows that are still to be given or passed
	pending int64 // rows to pass before the next one is given
	pos     int   // of the next page header in the chunk
	seen    int64 // rows of the pages so far
	number  int   // of the next data page
	dict    *dictionary
	dictAt  *rawPage

	// The present page.
	page    rawPage
	rows    int64 // of it that are still to come
	decoded bool
	lev     *hybrid // nil: no nulls
	vals    values
}

// rawPage is a page as it lies in the chunk: its header at a byte, and the body,
// nil until it is read, from another one on.
type rawPage struct {
	head     *format.PageHeader
	body     []byte
	at, from int
}

func (c *leafColumn) follow()         { c.sink.keep = true }
func (c *leafColumn) levels() []uint8 { return c.sink.lev }

// Close gives the buffers to the columns that come.
func (c *leafColumn) Close() error {
	c.sink.drop()
	if c.work != nil {
		c.src.Scratch.pool.Put(c.work)
	}
	*c = leafColumn{src: c.src, leaf: c.leaf}
	return nil
}

// Skip notes what is to be passed.
func (c *leafColumn) Skip(rows int64) error {
	if rows < 0 || rows > c.left {
		return fmt.Errorf("%d rows to skip of %d", rows, c.left)
	}
	c.left -= rows
	c.pending += rows
	return nil
}

func (c *leafColumn) Next(rows int) (arrow.Array, error) {
	if rows < 0 || int64(rows) > c.left {
		return nil, fmt.Errorf("%d rows to read of %d", rows, c.left)
	}
	if c.leaf.Null && !c.sink.keep {
		c.left -= int64(rows)
		return array.MakeArrayOfNull(c.src.Allocator, c.leaf.Type, rows), nil
	}
	c.sink.begin(rows)
	if err := c.put(rows); err != nil {
		c.sink.drop()
		return nil, err
	}
	return c.sink.array(), nil
}

func (c *leafColumn) Pick(rows []int64) (arrow.Array, error) {
	if c.leaf.Null && !c.sink.keep && len(rows) > 0 {
		if err := c.Skip(rows[len(rows)-1] + 1); err != nil {
			return nil, err
		}
		return array.MakeArrayOfNull(c.src.Allocator, c.leaf.Type, len(rows)), nil
	}
	c.sink.begin(len(rows))
	next := int64(0)
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n] == rows[0]+int64(n) {
			n++
		}
		err := c.Skip(rows[0] - next)
		if err == nil && int64(n) > c.left {
			err = fmt.Errorf("%d rows to read of %d", n, c.left)
		}
		if err == nil {
			err = c.put(n)
		}
		if err != nil {
			c.sink.drop()
			return nil, err
		}
		next, rows = rows[0]+int64(n), rows[n:]
	}
	return c.sink.array(), nil
}

// put puts the next rows into the sink.
func (c *leafColumn) put(rows int) error {
	c.left -= int64(rows)
	if err := c.pass(); err != nil {
		return err
	}
	for rows > 0 {
		if c.rows == 0 {
			if err := c.nextPage(); err != nil {
				return err
			}
			continue
		}
		if err := c.decode(); err != nil {
			return err
		}
		n := int(min(int64(rows), c.rows))
		if err := c.move(n, &c.sink); err != nil {
			return fmt.Errorf("page at byte %d of the column chunk: %w", c.page.at, err)
		}
		c.rows -= int64(n)
		rows -= n
	}
	return nil
}

// pass goes over rows that are to be skipped: whole pages as they are.
func (c *leafColumn) pass() error {
	for c.pending > 0 {
		switch {
		case c.rows == 0 && c.jump():
			continue
		case c.rows == 0:
			if err := c.nextPage(); err != nil {
				return err
			}
			continue
		case c.pending >= c.rows:
			c.pending -= c.rows
			c.rows = 0
			continue
		}
		if err := c.decode(); err != nil {
			return err
		}
		if err := c.move(int(c.pending), nil); err != nil {
			return fmt.Errorf("page at byte %d of the column chunk: %w", c.page.at, err)
		}
		c.rows -= c.pending
		c.pending = 0
	}
	return nil
}

// move puts the next rows of the page into a sink, or passes them without one.
func (c *leafColumn) move(n int, to *sink) error {
	for n > 0 {
		if c.lev == nil {
			return c.moveValues(n, to)
		}
		level, k, err := c.lev.repeats(n)
		if err != nil {
			return err
		}
		if k == 0 {
			if k, err = c.movePacked(n, to); err != nil {
				return err
			}
			n -= k
			continue
		}
		c.lev.pass(k)
		if err := c.moveLevel(level, k, to); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// movePacked moves rows whose levels are packed.
func (c *leafColumn) movePacked(n int, to *sink) (int, error) {
	var some [512]uint32
	levels := some[:c.lev.fill(some[:min(n, len(some))])]
	for i := 0; i < len(levels); {
		k := i + 1
		for k < len(levels) && levels[k] == levels[i] {
			k++
		}
		if err := c.moveLevel(levels[i], k-i, to); err != nil {
			return 0, err
		}
		i = k
	}
	return len(levels), nil
}

func (c *leafColumn) moveLevel(level uint32, n int, to *sink) error {
	switch {
	case level == uint32(c.leaf.Level):
		return c.moveValues(n, to)
	case level > uint32(c.leaf.Level):
		return fmt.Errorf("a definition level of %d where %d is the greatest", level, c.leaf.Level)
	case to != nil:
		to.null(n, uint8(level))
	}
	return nil
}

func (c *leafColumn) moveValues(n int, to *sink) error {
	if to == nil {
		return c.vals.skip(n)
	}
	return c.vals.put(to, n)
}

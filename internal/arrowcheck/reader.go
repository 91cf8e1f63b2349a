package arrowcheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Reader gives the bytes of a stream whose size nobody knows, a message at a
// time, each once it is judged. It holds one message, and takes memory as bytes
// come, not as they claim. A stream that ends within a message, or without its
// end mark, is an error: its writer may have been ended before all was there.
func Reader(r io.Reader) io.Reader { return &reader{r: r} }

// ErrNoEnd is a stream that ends between messages, without its end mark.
var ErrNoEnd = errors.New("the stream ends without its end mark: who wrote it stopped before all rows were there")

type reader struct {
	r    io.Reader
	held bytes.Buffer
	pos  int64
	err  error
}

func (c *reader) Read(p []byte) (int, error) {
	if c.held.Len() == 0 && c.err == nil {
		c.err = c.next()
	}
	if c.held.Len() > 0 {
		return c.held.Read(p)
	}
	return 0, c.err
}

// next holds another message; with an error only what ends the stream.
func (c *reader) next() error {
	c.held.Reset()
	err := c.take(4)
	if errors.Is(err, io.ErrUnexpectedEOF) && c.held.Len() == 0 {
		return ErrNoEnd
	}
	n := int64(0)
	if err == nil {
		if n = c.last(); uint32(n) == continuation {
			err = c.take(4)
			n = c.last()
		}
	}
	if err == nil && n == 0 {
		return io.EOF
	}
	at := int64(c.held.Len())
	if err == nil && n < 0 {
		err = fmt.Errorf("claims a message of %d bytes", n)
	}
	if err == nil {
		err = c.take(n)
	}
	if err == nil {
		err = c.body(at)
	}
	if err == nil {
		_, err = messageAt(bytes.NewReader(c.held.Bytes()), at, n, int64(c.held.Len()))
	}
	if err != nil {
		c.held.Reset()
		return fmt.Errorf("message at byte %d: %w", c.pos, err)
	}
	c.pos += int64(c.held.Len())
	return nil
}

// body takes what the metadata from a byte on say that follows.
func (c *reader) body(at int64) error {
	b := c.held.Bytes()[at:]
	if err := walk(b, message); err != nil {
		return err
	}
	f, err := fieldsAt(b, int(binary.LittleEndian.Uint32(b)))
	if err != nil {
		return err
	}
	body := f.number(3)
	if body < 0 {
		return fmt.Errorf("claims a body of %d bytes", body)
	}
	return c.take(body)
}

// take holds n more bytes.
func (c *reader) take(n int64) error {
	_, err := io.CopyN(&c.held, c.r, n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// last is the number in the last four bytes.
func (c *reader) last() int64 {
	b := c.held.Bytes()
	return int64(int32(binary.LittleEndian.Uint32(b[len(b)-4:])))
}

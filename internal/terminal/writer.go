// Package terminal writes what people look at: text without control characters,
// tables, and messages without secrets. Widths are cells of a terminal. Writers
// pass on the errors of the writers below them.
package terminal

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Printable replaces control characters but line feeds, so that stored text
// cannot steer a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

// Is reports whether w is a terminal.
func Is(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Guard returns w, or where that is a terminal a writer that lets no control
// character through: data must not move the cursor, rename the window or type.
func Guard(w io.Writer) io.Writer {
	if Is(w) {
		return NewPlain(w)
	}
	return w
}

// NewPlain returns a writer that replaces control characters but line feeds and
// tabs, and what is no UTF-8. An incomplete character waits for its rest.
func NewPlain(w io.Writer) io.Writer { return &plainWriter{w: w} }

type plainWriter struct {
	w    io.Writer
	rest []byte
}

func (p *plainWriter) Write(data []byte) (int, error) {
	in := append(p.rest, data...)
	out := make([]byte, 0, len(in))
	for len(in) > 0 && utf8.FullRune(in) {
		r, n := utf8.DecodeRune(in)
		in = in[n:]
		if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			r = utf8.RuneError
		}
		out = utf8.AppendRune(out, r)
	}
	p.rest = append([]byte(nil), in...)
	if _, err := p.w.Write(out); err != nil {
		return 0, err
	}
	return len(data), nil
}

// Checked remembers the first failure of the writer it writes to.
type Checked struct {
	W   io.Writer
	Err error
	// Before is called before each write; nil = nothing.
	Before func()
}

// Write writes to W.
func (c *Checked) Write(data []byte) (int, error) {
	if c.Before != nil {
		c.Before()
	}
	n, err := c.W.Write(data)
	if c.Err == nil {
		c.Err = err
	}
	return n, err
}

// Redacting writes to W what Redact makes of each message. A message is written
// at once, so that no secret is cut in two.
type Redacting struct {
	W      io.Writer
	Redact func(string) string
}

// Write writes a message.
func (r Redacting) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.W, r.Redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
